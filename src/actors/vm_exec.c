/* vm_exec.c - commands that come while the guest's agent is being greeted wait for it.
 *
 * After a restart of the daemon, or of the agent, the VM runs but cannot take commands for a
 * moment. What comes then waits in the order of its coming, the operations as well as what belongs
 * to them, and comes again once the agent is up; after a while, or when the channel is given up, it
 * is refused.
 */
#include "actors/limits.h"
#include "actors/vm.h"

static struct op *op_of(struct msg *m)
{
	return m->type == MSG_OP ? container_of(m, struct op, msg) : NULL;
}

static bool is_up(const struct vm *vm)
{
	return vm->run->link.phase == GUEST_UP;
}

/* The agent may still come: its channel is being connected, or it has not answered our hello yet.
 */
static bool is_expected(const struct vm *vm)
{
	const struct vm_run *run = vm->run;

	switch (run->link.phase) {
	case GUEST_AWAY:
		return vm_is_adopted_by(vm, &run->plan) && plan_busy(&run->plan);
	case GUEST_SEEKING:
	case GUEST_GREETING:
		return true;
	case GUEST_UP:
	case GUEST_RESTING:
		break;
	}
	return false;
}

static bool park(struct vm *vm, struct msg *m)
{
	struct vm_run *run = vm->run;

	if (run->nearly >= EARLY_MAX)
		return false;
	if (list_empty(&run->early))
		io_timer_set(vm->env->io, &run->early_over, EARLY_MS, 0);
	list_append(&run->early, &m->link);
	run->nearly++;
	return true;
}

static struct msg *unpark(struct vm *vm, struct list_node *n)
{
	list_remove(n);
	if (--vm->run->nearly == 0)
		io_timer_cancel(vm->env->io, &vm->run->early_over);
	return list_entry(n, struct msg, link);
}

static void begin(struct vm *vm, struct op *op)
{
	if (op_window(op))
		guest_link_call(&vm->run->link, op, &vm->rec.spec.env);
	else
		vm_question(vm, op);
}

/* An agent that is not up yet is not waited for: stats are of now. */
static void stats(struct vm *vm, struct op *op)
{
	struct err why = { 0 };

	if (is_up(vm)) {
		vm_question(vm, op);
		return;
	}
	if (vm_has_agent(vm))
		err_set(&why, ERR_GUEST_GONE, "the guest's agent does not answer");
	else
		err_set(&why, ERR_GUEST_NO_AGENT, "the image has no agent");
	vm_stats_read(vm, op, NULL, &why);
}

void vm_exec(struct vm *vm, struct op *op)
{
	if (!fsm_accepts(&vm->fsm, VERB_EXEC))
		op_refuse(vm->env, op, ERR_VM_STATE, "vm %s is %s", vm->rec.spec.name,
			  fsm_name(&vm->fsm));
	else if (op->method == METHOD_VM_STATS)
		stats(vm, op);
	else if (!vm_has_agent(vm))
		op_refuse(vm->env, op, ERR_GUEST_NO_AGENT, "vm %s runs image \"%s\"",
			  vm->rec.spec.name, vm->rec.spec.image);
	else if (!is_expected(vm))
		begin(vm, op);
	else if (!park(vm, &op->msg))
		op_refuse(vm->env, op, ERR_BUSY, "%d wait for the guest's agent already",
			  (int)EARLY_MAX);
}

void vm_exec_chunk(struct vm *vm, struct chunk_msg *m)
{
	if (vm->run && is_up(vm))
		guest_link_chunk(&vm->run->link, m);
	else if (vm->run && !list_empty(&vm->run->early) && park(vm, &m->msg))
		return;
	msg_free(&m->msg);
}

bool vm_exec_cancel(struct vm *vm, uint64_t serial)
{
	const struct err e = { .code = ERR_CANCELLED, .text = "cancelled before it began" };

	if (!vm->run)
		return false;
	list_for_each (n, &vm->run->early) {
		struct op *op = op_of(list_entry(n, struct msg, link));

		if (op && op->serial == serial) {
			unpark(vm, n);
			op_fail(vm->env, op, &e);
			return true;
		}
	}
	return guest_link_cancel(&vm->run->link, serial);
}

void vm_exec_resume(struct vm *vm)
{
	struct list_node *n;

	while ((n = list_first(&vm->run->early)) != NULL)
		actor_post(vm->env->actors, vm->actor.id, unpark(vm, n));
}

void vm_exec_refuse(struct vm *vm, const struct err *why)
{
	struct list_node *n;

	while ((n = list_first(&vm->run->early)) != NULL) {
		struct msg *m = unpark(vm, n);
		struct op *op = op_of(m);

		if (op)
			op_fail(vm->env, op, why);
		else
			msg_free(m);
	}
}
