/* bare.c - a launcher without a daemon: what is left when nothing is kept, checked or undone.
 *
 *   spawn (at most C waiting) -> "banger-probe: up" on the guest's serial port -> runs on
 *   all are up (or have failed) -> SIGKILL -> reaped
 *
 * Each VMM's serial port is a socket, as a probe's is the daemon's; its end of file is the VMM's
 * end. SIGINT and SIGTERM end the run early, and still nothing is left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bench/bench.h"
#include "bench/launch.h"
#include "bench/report.h"
#include "vmm/vmm.h"

enum {
	QUIET_MS_MAX = 60 * 1000, /* without any guest coming up: give up */
	LINE_MAX_BYTES = 256,     /* of the serial port that are looked at */
	EVENTS_MAX = 64,          /* of one epoll_wait() */
	WORDS_MAX = 600,          /* bytes of the VMMs' stderr that are shown */
};

struct guest {
	pid_t pid; /* 0: not started */
	int serial;
	uint64_t spawned_ns;
	char line[LINE_MAX_BYTES];
	size_t len;
	bool up;
};

struct bare {
	const struct bench_args *args;
	struct launch launch;
	struct guest *guests; /* owned, args->count of them */
	struct samples ready;
	int epoll;
	int signals;
	int words; /* what all VMMs say on stdout and stderr: shown when one of them failed */
	uint32_t started;
	uint32_t waiting; /* started, and neither up nor failed */
	uint32_t failed;
};

/* A socket that listens, and our end of the connection that waits in its queue.  The kernel names
 * it: no file is made. */
static int serial_open(int *ret_ours, int *ret_theirs)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(name.sun_family);
	CLEANUP_FD int theirs = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CLEANUP_FD int ours = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (theirs < 0 || ours < 0 || bind(theirs, (const struct sockaddr *)&name, len) < 0 ||
	    listen(theirs, 1) < 0)
		return -errno;
	len = sizeof(name);
	if (getsockname(theirs, (struct sockaddr *)&name, &len) < 0 ||
	    connect(ours, (const struct sockaddr *)&name, len) < 0 ||
	    fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	*ret_ours = take_fd(&ours);
	*ret_theirs = take_fd(&theirs);
	return 0;
}

/* The two ends of what is the VMM's standard output. */
static int output_open(int *ret_ours, int *ret_theirs)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	*ret_ours = ends[0];
	*ret_theirs = ends[1];
	return fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* In a session of its own, as the daemon's are: where CPUs are short, Linux shares them out by
 * session (sched(7), autogroup).  -errno as posix_spawnp() has it. */
static int spawn(char *const *argv, int console, int number, int words, pid_t *ret_pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	int rc;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	rc = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(&files, words, STDOUT_FILENO);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(&files, words, STDERR_FILENO);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(&files, console, number);
	if (rc == 0)
		rc = posix_spawnattr_setsigmask(&attr, &none);
	if (rc == 0)
		rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
	if (rc == 0)
		rc = posix_spawnp(ret_pid, argv[0], &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return -rc;
}

static int guest_start(struct bare *b, uint32_t i, struct err *e)
{
	struct guest *g = &b->guests[i];
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = i };
	const bool own = b->launch.driver->channels == VMM_CHANNELS_OWN;
	CLEANUP_FD int theirs = -EBADF;
	struct strv argv = { 0 };
	int rc = own ? output_open(&g->serial, &theirs) : serial_open(&g->serial, &theirs);

	if (rc < 0)
		return err_num(e, ERR_HOST_FILES, rc, "socket of guest %u", i);
	if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, g->serial, &ev) < 0)
		return err_sys(e, ERR_HOST_FILES, "epoll of guest %u", i);
	rc = launch_argv(&b->launch, &argv, e);
	if (rc < 0)
		return rc;
	g->spawned_ns = now_ns();
	rc = spawn(argv.v, theirs, own ? STDOUT_FILENO : LAUNCH_CONSOLE_FD, b->words, &g->pid);
	strv_fini(&argv);
	if (rc < 0)
		return err_num(e, ERR_VMM_START, rc, "spawn %s", b->launch.driver->program);
	b->started++;
	b->waiting++;
	return 0;
}

static void guest_failed(struct bare *b, struct guest *g)
{
	b->failed++;
	if (!g->up)
		b->waiting--;
	g->up = false;
	close_fd(&g->serial); /* also leaves the epoll set */
}

/* Bytes after the line (or once the buffer is full) only show that the guest lives. */
static void guest_read(struct bare *b, struct guest *g)
{
	char rest[LINE_MAX_BYTES];
	const size_t room = sizeof(g->line) - 1 - g->len;
	const bool keep = !g->up && room > 0;
	const ssize_t n = read(g->serial, keep ? g->line + g->len : rest,
			       keep ? room : sizeof(rest));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		guest_failed(b, g);
		return;
	}
	if (!keep)
		return;
	g->len += (size_t)n;
	g->line[g->len] = '\0';
	if (strstr(g->line, VMM_PROBE_LINE)) {
		g->up = true;
		b->waiting--;
		samples_add(&b->ready, now_ns() - g->spawned_ns);
	}
}

static int wait_for_some(struct bare *b, struct err *e)
{
	struct epoll_event evs[EVENTS_MAX];
	const int n = epoll_wait(b->epoll, evs, EVENTS_MAX, QUIET_MS_MAX);

	if (n < 0)
		return errno == EINTR ? 0 : err_sys(e, ERR_HOST_IO, "epoll_wait");
	if (n == 0)
		return err_set(e, ERR_TIMEOUT, "%u guests said nothing for %d s", b->waiting,
			       QUIET_MS_MAX / 1000);
	for (int i = 0; i < n; i++) {
		if (evs[i].data.u32 == UINT32_MAX)
			return err_set(e, ERR_CANCELLED, "interrupted by a signal");
		guest_read(b, &b->guests[evs[i].data.u32]);
	}
	return 0;
}

static int start_all(struct bare *b, struct err *e)
{
	int rc = 0;

	while (rc >= 0 && (b->started < b->args->count || b->waiting > 0)) {
		while (rc >= 0 && b->started < b->args->count && b->waiting < b->args->concurrency)
			rc = guest_start(b, b->started, e);
		if (rc >= 0 && b->waiting > 0)
			rc = wait_for_some(b, e);
	}
	return rc;
}

/* Ends every VMM that was started.  Ours are the only children, and each is known by pid. */
static void end_all(struct bare *b)
{
	for (uint32_t i = 0; i < b->args->count; i++) {
		if (b->guests[i].pid > 0)
			kill(b->guests[i].pid, SIGKILL);
	}
	for (uint32_t i = 0; i < b->args->count; i++) {
		struct guest *g = &b->guests[i];

		while (g->pid > 0 && waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
			;
		g->pid = 0;
		close_fd(&g->serial);
	}
}

static uint64_t cpu_ns(int who)
{
	struct rusage u;

	getrusage(who, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * NS_PER_S +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * NS_PER_US;
}

static void show_words(const struct bare *b)
{
	char text[WORDS_MAX];
	const ssize_t n = pread(b->words, text, sizeof(text), 0);

	if (n > 0)
		fprintf(stderr, "banger-bench: bare: %u failed; the VMMs' first words:\n%.*s\n",
			b->failed, (int)n, text);
}

static int report(struct bare *b, uint64_t wall_ns, uint64_t end_ns)
{
	struct report r;

	report_init(&r, "bare", b->args->json);
	report_str(&r, "vmm", b->args->vmm);
	report_str(&r, "accel", b->launch.accel);
	report_uint(&r, "n", b->args->count);
	report_uint(&r, "concurrency", b->args->concurrency);
	report_uint(&r, "failed", b->failed);
	report_real(&r, "wall_ms", (double)wall_ns / (double)NS_PER_MS);
	report_real(&r, "starts_per_s", (double)b->ready.n * (double)NS_PER_S / (double)wall_ns);
	report_samples(&r, "ready_ms", &b->ready, NS_PER_MS);
	report_real(&r, "kill_reap_ms", (double)end_ns / (double)NS_PER_MS);
	report_real(&r, "cpu_children_ms", (double)cpu_ns(RUSAGE_CHILDREN) / (double)NS_PER_MS);
	report_real(&r, "cpu_own_ms", (double)cpu_ns(RUSAGE_SELF) / (double)NS_PER_MS);
	return report_print(&r);
}

static int bare_init(struct bare *b, const struct bench_args *a, struct err *e)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = UINT32_MAX };
	sigset_t ends;

	*b = (struct bare){ .args = a, .epoll = -EBADF, .signals = -EBADF, .words = -EBADF };
	const int rc = launch_init(&b->launch, a, e);
	if (rc < 0)
		return rc;
	b->guests = calloc(a->count, sizeof(*b->guests));
	if (!b->guests || samples_init(&b->ready, a->count) < 0)
		return err_set(e, ERR_HOST_MEMORY, "no memory for %u guests", a->count);
	for (uint32_t i = 0; i < a->count; i++)
		b->guests[i].serial = -EBADF;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	b->signals = signalfd(-1, &ends, SFD_CLOEXEC);
	b->epoll = epoll_create1(EPOLL_CLOEXEC);
	b->words = memfd_create("stderr", MFD_CLOEXEC);
	if (b->signals < 0 || b->epoll < 0 || b->words < 0 ||
	    epoll_ctl(b->epoll, EPOLL_CTL_ADD, b->signals, &ev) < 0)
		return err_sys(e, ERR_HOST_FILES, "epoll");
	return 0;
}

static void bare_fini(struct bare *b)
{
	close_fd(&b->epoll);
	close_fd(&b->signals);
	close_fd(&b->words);
	samples_fini(&b->ready);
	free(b->guests);
	launch_fini(&b->launch);
}

int bench_bare(const struct bench_args *a, struct err *e)
{
	struct bare b;
	int rc = bare_init(&b, a, e);

	if (rc == 0) {
		const uint64_t begin = now_ns();

		rc = start_all(&b, e);
		const uint64_t up = now_ns();

		end_all(&b);
		const uint64_t gone = now_ns();

		if (rc < 0 || b.failed > 0)
			show_words(&b);
		if (rc >= 0)
			rc = report(&b, up - begin, gone - up);
	}
	bare_fini(&b);
	return rc;
}
