#include "actors/plan.h"

#include <errno.h>

#include "actors/msg.h"

void plan_init(struct plan *p, struct io *io, const struct actor *owner, const struct plan_ops *ops)
{
	*p = (struct plan){
		.io = io,
		.log = &owner->log,
		.ops = ops,
	};
	io_op_init(&p->op, owner, MSG_PLAN_IO);
	io_timer_init(&p->timer, owner, MSG_PLAN_TIMER);
}

static void plan_end(struct plan *p, int rc)
{
	p->phase = PLAN_IDLE;
	p->wait = STEP_DONE;
	io_timer_cancel(p->io, &p->timer);
	p->ops->ended(p, rc);
}

static void step_begun(struct plan *p)
{
	const bool undo = p->phase == PLAN_UNDOING;

	p->begun = true;
	p->begun_us = io_now_us(p->io);
	LOG_DEBUG(p->log, &p->op_id, undo ? "undo.do" : "step.do", K("step", plan_step(p)->name));
	if (p->ops->begun)
		p->ops->begun(p, plan_step(p)->name, undo);
}

static void step_over(struct plan *p, int rc)
{
	if (!p->begun)
		return; /* there was nothing to do in this direction */
	p->begun = false;
	LOG_DEBUG(p->log, &p->op_id, p->phase == PLAN_UNDOING ? "undo.done" : "step.done",
		  K("step", plan_step(p)->name), K("rc", rc),
		  K("dur_us", io_now_us(p->io) - p->begun_us));
	if (p->ops->over)
		p->ops->over(p, rc);
}

/* Enters the current step in the current direction. */
static int step_enter(struct plan *p, struct err *e)
{
	const struct step *s = plan_step(p);
	step_fn *fn = p->phase == PLAN_UNDOING ? s->undo : s->start;

	p->token++;
	p->op.msg.token = p->token;
	p->deadline_ms = 0;
	if (!fn)
		return STEP_DONE;
	step_begun(p);
	const int rc = fn(p, e);
	if (rc < 0 && !e->code)
		err_num(e, ERR_INTERNAL, rc, "%s", s->name);
	return rc;
}

static void step_failed(struct plan *p, const struct err *e)
{
	if (!p->err.code) {
		p->err = *e;
		p->failed_step = plan_step(p)->name;
		LOG_WARN(p->log, &p->op_id, "step.failed", K("step", plan_step(p)->name),
			 K("code", err_name(e->code)), K("why", e->text));
		return;
	}
	err_join(&p->err, e);
}

/* Forward until a step waits or fails, then backward.  rc is the verdict on the step at hand. */
static void plan_run(struct plan *p, int rc, struct err *e)
{
	while (rc != STEP_WAIT && rc != STEP_WAIT_OP) {
		if (p->phase == PLAN_DOING && p->aborted && rc >= 0) {
			*e = p->abort_err;
			rc = err_errno(e);
		}
		step_over(p, rc);
		if (p->phase == PLAN_DOING && rc < 0) {
			step_failed(p, e);
			/* This step too: it may have half happened. */
			p->phase = PLAN_UNDOING;
		} else if (p->phase == PLAN_DOING) {
			if (++p->at == p->n) {
				p->completed = true;
				plan_end(p, 0);
				return;
			}
		} else {
			if (rc < 0) {
				p->leaks++; /* retried later; the rest still unwinds */
				step_failed(p, e);
				LOG_ERR(p->log, &p->op_id, "undo.failed",
					K("step", plan_step(p)->name), K("why", e->text));
			}
			if (p->at == 0) {
				const int end = p->err.code ? err_errno(&p->err) : 0;

				plan_end(p, end);
				return;
			}
			p->at--;
		}
		*e = (struct err){ 0 };
		rc = step_enter(p, e);
	}
	p->wait = rc;
	const uint32_t ms = p->deadline_ms ? p->deadline_ms : plan_step(p)->deadline_ms;
	if (ms > 0)
		io_timer_set(p->io, &p->timer, ms, p->token);
	else
		io_timer_cancel(p->io, &p->timer);
}

static void plan_start(struct plan *p, const struct step *steps, uint32_t n,
		       const struct op_id *op_id, enum plan_phase phase)
{
	struct err e = { 0 };

	ASSERT(p->phase == PLAN_IDLE);
	ASSERT(n > 0);
	ASSERT(!p->op.armed);
	p->steps = steps;
	p->n = n;
	p->at = phase == PLAN_DOING ? 0 : n - 1;
	p->phase = phase;
	p->aborted = false;
	p->completed = false;
	p->err = (struct err){ 0 };
	p->failed_step = NULL;
	p->leaks = 0;
	p->begun = false;
	p->op_id = op_id ? *op_id : (struct op_id){ 0 };
	const int rc = step_enter(p, &e);
	plan_run(p, rc, &e);
}

void plan_begin(struct plan *p, const struct step *steps, uint32_t n, const struct op_id *op_id)
{
	plan_start(p, steps, n, op_id, PLAN_DOING);
}

void plan_unwind(struct plan *p, const struct step *steps, uint32_t n, const struct op_id *op_id)
{
	plan_start(p, steps, n, op_id, PLAN_UNDOING);
}

/* The answer to the question at hand, whoever brought it. */
static void plan_answer(struct plan *p, struct msg *m, int res)
{
	const struct step *s = plan_step(p);
	step_answer_fn *take = p->phase == PLAN_UNDOING ? s->undone : s->finish;
	struct err e = { 0 };
	int rc = res < 0 ? res : STEP_DONE;

	p->wait = STEP_DONE;
	io_timer_cancel(p->io, &p->timer);
	/* Also when aborted: what the answer brought must be taken before it can be undone. */
	if (take && m)
		rc = take(p, m, &e);
	if (p->aborted && p->phase == PLAN_DOING) {
		e = p->abort_err;
		rc = err_errno(&e);
	} else if (rc < 0 && !e.code) {
		err_num(&e, ERR_INTERNAL, rc, "%s", s->name);
	}
	plan_run(p, rc, &e);
}

/* Time is up, or somebody gave up: an owned question is called back, an event is forgotten. */
static void plan_interrupt(struct plan *p)
{
	if (p->wait == STEP_WAIT_OP) {
		if (p->op.armed)
			io_cancel(p->io, &p->op);
		return; /* a commit cannot be called back: it ends by itself */
	}
	struct err e = p->abort_err;

	p->wait = STEP_DONE;
	io_timer_cancel(p->io, &p->timer);
	plan_run(p, err_errno(&e), &e);
}

static void plan_expired(struct plan *p)
{
	const struct step *s = plan_step(p);
	const uint32_t ms = p->deadline_ms ? p->deadline_ms : s->deadline_ms;

	err_set(&p->abort_err, ERR_TIMEOUT, "%s%s: no answer within %u ms",
		p->phase == PLAN_UNDOING ? "undo " : "", s->name, ms);
	if (p->phase == PLAN_DOING)
		p->aborted = true;
	plan_interrupt(p);
}

void plan_deliver(struct plan *p, struct msg *m)
{
	if (p->phase == PLAN_IDLE || p->wait == STEP_DONE || m->token != p->token)
		return;
	if (m->type == MSG_PLAN_TIMER)
		plan_expired(p);
	else
		plan_answer(p, m, m->res);
}

void plan_event(struct plan *p, int res)
{
	ASSERT(p->wait == STEP_WAIT);
	plan_answer(p, NULL, res);
}

void plan_correct(struct plan *p, const struct err *why)
{
	ASSERT(p->phase == PLAN_UNDOING && p->err.code);
	p->err = *why;
	LOG_INFO(p->log, &p->op_id, "plan.correct", K("code", err_name(why->code)),
		 K("why", why->text));
}

void plan_abort(struct plan *p, const struct err *why)
{
	if (p->phase != PLAN_DOING || p->aborted)
		return;
	p->aborted = true;
	p->abort_err = *why;
	if (p->wait != STEP_DONE)
		plan_interrupt(p);
}

bool plan_waits_in(const struct plan *p, step_fn *start)
{
	return p->phase == PLAN_DOING && p->wait != STEP_DONE && plan_step(p)->start == start;
}

bool plan_waits_undo(const struct plan *p, step_fn *undo)
{
	return p->phase == PLAN_UNDOING && p->wait != STEP_DONE && plan_step(p)->undo == undo;
}
