/* tools.c
 *
 * #caps(zygote) CAP_SETUID CAP_SETGID
 * #syscalls(tools) recvmsg sendmsg pipe2 clone poll read wait4 close kill? exit_group clock_gettime?
 * #syscalls(tools) set_robust_list prctl getppid getpid dup2 dup3 seccomp
 * #syscalls(fsck) execve access? arch_prctl brk close exit_group fadvise64 fsync futex? getegid geteuid
 * #syscalls(fsck) getgid getrandom getrusage getuid lseek mmap mprotect munmap newfstatat openat prctl
 * #syscalls(fsck) pread64 prlimit64 pwrite64 read rseq rt_sigaction set_robust_list set_tid_address
 * #syscalls(fsck) sysinfo uname write clock_gettime? gettimeofday?
 * #syscalls(fsck) time? rt_sigprocmask? mremap? readlink?
 * #ioctls(fsck) linux/fs.h: BLKGETSIZE64 BLKROGET BLKDISCARDZEROES?
 * #ioctls(fsck) asm/ioctls.h: TCGETS
 *
 * Where it finds no file system e2fsck looks, by libblkid, what else there may be:
 *
 * #syscalls(fsck) faccessat2? readlinkat? getdents64? getcwd?
 * #ioctls(fsck) linux/fs.h: BLKSSZGET? BLKPBSZGET? BLKIOMIN? BLKIOOPT? BLKALIGNOFF?
 * #ioctls(fsck) linux/blkzoned.h: BLKGETZONESZ?
 * #ioctls(fsck) linux/cdrom.h: CDROM_GET_CAPABILITY? CDROM_LAST_WRITTEN? CDROM_DRIVE_STATUS?
 * #ioctls(fsck) linux/fd.h: FDGETFDCSTAT?
 * #syscalls(ext4) write exit_group
 */
#include "helper/block/tools.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "helper/block/landlock.h"
#include "helper/filter.h"
#include "helper/worker.h"

enum {
	TOOLS_FD = 3,                     /* where the tools have their end of the link */
	LINK_BYTES = 4 * TOOL_DATA_MAX,   /* that the link may buffer */
	FSCK_MEMORY = 1024 * 1024 * 1024, /* bytes of e2fsck's address space: a disk of some TiB */
	FSCK_FILES = 16,
	FSCK_CORRECTED = 1, /* bits of its exit status: e2fsck(8) */
	FSCK_REBOOT = 2,
	FSCK_FAILED = 8,
};

#define E2FSCK "/sbin/e2fsck"

static uint8_t data_in[TOOL_DATA_MAX];
static uint8_t out[sizeof(struct tool_told) + TOOL_DATA_MAX];

/* ---- a child ---- */

static int limit(void)
{
	const struct {
		int what;
		rlim_t most;
	} limits[] = {
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_FSIZE, 0 }, /* of files; a device is none */
		{ RLIMIT_NOFILE, FSCK_FILES },
		{ RLIMIT_AS, FSCK_MEMORY },
	};

	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		const struct rlimit r = { limits[i].most, limits[i].most };

		if (setrlimit((__rlimit_resource_t)limits[i].what, &r) < 0)
			return -errno;
	}
	return 0;
}

/* Standard input is a pipe that cannot be read: it has nothing to ask. */
static _Noreturn void child_fsck(int disk, int pipe)
{
	static char name[] = "e2fsck";
	static char options[] = "-fy";
	static char device[] = "/proc/self/fd/3";
	static char no_config[] = "E2FSCK_CONFIG=/dev/null";
	static char no_cache[] = "BLKID_FILE=/dev/null";
	static char *const argv[] = { name, options, device, NULL };
	static char *const env[] = { no_config, no_cache, NULL };

	for (int fd = 0; fd < TOOL_DEVICE_FD; fd++)
		if (dup2(pipe, fd) < 0)
			_exit(FSCK_FAILED);
	/* The limits last: to make a filter takes memory. */
	if (dup2(disk, TOOL_DEVICE_FD) < 0 || landlock_confine(TOOL_DEVICE_FD) < 0 ||
	    filter_narrow(FILTER_FSCK, NULL) < 0 || limit() < 0)
		_exit(FSCK_FAILED);
	(void)execve(E2FSCK, argv, env);
	(void)dprintf(STDERR_FILENO, E2FSCK ": %s", err_sys_text(errno));
	_exit(FSCK_FAILED);
}

static void write_all(int fd, const void *from, size_t len)
{
	const uint8_t *at = from;

	while (len > 0) {
		const ssize_t n = write(fd, at, len);

		if (n <= 0)
			_exit(EXIT_FAILURE);
		at += n;
		len -= (size_t)n;
	}
}

static _Noreturn void child_ext4(int disk, int pipe, const struct tool_ask *ask)
{
	static struct tool_told told;
	static uint8_t contents[HELPER_EXT4_BYTES_MAX];

	for (int fd = 0; fd < TOOL_DEVICE_FD; fd++)
		(void)close(fd); /* the service's log is not the disk's to write to */
	if (dup3(disk, TOOL_DEVICE_FD, O_CLOEXEC) < 0 || filter_narrow(FILTER_EXT4, &told.e) < 0)
		_exit(EXIT_FAILURE);
	if (ask->kind == TOOL_READ)
		ext4_read(TOOL_DEVICE_FD, ask, &told, contents);
	else
		ext4_write(TOOL_DEVICE_FD, ask, data_in, &told);
	write_all(pipe, &told, sizeof(told));
	write_all(pipe, contents, told.file.bytes);
	_exit(EXIT_SUCCESS);
}

static _Noreturn void child_main(int disk, int pipe, const struct tool_ask *ask, pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(EXIT_FAILURE);
	if (ask->kind == TOOL_FSCK)
		child_fsck(disk, pipe);
	child_ext4(disk, pipe, ask);
}

/* ---- its parent ---- */

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Bytes until the child ends, as many as fit; of what e2fsck says the last are kept.  -ETIMEDOUT.
 */
static ssize_t collect(int pipe, const struct tool_ask *ask)
{
	const size_t room = ask->kind == TOOL_FSCK ? HELPER_TEXT_MAX : sizeof(out);
	const int64_t end_ms = now_ms() + ask->deadline_ms;
	uint8_t *const at = ask->kind == TOOL_FSCK ? data_in : out;
	size_t have = 0;

	for (;;) {
		struct pollfd p = { .fd = pipe, .events = POLLIN };
		const int64_t left_ms = end_ms - now_ms();
		ssize_t n;

		if (left_ms <= 0 || poll(&p, 1, (int)left_ms) == 0)
			return -ETIMEDOUT;
		if (have == room && ask->kind == TOOL_FSCK) {
			memmove(at, at + room / 2, room - room / 2);
			have -= room / 2;
		}
		n = read(pipe, at + have, room - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (ssize_t)have;
		have += (size_t)n;
	}
}

static void judge_fsck(int status, size_t n, struct tool_told *told)
{
	static const char version[] = "e2fsck 1."; /* its first line, of no interest */
	const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	const char *text = (const char *)data_in;

	data_in[n] = '\0';
	if (strncmp(text, version, strlen(version)) == 0 && strchr(text, '\n'))
		text = strchr(text, '\n') + 1;
	(void)snprintf(told->text, sizeof(told->text), "%.*s", HELPER_TEXT_MAX, text);
	told->corrected = (code & FSCK_CORRECTED) != 0;
	if (code < 0)
		(void)err_set(&told->e, ERR_BLOCK_FAILED, "e2fsck: killed by signal %d",
			      WTERMSIG(status));
	else if ((code & ~(FSCK_CORRECTED | FSCK_REBOOT)) != 0)
		(void)err_set(&told->e, ERR_BLOCK_FAILED, "e2fsck: status %d: %.*s", code,
			      (int)strcspn(told->text, "\n"), told->text);
}

static void judge(const struct tool_ask *ask, int status, ssize_t n, struct tool_told *told)
{
	if (n == -ETIMEDOUT)
		(void)err_set(&told->e, ERR_TIMEOUT, "the disk: no end within %u ms",
			      ask->deadline_ms);
	else if (ask->kind == TOOL_FSCK)
		judge_fsck(status, (size_t)n, told);
	else if (status != 0 || n < (ssize_t)sizeof(*told))
		(void)err_set(&told->e, ERR_BLOCK_FAILED,
			      "the disk: who read it ended with wait status %#x", (unsigned)status);
	else
		memcpy(told, out, sizeof(*told));
}

/* The disk is closed before the answer is sent: who asks next may want it for himself. */
static void serve(const struct tool_ask *ask, int *disk)
{
	const pid_t self = getpid();
	struct tool_told told = { .corrected = false };
	int ends[2] = { -EBADF, -EBADF };
	ssize_t n = 0;
	int status = 0;
	pid_t pid = -1;

	if (pipe2(ends, O_CLOEXEC) == 0)
		pid = fork();
	if (pid == 0)
		child_main(*disk, ends[1], ask, self);
	close_fd(&ends[1]);
	close_fd(disk);
	if (pid < 0) {
		(void)err_sys(&told.e, ERR_HOST_MEMORY, "fork");
	} else {
		n = collect(ends[0], ask);
		if (n < 0)
			IGNORE(kill(pid, SIGKILL));
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
		}
		judge(ask, status, n, &told);
	}
	close_fd(&ends[0]);
	/* What a child says of its lengths is not believed. */
	const size_t more = n > (ssize_t)sizeof(told) && told.e.code == ERR_NONE &&
					    ask->kind == TOOL_READ
				    ? (size_t)n - sizeof(told)
				    : 0;
	told.file.bytes = (uint32_t)more;
	const struct iovec answer[] = { { &told, sizeof(told) }, { out + sizeof(told), more } };
	IGNORE(link_send(TOOLS_FD, answer, ARRAY_LEN(answer), NULL, 0));
}

static bool makes_sense(const struct tool_ask *ask, size_t n)
{
	size_t wanted = sizeof(*ask);

	if (ask->kind >= TOOL_NKINDS || ask->nfiles > HELPER_EXT4_FILES_MAX)
		return false;
	for (uint32_t i = 0; i < ask->nfiles; i++)
		wanted += ask->files[i].bytes;
	return wanted == n;
}

static _Noreturn void tools_main(int link, uid_t uid, pid_t worker)
{
	static struct tool_ask ask;
	const struct iovec question[] = { { &ask, sizeof(ask) }, { data_in, sizeof(data_in) } };

	if (link != TOOLS_FD && dup3(link, TOOLS_FD, O_CLOEXEC) < 0)
		_exit(EXIT_FAILURE);
	if (close_range(TOOLS_FD + 1, ~0U, 0) < 0 || prctl(PR_SET_NAME, "banger-tools") < 0 ||
	    filter_confine_as(FILTER_TOOLS, uid, NULL) < 0 || /* changing uids clears the signal */
	    prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != worker)
		_exit(EXIT_FAILURE);
	for (;;) {
		int disk = -EBADF;
		uint32_t nfds = 0;
		const ssize_t n = link_receive(TOOLS_FD, question, ARRAY_LEN(question), &disk, 1,
					       &nfds);

		if (n < (ssize_t)sizeof(ask) || nfds != 1 || !makes_sense(&ask, (size_t)n))
			_exit(EXIT_SUCCESS); /* the worker is gone, or speaks nonsense */
		serve(&ask, &disk);
	}
}

/* ---- the worker's side ---- */

int tools_open(struct tools *t, const struct helper_conf *conf, struct err *e)
{
	const int bytes = LINK_BYTES;
	const pid_t worker = getpid();
	int ends[2] = { -EBADF, -EBADF };
	pid_t pid;

	t->uid = helper_conf_tools_uid(conf);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(e, ERR_HOST_FILES, "socketpair");
	for (int i = 0; i < 2; i++)
		if (setsockopt(ends[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
			return err_sys(e, ERR_INTERNAL, "SO_SNDBUFFORCE");
	pid = fork();
	if (pid == 0)
		tools_main(ends[1], t->uid, worker);
	close_fd(&ends[1]);
	t->link = ends[0];
	return pid < 0 ? err_sys(e, ERR_HOST_MEMORY, "fork") : 0;
}

int tools_run(struct tools *t, int disk, const struct tool_ask *ask, const struct iovec *data,
	      size_t ndata, struct tool_told *ret, const uint8_t **ret_data, struct err *e)
{
	static uint8_t contents[TOOL_DATA_MAX];
	struct iovec question[1 + HELPER_EXT4_FILES_MAX] = {
		{ (void *)(uintptr_t)ask, sizeof(*ask) },
	};
	const struct iovec answer[] = { { ret, sizeof(*ret) }, { contents, sizeof(contents) } };
	uint32_t nfds = 0;
	ssize_t n;

	ASSERT(ndata <= HELPER_EXT4_FILES_MAX);
	for (size_t i = 0; i < ndata; i++)
		question[1 + i] = data[i];
	n = link_send(t->link, question, 1 + ndata, &disk, 1);
	if (n >= 0)
		n = link_receive(t->link, answer, ARRAY_LEN(answer), NULL, 0, &nfds);
	if (n < (ssize_t)sizeof(*ret))
		_exit(EXIT_FAILURE); /* without its tools a worker is none: the next one has them */
	if (ret->e.code != ERR_NONE) {
		*e = ret->e;
		return err_errno(e);
	}
	ret->file.bytes = (uint32_t)((size_t)n - sizeof(*ret));
	*ret_data = contents;
	return 0;
}
