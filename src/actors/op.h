/* op.h - one request from outside, from admission to its one reply.
 *
 * Made by the client actor when a request has been decoded; travels by its embedded message to the
 * node (and, for exec, on to the VM), comes back as MSG_OP_DONE with `err` or `result` set, and is
 * freed by the client once the reply is written.  When the client is gone meanwhile, the op frees
 * itself.
 */
#pragma once

#include "actors/accel.h"
#include "actors/env.h"
#include "actors/msg.h"
#include "actors/plan.h"
#include "proto/client.h"
#include "proto/record.h"

struct op {
	struct msg msg;
	struct serial_msg cancel;   /* client -> node -> op.at */
	struct map_node by_request; /* client.ops, while it is unanswered */
	struct map_node by_id;      /* node.ops */
	struct map_node by_serial;  /* node.ops_by_serial */
	struct op_id id;
	uint64_t serial; /* unique in this daemon's life: how messages name it */
	enum client_method method;
	void *args;             /* owned; of client_methods[method].args */
	uint64_t digest;        /* of the arguments' bytes */
	struct actor_id client; /* who gets the reply; nobody when it has gone */
	uint32_t request_id;    /* of the connection */
	bool detach;            /* goes on when the connection closes */
	bool progress;          /* wants "progress" events */
	bool cancelled;
	bool unwanted;            /* its asker has gone; those that follow it have not */
	bool durable;             /* remembered in the store */
	bool resumed;             /* cut short by a crash, asked again */
	struct actor_id at;       /* exec: the VM that serves it */
	uint64_t admitted_us;     /* reactor's clock */
	uint64_t admitted_ms;     /* Unix time */
	uint64_t watches;         /* watch: BIT(enum client_event) of what it wants to hear of */
	uint64_t answered_us;     /* reactor's clock; 0: not yet */
	vm_id vm;                 /* it is about this one, or 0 */
	uint32_t ntargets;        /* VMs that it is about */
	uint32_t nfailed;         /* of them, so far */
	struct fleet *fleet;      /* owned by the node: targets and their results */
	struct accel_wait accel;  /* until that is measured */
	bool awaits_accel;        /* ... before anything is done */
	struct list followers;    /* op.follow of the same op_id, waiting for our answer */
	struct list_node follow;  /* leader.followers, or node.watchers */
	uint32_t events;          /* posted to the client, which has not seen them yet */
	uint64_t lost;            /* events dropped since then: told in their place */
	struct db_wait commit;    /* the record of its result */
	struct io_timer deadline; /* of waiting: vm.wait, op.wait */
	bool expired;             /* ... has passed */
	struct err err;           /* code != 0: it failed */
	char step[24];
	struct buf result;     /* one encoded map; empty: {} */
	struct op_step *steps; /* owned array, in the order in which they began */
	uint32_t nsteps, steps_cap;
	uint32_t steps_lost; /* not kept: more than OP_STEPS_MAX, or no memory */
};

/* Which methods change something and are remembered under their op_id. */
bool op_is_durable(enum client_method m);
/* Which are answered from memory, at once, with an answer that may be large. */
bool op_is_question(enum client_method m);

/* A method that streams has a window in its arguments; NULL for others. */
uint32_t *op_window(const struct op *op);
/* Its client sends chunks while it is under way. */
bool op_streams(const struct op *op);
/* The VM that a method is for which its guest answers; NULL for others. */
const char *op_ref(const struct op *op);

struct op *op_create(struct env *env, enum client_method m);
void op_destroy(struct op *op);

/* Sets the answer and sends the op home.  Exactly one of these, once. */
void op_done(struct env *env, struct op *op, const struct schema *result_schema,
	     const void *result);
void op_fail(struct env *env, struct op *op, const struct err *e);
int op_refuse(struct env *env, struct op *op, enum err_code code, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/* Streams one event to the client.  Once one had to be dropped, so are those that follow, until the
 * client has been told how many. */
void op_event(struct env *env, struct op *op, enum client_event type, const void *body);
/* The same where progress is wanted. */
void op_progress(struct env *env, struct op *op, const struct progress_event *ev);

/* A step of a plan that works for this operation begins; the number is for op_step_over(). */
uint32_t op_step_begun(const struct env *env, struct op *op, vm_id vm, const char *name, bool undo);
void op_step_over(const struct env *env, struct op *op, uint32_t number, int rc);
/* Something that was waited for since then: "queue". */
void op_step_waited(const struct env *env, struct op *op, vm_id vm, const char *name,
		    uint64_t since_us);

void op_view_fill(const struct env *env, const struct op *op, struct op_view *ret_view);
/* Lends the steps to the view, as they are now. */
void op_view_steps(const struct env *env, struct op *op, struct op_view *view);
