/* launch.c - the zygote's half: a request of `jail` is checked again and becomes a child.
 *
 * What a child needs: namespaces, pivot_root (SYS_ADMIN), device nodes, another uid, a filter, the
 * bounding set; to see whose program a process runs, SYS_PTRACE.
 *
 * #caps(zygote) CAP_SYS_ADMIN CAP_SYS_CHROOT CAP_MKNOD CAP_CHOWN CAP_SETUID CAP_SETGID CAP_SETPCAP
 * #caps(zygote) CAP_SYS_PTRACE CAP_DAC_OVERRIDE CAP_KILL
 */
#include "helper/launch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "helper/block/dm.h"
#include "helper/filter.h"
#include "helper/launch_child.h"
#include "helper/launch_end.h"
#include "helper/launch_ns.h"
#include "helper/root.h"
#include "helper/worker.h"

enum {
	FDS_MAX = LAUNCH_FDS_FIXED + LAUNCH_SOCKETS_MAX + LAUNCH_FDS_STDIO,
	HIGH_FD = 64, /* what a child keeps until its exec lies above all that it arranges */
	START_S = 10, /* for a child to come to its exec: it takes a millisecond */
	LOOK_MS = 1,  /* between looks whether a jailer has come to its own */
	JAILER_WORDS = 13,
};

struct launcher {
	const struct helper_conf *conf; /* borrowed */
	int ends;                       /* borrowed: launch_ends_open() */
	struct vmm_place place;
	struct dm dm; /* owned */
	char args[LAUNCH_ARGS_MAX];
	char *argv[JAILER_WORDS + 1 + LAUNCH_WORDS_MAX + 1]; /* into args, conf and the following */
	char id[VM_ID_CHARS + 1];
	char uid[16];
	char nofile[24];
};

/* ---- the program ---- */

static int program_check(const char *path, const struct stat *st, struct err *e)
{
	if (S_ISLNK(st->st_mode))
		return err_set(e, ERR_HELPER_REFUSED, "binary: %s is a symbolic link", path);
	if (!S_ISREG(st->st_mode))
		return err_set(e, ERR_HELPER_REFUSED, "binary: %s is no regular file", path);
	if (st->st_uid != 0)
		return err_set(e, ERR_HELPER_REFUSED,
			       "binary: %s belongs to uid %u, must be root's", path, st->st_uid);
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return err_set(e, ERR_HELPER_REFUSED,
			       "binary: %s may be written by others than root (mode %04o)", path,
			       st->st_mode & 07777U);
	if ((st->st_mode & S_IXOTH) == 0)
		return err_set(e, ERR_HELPER_REFUSED, "binary: %s may not be executed by all",
			       path);
	return 0;
}

/* What is checked is what is executed, by this descriptor, whatever the path names by then. */
static int program_open(const char *path, int *ret_fd, struct stat *ret_st, struct err *e)
{
	CLEANUP_FD int fd = root_open_plain(path, O_PATH | O_NOFOLLOW);

	if (fd == -ELOOP)
		return err_set(e, ERR_HELPER_REFUSED, "binary: %s lies behind a symbolic link",
			       path);
	if (fd < 0)
		return err_num(e, ERR_VMM_MISSING, fd, "binary: %s", path);
	if (fstat(fd, ret_st) < 0)
		return err_sys(e, ERR_JAIL, "binary: %s", path);
	const int rc = program_check(path, ret_st, e);
	if (rc == 0)
		*ret_fd = take_fd(&fd);
	return rc;
}

/* ---- its disk ---- */

/* The VM's own, and ours, by what device-mapper says now; there is no name that a request could
 * give. */
static int snapshot_find(struct launcher *l, vm_id vm, dev_t *ret_dev, struct err *e)
{
	struct handle h;
	struct dm_device found = { .dev = 0 };
	int rc;

	handle_of(vm, &h);
	rc = dm_find(&l->dm, &h, &found, e);
	if (rc == -ENXIO || (rc == 0 && (!found.active || !found.params[0] || !found.own_number)))
		return err_set(e, ERR_HELPER_REFUSED,
			       "snapshot: %s %s: create_dm_snapshot comes first", h.name,
			       rc < 0 ? "is not there" : "is not whole");
	if (rc < 0) {
		err_ctx(e, "snapshot");
		return rc;
	}
	*ret_dev = found.dev;
	return 0;
}

/* ---- a VMM ---- */

/* What a jailer is told; the VMM's words follow. */
static size_t jailer_words(struct launcher *l, const struct conf_vmm *vmm)
{
	const char *const words[] = {
		vmm->jailer, "--id",  l->id,  "--exec-file",       CELL_PROGRAM, "--uid",
		l->uid,      "--gid", l->uid, "--chroot-base-dir", CELL_BASE,    "--resource-limit",
		l->nofile,   "--",
	};
	static_assert(ARRAY_LEN(words) == JAILER_WORDS + 1, "room for all");

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		l->argv[i] = (char *)(uintptr_t)words[i];
	return ARRAY_LEN(words);
}

/* The jailer names its program's VM itself, and Firecracker takes no word twice: the bytes of ours,
 * with its value, or 0. */
static size_t said_by_jailer(const struct conf_vmm *vmm, const char *at, const char *end)
{
	static const char word[] = "--id";

	if (!vmm->jailer[0] || strcmp(at, word) != 0)
		return 0;
	const char *const value = at + sizeof(word);
	return sizeof(word) + (value < end ? strlen(value) + 1 : 0);
}

/* "word\0word\0" -> argv, the program's name first. */
static int words_split(struct launcher *l, const struct conf_vmm *vmm, size_t len, struct err *e)
{
	size_t n = vmm->jailer[0] ? jailer_words(l, vmm) : 0;
	const size_t most = n > 0 ? n - 1 + LAUNCH_WORDS_MAX : LAUNCH_WORDS_MAX;

	if (n == 0)
		l->argv[n++] = (char *)(uintptr_t)vmm->binary;
	for (char *at = l->args; at < l->args + len; at += strlen(at) + 1) {
		at += said_by_jailer(vmm, at, l->args + len);
		if (at == l->args + len)
			break;
		if (n > most)
			return err_set(e, ERR_HELPER_REFUSED, "args: more than %d words",
				       LAUNCH_WORDS_MAX);
		l->argv[n++] = at;
	}
	l->argv[n] = NULL;
	return 0;
}

static int ask_check(const struct launcher *l, const struct launch_ask *ask, size_t len,
		     uint32_t nfds, struct err *e)
{
	const struct helper_conf *const conf = l->conf;
	const bool whole = len == 0 || l->args[len - 1] == '\0';

	if (ask->vmm >= conf->nvmms || ask->uid < conf->uid_first ||
	    ask->uid - conf->uid_first >= conf->uid_count || ask->vm == 0 || ask->vm > VM_ID_MAX ||
	    ask->nsockets > LAUNCH_SOCKETS_MAX || ask->stdio > 1 ||
	    nfds != LAUNCH_FDS_FIXED + ask->nsockets + LAUNCH_FDS_STDIO * ask->stdio ||
	    ask->args_len != len || !whole)
		return err_set(e, ERR_INTERNAL, "launch: no such thing is asked for");
	return 0;
}

/* A copy with a number that the child does not need for anything else; the original is closed. */
static int lift(int *fd)
{
	const int high = fcntl(*fd, F_DUPFD_CLOEXEC, HIGH_FD);

	close_fd(fd);
	*fd = high;
	return high;
}

static pid_t fork_vmm(int cgroup, int *ret_pidfd)
{
	struct clone_args args = {
		.flags = CLONE_PIDFD | CLONE_INTO_CGROUP | CLONE_NEWPID | CLONE_NEWIPC |
			 CLONE_NEWUTS,
		.pidfd = (uint64_t)(uintptr_t)ret_pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)(unsigned)cgroup,
	};

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* The child's report: closed by its exec, or what it failed at. */
static int await_exec(int report, struct launch_told *told)
{
	const struct timeval patience = { .tv_sec = START_S };
	struct vmm_report r = { .dev = 0 };
	const struct iovec iov = { &r, sizeof(r) };
	uint32_t nfds;
	ssize_t n;

	IGNORE(setsockopt(report, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)));
	while ((n = link_receive(report, &iov, 1, NULL, 0, &nfds)) == (ssize_t)sizeof(r) &&
	       r.err.code == ERR_NONE) {
		told->dev = r.dev;
		told->ino = r.ino;
	}
	if (n == -EPIPE)
		return 0;
	if (n != (ssize_t)sizeof(r))
		return err_set(&told->err, ERR_VMM_START,
			       "launch: its process did not come to its program");
	told->err = r.err;
	err_ctx(&told->err, "launch");
	return err_errno(&told->err);
}

/* Whose program a process runs. */
static int look(pid_t pid, struct launch_told *told)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	if (stat(path, &st) < 0)
		return err_sys(&told->err, ERR_JAIL, "%s", path);
	told->dev = st.st_dev;
	told->ino = st.st_ino;
	return 0;
}

/* A jailer's exec tells nobody, but its end does. */
static int await_jailer(int pidfd, const struct launch_told *told, struct err *e)
{
	for (int waited_ms = 0; waited_ms < START_S * 1000; waited_ms += LOOK_MS) {
		struct pollfd p = { .fd = pidfd, .events = POLLIN };
		struct launch_told now = { .dev = 0 };

		if (poll(&p, 1, LOOK_MS) > 0)
			break;
		if (look(told->pid, &now) == 0 && now.dev == told->dev && now.ino == told->ino)
			return 0;
	}
	return err_set(e, ERR_VMM_START, "launch: the jailer did not come to its program");
}

/* What a launch has open. */
struct opened {
	int program;
	int jailer; /* -EBADF: none */
	dev_t disk; /* 0: none */
};

static int child_run(struct launcher *l, const struct launch_ask *ask, const int *fds,
		     const struct opened *o, struct launch_told *told, int *ret_pidfd)
{
	char root[sizeof(CELL_BASE "/firecracker//root") + VM_ID_CHARS] = CHILD_ROOT;
	int ends[2] = { -EBADF, -EBADF };
	CLEANUP_FD int pidfd = -EBADF;
	const int *const stdio = ask->stdio ? &fds[LAUNCH_FDS_FIXED + ask->nsockets] : NULL;
	struct vmm_child c = {
		.place = &l->place,
		.vmm = &l->conf->vmms[ask->vmm],
		.id = l->id,
		.root = root,
		.uid = ask->uid,
		.gid = ask->uid,
		.program = o->program,
		.jailer = o->jailer,
		.disk = o->disk,
		.standard = { stdio ? stdio[0] : l->place.null,
			      stdio ? stdio[1] : fds[LAUNCH_FD_LOG], fds[LAUNCH_FD_LOG] },
		.sockets = &fds[LAUNCH_FDS_FIXED],
		.nsockets = ask->nsockets,
		.argv = l->argv,
	};
	int rc;

	if (o->jailer >= 0)
		(void)snprintf(root, sizeof(root), CELL_BASE "/firecracker/%s/root", l->id);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(&told->err, ERR_HOST_FILES, "socketpair");
	c.report = lift(&ends[1]);
	told->pid = fork_vmm(fds[LAUNCH_FD_CGROUP], &pidfd);
	if (told->pid == 0)
		vmm_child_main(&c);
	rc = told->pid < 0 ? err_sys(&told->err, ERR_HOST_MEMORY, "launch: clone3") : 0;
	if (rc == 0)
		launch_ends_begun(ask->vm, told->pid);
	close_fd(&ends[1]);
	if (rc == 0)
		rc = await_exec(ends[0], told);
	close_fd(&ends[0]);
	if (rc == 0 && o->jailer >= 0)
		rc = await_jailer(pidfd, told, &told->err);
	if (rc < 0)
		launch_ends_begun(ask->vm, 0); /* there was no VMM */
	if (rc < 0 && pidfd >= 0)
		IGNORE(syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0));
	if (rc == 0)
		*ret_pidfd = take_fd(&pidfd);
	return rc;
}

static int binary_open(const char *path, int *ret_fd, struct stat *ret_st, struct err *e)
{
	const int rc = program_open(path, ret_fd, ret_st, e);

	if (rc == 0 && lift(ret_fd) < 0)
		return err_sys(e, ERR_HOST_FILES, "launch");
	return rc;
}

static int start(struct launcher *l, const struct launch_ask *ask, size_t len, const int *fds,
		 uint32_t nfds, struct launch_told *told, int *ret_pidfd)
{
	struct opened o = { .program = -EBADF, .jailer = -EBADF };
	struct stat st = { 0 };
	struct stat its = { 0 };
	int rc = ask_check(l, ask, len, nfds, &told->err);

	if (rc < 0)
		return rc;
	const struct conf_vmm *const vmm = &l->conf->vmms[ask->vmm];
	vm_id_text(ask->vm, l->id);
	(void)snprintf(l->uid, sizeof(l->uid), "%u", ask->uid);
	(void)snprintf(l->nofile, sizeof(l->nofile), "no-file=%d", VMM_NOFILE);
	rc = words_split(l, vmm, len, &told->err);
	if (rc == 0)
		rc = binary_open(vmm->binary, &o.program, &st, &told->err);
	if (rc == 0 && vmm->jailer[0])
		rc = binary_open(vmm->jailer, &o.jailer, &its, &told->err);
	if (rc == 0 && ask->snapshot)
		rc = snapshot_find(l, ask->vm, &o.disk, &told->err);
	told->dev = st.st_dev;
	told->ino = st.st_ino;
	if (rc == 0)
		rc = child_run(l, ask, fds, &o, told, ret_pidfd);
	close_fd(&o.program);
	close_fd(&o.jailer);
	return rc;
}

/* ---- all ---- */

int launcher_serve(struct launcher *l, int link)
{
	struct launch_ask ask = { .kind = LAUNCH_NKINDS };
	struct launch_told told = { .pid = 0 };
	const struct iovec question[] = { { &ask, sizeof(ask) }, { l->args, sizeof(l->args) } };
	const struct iovec answer = { &told, sizeof(told) };
	int fds[FDS_MAX];
	uint32_t nfds = 0;
	CLEANUP_FD int pidfd = -EBADF;
	const ssize_t n = link_receive(link, question, ARRAY_LEN(question), fds, FDS_MAX, &nfds);
	int rc = n < (ssize_t)sizeof(ask) || ask.kind >= LAUNCH_NKINDS ? -EPIPE : 0;

	if (rc == 0 && ask.kind == LAUNCH_START)
		IGNORE(start(l, &ask, (size_t)n - sizeof(ask), fds, nfds, &told, &pidfd));
	else if (rc == 0 && ask.kind == LAUNCH_LOOK)
		IGNORE(look(ask.pid, &told));
	else if (rc == 0)
		told.end = launch_ends_find(l->ends, ask.vm);
	for (uint32_t i = 0; i < nfds; i++)
		close_fd(&fds[i]);
	if (rc == 0 && link_send(link, &answer, 1, &pidfd, pidfd >= 0) < 0)
		rc = -EPIPE;
	return rc;
}

/* ---- at the start ---- */

static void nodes_find(struct vmm_place *p)
{
	static const char *const wanted[] = {
		"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/kvm", "/dev/net/tun",
	};
	static_assert(ARRAY_LEN(wanted) <= VMM_NODES_MAX, "room for all");

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		struct stat st;

		if (stat(wanted[i], &st) < 0 || !S_ISCHR(st.st_mode))
			continue; /* a host without KVM */
		p->nodes[p->nnodes].path = wanted[i];
		p->nodes[p->nnodes++].dev = st.st_rdev;
	}
}

/* Where the program looks for its interpreter and libraries: links into /usr, where the host has
 * such. */
static void links_find(struct vmm_place *p)
{
	static const char *const wanted[] = { "lib", "lib64", "lib32" };
	static_assert(ARRAY_LEN(wanted) <= VMM_LINKS_MAX, "room for all");

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		char path[32];
		char to[VMM_LINK_BYTES];

		(void)snprintf(path, sizeof(path), "/%s", wanted[i]);
		const ssize_t n = readlink(path, to, sizeof(to) - 1);
		if (n < 0)
			continue;
		to[n] = '\0';
		(void)snprintf(p->links[p->nlinks].name, sizeof(p->links[0].name), "%s", wanted[i]);
		(void)snprintf(p->links[p->nlinks++].to, VMM_LINK_BYTES, "%s", to);
	}
}

int launcher_open(const struct helper_conf *conf, int ends, struct launcher **ret, struct err *e)
{
	static struct launcher l;
	int rc;

	*ret = NULL;
	if (conf->nvmms == 0)
		return 0;
	l = (struct launcher){ .conf = conf, .ends = ends, .place.ns = -EBADF };
	dm_open(&l.dm);
	nodes_find(&l.place);
	links_find(&l.place);
	rc = filter_vmm_calls(&l.place.calls, e);
	if (rc < 0)
		return rc;
	l.place.null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (l.place.null < 0)
		return err_sys(e, ERR_JAIL, "/dev/null");
	rc = launch_ns_open(conf, &l.place.ns, e);
	if (rc == 0)
		*ret = &l;
	return rc;
}

int launcher_enter(const struct launcher *l)
{
	return setns(l->place.ns, CLONE_NEWNS) < 0 ? -errno : 0;
}
