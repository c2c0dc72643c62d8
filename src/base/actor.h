/* actor.h - one mailbox, one handler, run to completion; and the scheduler that runs them.
 *
 * An actor is embedded in its owner's struct and is known to others by id only (slot + generation):
 * a message to one that is gone is a counted drop.  Messages are structs that embed `struct msg`.
 * Who sends a message keeps owning its storage unless the message's type says otherwise: io_ops and
 * operations carry theirs, and a message with `drop` is freed through it when it cannot be
 * delivered. Single thread; nothing in here blocks or allocates, but for the slot table.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"

struct actor;
struct actors;

struct actor_id {
	uint32_t slot;
	uint32_t gen; /* 0 is never a live one */
};

struct msg {
	struct list_node link; /* actor.mailbox */
	uint32_t type;         /* of the receiver's vocabulary: enum msg_type in actors/msg.h */
	uint32_t token;        /* copied from the question: late answers are recognised by it */
	int res;               /* 0, a count, or -errno */
	void (*drop)(struct msg *m); /* undeliverable; NULL where the sender keeps the storage */
};

typedef void actor_handler(struct actor *a, struct msg *m);

struct actor {
	struct actor_id id;
	actor_handler *handle;
	struct list mailbox;       /* msg.link, oldest first */
	struct list_node runnable; /* actors.runnable or actors.last */
	struct actors *system;     /* borrowed, outlives us */
	uint32_t inflight;         /* I/O that the reactor still owns: freed only at 0 */
	struct log_ctx log;
};

enum {
	ACTOR_TURN_MAX = 64,  /* messages that one actor may handle before others get a turn */
	ACTOR_ROUNDS_MAX = 8, /* turns that it may have before I/O gets one: a request passes from
			       * client to node to VM and back without a wait in between */
};

struct actors {
	struct actor **slots; /* owned array, borrowed actors */
	uint32_t *gens;       /* owned */
	uint32_t *free_slots; /* owned stack */
	uint32_t nslots;
	uint32_t nfree;
	struct list runnable; /* actor.runnable */
	struct list last;     /* actor.runnable: when no other has anything to do */
	uint64_t dropped;     /* messages to actors that were gone */
	uint64_t handled;
};

void actors_init(struct actors *s);
void actors_fini(struct actors *s); /* every actor must be gone */

/* Gives the actor an id and its handler; -ENOMEM. */
int actor_init(struct actor *a, struct actors *s, actor_handler *handle) MUST_CHECK;

/* Retires the id and drops what waits in the mailbox; inflight must be 0. */
void actor_fini(struct actor *a);

/* Handles what waits in the mailbox, now: for one that goes and owes answers.  The handler may not
 * end its actor. */
void actor_drain(struct actor *a);

struct actor *actor_find(const struct actors *s, struct actor_id id); /* NULL when gone */

/* Queues m for the actor with this id.  False (and m dropped) when it is gone. */
bool actor_post(struct actors *s, struct actor_id to, struct msg *m);

/* As above, for what is done once at the end of a run: m waits until every other actor is idle or
 * has had its rounds, unless another message wakes this actor before. */
bool actor_post_last(struct actors *s, struct actor_id to, struct msg *m);

/* Runs the runnable actors in rounds, up to ACTOR_TURN_MAX messages each in a round, until none is
 * left or ACTOR_ROUNDS_MAX are over; then those that wait to be last.  True while more remain. */
bool actors_run(struct actors *s);

static inline bool actors_idle(const struct actors *s)
{
	return list_empty(&s->runnable) && list_empty(&s->last);
}

static inline bool actor_id_equal(struct actor_id a, struct actor_id b)
{
	return a.slot == b.slot && a.gen == b.gen;
}
