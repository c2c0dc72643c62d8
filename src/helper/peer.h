/* peer.h - connections to the helper: who may connect, requests in, replies out.
 *
 * All memory is here from the start: every connection has slots of its own, so a peer that floods,
 * or that does not read its replies, is the only one who waits.  A slot holds one frame, first the
 * request's, then its reply's:
 *
 *   free -> reading -> (peer_read's caller: queued at a worker, under way) -> replies -> free
 *
 * Nothing blocks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "helper/conf.h"
#include "helper/worker.h"
#include "proto/wire.h"

enum {
	PEERS_MAX = 8,                       /* connections */
	PEERS_OWNER_MAX = 6,                 /* of them the owner's: root always gets in */
	PEER_SLOTS = HELPER_PENDING_MAX + 1, /* and our hello */
	SLOT_BYTES = WORKER_REPLY_MAX,
};

struct peer;

struct slot {
	struct list_node link; /* peer.free, peer.replies, or a worker's queue */
	struct peer *peer;     /* borrowed: the one that it belongs to */
	enum helper_method method;
	uint32_t id; /* the asker's */
	struct op_id op_id;
	uint64_t begun_us;       /* when a worker got it */
	uint64_t ticket;         /* its number there */
	size_t at;               /* bytes read or written so far */
	size_t len;              /* of the frame, once known */
	int fds[HELPER_FDS_MAX]; /* owned: of the reply, until sent */
	uint32_t nfds;
	uint8_t bytes[SLOT_BYTES];
};

struct peer {
	int fd; /* -EBADF: gone, or unused */
	uid_t uid;
	bool greeted;         /* its hello has come */
	bool closing;         /* no more is read; ends when the replies are out */
	uint32_t busy;        /* slots that are not free */
	struct slot *reading; /* NULL: none was free */
	struct list free;
	struct list replies;
	struct slot slots[PEER_SLOTS];
};

struct peers {
	struct peer all[PEERS_MAX];
};

void peers_init(struct peers *ps);
void peers_close(struct peers *ps);

/* Takes the next connection of the listener; one whose uid is neither root's nor the owner's is
 * told so and closed.  0 also when it was refused; -EAGAIN. */
int peers_accept(struct peers *ps, int listener, const struct helper_conf *conf);

short peer_events(const struct peer *p); /* for poll(); 0: none */

/* The next whole frame of the peer, or NULL when there is none yet. */
struct slot *peer_read(struct peer *p);
void peer_write(struct peer *p);
void peer_hangup(struct peer *p);          /* its slots come back one by one */
void peer_close_when_told(struct peer *p); /* after the replies under way */

/* A frame that is none, or that may not come now: tells why and ends the connection. */
void peer_bad_frame(struct peer *p, struct slot *s, const struct err *e);

/* The slot's request is answered by what its bytes now hold, or with an error. */
void slot_reply(struct slot *s);
void slot_refuse(struct slot *s, const struct err *e);
void slot_free(struct slot *s);

const uint8_t *slot_payload(const struct slot *s);
size_t slot_payload_len(const struct slot *s);
