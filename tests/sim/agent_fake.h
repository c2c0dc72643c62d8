/* agent_fake.h - a guest's agent as the daemon hears it: the real conversation, told by src/proto.
 *
 * Commands that it knows: exit N; say TEXT; cat (stdin to stdout); flood (stdout for ever, as far
 * as credit goes); hang.
 */
#pragma once

#include "proto/guest.h"
#include "proto/sync.h"
#include "tests/sim/world.h"

enum {
	AGENT_EXECS = 8,
};

struct agent {
	struct sim_conn *conn; /* borrowed; NULL while nobody is connected */
	struct buf in;
	struct sync_scan scan;
	bool synced;
	char boot_id[40];
	struct agent_exec {
		uint32_t id; /* 0: free */
		bool cat;
		bool flood;
		uint64_t credit;
	} execs[AGENT_EXECS];
	void (*power_off)(void *arg);
	void *arg;
};

void agent_init(struct agent *a, uint64_t boot, void (*power_off)(void *arg), void *arg);
void agent_fini(struct agent *a);
void agent_data(struct agent *a, struct sim_conn *c, const uint8_t *data, size_t len);
void agent_gone(struct agent *a); /* the daemon has hung up */
