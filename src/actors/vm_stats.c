/* vm_stats.c - what a VM uses of this host, and its guest of what it was given.
 *
 *   question to the agent, where one may answer in time  ->  to the VMM, likewise  ->  /proc, on a
 *   worker thread  ->  reply
 *
 * A guest or a VMM that does not answer is only not known: the host's part comes all the same.
 * From the question to the VMM on it is an actor of its own, which needs nothing of the VM any
 * more: that may go meanwhile.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "actors/files.h"
#include "actors/limits.h"
#include "actors/vm.h"
#include "base/text.h"

struct reading {
	struct actor actor;
	struct env *env; /* borrowed */
	struct io_op work;
	struct io_timer late; /* the VMM's answer is not waited for after this */
	struct op *op;        /* owned until it goes home */
	pid_t pid;            /* of the VMM; 0: it has none */
	uint64_t start_ticks;
	struct io_usage usage;
	uint64_t disk_used_bytes;
	char disk[ENV_PATH_MAX];
	struct vm_stats result;
};

static int read_usage(void *arg, const bool *cancelled)
{
	struct reading *r = arg;

	(void)cancelled; /* short: it runs to its end */
	r->disk_used_bytes = files_disk_bytes(r->disk);
	return r->pid > 0 ? io_usage(r->env->io, r->pid, r->start_ticks, &r->usage) : 0;
}

static void answer(struct reading *r, int rc)
{
	struct vm_stats *s = &r->result;

	s->sampled_us = r->usage.sampled_us ? r->usage.sampled_us : io_now_us(r->env->io);
	s->cpu_us = r->usage.cpu_us;
	s->rss_bytes = r->usage.rss_bytes;
	s->pss_bytes = r->usage.pss_bytes;
	s->read_bytes = r->usage.read_bytes;
	s->write_bytes = r->usage.write_bytes;
	s->disk_used_bytes = r->disk_used_bytes;
	if (rc == -ECANCELED)
		op_refuse(r->env, r->op, ERR_CANCELLED, "cancelled");
	else if (rc == -ESRCH)
		op_refuse(r->env, r->op, ERR_VM_STATE, "vm %s has just ended", s->name);
	else if (rc < 0)
		op_refuse(r->env, r->op, ERR_HOST_IO, "vm %s: /proc/%d: %s", s->name, r->pid,
			  err_sys_text(-rc));
	else
		op_done(r->env, r->op, &vm_stats_schema, s);
}

static void read_begin(struct reading *r)
{
	io_timer_cancel(r->env->io, &r->late);
	io_work(r->env->io, &r->work, IO_LANE_ANY, read_usage, r);
}

static void end(struct reading *r, int rc)
{
	answer(r, rc);
	io_timer_cancel(r->env->io, &r->late);
	actor_fini(&r->actor);
	free(r);
}

static void vmm_said(struct reading *r, const struct vmm_answer *a)
{
	struct vm_balloon *b = &r->result.balloon;
	uint64_t *const parts[] = {
		[VMM_MEMORY_TOTAL] = &b->memory_bytes,
		[VMM_MEMORY_FREE] = &b->free_bytes,
		[VMM_MEMORY_AVAILABLE] = &b->available_bytes,
		[VMM_MEMORY_CACHE] = &b->cache_bytes,
		[VMM_MEMORY_SWAPPED_IN] = &b->swapped_in_bytes,
		[VMM_MEMORY_SWAPPED_OUT] = &b->swapped_out_bytes,
		[VMM_MEMORY_MAJOR_FAULTS] = &b->major_faults,
		[VMM_MEMORY_MINOR_FAULTS] = &b->minor_faults,
	};
	static_assert(ARRAY_LEN(parts) == VMM_NMEMORY, "each part has its place");

	r->result.balloon_known = a->memory.known != 0;
	for (size_t i = 0; i < VMM_NMEMORY; i++)
		*parts[i] = a->memory.parts[i];
	if (a->memory.known == 0)
		TEXT_SET(r->result.balloon_error, a->ok ? "the guest has no driver for its "
							  "balloon, or it has said nothing yet"
							: a->text);
}

/* What the VMM says too late is of no use any more. */
static void handle(struct actor *a, struct msg *m)
{
	struct reading *r = container_of(a, struct reading, actor);
	const bool asks = !r->work.armed;

	if (m->type == MSG_IO) {
		end(r, m->res);
	} else if (m->type == MSG_CANCEL && asks) {
		end(r, -ECANCELED);
	} else if (m->type == MSG_CANCEL) {
		io_cancel(r->env->io, &r->work);
	} else if (m->type == MSG_VMM_SAID) {
		if (asks)
			vmm_said(r, &container_of(m, struct vmm_said_msg, msg)->answer);
		if (asks)
			read_begin(r);
		msg_free(m);
	} else if (m->type == MSG_TIMER && asks) {
		TEXT_SET(r->result.balloon_error, "the VMM does not answer");
		read_begin(r);
	}
}

static void ask_vmm(struct vm *vm, struct reading *r)
{
	const int rc = vm_control_ask_memory(vm, r->actor.id);

	if (rc == 0) {
		io_timer_set(vm->env->io, &r->late, CONTROL_ASK_MS, 0);
		return;
	}
	if (rc == -ENOTCONN && !vm_has_agent(vm))
		TEXT_SET(r->result.balloon_error, "the guest has no balloon");
	else if (rc == -ENOTCONN)
		TEXT_SET(r->result.balloon_error, "the VMM is not connected to");
	else
		TEXT_SET(r->result.balloon_error, "the VMM does not answer those who asked before");
	read_begin(r);
}

void vm_stats_read(struct vm *vm, struct op *op, const struct guest_stats *guest,
		   const struct err *why)
{
	struct reading *r = calloc(1, sizeof(*r));

	if (!r || actor_init(&r->actor, vm->env->actors, handle) < 0) {
		free(r);
		op_refuse(vm->env, op, ERR_HOST_MEMORY, "stats");
		return;
	}
	(void)snprintf(r->actor.log.actor, sizeof(r->actor.log.actor), "stats");
	r->env = vm->env;
	r->op = op;
	op->at = r->actor.id; /* a cancel goes there now */
	r->pid = (pid_t)vm->run->res.pid;
	r->start_ticks = vm->run->res.start_ticks;
	vm_disk_path(vm, r->disk);
	r->result = (struct vm_stats){
		.id = vm->rec.id,
		.pid = vm->run->res.pid,
		.started_ms = vm->rec.started_ms,
		.vcpu = vm->rec.spec.vcpu,
		.memory_bytes = vm->rec.spec.memory_bytes,
		.disk_bytes = vm->rec.spec.disk_bytes,
		.guest_known = guest != NULL,
	};
	(void)snprintf(r->result.name, sizeof(r->result.name), "%s", vm->rec.spec.name);
	if (guest)
		r->result.guest = *guest;
	if (why)
		(void)snprintf(r->result.guest_error, sizeof(r->result.guest_error), "%s",
			       why->text);
	io_op_init(&r->work, &r->actor, MSG_IO);
	io_timer_init(&r->late, &r->actor, MSG_TIMER);
	ask_vmm(vm, r);
}
