/* crew.h - the workers: each with its queue, what it is doing, and what happens when it dies.
 *
 * A worker gets its requests in the order in which they came: the next one once the last has been
 * answered, or is of those that wait (helper_op.waits), whose answers come when they come.  A
 * worker that dies, or that does not answer one within its row's deadline and is killed for it,
 * ends all that it has with an error that says so; what is in its queue goes to its successor,
 * which is forked after a pause that doubles while none serves a request.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "helper/conf.h"
#include "helper/peer.h"
#include "helper/worker.h"
#include "helper/zygote.h"

enum {
	CREW_PAUSE_MIN_MS = 100,
	CREW_PAUSE_MAX_MS = 5000,
};

struct member {
	enum filter_role role;
	pid_t pid;            /* 0: none */
	int link;             /* owned; -EBADF: none */
	struct list queue;    /* slot.link, oldest first */
	struct list begun;    /* slot.link: those that it has, oldest first */
	struct slot *current; /* one of them, that no other may pass; NULL: none */
	uint32_t nbegun;
	uint64_t tickets;    /* given so far */
	bool killed;         /* by us, for a deadline */
	uint64_t restart_us; /* when to fork again, while there is none */
	uint32_t pause_ms;   /* before the next one */
};

struct crew {
	const struct zygote *zygote; /* borrowed: forks them */
	struct member members[WORKER_NWORKERS];
};

/* Forks all; fails when one cannot be. */
int crew_open(struct crew *c, const struct zygote *zygote, struct err *e) MUST_CHECK;
void crew_close(struct crew *c); /* ends them */

void crew_take(struct crew *c, struct slot *s, uint64_t now_us); /* queues the slot's request */
void crew_readable(struct crew *c, struct member *m, uint64_t now_us);
void crew_tick(struct crew *c, uint64_t now_us); /* deadlines and restarts */
uint64_t crew_next_us(const struct crew *c);     /* when to tick; UINT64_MAX: never */

/* Answers what has not begun with `why`; true once nothing is under way. */
bool crew_drain(struct crew *c, const struct err *why);
