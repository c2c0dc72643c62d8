/* notify.h - the service manager: descriptors that it hands over, and what it wants to be told.
 *
 * sd_listen_fds(3) and sd_notify(3) as they are documented, without their library: nothing that
 * runs as root here links what it can do without.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

struct notify {
	int fd;               /* owned: towards $NOTIFY_SOCKET, or -EBADF */
	uint64_t watchdog_us; /* between two signs of life; 0: none wanted */
};

/* The listening socket that was handed over, or -EBADF; more than one is refused. */
int notify_listener(int *ret_fd, struct err *e) MUST_CHECK;

/* Reads the environment and takes the variables out of it. */
int notify_open(struct notify *n, struct err *e) MUST_CHECK;
void notify_say(const struct notify *n, const char *state);
void notify_close(struct notify *n);
