/* op.h - one request from outside, from admission to its one reply.
 *
 * Made by the client actor when a request has been decoded; travels by its embedded message to the
 * node (and, for exec, on to the VM), comes back as MSG_OP_DONE with `err` or `result` set, and is
 * freed by the client once the reply is written.  When the client is gone meanwhile, the op frees
 * itself.
 */
#pragma once

#include "actors/env.h"
#include "actors/msg.h"
#include "actors/plan.h"
#include "proto/client.h"
#include "proto/record.h"

struct op {
	struct msg msg;
	struct map_node by_request; /* client.ops, while it is unanswered */
	struct map_node by_id;      /* node.ops */
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
	bool durable;            /* remembered in the store */
	bool resumed;            /* cut short by a crash, asked again */
	struct actor_id at;      /* exec: the VM that serves it */
	uint64_t admitted_us;    /* reactor's clock */
	uint64_t admitted_ms;    /* Unix time */
	vm_id vm;                /* it is about this one, or 0 */
	struct fleet *fleet;     /* owned by the node: targets and their results */
	struct list followers;   /* op.follow of the same op_id, waiting for our answer */
	struct list_node follow; /* leader.followers */
	struct db_wait commit;   /* the record of its result */
	struct err err;          /* code != 0: it failed */
	char step[24];
	struct buf result; /* one encoded map; empty: {} */
	uint32_t nsteps;
	struct op_step steps[STEPS_MAX];
};

/* Which methods change something and are remembered under their op_id. */
bool op_is_durable(enum client_method m);

struct op *op_create(struct env *env, enum client_method m);
void op_destroy(struct op *op);

/* Sets the answer and sends the op home.  Exactly one of these, once. */
void op_done(struct env *env, struct op *op, const struct schema *result_schema,
	     const void *result);
void op_fail(struct env *env, struct op *op, const struct err *e);
int op_refuse(struct env *env, struct op *op, enum err_code code, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/* Streams one event to the client; dropped when it is gone or does not want progress. */
void op_progress(struct env *env, const struct op *op, const struct progress_event *ev);

/* The plan's timings become the operation's. */
void op_take_times(struct op *op, const struct plan_time *times, uint32_t n);
void op_view_fill(const struct env *env, const struct op *op, struct op_view *ret_view);
