/* net.h - the guest's network where its frames go to the host over vsock.
 *
 *   eth0 (a tap that banger-init has made) <--> Ethernet frames, each after its length in 4 bytes,
 *   big-endian <--> port GUEST_VSOCK_NET_PORT of the host, where its network process has them
 *
 * A process of its own, beside the agent and kept by it: frames by the thousand do not delay a
 * conversation.  A way that ends is dialed again; frames that were on it are lost, as on any wire.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "guest/agent/watch.h"

/* ---- in that process ---- */

/* Never returns while it can be hoped for frames to go; -errno.  Where sock_fd is not -EBADF it is
 * the way, and the end of it our end. */
int net_run(const char *tap, int sock_fd, struct err *e);

/* ---- in the agent ---- */

struct net_child {
	int epoll;            /* borrowed */
	struct watch process; /* pidfd; absent: it does not run */
	int64_t start_at_ms;  /* next time; -1: it runs, or is not wanted */
};

/* `wanted`: this guest has such a network. */
void net_child_init(struct net_child *c, int epoll, bool wanted);
/* Starts it, reaps it, starts it again; how long in ms until there is more to do, or -1. */
int net_child_turn(struct net_child *c, int64_t now_ms);
bool net_child_wanted(const char *cmdline_path); /* the kernel's command line asks for it */
