/* process.c - child processes after their start: reap, signal, adopt; all through pidfds.
 *
 * A pid can be reused, a pidfd cannot.  Across a restart only numbers survive, so a pid is stored
 * together with its start time, field 22 of /proc/PID/stat (proc(5)).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "io/uring.h"

enum {
	CMDLINE_BYTES = 4096,
	STAT_BYTES = 1024,
	STATUS_BYTES = 1024, /* its ids are in the first half */
	STAT_START_FIELD = 22,
	STAT_AFTER_NAME = 3, /* the field that follows ")" */
};

int process_start_ticks(pid_t pid, uint64_t *ret_ticks)
{
	char path[64];
	char text[STAT_BYTES];

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	const ssize_t n = read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return n < 0 ? -errno : -ESRCH;
	text[n] = '\0';
	/* The name, field 2, may hold anything, ") 1 2 3" too: count from the last one. */
	const char *at = strrchr(text, ')');

	for (int field = STAT_AFTER_NAME - 1; at && field < STAT_START_FIELD; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		return -EPROTO;
	*ret_ticks = strtoull(at + 1, NULL, 10);
	return 0;
}

int io_reap(struct io *io, int pidfd, int *ret_status)
{
	siginfo_t si = { 0 };

	(void)io;
	if (waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED | WNOHANG) < 0)
		return -errno;
	if (si.si_pid == 0)
		return -EAGAIN;
	if (si.si_code == CLD_EXITED)
		*ret_status = W_EXITCODE(si.si_status, 0);
	else
		*ret_status = W_EXITCODE(0, si.si_status) |
			      (si.si_code == CLD_DUMPED ? WCOREFLAG : 0);
	return 0;
}

int io_kill(struct io *io, int pidfd, int signo)
{
	(void)io;
	return syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}

int io_kill_group(struct io *io, pid_t leader, int signo)
{
	(void)io;
	ASSERT(leader > 1);
	return kill(-leader, signo) < 0 ? -errno : 0;
}

/* Effective, as /proc/PID/status has it: "Uid:\treal\teffective\tsaved\tfs". */
static bool runs_as_us(pid_t pid)
{
	char path[64];
	char text[STATUS_BYTES];

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	const char *at = strstr(text, "\nUid:\t");

	at = at ? strchr(at + strlen("\nUid:\t"), '\t') : NULL;
	return at && strtoull(at + 1, NULL, 10) == geteuid();
}

/* One that lets nobody look into it (PR_SET_DUMPABLE) has files of root's, whoever it is: proc(5).
 */
static bool is_ours(pid_t pid, uid_t files)
{
	return files == geteuid() || (files == 0 && runs_as_us(pid));
}

/* Of a process that may be ours.  0: it is another's, or gone; -errno: not known. */
static ssize_t cmdline_read(pid_t pid, char out[CMDLINE_BYTES], uid_t *ret_files)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : 0;
	if (fstat(fd, &st) < 0 || (st.st_uid != geteuid() && st.st_uid != 0))
		return 0;
	const ssize_t n = read(fd, out, CMDLINE_BYTES);

	*ret_files = st.st_uid;
	return n > 0 ? n : 0;
}

/* memmem(3) over the whole command line: its words are separated by NULs, which `text` does not
 * hold. */
static bool cmdline_contains(const char *cmdline, ssize_t len, const char *text)
{
	return len > 0 && memmem(cmdline, (size_t)len, text, strlen(text)) != NULL;
}

int io_adopt(struct io *io, pid_t pid, uint64_t start_ticks, const char *text)
{
	char cmdline[CMDLINE_BYTES];
	uint64_t ticks;
	uid_t files;

	(void)io;
	if (pid <= 0)
		return -ESRCH;
	CLEANUP_FD int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return -errno;
	/* Compared after the open: from then on the pidfd means this process, whatever follows. */
	const int rc = process_start_ticks(pid, &ticks);

	if (rc < 0)
		return rc;
	if (ticks != start_ticks)
		return -ESRCH;
	const ssize_t n = cmdline_read(pid, cmdline, &files);
	if (n < 0)
		return (int)n;
	return cmdline_contains(cmdline, n, text) && is_ours(pid, files) ? take_fd(&fd) : -ESRCH;
}

int io_each_process(struct io *io, const char *text, io_process_fn *fn, void *arg)
{
	DIR *dir = opendir("/proc");
	const struct dirent *d;
	int rc = 0;

	(void)io;
	if (!dir)
		return -errno;
	while (rc == 0 &&
	       (d = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): our own stream */
		const pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);
		char cmdline[CMDLINE_BYTES];
		uint64_t ticks;
		uid_t files;

		if (pid <= 0 || pid == getpid())
			continue;
		const ssize_t n = cmdline_read(pid, cmdline, &files);
		if (n < 0)
			rc = (int)n;
		else if (cmdline_contains(cmdline, n, text) && is_ours(pid, files) &&
			 process_start_ticks(pid, &ticks) == 0)
			rc = fn(arg, pid, ticks, cmdline, (size_t)n);
	}
	closedir(dir);
	return rc;
}
