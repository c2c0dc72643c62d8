/* vm.c - the VM's mailbox: what is asked of it, in order, and what happens to it. */
#include "actors/vm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/limits.h"
#include "base/cleanup.h"
#include "base/text.h"

/* clang-format off */
const struct fsm_state vm_states[VM_NSTATES] = {
	[VM_CREATING] = { "creating", BIT(VM_CREATED) | BIT(VM_DELETING),
			  0 },
	[VM_CREATED]  = { "created",  BIT(VM_STARTING) | BIT(VM_DELETING),
			  BIT(VERB_START) | BIT(VERB_STOP) | BIT(VERB_RESTART) | BIT(VERB_SET) | BIT(VERB_DELETE) },
	[VM_STARTING] = { "starting", BIT(VM_RUNNING) | BIT(VM_CREATED) | BIT(VM_STOPPED) | BIT(VM_FAILED),
			  0 },
	[VM_RUNNING]  = { "running",  BIT(VM_STOPPING),
			  BIT(VERB_START) | BIT(VERB_STOP) | BIT(VERB_RESTART) | BIT(VERB_KILL) |
			  BIT(VERB_SET) | BIT(VERB_DELETE) | BIT(VERB_EXEC) },
	[VM_STOPPING] = { "stopping", BIT(VM_STOPPED) | BIT(VM_FAILED),
			  0 },
	[VM_STOPPED]  = { "stopped",  BIT(VM_STARTING) | BIT(VM_DELETING),
			  BIT(VERB_START) | BIT(VERB_STOP) | BIT(VERB_RESTART) | BIT(VERB_SET) | BIT(VERB_DELETE) },
	[VM_FAILED]   = { "failed",   BIT(VM_STARTING) | BIT(VM_STOPPING) | BIT(VM_DELETING),
			  BIT(VERB_START) | BIT(VERB_STOP) | BIT(VERB_RESTART) | BIT(VERB_SET) | BIT(VERB_DELETE) },
	[VM_DELETING] = { "deleting", BIT(VM_CREATED) | BIT(VM_STOPPED) | BIT(VM_FAILED),
			  BIT(VERB_DELETE) },
};
/* clang-format on */

int vm_state_by_name(const char *name)
{
	for (int i = 0; i < VM_NSTATES; i++)
		if (strcmp(vm_states[i].name, name) == 0)
			return i;
	return -EINVAL;
}

bool vm_at_rest(enum vm_state s)
{
	return (BIT(s) & (BIT(VM_CREATED) | BIT(VM_STOPPED) | BIT(VM_FAILED))) != 0;
}

bool vm_at_work(enum vm_state s)
{
	return (BIT(s) & (BIT(VM_STARTING) | BIT(VM_RUNNING) | BIT(VM_STOPPING))) != 0;
}

struct vm *vm_of(struct plan *p)
{
	return container_of(p, struct vm_run, plan)->vm;
}

bool vm_is_system(const struct vm *vm)
{
	return vm->rec.address[0] != '\0';
}

bool vm_runs(const struct vm *vm)
{
	return vm_state(vm) == VM_RUNNING;
}

/* ---- names ---- */

void vm_state_path(const struct vm *vm, const char *file, char out[ENV_PATH_MAX])
{
	char id[VM_ID_CHARS + 1];

	vm_id_text(vm->rec.id, id);
	(void)snprintf(out, ENV_PATH_MAX, "%.900s/vms/%s%s%.64s", vm->env->conf.state_dir, id,
		       *file ? "/" : "", file);
}

bool vm_has_upper(const struct vm *vm)
{
	return !vm_is_system(vm) && vm->driver->disk_format &&
	       strcmp(vm->driver->disk_format, "raw") == 0;
}

bool vm_has_snapshot(const struct vm *vm)
{
	return vm_is_system(vm) && vm->rec.spec.disk_bytes > 0 && !vm->rec.disk[0];
}

void vm_disk_path(const struct vm *vm, char out[ENV_PATH_MAX])
{
	const char *file = vm_has_upper(vm)      ? VM_FILE_UPPER
			   : vm_has_snapshot(vm) ? VM_FILE_COW
			   : vm_is_system(vm)    ? VM_FILE_RAW
						 : VM_FILE_DISK;

	vm_state_path(vm, file, out);
}

void vm_runtime_path(const struct vm *vm, const char *file, char out[ENV_PATH_MAX])
{
	char id[VM_ID_CHARS + 1];

	vm_id_text(vm->rec.id, id);
	(void)snprintf(out, ENV_PATH_MAX, "%.900s/%s/%s%s%.64s",
		       vm_is_system(vm) ? vm->env->conf.state_dir : vm->env->conf.runtime_dir,
		       vm_is_system(vm) ? "jails" : "vm", id, *file ? "/" : "", file);
}

/* ---- the store ---- */

static void record_key(vm_id id, uint8_t key[8])
{
	for (int i = 0; i < 8; i++)
		key[i] = (uint8_t)(id >> (56 - 8 * i));
}

int vm_put(struct vm *vm, enum vm_state state)
{
	uint8_t key[8];

	vm->rec.state = state;
	record_key(vm->rec.id, key);
	return db_put(vm->env->db, STORE_VMS, key, sizeof(key), &vm_record_schema, &vm->rec);
}

int vm_put_resources(struct vm *vm)
{
	uint8_t key[8];

	vm->run->res.version = RECORD_VERSION;
	record_key(vm->rec.id, key);
	return db_put(vm->env->db, STORE_RESOURCES, key, sizeof(key), &vm_resources_schema,
		      &vm->run->res);
}

int vm_del_resources(struct vm *vm)
{
	uint8_t key[8];

	record_key(vm->rec.id, key);
	return db_del(vm->env->db, STORE_RESOURCES, key, sizeof(key));
}

int vm_del_record(struct vm *vm)
{
	uint8_t key[8];

	record_key(vm->rec.id, key);
	return db_del(vm->env->db, STORE_VMS, key, sizeof(key));
}

int vm_commit(struct vm *vm, struct plan *p)
{
	db_wait(vm->env->db, &vm->run->commit, p->token);
	return STEP_WAIT_OP;
}

int vm_committed(struct plan *p, struct msg *m, struct err *e)
{
	if (m->res < 0)
		*e = vm_of(p)->run->commit.err;
	return m->res < 0 ? m->res : STEP_DONE;
}

/* ---- work that may block ---- */

int vm_work(struct plan *p, enum io_lane lane, io_work_fn *fn)
{
	struct vm *vm = vm_of(p);

	vm->run->work_err = (struct err){ 0 };
	io_work(vm->env->io, &p->op, lane, fn, vm->run);
	return STEP_WAIT_OP;
}

int vm_worked(struct plan *p, struct msg *m, struct err *e)
{
	if (m->res < 0)
		*e = vm_of(p)->run->work_err;
	return m->res < 0 ? m->res : STEP_DONE;
}

/* ---- life of the struct ---- */

static void vm_handle(struct actor *a, struct msg *m);

int vm_create(struct env *env, struct vm_record *rec, struct vm **ret_vm)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return -ENOMEM;
	const int rc = actor_init(&vm->actor, env->actors, vm_handle);
	if (rc < 0) {
		free(vm);
		return rc;
	}
	vm->env = env;
	vm->rec = *rec;
	*rec = (struct vm_record){ 0 };
	vm->driver = vmm_find(vm->rec.spec.vmm);
	if (!vm->driver)
		vm->driver = &vmm_qemu;
	vm->fsm = (struct fsm){ .states = vm_states, .now = vm->rec.state };
	list_init(&vm->tasks);
	list_init(&vm->waiters);
	io_timer_init(&vm->retry, &vm->actor, MSG_TIMER);
	(void)snprintf(vm->actor.log.actor, sizeof(vm->actor.log.actor), "vm/%s",
		       vm->rec.spec.name);
	*ret_vm = vm;
	return 0;
}

void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	actor_drain(&vm->actor); /* who asked too late is told so */
	ASSERT(!vm->run);
	ASSERT(!vm->task);
	ASSERT(list_empty(&vm->tasks));
	ASSERT(list_empty(&vm->waiters));
	io_timer_cancel(vm->env->io, &vm->retry);
	if (vm_is_system(vm) && vm->env->system)
		system_give_slot(vm->env->system, &vm->rec);
	schema_fini(&vm_record_schema, &vm->rec);
	actor_fini(&vm->actor);
	free(vm);
}

struct vm_run *vm_run_begin(struct vm *vm)
{
	if (vm->run)
		return vm->run;
	struct vm_run *run = calloc(1, sizeof(*run));
	if (!run)
		return NULL;
	vm->run = run;
	run->vm = vm;
	plan_init(&run->plan, vm->env->io, &vm->actor, &vm_plan_ops);
	db_wait_init(&run->commit, &vm->actor);
	accel_wait_init(&run->accel, &vm->actor, MSG_PLAN_IO);
	gate_wait_init(&run->gate, &vm->actor);
	guest_link_init(&run->link, vm->env, &vm->actor, &vm_link_ops);
	list_init(&run->early);
	io_timer_init(&run->early_over, &vm->actor, MSG_TIMER);
	io_timer_init(&run->console_again, &vm->actor, MSG_TIMER);
	buf_init(&run->console, BOOT_LINE_MAX);
	buf_init(&run->control, VMM_ANSWER_MAX);
	io_op_init(&run->exit, &vm->actor, MSG_EXIT);
	vm_net_init(&run->net, &vm->actor);
	for (int i = 0; i < VMM_NSOCKETS; i++)
		run->listen_fd[i] = -EBADF;
	run->cgroup_fd = -EBADF;
	run->log_fd = -EBADF;
	run->in_fd = -EBADF;
	run->out_fd = -EBADF;
	io_op_init(&run->dial, &vm->actor, MSG_DIALED);
	io_timer_init(&run->ring_pause, &vm->actor, MSG_TIMER);
	io_timer_init(&run->redial, &vm->actor, MSG_TIMER);
	buf_init(&run->config, VMM_CONFIG_MAX);
	run->pidfd = -EBADF;
	return run;
}

void vm_run_end(struct vm *vm)
{
	struct vm_run *run = take_ptr(&vm->run);

	if (!run)
		return;
	ASSERT(!plan_busy(&run->plan));
	ASSERT(!run->plan.op.armed);
	ASSERT(!run->commit.armed);
	ASSERT(!run->exit.armed);
	ASSERT(run->pidfd < 0);
	ASSERT(!run->rings_open);
	ASSERT(!io_op_busy(&run->dial));
	io_timer_cancel(vm->env->io, &run->plan.timer);
	io_timer_cancel(vm->env->io, &run->ring_pause);
	io_timer_cancel(vm->env->io, &run->redial);
	io_timer_cancel(vm->env->io, &run->console_again);
	accel_forget(&run->accel);
	gate_give(&vm->env->gate, &run->gate);
	guest_link_fini(&run->link);
	vm_net_fini(&run->net);
	ASSERT(list_empty(&run->early));
	buf_fini(&run->console);
	buf_fini(&run->control);
	buf_fini(&run->config);
	strv_fini(&run->argv);
	strv_fini(&run->envp);
	free(run->work_backing);
	free(run);
}

/* ---- tasks ---- */

static void task_reply(struct vm *vm, struct task *t, const struct err *e)
{
	if (e)
		t->err = *e;
	TEXT_SET(t->state, vm->gone ? "gone" : fsm_name(&vm->fsm));
	t->ended_us = io_now_us(vm->env->io);
	t->msg.type = MSG_TASK_DONE;
	actor_post(vm->env->actors, vm->env->node, &t->msg);
}

/* Whether the wait is over; *e says why where it was in vain. */
static bool wait_over(const struct vm *vm, const struct task *t, struct err *e)
{
	if (vm->gone && !t->want_gone)
		err_set(e, ERR_VM_NOT_FOUND, "the VM was deleted meanwhile");
	if (vm->gone)
		return true;
	if (t->want_any_end)
		return vm_state(vm) == VM_STOPPED || vm_state(vm) == VM_FAILED ||
		       vm_state(vm) == VM_CREATED;
	return !t->want_gone && vm->fsm.now == t->want_state;
}

static void wake_waiters(struct vm *vm)
{
	list_for_each_safe (n, &vm->waiters) {
		struct task *t = list_entry(n, struct task, link);
		struct err e = { 0 };

		if (!wait_over(vm, t, &e))
			continue;
		list_remove(n);
		vm->nwaiters--;
		task_reply(vm, t, &e);
	}
}

/* Who waits for a certain state gets it, however short it is; who waits for one that runs hears
 * that it is not going to. */
static void tell_waiters(struct vm *vm)
{
	list_for_each_safe (n, &vm->waiters) {
		struct task *t = list_entry(n, struct task, link);
		struct err e = { 0 };

		if (t->want_any_end || t->want_gone)
			continue;
		if (vm->fsm.now == VM_FAILED && t->want_state == VM_RUNNING)
			err_set(&e, ERR_VM_STATE, "the VM failed: %.200s", vm->rec.failure);
		else if (vm->fsm.now != t->want_state)
			continue;
		list_remove(n);
		vm->nwaiters--;
		task_reply(vm, t, &e);
	}
}

void vm_move(struct vm *vm, enum vm_state to)
{
	const struct op_id *op_id = vm->task ? &vm->task->op->id : NULL;
	const char *from = fsm_name(&vm->fsm);

	fsm_move(&vm->fsm, to);
	LOG_INFO(&vm->actor.log, op_id, "vm.state", K("from", from), K("to", fsm_name(&vm->fsm)));
	/* For those who watch, as far as memory goes. */
	IGNORE(post_vm_changed(vm->env->actors, vm->env->node, vm->rec.id, vm->rec.spec.name, to,
			       op_id) < 0);
	tell_waiters(vm);
}

void vm_task_done(struct vm *vm, const struct err *e)
{
	struct task *t = take_ptr(&vm->task);

	if (t && vm->run) {
		const struct plan *p = &vm->run->plan;

		if (e && e->code && p->failed_step)
			TEXT_SET(t->step, p->failed_step);
	}
	if (t)
		task_reply(vm, t, e && e->code ? e : NULL);
	wake_waiters(vm);
}

bool vm_is_asked(const struct vm *vm)
{
	return vm->task || vm->ntasks > 0;
}

static bool vm_busy(const struct vm *vm)
{
	return vm->task || (vm->run && plan_busy(&vm->run->plan));
}

static void refuse(struct vm *vm, enum err_code code, const char *what)
{
	struct err e = { 0 };

	err_set(&e, code, "%s", what);
	vm_task_done(vm, &e);
	vm_next_task(vm);
}

void vm_out_of_memory(struct vm *vm)
{
	refuse(vm, ERR_HOST_MEMORY, "vm: what a plan needs");
}

static void kill_task(struct vm *vm, struct task *t)
{
	const int signo = t->signo ? (int)t->signo : SIGKILL;
	struct err e = { 0 };

	if (signo == SIGKILL) {
		vm_move(vm, VM_STOPPING);
		vm_unwind(vm, VM_STOPPED);
		return;
	}
	if (vm_is_system(vm)) {
		vm_signal_begin(vm);
		return;
	}
	const int rc = io_kill(vm->env->io, vm->run->pidfd, signo);
	if (rc < 0)
		err_num(&e, ERR_VMM_EXIT, rc, "kill: signal %d", signo);
	vm_task_done(vm, &e);
	vm_next_task(vm);
}

static void run_task(struct vm *vm, struct task *t)
{
	const enum vm_state now = vm_state(vm);
	char text[64];

	vm->task = t;
	if (io_now_us(vm->env->io) > t->arrived_us)
		op_step_waited(vm->env, t->op, vm->rec.id, "queue", t->arrived_us);
	if (t->cancelled) {
		vm->gone = t->verb == VERB_CREATE; /* it was a name, no more */
		refuse(vm, ERR_CANCELLED, "cancelled before it began");
		return;
	}
	if ((t->verb != VERB_CREATE && !fsm_accepts(&vm->fsm, t->verb)) ||
	    (t->stopped_only && now == VM_RUNNING)) {
		(void)snprintf(text, sizeof(text), "the VM is %s", fsm_name(&vm->fsm));
		refuse(vm, ERR_VM_STATE, text);
		return;
	}
	if (now == VM_FAILED && vm->leaks > 0 &&
	    t->verb != VERB_SET) { /* first that, then what is asked */
		vm_unwind(vm, VM_FAILED);
		return;
	}
	switch (t->verb) {
	case VERB_CREATE:
		vm_create_begin(vm);
		return;
	case VERB_START:
		if (now == VM_RUNNING)
			break; /* as asked already */
		vm_start_begin(vm);
		return;
	case VERB_STOP:
		if (now != VM_RUNNING)
			break;
		vm_stop_begin(vm);
		return;
	case VERB_RESTART:
		if (now == VM_RUNNING)
			vm_stop_begin(vm);
		else
			vm_start_begin(vm);
		return;
	case VERB_KILL:
		kill_task(vm, t);
		return;
	case VERB_SET:
		vm_set_begin(vm);
		return;
	case VERB_DELETE:
		if (now == VM_RUNNING)
			vm_stop_begin(vm);
		else
			vm_delete_begin(vm);
		return;
	case VERB_WAIT:
	case VERB_EXEC:
	case VERB_NVERBS:
		ASSERT(!"waiters and commands are no tasks in turn");
	}
	vm_task_done(vm, NULL);
	vm_next_task(vm);
}

/* The node frees us on it. */
static void vm_say_last_word(struct vm *vm)
{
	struct vm_changed_msg *m = &vm->last_word;

	if (m->gone)
		return;
	m->msg.type = MSG_VM_CHANGED;
	m->vm = vm->rec.id;
	m->gone = true;
	TEXT_SET(m->name, vm->rec.spec.name);
	actor_post(vm->env->actors, vm->env->node, &m->msg);
}

void vm_next_task(struct vm *vm)
{
	struct list_node *n;

	if (vm_busy(vm))
		return;
	if (vm->gone) {
		const struct err gone = { .code = ERR_VM_NOT_FOUND, .text = "the VM is deleted" };

		while ((n = list_pop(&vm->tasks)) != NULL)
			task_reply(vm, list_entry(n, struct task, link), &gone);
		wake_waiters(vm);
		vm_say_last_word(vm);
		return;
	}
	n = list_pop(&vm->tasks);
	if (!n)
		return;
	vm->ntasks--;
	run_task(vm, list_entry(n, struct task, link));
}

static void task_arrived(struct vm *vm, struct task *t)
{
	struct err e = { 0 };

	if (vm->gone) {
		err_set(&e, ERR_VM_NOT_FOUND, "the VM is deleted");
		task_reply(vm, t, &e);
		return;
	}
	const bool waits = t->verb == VERB_WAIT;
	const uint32_t max = waits ? WAITERS_MAX : TASK_QUEUE_MAX;

	if ((waits ? vm->nwaiters : vm->ntasks) >= max) {
		err_set(&e, ERR_BUSY, "%u requests wait for this VM already", max);
		task_reply(vm, t, &e);
		return;
	}
	if (waits) {
		list_append(&vm->waiters, &t->link);
		vm->nwaiters++;
		wake_waiters(vm);
		return;
	}
	/* Who wants it stopped does not want to wait until it is up. */
	if (vm_state(vm) == VM_STARTING && !t->stopped_only &&
	    (t->verb == VERB_STOP || t->verb == VERB_KILL || t->verb == VERB_DELETE)) {
		err_set(&e, ERR_CANCELLED, "stopped while it was starting");
		plan_abort(&vm->run->plan, &e);
		if (t->verb == VERB_KILL)
			t->verb = VERB_STOP;
	}
	t->arrived_us = io_now_us(vm->env->io);
	list_append(&vm->tasks, &t->link);
	vm->ntasks++;
	vm_next_task(vm);
}

static bool cancel_queued(struct vm *vm, struct list *l, uint64_t serial)
{
	const struct err e = { .code = ERR_CANCELLED, .text = "cancelled before it began" };

	list_for_each (n, l) {
		struct task *t = list_entry(n, struct task, link);

		if (t->op->serial == serial) {
			list_remove(n);
			if (l == &vm->tasks)
				vm->ntasks--;
			else
				vm->nwaiters--;
			task_reply(vm, t, &e);
			return true;
		}
	}
	return false;
}

/* Cancelled means undone: a start goes back; a stop or delete that has begun goes on to its end. */
static void cancelled(struct vm *vm, uint64_t serial)
{
	const struct err e = { .code = ERR_CANCELLED, .text = "cancelled" };

	if (vm_exec_cancel(vm, serial) || cancel_queued(vm, &vm->tasks, serial) ||
	    cancel_queued(vm, &vm->waiters, serial))
		return;
	if (vm->task && vm->task->op->serial == serial && vm->run) {
		vm->task->cancelled = true;
		if (vm_state(vm) == VM_STARTING || vm_state(vm) == VM_CREATING)
			plan_abort(&vm->run->plan, &e);
	}
}

/* ---- mailbox ---- */

static void timer_fired(struct vm *vm, struct msg *m)
{
	const struct err silent = { .code = ERR_GUEST_GONE,
				    .text = "the guest's agent does not answer" };

	if (m == &vm->retry.msg) {
		if (vm_busy(vm)) /* a set may be under way, which leaves it all as it is */
			io_timer_set(vm->env->io, &vm->retry, vm->retry_ms, 0);
		else
			vm_retry(vm);
	} else if (vm->run && m == &vm->run->early_over.msg) {
		vm_exec_refuse(vm, &silent);
	} else if (vm->run && m == &vm->run->console_again.msg) {
		vm_console_again(vm);
	} else if (vm->run && !vm_net_timer(vm, m) && !vm_own_timer(vm, m)) {
		guest_link_timer(&vm->run->link, m);
	}
}

static void vm_handle(struct actor *a, struct msg *m)
{
	struct vm *vm = container_of(a, struct vm, actor);

	switch ((enum msg_type)m->type) {
	case MSG_TASK:
		task_arrived(vm, container_of(m, struct task, msg));
		break;
	case MSG_OP:
		vm_exec(vm, container_of(m, struct op, msg));
		break;
	case MSG_CHUNK:
		vm_exec_chunk(vm, container_of(m, struct chunk_msg, msg));
		break;
	case MSG_CANCEL:
		cancelled(vm, container_of(m, struct serial_msg, msg)->serial);
		break;
	case MSG_PLAN_IO:
	case MSG_PLAN_TIMER:
	case MSG_COMMITTED:
		if (vm->run)
			plan_deliver(&vm->run->plan, m);
		break;
	case MSG_EXIT:
		vm_exited(vm);
		break;
	case MSG_NET:
		vm_net_answered(vm, m);
		break;
	case MSG_NET_EXIT:
		vm_net_exited(vm);
		break;
	case MSG_CONSOLE:
		vm_stream_event(vm, VMM_SOCKET_CONSOLE);
		break;
	case MSG_AGENT:
		vm_stream_event(vm, VMM_SOCKET_AGENT);
		break;
	case MSG_CONTROL:
		vm_stream_event(vm, VMM_SOCKET_CONTROL);
		break;
	case MSG_RINGS:
		vm_own_rings(vm);
		break;
	case MSG_DIALED:
		vm_own_dialed(vm, m->res);
		break;
	case MSG_JAIL_DIALED:
		if (vm->run)
			vm_jail_dialed(vm, container_of(m, struct helper_answer, msg));
		helper_answer_free(container_of(m, struct helper_answer, msg));
		break;
	case MSG_TIMER:
		timer_fired(vm, m);
		break;
	case MSG_HELPER:
		if (vm->run)
			plan_deliver(&vm->run->plan, m);
		helper_answer_free(container_of(m, struct helper_answer, msg));
		break;
	case MSG_NONE:
	case MSG_HELPER_UP:
	case MSG_VMM_SAID:
	case MSG_OP_DONE:
	case MSG_TASK_DONE:
	case MSG_EVENT:
	case MSG_CLIENT_GONE:
	case MSG_VM_CHANGED:
	case MSG_JOB_DONE:
	case MSG_IO:
	case MSG_LISTENER:
	case MSG_STREAM:
	case MSG_ACCEL:
	case MSG_ACCEL_KNOWN:
	case MSG_SYSTEM:
	case MSG_DB_FLUSH:
	case MSG_DB_DONE:
	case MSG_NTYPES:
		ASSERT(!"no message for a VM");
	}
}

/* ---- a look from outside ---- */

void vm_view_fill(const struct vm *vm, struct vm_view *ret_view)
{
	struct vm_view *v = ret_view;

	*v = (struct vm_view){
		.id = vm->rec.id,
		.spec = vm->rec.spec,
		.created_ms = vm->rec.created_ms,
		.exit_status = vm->rec.exit_status,
	};
	TEXT_SET(v->state, fsm_name(&vm->fsm));
	TEXT_SET(v->vmm, vm->driver->name);
	TEXT_SET(v->failure, vm->rec.failure);
	TEXT_SET(v->address, vm->rec.address);
	if (vm->driver->program) {
		vm_state_path(vm, VM_FILE_CONSOLE, v->console_log);
		if (vm_at_work(vm_state(vm)))
			vm_runtime_path(vm, VM_FILE_LOG, v->vmm_log);
		else
			vm_state_path(vm, VM_FILE_LOG, v->vmm_log);
	}
	if (!vm_runs(vm))
		return;
	v->started_ms = vm->rec.started_ms;
	v->pid = vm->run->res.pid;
	TEXT_SET(v->boot_id, vm->rec.boot_id);
	TEXT_SET(v->accel, vm->rec.accel);
}
