/* watch.h - descriptors in an epoll set, edge-triggered.
 *
 * An event only sets `ready`; whoever reads or writes until EAGAIN clears it.  So a stream that may
 * not be read for want of credit costs nothing, where a level-triggered one would spin on its
 * hang-up.  Nothing is called back.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct watch {
	int fd; /* owned; -EBADF when absent */
	bool ready;
};

int watch_add(int epoll, struct watch *w, int fd, uint32_t events); /* takes fd, on failure too */
void watch_close(int epoll, struct watch *w);
int watch_take(int epoll, struct watch *w); /* its descriptor, the caller's and no longer watched */
int watch_wait(int epoll, int timeout_ms);  /* -1: for ever */
int64_t clock_ms(void);                     /* monotonic */
