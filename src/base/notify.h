/* notify.h - the service manager: descriptors that it hands over, and what it wants to be told.
 *
 * sd_listen_fds(3) and sd_notify(3) as they are documented, without their library: nothing that
 * runs as root here links what it can do without.  For a program's start: the environment is read
 * once, and the variables are taken out of it so that no child believes they are its own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

struct notify {
	int fd;               /* owned: towards $NOTIFY_SOCKET, or -EBADF */
	uint64_t watchdog_us; /* between two signs of life; 0: none wanted */
};

struct notify_socket {
	int fd;    /* owned: the listening socket that was handed over, or -EBADF */
	bool lent; /* a service manager keeps it too: its path is not ours to remove */
};

/* More than one socket is refused.  Who hands one over as systemd does says its name too. */
int notify_listener(struct notify_socket *ret_socket, struct err *e) MUST_CHECK;

int notify_open(struct notify *n, struct err *e) MUST_CHECK;
void notify_say(const struct notify *n, const char *state);
void notify_close(struct notify *n);
