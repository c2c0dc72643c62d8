/* port.h - the virtio-serial port by which the daemon reaches us. */
#pragma once

#include "base/err.h"

/* Waits for the port of this name and opens it, non-blocking.  A descriptor, or -errno. */
int port_open(const char *name, struct err *e);
