/* task.h - what the node asks of one VM, as part of an operation on one or many.
 *
 * Lives in the fleet of its operation, which the node owns until every task is back as
 * MSG_TASK_DONE.
 */
#pragma once

#include "actors/op.h"

enum vm_verb {
	VERB_CREATE, /* make it; and start it, unless told not to */
	VERB_START,
	VERB_STOP,
	VERB_RESTART,
	VERB_KILL,
	VERB_SET,
	VERB_DELETE,
	VERB_WAIT,
	VERB_EXEC, /* not a task: the op itself */
	VERB_NVERBS,
};

struct task {
	struct msg msg;
	struct serial_msg cancel;
	struct list_node link; /* vm.tasks or vm.waiters */
	enum vm_verb verb;
	struct op *op;  /* borrowed: outlives its tasks */
	uint32_t index; /* among the op's targets */
	vm_id vm;       /* 0: reference not found, err says so */
	char name[VM_NAME_MAX + 1];
	char ref[REF_MAX + 1];       /* as asked, or "" */
	bool no_start;               /* create */
	bool force;                  /* stop, delete: kill at once */
	bool stopped_only;           /* delete: refused while it runs */
	uint32_t signo;              /* kill */
	const struct vm_change *set; /* set; borrowed from the op */
	uint32_t deadline_ms;        /* 0: the default */
	uint32_t want_state;         /* wait */
	bool want_any_end;           /* wait: it does not run any more, whatever its state */
	bool want_gone;              /* wait: deleted; with the one above either will do */
	bool cancelled;
	bool again;      /* create: what is left of the one made before a crash goes first */
	bool taken_back; /* create: it was up when the whole was cancelled, and is being deleted */
	uint64_t arrived_us; /* at the VM, reactor's clock */
	/* result */
	struct err err;
	char step[24];
	char state[16];
	uint64_t ready_us;
	uint64_t ended_us; /* reactor's clock */
};

/* An operation's targets. */
struct fleet {
	struct task *tasks; /* owned array */
	uint32_t n;
	uint32_t pending;
	uint32_t failed;
	uint32_t undone; /* of those: cancelled */
};
