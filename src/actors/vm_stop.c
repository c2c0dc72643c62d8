/* vm_stop.c - ask the guest to power off, within a bound; then the start plan is undone, whatever
 * came of it.  The undo kills what is still there. */
#include <errno.h>

#include "actors/limits.h"
#include "actors/vm.h"

enum {
	QUIT_DEADLINE_MS = 1000, /* for a VMM without a guest that could power off */
};

static int poweroff(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);
	const struct task *t = vm->task;

	(void)e;
	if ((t && t->force) || vm->run->pidfd < 0)
		return STEP_DONE;
	p->deadline_ms = t && t->deadline_ms && t->verb == VERB_STOP ? t->deadline_ms
								     : vm->env->conf.stop_ms;
	if (guest_link_poweroff(&vm->run->link) == 0)
		return STEP_WAIT; /* for MSG_EXIT */
	if (vm_has_agent(vm) && vm_control_call(vm, VMM_CALL_POWERDOWN) == 0)
		return STEP_WAIT;
	p->deadline_ms = QUIT_DEADLINE_MS;
	return vm_control_call(vm, VMM_CALL_QUIT) == 0 ? STEP_WAIT : STEP_DONE;
}

const struct step vm_stop_steps[] = {
	{ "poweroff", poweroff, NULL, NULL, NULL, 0, 0 },
};

bool vm_powering_off(const struct vm *vm)
{
	return vm->run->plan.steps == vm_stop_steps && plan_waits_in(&vm->run->plan, poweroff);
}

void vm_stop_begin(struct vm *vm)
{
	vm_move(vm, VM_STOPPING);
	plan_begin(&vm->run->plan, vm_stop_steps, 1, vm->task ? &vm->task->op->id : NULL);
}
