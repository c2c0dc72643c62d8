#include "guest/common/uevent.h"

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#include "base/cleanup.h"

enum {
	UEVENT_GROUP_KERNEL = 1,
	UEVENT_BYTES_MAX = 4096, /* UEVENT_BUFFER_SIZE is 2048 */
};

int uevent_open(struct err *e)
{
	const struct sockaddr_nl addr = { .nl_family = AF_NETLINK,
					  .nl_groups = UEVENT_GROUP_KERNEL };
	CLEANUP_FD int fd = -EBADF;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	if (fd < 0)
		return err_sys(e, ERR_GUEST_BOOT, "uevent: socket");
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(e, ERR_GUEST_BOOT, "uevent: bind");
	return take_fd(&fd);
}

void uevent_drain(int fd)
{
	char event[UEVENT_BYTES_MAX];

	/* ENOBUFS says that events were lost, which is one more reason to look again. */
	while (recv(fd, event, sizeof(event), 0) >= 0 || errno == ENOBUFS || errno == EINTR)
		continue;
}

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int uevent_wait(int fd, uevent_found *found, void *arg, const char *what, unsigned deadline_ms,
		struct err *e)
{
	const int64_t deadline = now_ms() + deadline_ms;

	while (!found(arg)) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		const int64_t left = deadline - now_ms();

		if (left <= 0)
			return err_num(e, ERR_GUEST_BOOT, ETIMEDOUT, "wait for %s", what);
		if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
			return err_sys(e, ERR_GUEST_BOOT, "wait for %s", what);
		uevent_drain(fd);
	}
	return 0;
}
