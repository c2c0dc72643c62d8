#include "guest/agent/watch.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/cleanup.h"
#include "guest/agent/limits.h"

int watch_add(int epoll, struct watch *w, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events | EPOLLET, .data.ptr = w };

	w->fd = fd;
	w->ready = true; /* it may have been before we looked */
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
		const int rc = -errno;

		close_fd(&w->fd);
		return rc;
	}
	return 0;
}

/* Taken off by hand: a child between fork and exec still holds the open file, and its events would
 * arrive for a struct that may be gone. */
int watch_take(int epoll, struct watch *w)
{
	if (w->fd >= 0)
		(void)epoll_ctl(epoll, EPOLL_CTL_DEL, w->fd, NULL);
	w->ready = false;
	return take_fd(&w->fd);
}

void watch_close(int epoll, struct watch *w)
{
	CLEANUP_FD int fd = watch_take(epoll, w);
}

int watch_wait(int epoll, int timeout_ms)
{
	struct epoll_event events[EVENTS_MAX];
	const int n = epoll_wait(epoll, events, EVENTS_MAX, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++)
		((struct watch *)events[i].data.ptr)->ready = true;
	return n;
}

int64_t clock_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
