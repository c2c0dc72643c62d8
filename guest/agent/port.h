/* port.h - by which way the daemon reaches us: a virtio-serial port, or vsock. */
#pragma once

#include "base/err.h"

enum port_way {
	PORT_SERIAL, /* *ret_fd is the port, non-blocking */
	PORT_VSOCK,
};

/* Waits for the port of this name where the machine has a virtio console, and for vsock where it
 * has none.  Which of them, or -errno. */
int port_wait(const char *name, int *ret_fd, struct err *e);
