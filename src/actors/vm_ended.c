/* vm_ended.c - what follows when a plan of a VM has ended.
 *
 *   create done      -> start it, unless told not to           create undone -> gone
 *   start done       -> running                                start undone  -> stopped or failed,
 * and poweroff over    -> undo the start                              restart: start again delete
 * done      -> gone                                        delete:  delete now adopted          ->
 * running, as before                          cancelled create: delete
 */
#include <stdio.h>

#include "actors/limits.h"
#include "actors/vm.h"

static void tell_stage(const struct vm *vm, const char *step, bool undo)
{
	struct progress_event ev = { .id = vm->rec.id };

	(void)snprintf(ev.name, sizeof(ev.name), "%s", vm->rec.spec.name);
	(void)snprintf(ev.stage, sizeof(ev.stage), "%s%s", undo ? "undo " : "", step);
	op_progress(vm->env, vm->task->op, &ev);
}

static void step_begun(struct plan *p, const char *step, bool undo)
{
	struct vm *vm = vm_of(p);

	if (!vm->task)
		return;
	p->mark = op_step_begun(vm->env, vm->task->op, vm->rec.id, step, undo);
	/* Of many VMs a client shows how many are done: their steps would cost more than they say.
	 */
	if (vm->task->op->progress && vm->task->op->fleet->n <= PROGRESS_STAGES_MAX)
		tell_stage(vm, step, undo);
}

static void step_over(struct plan *p, int rc)
{
	const struct vm *vm = vm_of(p);

	if (vm->task)
		op_step_over(vm->env, vm->task->op, p->mark, rc);
}

/* An undo failed: the VM still holds something.  Tried again, ever more slowly, until it does not.
 */
static void retry_later(struct vm *vm)
{
	vm->retry_ms = vm->retry_ms == 0 ? RETRY_FIRST_MS : vm->retry_ms * 2;
	if (vm->retry_ms > RETRY_MAX_MS)
		vm->retry_ms = RETRY_MAX_MS;
	io_timer_set(vm->env->io, &vm->retry, vm->retry_ms, 0);
}

static void note_leaks(struct vm *vm, uint32_t leaks)
{
	vm->env->leaks -= vm->leaks;
	vm->env->leaks += leaks;
	vm->leaks = leaks;
	if (leaks > 0) {
		retry_later(vm);
		return;
	}
	vm->retry_ms = 0;
	io_timer_cancel(vm->env->io, &vm->retry);
}

void vm_retry(struct vm *vm)
{
	if (!vm_run_begin(vm))
		retry_later(vm);
	else if (vm_state(vm) == VM_RUNNING)
		vm_adopt_begin(vm);
	else if (vm_state(vm) == VM_DELETING)
		vm_delete_begin(vm);
	else if (vm_state(vm) == VM_FAILED)
		vm_unwind(vm, VM_FAILED);
}

static void gone(struct vm *vm, const struct err *e)
{
	vm->gone = true;
	vm_task_done(vm, e);
	vm_run_end(vm);
	vm_next_task(vm);
}

static void create_ended(struct vm *vm, struct plan *p)
{
	const struct err e = p->err;

	if (p->completed) {
		vm_move(vm, VM_CREATED);
		if (vm->task && !vm->task->no_start) {
			vm_start_begin(vm);
			return;
		}
		vm_task_done(vm, NULL);
		vm_run_end(vm);
		vm_next_task(vm);
		return;
	}
	note_leaks(vm, p->leaks);
	vm_move(vm, VM_DELETING);
	if (p->leaks == 0) {
		gone(vm, &e);
		return;
	}
	vm_task_done(vm, &e);
	vm_run_end(vm);
	vm_next_task(vm);
}

static void delete_ended(struct vm *vm, struct plan *p)
{
	const struct err e = p->err;

	if (p->completed) {
		const struct err why = vm->run->create_err; /* none, but for a create taken back */

		note_leaks(vm, 0);
		gone(vm, &why);
		return;
	}
	/* A create that is taken back has no state to go back to: its record may say "creating"
	 * yet. */
	if (vm->run->deleting || (vm->task && vm->task->verb == VERB_CREATE))
		note_leaks(vm, 1);
	else
		vm_move(vm, vm->run->end_state); /* as if nothing had been asked */
	vm_task_done(vm, &e);
	vm_run_end(vm);
	vm_next_task(vm);
}

static void started(struct vm *vm)
{
	vm_move(vm, VM_RUNNING);
	if (vm->task)
		vm->task->ready_us = vm->run->ready_us;
	LOG_INFO(&vm->actor.log, vm->task ? &vm->task->op->id : NULL, "vm.ready",
		 K("dur_us", vm->run->ready_us));
	vm_task_done(vm, NULL);
	vm_next_task(vm);
}

static enum vm_state unwound_state(const struct vm *vm, const struct plan *p)
{
	if (p->leaks > 0)
		return VM_FAILED;
	if (!vm->run->intended)
		return vm->run->before;
	if (p->err.code && p->err.code != ERR_CANCELLED)
		return VM_FAILED;
	return vm->run->end_state;
}

/* A create that starts its VM has left its record to the start's intent, which was not to be. */
static bool created_is_to_commit(const struct vm *vm)
{
	const struct task *t = vm->task;

	return !vm->run->intended && t && t->verb == VERB_CREATE && !t->cancelled;
}

static void start_undone(struct vm *vm, struct plan *p)
{
	struct err e = p->err.code ? p->err : vm->run->given_up;
	const struct task *t = vm->task;

	if (created_is_to_commit(vm)) {
		vm->run->given_up = e;
		vm_unwind(vm, VM_CREATED);
		return;
	}
	note_leaks(vm, p->leaks);
	vm_move(vm, unwound_state(vm, p));
	if (p->leaks > 0) { /* what it still holds is in `run` */
		vm_task_done(vm, &e);
		vm_next_task(vm);
		return;
	}
	if (!t) {
		vm_task_done(vm, NULL);
	} else if (t->verb == VERB_DELETE || (t->verb == VERB_CREATE && t->cancelled)) {
		vm->run->create_err = t->verb == VERB_CREATE ? e : (struct err){ 0 };
		vm_delete_begin(vm);
		return;
	} else if ((t->verb == VERB_RESTART || t->verb == VERB_START) && !e.code) {
		if (!t->cancelled) {
			vm_start_begin(vm);
			return;
		}
		err_set(&e, ERR_CANCELLED, "cancelled once it was stopped");
		vm_task_done(vm, &e);
	} else {
		vm_task_done(vm, &e);
	}
	vm_run_end(vm);
	vm_next_task(vm);
}

/* What is not known to have ended is left alone: it is looked for again. */
static void adopted(struct vm *vm, const struct plan *p)
{
	if (vm->run->exited) {
		vm_lost(vm, -1);
		return;
	}
	if (vm->run->missed) {
		vm_missed(vm);
		return;
	}
	if (p->completed)
		vm->retry_ms = 0;
	else if (vm->run->pidfd < 0)
		retry_later(vm);
	vm_next_task(vm);
}

static void plan_ended(struct plan *p, int rc)
{
	struct vm *vm = vm_of(p);

	(void)rc; /* the plan itself says more */
	if (p->steps == vm_create_steps) {
		create_ended(vm, p);
	} else if (p->steps == vm_delete_steps) {
		delete_ended(vm, p);
	} else if (p->steps == vm_set_steps) {
		vm_set_ended(vm, p);
	} else if (p->steps == vm_stop_steps) {
		vm_unwind(vm, VM_STOPPED); /* also when it did not power off in time */
	} else if (vm_is_adopted_by(vm, p)) {
		adopted(vm, p);
	} else if (p->steps == vm_signal_steps) {
		vm_task_done(vm, &p->err);
		vm_next_task(vm);
	} else if (p->completed) {
		started(vm);
	} else {
		start_undone(vm, p);
	}
}

const struct plan_ops vm_plan_ops = {
	.begun = step_begun,
	.over = step_over,
	.ended = plan_ended,
};
