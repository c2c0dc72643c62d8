/* vsock.h - the way to the daemon where the machine has virtio-vsock: sockets that come and go.
 *
 *   dialing --connected--> talking --ended--> waiting --REDIAL_MS--> dialing
 *      \_________________________\_______________\____ accepted ___> talking
 *
 * The agent dials the host when it comes up, and again a while after each conversation's end: the
 * daemon listens there.  It also listens itself, for a daemon that has been started anew and finds
 * the VM running.  A newer connection takes the older one's place, and one that the host has made
 * goes before one that we are making: both ends agree on which it is.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "guest/agent/watch.h"

struct vsock_ends {
	uint32_t cid;    /* of the host */
	uint32_t dial;   /* its port */
	uint32_t listen; /* ours */
};

struct vsock {
	int epoll; /* borrowed */
	struct vsock_ends ends;
	struct watch listener;
	struct watch dialing; /* connect(2) is under way; absent: nothing is being dialed */
	int64_t dial_at_ms;   /* next time; -1: a conversation is there */
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
