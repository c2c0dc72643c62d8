/* stack.h - libslirp: what the guest's frames ask for, done with sockets of the host's.
 *
 * It has no descriptor of its own: who waits asks it what for, and tells it what came of it.  The
 * guest's own addresses are those of QEMU's user network (docs/system/devices/net.rst), by DHCP as
 * well, so that a guest need not know which of both it has.
 */
#pragma once

#include <poll.h>

#include "base/err.h"
#include "net/fence.h"
#include "net/limits.h"
#include "net/stream.h"

#define NET_GUEST   0x0a00020f /* 10.0.2.15, and the next NET_GUESTS_MAX - 1 by DHCP */
#define NET_NETWORK 0x0a000200
#define NET_MASK    0xffffff00
#define NET_GATEWAY 0x0a000202
#define NET_DNS     0x0a000203

struct Slirp;

enum {
	STACK_FDS_FIRST = 1, /* of the stack's; before it is room for the caller's own */
};

struct stack {
	struct Slirp *slirp;
	struct stream *wire; /* to the guest */
	struct fence fence;
	struct {
		uint8_t mac[FENCE_MAC_BYTES];
		bool known;
	} guests[NET_GUESTS_MAX];        /* by address */
	uint8_t leased[FENCE_MAC_BYTES]; /* who asked for one first, */
	bool is_leased;                  /* if anybody has */
	int listeners_end; /* published ports have lower descriptors, connections higher */
	unsigned nopen;    /* connections, and what is like them */
	bool has_room;     /* for one more */
	struct pollfd fds[NET_SOCKETS_MAX + STACK_FDS_FIRST];
	unsigned nfds;
};

struct net_publish {
	uint16_t host;  /* TCP, on 127.0.0.1 */
	uint16_t guest; /* at NET_GUEST */
};

/* ERR_NETWORK. */
int stack_init(struct stack *s, struct stream *wire, bool host_loopback, struct err *e) MUST_CHECK;
void stack_fini(struct stack *s);
int stack_publish(struct stack *s, struct net_publish p,
		  struct err *e) MUST_CHECK; /* or ERR_PORT_BUSY */

/* A stream_frame: something that the guest sent. */
void stack_take(void *stack, const uint8_t *frame, size_t len);

/* Forgets what it waits for. */
void stack_rest(struct stack *s);
/* Adds to s->fds what it waits for; lowers *timeout_ms to when it wants its turn in any case. */
void stack_wait(struct stack *s, uint32_t *timeout_ms);
/* After stack_wait() and poll(2) on s->fds, or its failure. */
void stack_turn(struct stack *s, bool failed);
