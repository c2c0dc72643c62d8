#include "helper/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

enum {
	DIR_MODE = 0711,     /* the owner passes through, nobody looks around */
	SOCKET_UMASK = 0177, /* 0600 */
	BACKLOG = 16,
};

/* The directory that the socket lies in: root's, not writable by others. */
static int dir_open(const char *path, size_t len, int *ret_dir, struct err *e)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct stat st;

	(void)snprintf(dir, sizeof(dir), "%.*s", (int)len, path);
	if (mkdir(dir, DIR_MODE) < 0 && errno != EEXIST)
		return err_sys(e, ERR_HOST_IO, "mkdir %s", dir);
	CLEANUP_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, ERR_HOST_IO, "%s", dir);
	if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return err_set(e, ERR_HOST_IO, "%s: must be root's own and writable by nobody else",
			       dir);
	*ret_dir = take_fd(&fd);
	return 0;
}

static bool somebody_listens(const struct sockaddr_un *address)
{
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	       errno != ECONNREFUSED;
}

static int make_room(int dir, const char *name, const struct sockaddr_un *address, struct err *e)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(e, ERR_HOST_IO, "%s", address->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, ERR_HOST_IO, "%s: is there and is no socket", address->sun_path);
	if (somebody_listens(address))
		return err_set(e, ERR_BUSY, "%s: another helper listens there", address->sun_path);
	if (unlinkat(dir, name, 0) < 0)
		return err_sys(e, ERR_HOST_IO, "unlink %s", address->sun_path);
	return 0;
}

static int bind_here(int fd, int dir, const char *name, const struct sockaddr_un *address,
		     uid_t owner, struct err *e)
{
	const mode_t old = umask(SOCKET_UMASK);
	const int rc = bind(fd, (const struct sockaddr *)address, sizeof(*address));

	umask(old);
	if (rc < 0)
		return err_sys(e, ERR_HOST_IO, "bind %s", address->sun_path);
	if (fchownat(dir, name, owner, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, ERR_HOST_IO, "chown %s", address->sun_path);
	if (listen(fd, BACKLOG) < 0)
		return err_sys(e, ERR_HOST_IO, "listen %s", address->sun_path);
	return 0;
}

int listener_open(const char *path, const struct helper_conf *conf, int *ret_fd, struct err *e)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *const slash = strrchr(path, '/');
	CLEANUP_FD int dir = -EBADF;
	CLEANUP_FD int fd = -EBADF;
	int rc;

	if (path[0] != '/' || slash == path || strlen(path) >= sizeof(address.sun_path))
		return err_set(e, ERR_HOST_IO,
			       "%s: must be absolute, in a directory, and shorter than %zu", path,
			       sizeof(address.sun_path));
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	rc = dir_open(path, (size_t)(slash - path), &dir, e);
	if (rc == 0)
		rc = make_room(dir, slash + 1, &address, e);
	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, ERR_HOST_FILES, "socket");
	rc = bind_here(fd, dir, slash + 1, &address, conf->owner, e);
	if (rc == 0)
		*ret_fd = take_fd(&fd);
	return rc;
}

int listener_adopt(int fd, const struct helper_conf *conf, struct err *e)
{
	struct sockaddr_un address = { .sun_family = AF_UNSPEC };
	socklen_t address_len = sizeof(address);
	int listening = 0;
	int type = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0)
		return err_sys(e, ERR_HELPER_CONF, "LISTEN_FDS");
	if (getsockname(fd, (struct sockaddr *)&address, &address_len) < 0)
		return err_sys(e, ERR_HELPER_CONF, "LISTEN_FDS");
	if (type != SOCK_STREAM || !listening || address.sun_family != AF_UNIX ||
	    address.sun_path[0] != '/')
		return err_set(e, ERR_HELPER_CONF,
			       "LISTEN_FDS: is no listening Unix stream socket with a path");
	if (fchownat(AT_FDCWD, address.sun_path, conf->owner, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, ERR_HOST_IO, "chown %s", address.sun_path);
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(e, ERR_HELPER_CONF, "LISTEN_FDS: O_NONBLOCK");
	return 0;
}
