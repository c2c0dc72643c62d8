/* vm_stats.c - what a VM uses of this host, and its guest of what it was given.
 *
 *   question to the agent, where one may answer in time  ->  /proc, on a worker thread  ->  reply
 *
 * A guest that does not answer is only not known: the host's part comes all the same.  Reading is
 * an actor of its own, which needs nothing of the VM any more: that may go meanwhile.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "actors/files.h"
#include "actors/vm.h"

struct reading {
	struct actor actor;
	struct env *env; /* borrowed */
	struct io_op work;
	struct op *op; /* owned until it goes home */
	pid_t pid;     /* of the VMM; 0: it has none */
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

static void handle(struct actor *a, struct msg *m)
{
	struct reading *r = container_of(a, struct reading, actor);

	if (m->type == MSG_CANCEL) {
		if (r->work.armed)
			io_cancel(r->env->io, &r->work);
		return;
	}
	answer(r, m->res);
	actor_fini(&r->actor);
	free(r);
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
	io_work(vm->env->io, &r->work, IO_LANE_ANY, read_usage, r);
}
