/* vm_limits.c - what a VM that runs may move, as its record says.
 *
 * A request for each device that can be limited, all at once on the control channel; each answer is
 * counted, and the step is over with the last.  All limits of a device are in its request, so that
 * the same again does no harm: whoever adopts a VM says them anew, since the daemon before may have
 * died between the record and the VMM.
 */
#include <errno.h>
#include <stdio.h>

#include "actors/vm_steps.h"

static const char *const names[VMM_NLIMITED] = {
	[VMM_LIMITED_BASE] = "base",
	[VMM_LIMITED_DISK] = "disk",
	[VMM_LIMITED_NET] = "network",
};

struct vmm_limits vm_limits_of(const struct vm *vm)
{
	const struct vm_spec *spec = &vm->rec.spec;

	return (struct vmm_limits){ .disk_rate = spec->disk_rate,
				    .disk_iops = spec->disk_iops,
				    .net_rate = spec->net_rate };
}

/* What nobody would keep to is not promised. */
int vm_limits_check(const struct env *env, const struct vm_spec *s, bool has_disk, struct err *e)
{
	if ((s->disk_rate || s->disk_iops) && !has_disk)
		return err_set(e, ERR_BAD_REQUEST, "%s: image \"%s\" has no disk",
			       s->disk_rate ? "disk_rate" : "disk_iops", s->image);
	if (s->net_rate && !(env->system && strcmp(s->vmm, vmm_firecracker.name) == 0 && has_disk))
		return err_set(e, ERR_BAD_REQUEST,
			       "net_rate: only Firecracker in system mode has an interface that "
			       "can be limited");
	return 0;
}

static bool has_device(const struct vm *vm, enum vmm_limited device)
{
	switch (device) {
	case VMM_LIMITED_BASE:
		return vm_has_upper(vm);
	case VMM_LIMITED_DISK:
		return vm->rec.spec.disk_bytes > 0;
	case VMM_LIMITED_NET:
		return vm_is_system(vm);
	case VMM_NLIMITED:
		break;
	}
	return false;
}

static int ask_all(struct vm *vm, struct err *e)
{
	const struct vmm_limits limits = vm_limits_of(vm);
	struct vm_run *run = vm->run;

	for (int d = 0; d < VMM_NLIMITED; d++) {
		const enum vmm_limited device = (enum vmm_limited)d;
		const int rc = has_device(vm, device) ? vm_control_limit(vm, device, &limits)
						      : -EOPNOTSUPP;

		if (rc < 0 && rc != -EOPNOTSUPP)
			return err_set(e, ERR_VMM_REFUSED, "%s: the VMM %s", names[device],
				       rc == -ENOTCONN ? "is not connected to"
				       : rc == -EBUSY  ? "has not answered what it was asked before"
						       : "cannot be asked: there is no memory");
		run->limits_waiting += rc == 0;
	}
	return 0;
}

static int say(struct vm *vm, struct err *e)
{
	struct vm_run *run = vm->run;

	if (!vm_runs(vm) || !vm_has_socket(vm, VMM_SOCKET_CONTROL) || run->missed)
		return STEP_DONE;
	run->limits_waiting = 0;
	run->limits_first = run->control_id + 1;
	run->limits_err = (struct err){ 0 };
	const int rc = ask_all(vm, e);
	if (rc < 0)
		run->limits_waiting = 0;
	return rc < 0 ? rc : run->limits_waiting > 0 ? STEP_WAIT : STEP_DONE;
}

bool vm_limits_changed(const struct vm_change *set)
{
	return set->disk_rate || set->disk_iops || set->net_rate || set->drop_limits.n > 0;
}

int vm_limits_set(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);

	return vm_limits_changed(vm->task->set) ? say(vm, e) : STEP_DONE;
}

/* A VM that runs on is not given up for it. */
int vm_limits_again(struct plan *p, struct err *e)
{
	const int rc = say(vm_of(p), e);

	if (rc < 0)
		vm_channel_missed(p, e);
	return rc < 0 ? STEP_DONE : rc;
}

/* Answers to what an earlier step has asked, and not waited for, are none. */
bool vm_limits_answered(struct vm *vm, const struct vm_asked *asked, const struct vmm_answer *a)
{
	struct vm_run *run = vm->run;

	if (run->limits_waiting == 0 || asked->id < run->limits_first)
		return false;
	if (!a->ok && !run->limits_err.code)
		err_set(&run->limits_err, ERR_VMM_REFUSED, "%s: %s", names[asked->device], a->text);
	return --run->limits_waiting == 0;
}

void vm_limits_over(struct vm *vm)
{
	struct plan *p = &vm->run->plan;
	struct err why = vm->run->limits_err;

	if (why.code && plan_waits_in(p, vm_limits_again))
		vm_channel_missed(p, &why);
	if (why.code && plan_waits_in(p, vm_limits_set))
		plan_abort(p, &why);
	else if (plan_waits_in(p, vm_limits_set) || plan_waits_in(p, vm_limits_again))
		plan_event(p, 0);
}
