/* gate.h - admission: at most so many VMs start at once, the rest wait in the order they came.
 *
 * Past the host's knee more concurrency only adds latency (measured at 2x the CPUs for QEMU, at 4x
 * for Firecracker, whose start waits more than it works), so a start takes a place first, or a part
 * of one, and gives it back when the VM is up, or is not going to be.  Nobody overtakes.
 */
#pragma once

#include "base/actor.h"

enum {
	GATE_PLACE = 2, /* parts of a place */
};

struct gate {
	struct actors *actors; /* borrowed */
	uint32_t max;          /* places */
	uint32_t parts;        /* of places, taken */
	uint32_t taken;        /* by so many */
	struct list waiting;   /* gate_wait.link */
	uint32_t nwaiting;
};

struct gate_wait {
	struct msg msg; /* MSG_PLAN_IO with the asker's token once it is our turn */
	struct actor_id owner;
	struct list_node link; /* gate.waiting */
	uint32_t parts;        /* that it takes: 1 to GATE_PLACE */
	bool held;
};

void gate_init(struct gate *g, struct actors *actors, uint32_t max);
/* Admits who waits, where there is room now. */
void gate_set_max(struct gate *g, uint32_t max);
void gate_wait_init(struct gate_wait *w, const struct actor *owner);

/* True: so many parts of a place are taken now.  False: a message comes when they are. */
bool gate_take(struct gate *g, struct gate_wait *w, uint32_t parts, uint32_t token);
/* Gives the place back, or stops waiting for one; no-op when neither. */
void gate_give(struct gate *g, struct gate_wait *w);
