/* vm_recover.c - after a restart: what runs is adopted, what was half done is undone. */
#include <stdio.h>

#include "actors/vm.h"

void vm_recover(struct vm *vm, const struct vm_resources *res)
{
	static const struct vm_resources nothing;
	const char *why = "the daemon ended while the VM was starting";

	if (!res)
		res = &nothing;
	switch (vm_state(vm)) {
	case VM_CREATING:
		vm_create_undo(vm);
		return;
	case VM_DELETING:
		vm_delete_begin(vm);
		return;
	case VM_RUNNING:
		if (vm_adopt(vm, res)) {
			LOG_INFO(&vm->actor.log, NULL, "vm.adopted", K("pid", res->pid));
			return;
		}
		why = "the VMM ended while no daemon ran";
		vm_move(vm, VM_STOPPING);
		break;
	case VM_STARTING:
	case VM_STOPPING:
		break;
	case VM_CREATED:
	case VM_STOPPED:
		return;
	case VM_FAILED:
		if (!res->runtime && !res->process)
			return;
		why = vm->rec.failure; /* an undo had failed: once more */
		break;
	case VM_NSTATES:
		ASSERT(!"no state");
	}
	(void)snprintf(vm->rec.failure, sizeof(vm->rec.failure), "%s", why);
	if (!vm_run_begin(vm))
		return;
	vm->run->res = *res;
	vm_unwind(vm, vm_state(vm) == VM_STOPPING ? VM_STOPPED : VM_FAILED);
}
