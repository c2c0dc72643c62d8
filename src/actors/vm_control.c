/* vm_control.c - the conversation with a VM's VMM on its control channel.
 *
 *   vm_control_call()  --request-->  VMM      what was asked waits in run->asked, oldest first
 *   vm_control_read()  <--answer---           and is taken off by its answer
 *
 * A VMM answers in the order of the requests; none is waited for by anybody who has no bound of his
 * own, so one that says nothing holds up nobody.  What it says is its own: a VMM that breaks its
 * protocol is hung up on, and whoever has asked is told so.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/limits.h"
#include "actors/vm.h"

/* ---- what was asked ---- */

static struct vm_asked *oldest(struct vm_run *run)
{
	return run->nasked > 0 ? &run->asked[run->asked_at] : NULL;
}

static void note(struct vm_run *run, const struct vm_asked *asked)
{
	const uint32_t at = (run->asked_at + run->nasked++) % CONTROL_ASKED_MAX;

	run->asked[at] = *asked;
	run->asked[at].id = run->control_id;
}

static void forget_oldest(struct vm_run *run)
{
	run->asked_at = (run->asked_at + 1) % CONTROL_ASKED_MAX;
	run->nasked--;
}

/* Who has gone meanwhile, or for whom there is no memory, has a bound of his own. */
static void tell(struct vm *vm, struct actor_id who, const struct vmm_answer *a)
{
	struct vmm_said_msg *m = said_make(a);

	if (m)
		actor_post(vm->env->actors, who, &m->msg);
}

/* What is over for the plan that may wait for it, once all has been read. */
struct over {
	bool power;  /* there is nothing to wait for while the VM is to power off */
	bool limits; /* all have been answered */
};

static void answered(struct vm *vm, const struct vm_asked *asked, const struct vmm_answer *a,
		     struct over *over)
{
	switch (asked->call) {
	case VMM_CALL_MEMORY:
		tell(vm, asked->who, a);
		return;
	case VMM_CALL_LIMIT:
		over->limits = vm_limits_answered(vm, asked, a) || over->limits;
		return;
	case VMM_CALL_POWERDOWN:
	case VMM_CALL_QUIT:
	case VMM_CALL_STATUS:
	case VMM_CALL_PAUSE:
	case VMM_CALL_RESUME:
	case VMM_NCALLS:
		break;
	}
	if (!a->ok)
		LOG_WARN(&vm->actor.log, NULL, "vmm.refused", K("why", a->text));
	over->power = over->power || !a->ok;
}

/* ---- what it says ---- */

/* An adopted VMM keeps its exit status for who started it; this says as much. */
static void guest_shuts_down(struct vm *vm, const char *why)
{
	LOG_INFO(&vm->actor.log, NULL, "guest.shutdown", K("why", why));
	vm->run->shut_down = strncmp(why, "guest-", strlen("guest-")) == 0;
}

/* An answer without an id is to the oldest question, and so is one with it. */
static int take_reply(struct vm *vm, const struct vmm_answer *a, struct over *over, struct err *e)
{
	const struct vm_asked *asked = oldest(vm->run);

	if (!asked || (a->id != 0 && a->id != asked->id))
		return err_set(e, ERR_VMM_PROTOCOL, "an answer to nothing that was asked");
	const struct vm_asked taken = *asked;

	forget_oldest(vm->run);
	answered(vm, &taken, a, over);
	return 0;
}

/* 1; 0: more is needed; -errno: not what it may say. */
static int take_answer(struct vm *vm, struct over *over, struct err *e)
{
	struct buf *said = &vm->run->control;
	struct vmm_answer a;
	const int rc = vm->driver->parse(buf_data(said), buf_len(said), &a, e);

	if (rc <= 0)
		return rc;
	buf_consume(said, (size_t)rc);
	switch (a.event) {
	case VMM_EVENT_REPLY:
		return take_reply(vm, &a, over, e) < 0 ? err_errno(e) : 1;
	case VMM_EVENT_SHUTDOWN:
		guest_shuts_down(vm, a.text);
		break;
	case VMM_EVENT_NONE:
	case VMM_EVENT_GREETING:
		break;
	}
	return 1;
}

void vm_control_read(struct vm *vm)
{
	struct vm_run *run = vm->run;
	struct io_stream *s = &run->stream[VMM_SOCKET_CONTROL];
	const uint8_t *data;
	struct err e = { 0 };
	struct over over = { 0 };
	size_t have;
	int rc = 0;

	while (rc >= 0 && (have = io_stream_peek(s, &data)) > 0) {
		rc = buf_append(&run->control, data, have);
		io_stream_consume(vm->env->io, s, have);
		while (rc >= 0 && (rc = take_answer(vm, &over, &e)) > 0)
			;
	}
	if (rc < 0)
		LOG_WARN(&vm->actor.log, NULL, "vmm.protocol", K("rc", rc), K("why", e.text));
	if (rc < 0 || s->eof || s->error) {
		io_stream_close(vm->env->io, s, 0);
		over.power = true;
	}
	/* A plan may end here: nothing may follow. */
	if (over.power && vm_powering_off(vm))
		plan_event(&run->plan, 0);
	else if (over.limits)
		vm_limits_over(vm);
}

void vm_control_drain(struct vm *vm)
{
	if (vm->run->stream_open[VMM_SOCKET_CONTROL] && !vm->run->stream[VMM_SOCKET_CONTROL].closed)
		vm_control_read(vm);
}

/* Another conversation may follow, which begins anew. */
void vm_control_over(struct vm *vm)
{
	static const struct vmm_answer gone = { .event = VMM_EVENT_REPLY,
						.text = "the VMM has hung up" };
	struct vm_run *run = vm->run;
	bool limits = false;

	buf_clear(&run->control);
	for (const struct vm_asked *asked; (asked = oldest(run)) != NULL; forget_oldest(run)) {
		if (asked->call == VMM_CALL_MEMORY)
			tell(vm, asked->who, &gone);
		else if (asked->call == VMM_CALL_LIMIT)
			limits = vm_limits_answered(vm, asked, &gone) || limits;
	}
	if (limits)
		vm_limits_over(vm);
}

/* ---- asking ---- */

static bool is_open(const struct vm_run *run)
{
	return run->stream_open[VMM_SOCKET_CONTROL] && !run->stream[VMM_SOCKET_CONTROL].closed;
}

/* `limits` of VMM_CALL_LIMIT alone. */
static int ask(struct vm *vm, const struct vm_asked *asked, const struct vmm_limits *limits,
	       uint32_t most)
{
	struct vm_run *run = vm->run;
	struct io_stream *s = &run->stream[VMM_SOCKET_CONTROL];

	if (!is_open(run))
		return -ENOTCONN;
	if (run->nasked >= most)
		return -EBUSY;
	const uint32_t id = ++run->control_id;
	const int rc = limits ? vm->driver->limit(asked->device, limits, id, io_stream_out(s))
			      : vm->driver->call(asked->call, id, io_stream_out(s));
	if (rc < 0)
		return rc;
	note(run, asked);
	io_stream_flush(vm->env->io, s);
	return 0;
}

int vm_control_call(struct vm *vm, enum vmm_call call)
{
	return ask(vm, &(struct vm_asked){ .call = call }, NULL, CONTROL_ASKED_MAX);
}

int vm_control_ask_memory(struct vm *vm, struct actor_id who)
{
	return ask(vm, &(struct vm_asked){ .call = VMM_CALL_MEMORY, .who = who }, NULL,
		   CONTROL_ASKED_MAX - CONTROL_ASKED_OURS);
}

int vm_control_limit(struct vm *vm, enum vmm_limited device, const struct vmm_limits *limits)
{
	return ask(vm, &(struct vm_asked){ .call = VMM_CALL_LIMIT, .device = device }, limits,
		   CONTROL_ASKED_MAX);
}
