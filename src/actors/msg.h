/* msg.h - the vocabulary of messages between the daemon's actors, and the few that own memory.
 *
 * Completions of I/O carry MSG_IO and its relatives; which question they answer is told by address
 * and token.  Messages marked "owned" are allocated by their sender and belong to the receiver, who
 * frees them with msg_free(); an undeliverable one frees itself.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/actor.h"
#include "vmm/vmm.h"

struct env;

enum msg_type {
	MSG_NONE,
	MSG_OP,          /* client -> node (-> vm): a request; struct op */
	MSG_OP_DONE,     /* -> node -> client: the same op with its answer */
	MSG_CANCEL,      /* client -> node -> vm: struct serial_msg of the op or task */
	MSG_TASK,        /* node -> vm: struct task */
	MSG_TASK_DONE,   /* vm -> node: the same task with its result */
	MSG_CHUNK,       /* client -> node -> vm -> client: owned struct chunk_msg, of a stream */
	MSG_EVENT,       /* -> client: owned struct event_msg */
	MSG_CLIENT_GONE, /* client -> node: owned struct serial_msg, the lease of its VMs is over */
	MSG_VM_CHANGED,  /* vm -> node: owned struct vm_changed_msg */
	MSG_JOB_DONE,    /* job -> node */
	MSG_PLAN_IO,     /* an answer to the plan's question */
	MSG_PLAN_TIMER,  /* the step's deadline */
	MSG_TIMER,
	MSG_IO,
	MSG_EXIT,     /* a pidfd became readable */
	MSG_NET,      /* a VM's network: connected, or started */
	MSG_NET_EXIT, /* ... has ended */
	MSG_LISTENER,
	MSG_STREAM,
	MSG_CONSOLE, /* streams of a VM */
	MSG_AGENT,
	MSG_CONTROL,
	MSG_VMM_SAID,    /* vm -> whoever asked: owned struct vmm_said_msg */
	MSG_RINGS,       /* a VM's agent asks to be called */
	MSG_DIALED,      /* ... and we have called it */
	MSG_JAIL_DIALED, /* ... or the root helper has: owned struct helper_answer */
	MSG_ACCEL,       /* accel -> accel: somebody needs to know */
	MSG_ACCEL_KNOWN, /* accel -> node: now it is known */
	MSG_DB_FLUSH,    /* db -> db: the run is over, commit */
	MSG_DB_DONE,     /* the store lane has applied a batch */
	MSG_SYSTEM, /* system -> node: the root helper has answered or failed for the first time */
	MSG_HELPER_UP, /* ... has been connected to: owned struct serial_msg */
	MSG_HELPER,    /* the root helper's proxy -> whoever asked: owned struct helper_answer */
	MSG_COMMITTED, /* db -> whoever waits: durable, or res < 0 */
	MSG_NTYPES,
};

struct serial_msg {
	struct msg msg;
	uint64_t serial;
	struct actor_id from;
};

enum chunk_kind {
	CHUNK_DATA,
	CHUNK_CREDIT,
	CHUNK_SIGNAL,
	CHUNK_RESIZE,
};

struct chunk_msg {
	struct msg msg;
	struct env *env; /* borrowed: it counts our bytes */
	enum chunk_kind kind;
	uint64_t serial; /* of the operation */
	uint32_t stream;
	uint32_t a, b; /* credit; signo; rows and cols */
	size_t len;
	uint8_t data[];
};

struct event_msg {
	struct msg msg;
	uint64_t serial;  /* of the operation */
	const char *name; /* static */
	size_t len;
	uint8_t body[]; /* one encoded map */
};

/* A VMM's answer, or that it has hung up. */
struct vmm_said_msg {
	struct msg msg;
	struct vmm_answer answer;
};

/* A VM has moved to another state; after `gone` its actor waits to be freed by the node. */
struct vm_changed_msg {
	struct msg msg;
	vm_id vm;
	uint32_t state;
	bool gone;
	struct op_id op_id; /* whose work it is, or 0 */
	char name[64];
};

/* For those who cannot afford to lack memory later; NULL without it. */
struct serial_msg *serial_make(enum msg_type type, uint64_t serial, struct actor_id from);

struct vmm_said_msg *said_make(const struct vmm_answer *answer); /* likewise */

/* A cancellation that is part of what it cancels, so that it takes no memory to be said.  One that
 * is on its way already says the same. */
void post_cancel(struct actors *s, struct actor_id to, struct serial_msg *m, uint64_t serial,
		 struct actor_id from);
/* Takes it back from wherever it waits: what it is part of is being freed. */
void cancel_fini(struct serial_msg *m);

/* An allocation that fails is reported as -ENOMEM and nothing is sent. */
int post_chunk(struct env *env, struct actor_id to, const struct chunk_msg *head,
	       const uint8_t *data);
/* Chunks wait that nobody has handled yet: what arrives is to be left where it is for now, since a
 * peer may send in crumbs what it was granted, and each is a message. */
bool chunks_crowd(const struct env *env);
int post_event(struct actors *s, struct actor_id to, uint64_t serial, const char *name,
	       const uint8_t *body, size_t len);

/* op_id may be NULL. */
int post_vm_changed(struct actors *s, struct actor_id to, vm_id vm, const char *name,
		    uint32_t state, const struct op_id *op_id);

/* Frees an owned message; safe for those that own nothing. */
void msg_free(struct msg *m);
