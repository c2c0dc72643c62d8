/* network.h - lo and eth0 by ioctl: netdevice(7), rtentry of route(8). */
#pragma once

#include "base/err.h"
#include "guest/init/options.h"

/* lo is always brought up; eth0, awaited through `uevent_fd`, when there is an address for it. */
int network_up(const struct options *o, int uevent_fd, struct err *e);
