/* node_vms.c - the registry of VMs, and the tasks that operations become. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "actors/limits.h"
#include "actors/logs.h"
#include "actors/node.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "proto/frame.h"

static_assert((int)RESULT_BYTES_MAX < FRAME_MAX, "a reply is one frame");
static_assert((int)TARGETS_MAX * TARGET_ROW_BYTES < RESULT_BYTES_MAX, "its rows fit");
static_assert((int)COUNT_MAX <= TARGETS_MAX, "as many as one request may make");

/* ---- registry ---- */

struct vm *node_vm(const struct node *n, vm_id id)
{
	for (struct map_node *m = map_find(&n->vms_by_id, map_hash_u64(id)); m;
	     m = map_find_next(m)) {
		struct vm *vm = container_of(m, struct vm, by_id);

		if (vm->rec.id == id)
			return vm;
	}
	return NULL;
}

struct vm *node_vm_by_name(const struct node *n, const char *name)
{
	for (struct map_node *m = map_find(&n->vms_by_name, map_hash_str(name)); m;
	     m = map_find_next(m)) {
		struct vm *vm = container_of(m, struct vm, by_name);

		if (strcmp(vm->rec.spec.name, name) == 0)
			return vm;
	}
	return NULL;
}

int node_find(struct node *n, const char *ref, struct vm **ret_vm, struct err *e)
{
	struct vm *vm = node_vm_by_name(n, ref);
	const size_t len = strlen(ref);
	char id[VM_ID_CHARS + 1];
	vm_id exact;

	if (!vm && vm_id_parse(ref, &exact) == 0)
		vm = node_vm(n, exact);
	if (!vm && len < VM_ID_CHARS) {
		list_for_each (l, &n->vms) {
			struct vm *at = list_entry(l, struct vm, link);

			vm_id_text(at->rec.id, id);
			if (strncmp(id, ref, len) != 0)
				continue;
			if (vm)
				return err_set(e, ERR_VM_AMBIGUOUS, "\"%s\" matches %s and %s", ref,
					       vm->rec.spec.name, at->rec.spec.name);
			vm = at;
		}
	}
	if (!vm)
		return err_set(e, ERR_VM_NOT_FOUND, "no VM is called \"%s\"", ref);
	*ret_vm = vm;
	return 0;
}

int node_add_vm(struct node *n, struct vm *vm)
{
	if (map_insert(&n->vms_by_id, &vm->by_id, map_hash_u64(vm->rec.id)) < 0)
		return -ENOMEM;
	if (map_insert(&n->vms_by_name, &vm->by_name, map_hash_str(vm->rec.spec.name)) < 0) {
		map_remove(&n->vms_by_id, &vm->by_id);
		return -ENOMEM;
	}
	list_append(&n->vms, &vm->link);
	vm->serial = ++n->serials;
	n->nvms++;
	return 0;
}

static void forget_vm(struct node *n, struct vm *vm)
{
	map_remove(&n->vms_by_id, &vm->by_id);
	map_remove(&n->vms_by_name, &vm->by_name);
	list_remove(&vm->link);
	n->nvms--;
	vm_destroy(vm);
}

bool node_labels_match(const struct strv *want, const struct strv *have)
{
	for (uint32_t i = 0; i < want->n; i++) {
		bool found = false;

		for (uint32_t k = 0; k < have->n && !found; k++)
			found = strcmp(want->v[i], have->v[k]) == 0;
		if (!found)
			return false;
	}
	return true;
}

/* ---- changes ---- */

void node_vm_changed(struct node *n, struct vm_changed_msg *m)
{
	struct vm *vm = node_vm(n, m->vm);
	const bool gone = m->gone;

	if (!gone && vm_at_work(m->state))
		logs_look_after(n->logs);
	node_event_vm(n, vm, m);
	msg_free(&m->msg);
	if (gone && vm) {
		const vm_id id = vm->rec.id;

		forget_vm(n, vm); /* the message is its own */
		node_create_rest(n, id);
	}
}

/* ---- fleets ---- */

int node_fleet_make(struct node *n, struct op *op, uint32_t count)
{
	struct fleet *f;

	if (op->client.gen != 0 && n->env->ntasks + count > TASKS_MAX)
		return op_refuse(n->env, op, ERR_BUSY, "%u VMs are being worked on already",
				 n->env->ntasks);
	f = calloc(1, sizeof(*f));
	if (f)
		f->tasks = calloc(count > 0 ? count : 1, sizeof(*f->tasks));
	if (!f || !f->tasks) {
		free(f);
		return op_refuse(n->env, op, ERR_HOST_MEMORY, "targets");
	}
	n->env->ntasks += count;
	f->n = count;
	f->pending = count;
	for (uint32_t i = 0; i < count; i++) {
		f->tasks[i].op = op;
		f->tasks[i].index = i;
	}
	op->fleet = f;
	op->ntargets = count;
	return 0;
}

static void fleet_free(struct node *n, struct op *op)
{
	struct fleet *f = take_ptr(&op->fleet);

	n->env->ntasks -= f->n;
	for (uint32_t i = 0; i < f->n; i++)
		cancel_fini(&f->tasks[i].cancel);
	free(f->tasks);
	free(f);
}

static uint32_t rows_of(const struct fleet *f)
{
	return f->n < TARGETS_MAX ? f->n : TARGETS_MAX;
}

static void put_failure(struct target_result *row, const struct task *t, uint64_t *room)
{
	const size_t len = sizeof("message") + strlen(t->err.text) + 2;

	TEXT_SET(row->code, err_name(t->err.code));
	TEXT_SET(row->step, t->step);
	if (len > *room)
		return; /* the code says what happened, if not to whom */
	*room -= len;
	TEXT_SET(row->message, t->err.text);
}

static void put_target(const struct op *op, const struct task *t, struct target_result *row,
		       uint64_t *room)
{
	row->id = t->vm;
	TEXT_SET(row->ref, t->ref);
	TEXT_SET(row->name, t->name);
	TEXT_SET(row->state, t->state);
	row->duration_us = t->ended_us > op->admitted_us ? t->ended_us - op->admitted_us : 0;
	row->ready_us = t->ready_us;
	if (t->err.code)
		put_failure(row, t, room);
}

/* One row each, in the order asked, as long as they fit into a reply: TARGETS_MAX rows do, and
 * their messages as far as there is room.  Of more, those that failed come before the others. */
static uint32_t put_targets(const struct op *op, struct target_result *rows)
{
	const struct fleet *f = op->fleet;
	uint32_t bad = f->failed < TARGETS_MAX ? f->failed : TARGETS_MAX;
	uint32_t good = TARGETS_MAX - bad;
	uint64_t room = RESULT_BYTES_MAX - rows_of(f) * (uint64_t)TARGET_ROW_BYTES;
	uint32_t n = 0;

	for (uint32_t i = 0; i < f->n; i++) {
		uint32_t *left = f->tasks[i].err.code ? &bad : &good;

		if (*left > 0) {
			--*left;
			put_target(op, &f->tasks[i], &rows[n++], &room);
		}
	}
	return n;
}

/* The first thing that went wrong, where that is the cancellation of the whole. */
static struct err cancellation(const struct op *op)
{
	const struct fleet *f = op->fleet;
	struct err e = { 0 };
	uint32_t i = 0;

	while (i < f->n && !f->tasks[i].err.code)
		i++;
	if (op->cancelled && i < f->n && f->tasks[i].err.code == ERR_CANCELLED)
		err_set(&e, ERR_CANCELLED, "cancelled: %u of %u undone", f->undone, f->n);
	return e;
}

void node_task_row(const struct node *n, const struct task *t, struct target_result *ret_row)
{
	const struct vm *vm = t->ended_us ? NULL : node_vm(n, t->vm);
	uint64_t room = UINT64_MAX;

	*ret_row = (struct target_result){ 0 };
	put_target(t->op, t, ret_row, &room);
	if (vm)
		TEXT_SET(ret_row->state, fsm_name(&vm->fsm));
}

static void fleet_ended(struct node *n, struct op *op)
{
	const uint32_t count = rows_of(op->fleet);
	struct targets_result r = { .failed = op->fleet->failed };
	struct target_result *rows = calloc(count > 0 ? count : 1, sizeof(*rows));

	if (!rows) {
		fleet_free(n, op);
		op_refuse(n->env, op, ERR_HOST_MEMORY, "result");
		return;
	}
	r.targets = (struct seq){ .items = rows, .n = put_targets(op, rows) };
	r.omitted = op->fleet->n - r.targets.n;
	const struct err over = cancellation(op);
	fleet_free(n, op);
	if (over.code)
		op_fail(n->env, op, &over);
	else
		op_done(n->env, op, &targets_result_schema, &r);
	free(rows);
}

static void progress(struct node *n, const struct task *t)
{
	const struct fleet *f = t->op->fleet;
	struct progress_event ev = {
		.id = t->vm,
		.done = f->n - f->pending,
		.total = f->n,
		.failed = f->failed,
	};

	if (!t->op->progress)
		return;
	TEXT_SET(ev.name, t->name);
	TEXT_SET(ev.stage, !t->err.code                   ? "done"
			   : t->err.code == ERR_CANCELLED ? "undone"
							  : "failed");
	TEXT_SET(ev.message, t->err.text);
	op_progress(n->env, t->op, &ev);
}

void node_task_send(struct node *n, struct task *t, const struct vm *vm)
{
	t->vm = vm->rec.id;
	TEXT_SET(t->name, vm->rec.spec.name);
	t->msg.type = MSG_TASK;
	actor_post(n->env->actors, vm->actor.id, &t->msg);
}

/* It was made, and nobody wants it any more.  The start of one that was made before a crash undoes
 * itself, not what came before. */
static bool up_for_nothing(const struct op *op, const struct task *t)
{
	return op->cancelled && op->method == METHOD_VM_CREATE && !t->taken_back &&
	       (!t->err.code || (t->verb == VERB_START && t->err.code == ERR_CANCELLED));
}

/* Cancelled means undone, also for those of a create that were up already. */
static void take_back(struct node *n, struct task *t, const struct vm *vm)
{
	t->verb = VERB_DELETE;
	t->force = true;
	t->taken_back = true;
	t->cancelled = false; /* that was the create */
	t->err = (struct err){ 0 };
	t->op->fleet->pending++;
	node_task_send(n, t, vm);
}

void node_task_done(struct node *n, struct task *t)
{
	struct fleet *f = t->op->fleet;
	const struct vm *vm = up_for_nothing(t->op, t) ? node_vm(n, t->vm) : NULL;

	ASSERT(f && f->pending > 0);
	if (t->again && node_create_again(n, t))
		return;
	f->pending--;
	if (vm) {
		take_back(n, t, vm);
		return;
	}
	/* Recovery was at it when the request came again: as was asked. */
	if (t->op->resumed && t->verb == VERB_DELETE && t->err.code == ERR_VM_NOT_FOUND)
		t->err = (struct err){ 0 };
	if (t->taken_back && !t->err.code)
		err_set(&t->err, ERR_CANCELLED, "cancelled");
	if (t->op->expired && t->err.code == ERR_CANCELLED)
		err_set(&t->err, ERR_TIMEOUT, "the VM is still %s", t->state);
	if (t->err.code)
		t->op->nfailed = ++f->failed;
	if (t->err.code == ERR_CANCELLED)
		f->undone++;
	progress(n, t);
	if (f->pending == 0)
		fleet_ended(n, t->op);
}

void node_task_fail(struct node *n, struct task *t, const struct err *e)
{
	t->err = *e;
	t->ended_us = io_now_us(n->env->io);
	t->msg.type = MSG_TASK_DONE;
	actor_post(n->env->actors, n->actor.id, &t->msg);
}

void node_cancel_tasks(struct node *n, struct op *op)
{
	for (uint32_t i = 0; i < op->fleet->n; i++) {
		struct task *t = &op->fleet->tasks[i];
		const struct vm *vm = node_vm(n, t->vm);

		if (!vm || t->taken_back)
			continue;
		t->cancelled |= t->again; /* it is not made anew */
		if (t->msg.type == MSG_TASK) {
			t->cancelled = true;
			post_cancel(n->env->actors, vm->actor.id, &t->cancel, op->serial,
				    n->actor.id);
		} else if (up_for_nothing(op, t) && !t->again && !list_linked(&t->msg.link)) {
			take_back(n, t, vm); /* else its answer is on the way: then */
		}
	}
}

/* ---- targets ---- */

static enum vm_verb verb_of(enum client_method m)
{
	return m == METHOD_VM_START     ? VERB_START
	       : m == METHOD_VM_STOP    ? VERB_STOP
	       : m == METHOD_VM_RESTART ? VERB_RESTART
	       : m == METHOD_VM_KILL    ? VERB_KILL
	       : m == METHOD_VM_SET     ? VERB_SET
	       : m == METHOD_VM_DELETE  ? VERB_DELETE
					: VERB_WAIT;
}

static bool selected(const struct vm *vm, const struct targets_args *args)
{
	return (args->all || args->labels.n > 0) &&
	       node_labels_match(&args->labels, &vm->rec.spec.labels);
}

/* A crash has cut it short: what it asked for may have been done before its answer was durable. The
 * VM that it deleted is gone, the one that it killed does not run. */
static bool done_before(const struct op *op, enum vm_verb verb, const struct vm *vm)
{
	if (!op->resumed)
		return false;
	return verb == VERB_DELETE ? !vm : verb == VERB_KILL && vm && vm_at_rest(vm_state(vm));
}

/* Answered without the VM. */
void node_task_skip(struct node *n, struct task *t, const struct vm *vm)
{
	const struct err none = { 0 };

	if (vm) {
		t->vm = vm->rec.id;
		TEXT_SET(t->name, vm->rec.spec.name);
	}
	TEXT_SET(t->state, vm ? fsm_name(&vm->fsm) : "gone");
	node_task_fail(n, t, &none);
}

void node_targets(struct node *n, struct op *op)
{
	const struct targets_args *args = op->args;
	uint32_t count = args->refs.n;
	int want = VM_STOPPED;

	if (args->refs.n == 0 && args->labels.n == 0 && !args->all) {
		op_refuse(n->env, op, ERR_BAD_REQUEST, "refs: name a VM, a label, or all");
		return;
	}
	if (args->state[0] && strcmp(args->state, "gone") != 0)
		want = vm_state_by_name(args->state);
	if (want < 0) {
		op_refuse(n->env, op, ERR_BAD_REQUEST, "state: \"%s\" is none", args->state);
		return;
	}
	if (args->refs.n == 0)
		list_for_each (l, &n->vms)
			count += selected(list_entry(l, struct vm, link), args);
	if (node_fleet_make(n, op, count) < 0)
		return;
	struct task *t = op->fleet->tasks;
	for (uint32_t i = 0; i < count; i++) {
		t[i].verb = verb_of(op->method);
		t[i].force = args->force;
		t[i].stopped_only = args->stopped_only;
		t[i].signo = args->signo;
		t[i].set = &args->set;
		t[i].deadline_ms = args->deadline_ms;
		t[i].want_state = (uint32_t)want;
		t[i].want_any_end = !args->state[0];
		t[i].want_gone = !args->state[0] || strcmp(args->state, "gone") == 0;
	}
	if (count == 0) {
		fleet_ended(n, op);
		return;
	}
	if (op->method == METHOD_VM_WAIT)
		node_deadline(n, op, args->deadline_ms);
	for (uint32_t i = 0; i < args->refs.n; i++) {
		struct err e = { 0 };
		struct vm *vm = NULL;

		TEXT_SET(t[i].ref, args->refs.v[i]);
		IGNORE(node_find(n, args->refs.v[i], &vm, &e) < 0);
		if (vm && count == 1)
			op->vm = vm->rec.id;
		if (done_before(op, t[i].verb, vm) && e.code != ERR_VM_AMBIGUOUS)
			node_task_skip(n, &t[i], vm);
		else if (vm)
			node_task_send(n, &t[i], vm);
		else
			node_task_fail(n, &t[i], &e);
	}
	if (args->refs.n == 0) {
		list_for_each (l, &n->vms) {
			const struct vm *vm = list_entry(l, struct vm, link);

			if (selected(vm, args))
				node_task_send(n, t++, vm);
		}
	}
}

/* ---- leases ---- */

bool node_lease_is_over(const struct node *n, const struct vm *vm)
{
	return vm->rec.lease && !vm->gone && !actor_find(n->env->actors, vm->lease);
}

static int delete_leased(struct node *n, const struct vm *vm)
{
	struct op *op = op_create(n->env, METHOD_VM_DELETE);
	uint8_t random[10];
	char id[VM_ID_CHARS + 1];

	if (!op)
		return -ENOMEM;
	io_random(n->env->io, random, sizeof(random));
	op->id = op_id_make(op->admitted_ms, random);
	op->detach = true;
	struct targets_args *args = op->args;
	vm_id_text(vm->rec.id, id);
	args->force = true;
	if (strv_add(&args->refs, id) < 0) {
		op_destroy(op);
		return -ENOMEM;
	}
	actor_post(n->env->actors, n->actor.id, &op->msg);
	return 0;
}

/* Looked at again until there is none: a delete may fail, and nobody else asks for it. */
void node_end_leases(struct node *n)
{
	bool left = false;

	list_for_each (l, &n->vms) {
		const struct vm *vm = list_entry(l, struct vm, link);

		if (!node_lease_is_over(n, vm))
			continue;
		left = true;
		if (!vm_is_asked(vm))
			IGNORE(delete_leased(n, vm) < 0);
	}
	if (left)
		io_timer_set(n->env->io, &n->leases, LEASE_RETRY_MS, 0);
}

/* ---- what the store has ---- */

struct load {
	struct node *node;
	struct err *e;
};

static int load_vm(void *arg, const void *key, size_t key_len, const void *value, size_t len)
{
	struct load *l = arg;
	struct vm_record rec;
	struct vm *vm;

	(void)key;
	(void)key_len;
	int rc = schema_decode(&vm_record_schema, value, len, &rec, l->e);
	if (rc < 0)
		return rc;
	if (rec.state >= VM_NSTATES) {
		schema_fini(&vm_record_schema, &rec);
		return err_set(l->e, ERR_STORE_VERSION, "a record has the unknown state %u",
			       rec.state);
	}
	rc = vm_create(l->node->env, &rec, &vm);
	if (rc < 0) {
		schema_fini(&vm_record_schema, &rec);
		return rc;
	}
	if (vm_is_system(vm) && l->node->env->system)
		system_keep_slot(l->node->env->system, &vm->rec);
	rc = node_add_vm(l->node, vm);
	if (rc < 0)
		vm_destroy(vm);
	return rc;
}

static int recover(struct node *n, struct vm *vm, struct err *e)
{
	struct vm_resources res;
	uint8_t key[8];

	for (int i = 0; i < 8; i++)
		key[i] = (uint8_t)(vm->rec.id >> (56 - 8 * i));
	int rc = db_get(n->env->db, STORE_RESOURCES, key, sizeof(key), &vm_resources_schema, &res,
			e);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	rc = vm_recover(vm, rc == 0 ? &res : NULL);
	if (rc < 0)
		return err_num(e, rc == -ENOMEM ? ERR_HOST_MEMORY : ERR_HOST_FILES, rc,
			       "recovery of %s", vm->rec.spec.name);
	return 0;
}

int node_load(struct node *n, struct err *e)
{
	struct load l = { .node = n, .e = e };
	const int rc = store_each(db_store(n->env->db), STORE_VMS, load_vm, &l, e);

	if (rc < 0)
		return e->code ? rc : err_num(e, ERR_STORE, rc, "records of VMs");
	list_for_each (v, &n->vms) {
		const int recovered = recover(n, list_entry(v, struct vm, link), e);

		if (recovered < 0)
			return recovered;
	}
	node_end_leases(n); /* no client can be there any more */
	return 0;
}
