#include "base/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

enum {
	LISTEN_FD = 3, /* SD_LISTEN_FDS_START */
};

static uint64_t env_number(const char *name)
{
	const char *const text = getenv(name);

	return text ? strtoull(text, NULL, 10) : 0;
}

int notify_listener(struct notify_socket *ret_socket, struct err *e)
{
	const bool ours = env_number("LISTEN_PID") == (uint64_t)getpid();
	const uint64_t n = ours ? env_number("LISTEN_FDS") : 0;
	const bool named = getenv("LISTEN_FDNAMES") != NULL;

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (n > 1)
		return err_set(e, ERR_HOST_IO, "LISTEN_FDS: %lu sockets handed over, one is wanted",
			       n);
	if (n == 1 && fcntl(LISTEN_FD, F_SETFD, FD_CLOEXEC) < 0)
		return err_sys(e, ERR_HOST_IO, "LISTEN_FDS");
	*ret_socket = (struct notify_socket){ .fd = n == 1 ? LISTEN_FD : -EBADF,
					      .lent = n == 1 && named };
	return 0;
}

static int address_of(const char *path, struct sockaddr_un *ret_address, socklen_t *ret_len)
{
	const size_t len = strlen(path);

	if (len < 2 || len >= sizeof(ret_address->sun_path) || (path[0] != '/' && path[0] != '@'))
		return -EINVAL;
	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret_address->sun_path, path, len);
	if (path[0] == '@')
		ret_address->sun_path[0] = '\0'; /* an abstract name */
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return 0;
}

int notify_open(struct notify *n, struct err *e)
{
	const char *const path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t len = 0;
	int rc = 0;

	*n = (struct notify){ .fd = -EBADF };
	if (env_number("WATCHDOG_PID") == (uint64_t)getpid())
		n->watchdog_us = env_number("WATCHDOG_USEC");
	if (path && address_of(path, &address, &len) < 0)
		rc = err_set(e, ERR_HOST_IO, "NOTIFY_SOCKET: \"%s\" is no socket's name", path);
	if (path && rc == 0) {
		n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (n->fd < 0 || connect(n->fd, (struct sockaddr *)&address, len) < 0)
			rc = err_sys(e, ERR_HOST_IO, "NOTIFY_SOCKET");
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	if (rc < 0)
		notify_close(n);
	return rc;
}

void notify_say(const struct notify *n, const char *state)
{
	if (n->fd >= 0)
		IGNORE(send(n->fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT));
}

void notify_close(struct notify *n)
{
	close_fd(&n->fd);
}
