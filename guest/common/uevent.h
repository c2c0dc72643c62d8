/* uevent.h - waiting for devices by the kernel's own word, without udev and without polling.
 *
 * Open first, look second, wait third: a device that appears between looking and waiting has then
 * left an event in the socket.  netlink(7), NETLINK_KOBJECT_UEVENT; kobject_uevent.c of Linux
 * sends "add" after the node in devtmpfs and the entry in sysfs exist.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"

/* A descriptor that becomes readable with each event; owned by the caller. */
int uevent_open(struct err *e);

/* Throws waiting events away: they only say "look again".  Never blocks. */
void uevent_drain(int fd);

/* Blocks until found(arg) is true.  -errno (ETIMEDOUT with `what` in the text) otherwise. */
typedef bool uevent_found(void *arg);
int uevent_wait(int fd, uevent_found *found, void *arg, const char *what, unsigned deadline_ms,
		struct err *e);
