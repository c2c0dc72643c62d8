/* unix.c - unix sockets by path, of any length.
 *
 * sun_path holds 107 bytes and a terminator.  A longer path is reached as /proc/self/fd/N/NAME,
 * with N an O_PATH descriptor of its directory.  The mode of a bound socket is that of the socket's
 * own inode, so fchmod(2) before bind(2) makes it private from birth without touching the umask,
 * which belongs to all threads (unix(7); net/unix/af_unix.c, unix_bind_bsd()).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "io/uring.h"

struct unix_addr {
	int fd;  /* owned: the socket */
	int dir; /* owned: of a long path, or -EBADF */
	struct sockaddr_un sun;
};

/* Opens the directory of `path`. */
static int dir_open(const char *path, const char *slash)
{
	CLEANUP_FREE char *dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));

	if (!dir)
		return -ENOMEM;
	const int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Fills sun; *ret_dir is open while it is in use, where the path is long. */
static int addr_set(const char *path, struct sockaddr_un *sun, int *ret_dir)
{
	const char *slash = strrchr(path, '/');

	*sun = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (path[0] != '/')
		return -EINVAL;
	if (strlen(path) < sizeof(sun->sun_path)) {
		memcpy(sun->sun_path, path, strlen(path) + 1);
		return 0;
	}
	CLEANUP_FD int dir = dir_open(path, slash);

	if (dir < 0)
		return dir;
	const int n = snprintf(sun->sun_path, sizeof(sun->sun_path), "/proc/self/fd/%d%s", dir,
			       slash);

	if (n < 0 || (size_t)n >= sizeof(sun->sun_path))
		return -ENAMETOOLONG;
	*ret_dir = take_fd(&dir);
	return 0;
}

int unix_connect_begin(const char *path, struct unix_addr **ret_addr)
{
	struct unix_addr *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->fd = -EBADF;
	a->dir = -EBADF;
	int rc = addr_set(path, &a->sun, &a->dir);

	if (rc == 0) {
		a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (a->fd < 0)
			rc = -errno;
	}
	if (rc < 0) {
		unix_connect_end(a, rc);
		return rc;
	}
	*ret_addr = a;
	return 0;
}

int unix_connect_end(struct unix_addr *a, int res)
{
	const int fd = res < 0 ? res : take_fd(&a->fd);

	close_fd(&a->fd);
	close_fd(&a->dir);
	free(a);
	return fd;
}

void unix_connect_sqe(const struct unix_addr *a, struct io_uring_sqe *sqe)
{
	io_uring_prep_connect(sqe, a->fd, (const struct sockaddr *)&a->sun, sizeof(a->sun));
}

int io_pair(struct io *io, int ret_fd[2])
{
	(void)io;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fd) < 0 ? -errno : 0;
}

int io_peer_uid(struct io *io, int fd, uid_t *ret_uid)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	(void)io;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return -errno;
	*ret_uid = who.uid;
	return 0;
}

static int unlink_stale(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST; /* somebody's file: not ours to remove */
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int io_listen_unix(struct io *io, const char *path, struct err *e)
{
	CLEANUP_FD int dir = -EBADF;
	CLEANUP_FD int fd = -EBADF;
	struct sockaddr_un sun;
	int rc;

	(void)io;
	rc = addr_set(path, &sun, &dir);
	if (rc < 0)
		return err_num(e, ERR_HOST_IO, rc, "socket %s", path);
	rc = unlink_stale(path);
	if (rc < 0)
		return err_num(e, ERR_HOST_IO, rc, "socket %s: remove the old one", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, ERR_HOST_FILES, "socket %s", path);
	if (fchmod(fd, S_IRUSR | S_IWUSR) < 0)
		return err_sys(e, ERR_HOST_IO, "socket %s: mode", path);
	if (bind(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0)
		return err_sys(e, ERR_HOST_IO, "socket %s: bind", path);
	if (listen(fd, IO_LISTEN_BACKLOG) < 0)
		return err_sys(e, ERR_HOST_IO, "socket %s: listen", path);
	return take_fd(&fd);
}

void io_listen_few(struct io *io, int fd, int backlog)
{
	(void)io;
	IGNORE(listen(fd, backlog) < 0); /* it listens already: there is nothing to fail at */
}
