/* plan.h - a sequence of steps that wait, with undo: the heart of every lifecycle.
 *
 *   DOING   step 0 -> 1 -> ... -> n-1 ----------------------------> ended(0)
 *               |  failure, deadline, abort
 *               v
 *   UNDOING step k -> k-1 -> ... -> 0  (the failing step too) ----> ended(-errno)
 *
 * A step finishes at once (STEP_DONE), fails (-errno), or leaves one question outstanding:
 * STEP_WAIT for an event that may be forgotten (a late one is recognised by its token),
 * STEP_WAIT_OP for the plan's own io_op or commit, whose storage must come back before anything
 * else happens: on a deadline it is cancelled and its answer, whatever it is, is the end of the
 * wait.  Undo means "ensure absent": it is called for steps that never ran, failed, or half
 * happened.  An undo that fails is counted as a leak, its error joined to the first, and the rest
 * still unwinds. Pure bookkeeping: the plan does no I/O but its timer and cancel.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "io/io.h"
#include "proto/client.h"

struct plan;

enum {
	STEP_DONE = 0,
	STEP_WAIT = 1,
	STEP_WAIT_OP = 2,
};

typedef int step_fn(struct plan *p, struct err *e);
typedef int step_answer_fn(struct plan *p, struct msg *m, struct err *e);

struct step {
	const char *name;
	step_fn *start;
	step_answer_fn *finish; /* takes what the answer brought; NULL: m->res is the verdict */
	step_fn *undo;          /* NULL: nothing to undo */
	step_answer_fn *undone; /* as finish, for the answer to undo */
	uint32_t deadline_ms;   /* of each direction; 0: none */
	int arg;
};

enum plan_phase {
	PLAN_IDLE,
	PLAN_DOING,
	PLAN_UNDOING,
};

/* What the owner is told.  Each step that does something is begun and over once a direction;
 * `begun` may leave a number in plan.mark, by which `over` finds what it wrote.  Both may be
 * NULL. */
struct plan_ops {
	void (*begun)(struct plan *p, const char *step, bool undo);
	void (*over)(struct plan *p, int rc);
	void (*ended)(struct plan *p, int rc);
};

struct plan {
	struct io *io;             /* borrowed */
	const struct log_ctx *log; /* borrowed from the actor */
	const struct step *steps;  /* static table */
	uint32_t n;
	uint32_t at;
	enum plan_phase phase;
	int wait;       /* STEP_DONE while none, else which kind */
	uint32_t token; /* of the outstanding question */
	bool aborted;   /* abort_err says why; takes effect when the question has come back */
	bool completed; /* it ended forward: every step is done */
	struct err abort_err;
	struct io_op op;         /* the one question to io; its msg is MSG_PLAN_IO */
	struct io_timer timer;   /* the step's deadline */
	uint32_t deadline_ms;    /* 0: the table's; a step may set its own in start() */
	struct op_id op_id;      /* for the log */
	struct err err;          /* the first failure, later ones joined */
	const char *failed_step; /* or NULL */
	uint32_t leaks;          /* undo steps that failed */
	bool begun;              /* the step at hand was announced */
	uint64_t begun_us;
	uint32_t mark;              /* the owner's, of the step at hand */
	const struct plan_ops *ops; /* static */
};

void plan_init(struct plan *p, struct io *io, const struct actor *owner,
	       const struct plan_ops *ops);

/* Runs the table forward.  ops->ended may be called before this returns. */
void plan_begin(struct plan *p, const struct step *steps, uint32_t n, const struct op_id *op_id);

/* Runs the table backward from its end: stop and recovery are the same undo entries.  Ends with rc
 * 0 unless an undo failed. */
void plan_unwind(struct plan *p, const struct step *steps, uint32_t n, const struct op_id *op_id);

/* Hands over MSG_PLAN_IO and MSG_PLAN_TIMER messages; stale ones are dropped. */
void plan_deliver(struct plan *p, struct msg *m);

/* The event that the current step waits for (STEP_WAIT) has come: res as in a message. */
void plan_event(struct plan *p, int res);

/* Gives up going forward: the reason becomes the plan's error.  No-op when undoing or idle. */
void plan_abort(struct plan *p, const struct err *why);

/* Why it has failed is known better by now. */
void plan_correct(struct plan *p, const struct err *why);

bool plan_waits_in(const struct plan *p, step_fn *start); /* forward, at the step with this start */
bool plan_waits_undo(const struct plan *p, step_fn *undo);

static inline const struct step *plan_step(const struct plan *p)
{
	return &p->steps[p->at];
}

static inline bool plan_busy(const struct plan *p)
{
	return p->phase != PLAN_IDLE;
}
