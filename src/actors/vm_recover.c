/* vm_recover.c - after a restart: what runs is adopted, what was half done is undone. */
#include <errno.h>
#include <stdio.h>

#include "actors/vm.h"

static bool is_at_rest(const struct vm *vm, const struct vm_resources *res)
{
	switch (vm_state(vm)) {
	case VM_CREATED:
	case VM_STOPPED:
		return true;
	case VM_FAILED: /* or an undo had failed: once more */
		return !res->runtime && !res->process && !res->cgroup[0] && !res->helper;
	case VM_CREATING:
	case VM_STARTING:
	case VM_RUNNING:
	case VM_STOPPING:
	case VM_DELETING:
		return false;
	case VM_NSTATES:
		break;
	}
	ASSERT(!"no state");
	return false;
}

static void note_failure(struct vm *vm, const char *why)
{
	(void)snprintf(vm->rec.failure, sizeof(vm->rec.failure), "%s", why);
}

static void take_down(struct vm *vm, const struct vm_resources *res, enum vm_state end_state)
{
	vm->run->res = *res;
	vm_unwind(vm, end_state);
}

void vm_missed(struct vm *vm)
{
	note_failure(vm, "the VMM ended while no daemon ran");
	vm->run->asks_end = vm_is_system(vm);
	vm_move(vm, VM_STOPPING);
	vm_unwind(vm, VM_STOPPED);
}

int vm_recover(struct vm *vm, const struct vm_resources *res)
{
	static const struct vm_resources nothing;
	int rc;

	if (!res)
		res = &nothing;
	if (is_at_rest(vm, res))
		return 0;
	if (!vm_run_begin(vm))
		return -ENOMEM;
	switch (vm_state(vm)) {
	case VM_CREATING:
		vm_create_undo(vm);
		break;
	case VM_DELETING:
		vm_delete_begin(vm);
		break;
	case VM_STARTING:
		note_failure(vm, "the daemon ended while the VM was starting");
		take_down(vm, res, VM_FAILED);
		break;
	case VM_RUNNING:
		rc = vm_adopt(vm, res);
		if (rc == 0 && !vm_is_system(vm))
			LOG_INFO(&vm->actor.log, NULL, "vm.adopted", K("pid", res->pid));
		if (rc != -ESRCH)
			return rc; /* not known to have ended: it is not ours to take down */
		vm->run->res = *res;
		vm_missed(vm);
		break;
	case VM_STOPPING:
		take_down(vm, res, VM_STOPPED);
		break;
	case VM_CREATED:
	case VM_STOPPED:
	case VM_FAILED:
	case VM_NSTATES:
		take_down(vm, res, VM_FAILED);
		break;
	}
	return 0;
}
