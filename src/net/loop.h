/* loop.h - one guest's network: its wire, the stack behind, and a turn of both.
 *
 *   connected  a socket that the guest is at the other end of; when it ends, so does the network
 *   listening  one guest after the other, or the same again; between them a descriptor is kept for
 *              the next, or one that has used them all up could not come again
 */
#pragma once

#include "net/stack.h"

struct net {
	struct stream wire;
	struct stack stack;
	int listen_fd; /* -EBADF: connected */
	int kept_fd;   /* while nobody is there: the place of who comes next */
};

/* Of fd and listen_fd, both non-blocking, one is -EBADF.  They are the caller's to close after
 * net_fini().  ERR_NETWORK. */
int net_init(struct net *n, int fd, int listen_fd, bool host_loopback, struct err *e) MUST_CHECK;
void net_fini(struct net *n);

/* Waits until there is something to do, and does it.  -EPIPE, -ECONNRESET: the guest has gone;
 * -EPROTO: it sent what is no frame; or the wait's error.  None of the first three where one guest
 * follows the other. */
int net_turn(struct net *n) MUST_CHECK;
