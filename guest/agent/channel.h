/* channel.h - frames in and out of the port, and the beginning of conversations.
 *
 * A conversation begins where GUEST_SYNC is followed by a hello, wherever that is: in the middle of
 * a frame that a daemon now gone had begun, too.  GUEST_SYNC alone is not enough inside a frame,
 * because somebody may well send this very program through a command's stdin.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "guest/agent/limits.h"
#include "guest/agent/watch.h"
#include "proto/sync.h"

struct channel {
	int epoll;         /* borrowed */
	struct watch port; /* absent between two connections */
	bool ends;     /* end of file is the end: a socket; a port only has no reader just now */
	bool closed;   /* it has ended */
	bool writable; /* no write has met EAGAIN since the last event */
	struct buf in;
	struct buf out;
	struct sync_scan scan;
	size_t scanned; /* bytes of `in` that were searched for GUEST_SYNC */
	size_t sync_at; /* offset in `in` just after a GUEST_SYNC that awaits its hello; 0: none */
	uint8_t chunk[WIRE_CHUNK_MAX]; /* scratch of whoever reads to send */
};

enum channel_next {
	CHANNEL_MORE,  /* nothing whole is here */
	CHANNEL_FRAME, /* of this conversation */
	CHANNEL_HELLO, /* a new conversation begins */
};

void channel_init(struct channel *c, int epoll, bool ends);
void channel_fini(struct channel *c);

/* The way to the daemon from now on; what was under way on the one before is forgotten. */
int channel_attach(struct channel *c, int fd); /* takes fd, on failure too */
void channel_detach(struct channel *c);        /* there is none until the next */

/* Reads what is there, as far as there is room; true when it got something. */
bool channel_fill(struct channel *c);
/* Writes what waits; true when it wrote something. */
bool channel_flush(struct channel *c);

/* The next frame, decoded; it borrows from `in` until channel_took().  Without a conversation
 * (`open` false) all but the beginning of one is thrown away.  -errno: not a frame. */
int channel_next(struct channel *c, bool open, struct wire *ret_wire, size_t *ret_len,
		 struct err *e);
void channel_took(struct channel *c, size_t len);

/* Whether a frame with WIRE_CHUNK_MAX bytes may be sent now. */
bool channel_room(const struct channel *c);
void channel_send(struct channel *c, const struct wire *w); /* only where there is room */
void channel_greet(struct channel *c, uint64_t session);    /* GUEST_SYNC and our hello */
