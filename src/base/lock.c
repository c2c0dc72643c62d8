#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

enum {
	PID_TEXT_MAX = 16, /* bytes of the holder's process id in decimal */
	LOCK_FD_MIN = 64,  /* above what children are given: theirs until their exec, as well */
	LOCK_WAIT_MS = 2000,
	LOCK_TRY_MS = 10,
};

static int refuse(int fd, const char *what, const char *dir, struct err *e)
{
	char pid[PID_TEXT_MAX] = { 0 };
	const ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? strspn(pid, "0123456789") : 0] = '\0';
	return err_set(e, ERR_STORE_LOCKED, "%s: %s is in use by process %s", what, dir,
		       pid[0] ? pid : "(unknown)");
}

/* For the message of whoever is refused; the lock holds without it, on a full disk for one. */
static void sign(int fd)
{
	char pid[PID_TEXT_MAX];
	const int n = snprintf(pid, sizeof(pid), "%d\n", getpid());

	IGNORE(ftruncate(fd, 0));
	IGNORE(pwrite(fd, pid, (size_t)n, 0));
}

/* A holder that was killed a moment ago is let go of by the kernel, and by a child that it was
 * starting, in a moment. */
static int take(int fd)
{
	const struct timespec pause = { .tv_nsec = LOCK_TRY_MS * 1000000L };

	for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += LOCK_TRY_MS) {
		if (errno != EWOULDBLOCK || waited >= LOCK_WAIT_MS)
			return -errno;
		(void)nanosleep(&pause, NULL);
	}
	return 0;
}

int lock_take(const char *what, const char *dir, const char *file, int *ret_fd, struct err *e)
{
	char path[PATH_MAX];
	CLEANUP_FD int low = -EBADF;
	CLEANUP_FD int fd = -EBADF;

	if (snprintf(path, sizeof(path), "%s/%s", dir, file) >= (int)sizeof(path))
		return err_num(e, ERR_STORE, ENAMETOOLONG, "%s: %.100s", what, dir);
	low = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (low < 0)
		return err_sys(e, ERR_STORE, "%s: %s", what, path);
	fd = fcntl(low, F_DUPFD_CLOEXEC, LOCK_FD_MIN);
	if (fd < 0 && (errno == EINVAL || errno == EMFILE))
		return err_num(e, ERR_HOST_FILES, EMFILE, "%s: no descriptor from %d on", what,
			       (int)LOCK_FD_MIN);
	if (fd < 0)
		return err_sys(e, ERR_STORE, "%s: %s", what, path);
	const int rc = take(fd);
	if (rc == -EWOULDBLOCK)
		return refuse(fd, what, dir, e);
	if (rc < 0)
		return err_num(e, ERR_STORE, rc, "%s: flock %s", what, path);
	sign(fd);
	*ret_fd = take_fd(&fd);
	return 0;
}
