/* gate.h - admission: at most so many VMs start at once, the rest wait in the order they came.
 *
 * Past the host's knee more concurrency only adds latency (measured at 2x the CPUs), so a start
 * takes a place first and gives it back when the VM is up, or is not going to be.
 */
#pragma once

#include "base/actor.h"

struct gate {
	struct actors *actors; /* borrowed */
	uint32_t max;
	uint32_t taken;
	struct list waiting; /* gate_wait.link */
	uint32_t nwaiting;
};

struct gate_wait {
	struct msg msg; /* MSG_PLAN_IO with the asker's token once it is our turn */
	struct actor_id owner;
	struct list_node link; /* gate.waiting */
	bool held;
};

void gate_init(struct gate *g, struct actors *actors, uint32_t max);
/* Admits who waits, where there is room now. */
void gate_set_max(struct gate *g, uint32_t max);
void gate_wait_init(struct gate_wait *w, const struct actor *owner);

/* True: the place is taken now.  False: a message comes when it is. */
bool gate_take(struct gate *g, struct gate_wait *w, uint32_t token);
/* Gives the place back, or stops waiting for one; no-op when neither. */
void gate_give(struct gate *g, struct gate_wait *w);
