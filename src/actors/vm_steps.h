/* vm_steps.h - between the files of the start plan: what its table (vm_start.c) is made of.
 *
 * A step's functions are where the resource is: vm_channel.c, vm_net.c, vm_vmm.c, vm_system.c.
 */
#pragma once

#include "actors/vm.h"

bool vm_is_probe(const struct vm *vm);
bool vm_has_socket(const struct vm *vm, enum vmm_socket s);
/* Where a backward run leads: what failed makes it failed, unless somebody wanted it. */
enum vm_state vm_end_of(const struct vm *vm);

/* vm_channel.c: the step's arg is an enum vmm_socket */
step_fn vm_channel_up, vm_channel_down, vm_channel_again;
step_answer_fn vm_channel_opened, vm_channel_back;

/* Takes a connected socket, or closes it. */
int vm_channel_take(struct vm *vm, enum vmm_socket s, int fd, struct err *e);
/* Likewise, of a VMM that listens itself and has to be asked for its guest's agent. */
int vm_channel_take_dialed(struct vm *vm, int fd, struct err *e);

/* A channel that cannot be had is no reason to end a VM that runs. */
void vm_channel_missed(const struct plan *p, struct err *e);
int vm_channel_connect(struct plan *p); /* by the step's arg, which is one */

/* vm_own.c: of VMMs that listen themselves */
bool vm_has_own_channels(const struct vm *vm);
int vm_own_files(struct vm_run *run); /* on a worker */
step_fn vm_own_console_up, vm_own_agent_up, vm_own_agent_again, vm_own_agent_call;
int vm_own_hear(struct vm *vm, int fd, struct err *e); /* takes the listener that the agent rings */
void vm_own_talk_over(struct vm *vm);                  /* the stream to the agent is closed */
void vm_own_hang_up(struct vm *vm); /* ends by messages, where there is something to end */

/* vm_vmm.c */
int vm_configure(struct vm *vm, struct err *e); /* run->config: what the VMM is to read */
step_fn vm_cgroup_up, vm_cgroup_down, vm_vmm_up, vm_vmm_down;
step_answer_fn vm_vmm_started;
void vm_watch(struct vm *vm); /* its end becomes MSG_EXIT */

/* vm_limits.c: the VMM is told what has changed of them; and all of them after a restart */
step_fn vm_limits_set, vm_limits_again;

/* vm_net.c */
step_fn vm_net_up, vm_net_down, vm_net_again;

/* Files that the VMM is given, by their paths on the host. */
struct vm_files {
	const char *kernel;
	const char *initrd; /* or NULL */
	const char *console;
	const char *disk; /* in system mode, where it is a file; or NULL */
};

/* vm_system.c */
step_fn vm_disk_up, vm_disk_down, vm_bridge_up, vm_tap_up, vm_tap_down, vm_nat_up, vm_nat_down,
	vm_nat_again;
step_fn vm_jail_down, vm_find;
step_answer_fn vm_helped, vm_tap_made, vm_nat_back, vm_found;
int vm_nat_as(struct plan *p, bool on, struct err *e); /* a question to the helper, in any plan */
/* In the place of a process of our own; the command line is in run->argv. */
int vm_launch(struct plan *p, const struct vmm_machine *m, const struct vm_files *files,
	      struct err *e);
step_fn vm_jail_kill, vm_jail_config, vm_jail_channel;
int vm_jail_dial(struct vm *vm, struct err *e); /* MSG_JAIL_DIALED will come */
step_answer_fn vm_jail_channel_back;
step_answer_fn vm_launched, vm_jail_killed;
