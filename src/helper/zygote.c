/* zygote.c
 *
 * What it keeps is what its children keep, and what it takes to make them what they are.
 *
 * #caps(zygote) CAP_SETPCAP
 */
#include "helper/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "helper/launch.h"
#include "helper/launch_end.h"
#include "helper/worker.h"

enum {
	ZYGOTE_FD = 3,       /* where it has its end of the supervisor's link */
	WORKER_START_S = 10, /* for a worker to open and confine itself: it takes milliseconds */
};

/* What the supervisor asks, and is told; the worker's link comes along. */
struct ask {
	uint32_t role;
};

struct told {
	pid_t pid; /* -errno: none */
};

/* What the zygote has. */
struct family {
	const struct helper_conf *conf; /* borrowed */
	pid_t supervisor;
	struct launcher *launcher; /* NULL: no VMM is configured */
	int launch;                /* owned: towards `jail`; -EBADF: none */
	int ends;                  /* owned: launch_ends_open() */
};

static int pair(int bytes, int ret_ends[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_ends) < 0)
		return -errno;
	for (int i = 0; bytes > 0 && i < 2; i++)
		if (setsockopt(ret_ends[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
			return -errno;
	return 0;
}

/* ---- the zygote ---- */

/* As fork(2), but the child is our parent's. */
static pid_t fork_sibling(void)
{
	struct clone_args args = { .flags = CLONE_PARENT };

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* In the child. */
static _Noreturn void become(const struct family *f, enum filter_role role, int link, int launch)
{
	sigset_t none;

	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0 ||
	    (launch >= 0 && launcher_enter(f->launcher) < 0))
		_exit(EXIT_FAILURE);
	worker_main(role, f->conf, link, launch, f->supervisor);
}

/* `jail` gets a new link to us as well: what its predecessor has asked for is not served. */
static pid_t fork_worker(struct family *f, enum filter_role role, int *ret_link)
{
	const bool launches = role == FILTER_JAIL && f->launcher;
	int ends[2] = { -EBADF, -EBADF };
	int launch[2] = { -EBADF, -EBADF };
	pid_t pid = pair(WORKER_LINK_BYTES, ends);

	if (pid == 0 && launches) {
		close_fd(&f->launch);
		pid = pair(WORKER_LINK_BYTES, launch);
	}
	if (pid == 0) {
		pid = fork_sibling();
		if (pid == 0)
			become(f, role, ends[1], launch[1]);
		if (pid < 0)
			pid = -errno;
	}
	close_fd(&ends[1]);
	close_fd(&launch[1]);
	if (pid < 0) {
		close_fd(&ends[0]);
		close_fd(&launch[0]);
	}
	if (launches)
		f->launch = take_fd(&launch[0]);
	*ret_link = ends[0];
	return pid;
}

/* One request of the supervisor's; false: it is gone, or speaks nonsense. */
static bool serve_supervisor(struct family *f)
{
	struct ask ask;
	const struct iovec question = { &ask, sizeof(ask) };
	int link = -EBADF;
	uint32_t nfds;

	if (link_receive(ZYGOTE_FD, &question, 1, NULL, 0, &nfds) != (ssize_t)sizeof(ask) ||
	    ask.role >= WORKER_NWORKERS)
		return false;
	struct told told = { .pid = fork_worker(f, (enum filter_role)ask.role, &link) };
	const struct iovec answer = { &told, sizeof(told) };
	IGNORE(link_send(ZYGOTE_FD, &answer, 1, &link, link >= 0));
	close_fd(&link);
	return true;
}

static _Noreturn void zygote_main(struct family *f)
{
	for (;;) {
		struct pollfd fds[] = { { .fd = ZYGOTE_FD, .events = POLLIN },
					{ .fd = f->launch, .events = POLLIN },
					{ .fd = f->ends, .events = POLLIN } };

		if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
			_exit(EXIT_FAILURE);
		if (fds[2].revents)
			launch_ends_reap(f->ends);
		if (fds[0].revents && !serve_supervisor(f))
			_exit(EXIT_SUCCESS);
		else if (fds[1].revents && launcher_serve(f->launcher, f->launch) < 0)
			close_fd(&f->launch);
	}
}

static _Noreturn void zygote_begin(const struct helper_conf *conf, int link, pid_t supervisor)
{
	struct family f = {
		.conf = conf, .supervisor = supervisor, .launch = -EBADF, .ends = -EBADF
	};
	struct err e = { 0 };
	const struct iovec report = { &e, sizeof(e) };
	int rc;

	if (link != ZYGOTE_FD && dup3(link, ZYGOTE_FD, O_CLOEXEC) < 0)
		_exit(EXIT_FAILURE);
	if (close_range(ZYGOTE_FD + 1, ~0U, 0) < 0)
		_exit(EXIT_FAILURE);
	if (prctl(PR_SET_NAME, "bangerd-zygote") < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		rc = err_sys(&e, ERR_INTERNAL, "prctl");
	else if (getppid() != supervisor)
		rc = err_set(&e, ERR_INTERNAL, "the supervisor is gone");
	else if ((f.ends = launch_ends_open()) < 0)
		rc = err_num(&e, ERR_INTERNAL, f.ends, "SIGCHLD");
	else
		rc = launcher_open(conf, f.ends, &f.launcher, &e);
	if (rc == 0)
		rc = filter_confine_zygote(&e);
	if (link_send(ZYGOTE_FD, &report, 1, NULL, 0) >= 0 && rc == 0)
		zygote_main(&f);
	_exit(EXIT_FAILURE);
}

/* ---- its supervisor ---- */

/* A process's first message: how its start went, once it is confined. */
static int await_report(int link, const char *who, struct err *e)
{
	const struct timeval patience = { .tv_sec = WORKER_START_S };
	struct err told = { 0 };
	const struct iovec report = { &told, sizeof(told) };
	uint32_t nfds = 0;

	if (setsockopt(link, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return err_sys(e, ERR_INTERNAL, "SO_RCVTIMEO");
	const ssize_t n = link_receive(link, &report, 1, NULL, 0, &nfds);

	if (n != (ssize_t)sizeof(told))
		return err_set(e, ERR_HELPER_WORKER, "%s: died while it started", who);
	if (told.code == ERR_NONE)
		return 0;
	if (e)
		*e = told;
	err_ctx(e, "%s", who);
	return err_errno(&told);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
	}
}

int zygote_open(struct zygote *z, const struct helper_conf *conf, struct err *e)
{
	const pid_t supervisor = getpid();
	int ends[2] = { -EBADF, -EBADF };
	int rc = pair(0, ends);

	*z = (struct zygote){ .link = -EBADF };
	if (rc < 0)
		return err_num(e, ERR_HOST_FILES, rc, "socketpair");
	z->pid = fork();
	if (z->pid == 0)
		zygote_begin(conf, ends[1], supervisor);
	rc = z->pid < 0 ? err_sys(e, ERR_HOST_MEMORY, "fork") : 0;
	close_fd(&ends[1]);
	z->link = ends[0];
	if (rc == 0)
		rc = await_report(z->link, "zygote", e);
	if (rc < 0)
		zygote_close(z);
	return rc;
}

void zygote_close(struct zygote *z)
{
	close_fd(&z->link);
	if (z->pid > 0)
		end(z->pid);
	z->pid = 0;
}

int zygote_worker(const struct zygote *z, enum filter_role role, pid_t *ret_pid, int *ret_link,
		  struct err *e)
{
	struct ask ask = { .role = role };
	struct told told = { .pid = -EPIPE };
	const struct iovec question = { &ask, sizeof(ask) };
	const struct iovec answer = { &told, sizeof(told) };
	CLEANUP_FD int link = -EBADF;
	uint32_t nfds = 0;
	char who[32];

	(void)snprintf(who, sizeof(who), "worker %s", filters[role].name);
	if (link_send(z->link, &question, 1, NULL, 0) < 0 ||
	    link_receive(z->link, &answer, 1, &link, 1, &nfds) != (ssize_t)sizeof(told))
		return err_set(e, ERR_HELPER_WORKER, "%s: the zygote does not answer", who);
	if (told.pid < 0 || nfds != 1)
		return err_num(e, ERR_HOST_MEMORY, told.pid, "%s: fork", who);
	const int rc = await_report(link, who, e);
	if (rc < 0) {
		end(told.pid);
		return rc;
	}
	*ret_pid = told.pid;
	*ret_link = take_fd(&link);
	return 0;
}
