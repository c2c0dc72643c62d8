/* helper_fake.h - the simulated root helper's parts: what it holds (helper_fake.c), and its jails
 * (jail_fake.c). */
#pragma once

#include "proto/helper.h"
#include "tests/sim/world.h"

enum {
	HELD_MAX = 64,
	HELPER_FAKE_SLOTS = 16,
	HELPER_FAKE_UID = 200000, /* of slot 0 */
};

struct held {
	vm_id vm;
	uint32_t slot;
	bool disk, tap, nat, jail;
	pid_t pid; /* of its VMM, which may have ended ... */
	int ended; /* ... so, as wait(2) has it; -1: it has not */
};

struct world_helper {
	struct world *w;
	struct sim_proc *proc; /* it, or the service manager that keeps its socket meanwhile */
	bool down;
	struct sim_event restart;
	struct held held[HELD_MAX];
	struct sim_conn conn;
	bool open;
	bool greeted;
	bool anothers; /* it works on the state directory of another daemon */
	bool busy;     /* the answer in `out` is late, and the next ones with it */
	struct buf in;
	struct buf out;
};

struct answer {
	struct err err;
	struct buf body;
	uint32_t fds;
};

typedef void operation_fn(struct world_helper *h, const void *args, struct answer *a);

struct held *helper_held(struct world_helper *h, vm_id vm); /* NULL: nothing */
struct held *helper_hold(struct world_helper *h, vm_id vm, uint32_t slot);
void helper_let_go(struct held *x); /* forgotten once nothing is held */
bool helper_slot_taken(const struct world_helper *h, vm_id vm, uint32_t slot);   /* by another VM */
struct sim_proc *helper_vmm(const struct world_helper *h, const struct held *x); /* NULL: none */
bool helper_sees(const struct world_helper *h,
		 const char *under); /* a file of the state directory */

void helper_says(struct answer *a, const struct schema *schema, const void *value);
void helper_refuses(struct answer *a, const char *why);

operation_fn jail_launch, jail_kill_vmm, jail_cleanup, jail_find_vmm, jail_signal_vmm,
	jail_ensure_socket, jail_trim_logs;
operation_fn report_jail, report_net, report_block;
