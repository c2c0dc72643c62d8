/* vm_steps.h - between the files of the start plan: what its table (vm_start.c) is made of.
 *
 * A step's functions are where the resource is: vm_channel.c, vm_vmm.c.
 */
#pragma once

#include "actors/vm.h"

bool vm_is_probe(const struct vm *vm);
bool vm_has_socket(const struct vm *vm, enum vmm_socket s);
/* Where a backward run leads: what failed makes it failed, unless somebody wanted it. */
enum vm_state vm_end_of(const struct vm *vm);
void vm_adopt_begin(struct vm *vm);

/* vm_channel.c: the step's arg is an enum vmm_socket */
step_fn vm_channel_up, vm_channel_down, vm_channel_again;
step_answer_fn vm_channel_opened, vm_channel_back;

/* vm_vmm.c */
step_fn vm_cgroup_up, vm_cgroup_down, vm_vmm_up, vm_vmm_down;
step_answer_fn vm_vmm_started;
