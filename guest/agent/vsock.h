/* vsock.h - the way to the daemon where the machine has virtio-vsock: sockets that come and go.
 *
 *   ringing --accepted--> talking --ended, RING_MS--> ringing
 *
 * The agent listens at a port that only root may bind, and talks to the host when that connects.
 * To have it do so it rings: it connects to a port of the host's, where any process of the guest
 * could, and says nothing there.  It rings when it comes up and from a while after a conversation's
 * end, again and again until it is called.  Of several calls the newest counts.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "guest/agent/watch.h"

struct vsock_ends {
	uint32_t cid;    /* of the host */
	uint32_t ring;   /* its port */
	uint32_t listen; /* ours: of the machine's, one that is reserved */
};

struct vsock {
	int epoll; /* borrowed */
	struct vsock_ends ends;
	struct watch listener;
	struct watch ringing; /* connect(2) is under way; absent: it is not */
	int64_t ring_at_ms;   /* next time; -1: a conversation is there */
};

/* The machine has a vsock device, and its driver knows who we are. */
bool vsock_present(void);

/* A connection under way, non-blocking; in *ret_done whether it is there already. */
int vsock_connect(uint32_t cid, uint32_t port, bool *ret_done, struct err *e);

int vsock_init(struct vsock *v, int epoll, const struct vsock_ends *ends, struct err *e);
void vsock_fini(struct vsock *v);

/* A connection to talk on from now on, the caller's, or -EAGAIN. */
int vsock_take(struct vsock *v, int64_t now_ms);
/* The conversation on the last one has ended. */
void vsock_lost(struct vsock *v, int64_t now_ms);
int vsock_timeout_ms(const struct vsock *v, int64_t now_ms); /* until vsock_take() has work; -1 */
