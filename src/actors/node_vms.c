/* node_vms.c - the registry of VMs, and the tasks that operations become. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/catalog.h"
#include "actors/limits.h"
#include "actors/node.h"
#include "base/cleanup.h"
#include "proto/frame.h"

static_assert((int)RESULT_BYTES_MAX < FRAME_MAX, "a reply is one frame");
static_assert((int)TARGETS_MAX * TARGET_ROW_BYTES < RESULT_BYTES_MAX, "its rows fit");
static_assert((int)COUNT_MAX <= TARGETS_MAX, "as many as one request may make");

static const char *const adjectives[] = {
	"able",   "bold",  "brave", "bright", "brisk", "calm",  "clear", "crisp",
	"eager",  "fair",  "fast",  "fine",   "firm",  "fleet", "fond",  "free",
	"fresh",  "glad",  "grand", "keen",   "kind",  "light", "live",  "neat",
	"nimble", "plain", "prime", "proud",  "quick", "quiet", "rapid", "ready",
};
static const char *const nouns[] = {
	"badger", "beaver", "bison", "crane", "deer",   "dove",  "eagle", "egret",
	"falcon", "finch",  "fox",   "gull",  "hare",   "hawk",  "heron", "horse",
	"ibex",   "jay",    "lark",  "lynx",  "marten", "moose", "otter", "owl",
	"puma",   "raven",  "robin", "seal",  "stork",  "swan",  "swift", "wren",
};

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

static struct vm *vm_by_name(const struct node *n, const char *name)
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
	struct vm *vm = vm_by_name(n, ref);
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

static int register_vm(struct node *n, struct vm *vm)
{
	if (map_insert(&n->vms_by_id, &vm->by_id, map_hash_u64(vm->rec.id)) < 0)
		return -ENOMEM;
	if (map_insert(&n->vms_by_name, &vm->by_name, map_hash_str(vm->rec.spec.name)) < 0) {
		map_remove(&n->vms_by_id, &vm->by_id);
		return -ENOMEM;
	}
	list_append(&n->vms, &vm->link);
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

	node_event_vm(n, vm, m);
	msg_free(&m->msg);
	if (gone && vm)
		forget_vm(n, vm); /* the message is its own */
}

/* ---- fleets ---- */

static int fleet_make(struct node *n, struct op *op, uint32_t count)
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

	(void)snprintf(row->code, sizeof(row->code), "%s", err_name(t->err.code));
	(void)snprintf(row->step, sizeof(row->step), "%s", t->step);
	if (len > *room)
		return; /* the code says what happened, if not to whom */
	*room -= len;
	(void)snprintf(row->message, sizeof(row->message), "%s", t->err.text);
}

static void put_target(const struct op *op, const struct task *t, struct target_result *row,
		       uint64_t *room)
{
	row->id = t->vm;
	(void)snprintf(row->ref, sizeof(row->ref), "%s", t->ref);
	(void)snprintf(row->name, sizeof(row->name), "%s", t->name);
	(void)snprintf(row->state, sizeof(row->state), "%s", t->state);
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
		(void)snprintf(ret_row->state, sizeof(ret_row->state), "%s", fsm_name(&vm->fsm));
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
	(void)snprintf(ev.name, sizeof(ev.name), "%s", t->name);
	(void)snprintf(ev.stage, sizeof(ev.stage), "%s",
		       !t->err.code                   ? "done"
		       : t->err.code == ERR_CANCELLED ? "undone"
						      : "failed");
	(void)snprintf(ev.message, sizeof(ev.message), "%s", t->err.text);
	op_progress(n->env, t->op, &ev);
}

static void task_send(struct node *n, struct task *t, const struct vm *vm)
{
	t->vm = vm->rec.id;
	(void)snprintf(t->name, sizeof(t->name), "%s", vm->rec.spec.name);
	t->msg.type = MSG_TASK;
	actor_post(n->env->actors, vm->actor.id, &t->msg);
}

static bool up_for_nothing(const struct op *op, const struct task *t)
{
	return op->cancelled && op->method == METHOD_VM_CREATE && !t->taken_back && !t->err.code;
}

/* Cancelled means undone, also for those of a create that were up already. */
static void take_back(struct node *n, struct task *t, const struct vm *vm)
{
	t->verb = VERB_DELETE;
	t->force = true;
	t->taken_back = true;
	t->op->fleet->pending++;
	task_send(n, t, vm);
}

void node_task_done(struct node *n, struct task *t)
{
	struct fleet *f = t->op->fleet;
	const struct vm *vm = up_for_nothing(t->op, t) ? node_vm(n, t->vm) : NULL;

	ASSERT(f && f->pending > 0);
	f->pending--;
	if (vm) {
		take_back(n, t, vm);
		return;
	}
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

static void task_fail(struct node *n, struct task *t, const struct err *e)
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
		if (t->msg.type == MSG_TASK) {
			t->cancelled = true;
			IGNORE(post_serial(n->env->actors, vm->actor.id, MSG_CANCEL, op->serial,
					   n->actor.id) < 0);
		} else if (up_for_nothing(op, t) && !list_linked(&t->msg.link)) {
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
static void task_done(struct node *n, struct task *t, const struct vm *vm)
{
	const struct err none = { 0 };

	if (vm) {
		t->vm = vm->rec.id;
		(void)snprintf(t->name, sizeof(t->name), "%s", vm->rec.spec.name);
	}
	(void)snprintf(t->state, sizeof(t->state), "%s", vm ? fsm_name(&vm->fsm) : "gone");
	task_fail(n, t, &none);
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
	if (fleet_make(n, op, count) < 0)
		return;
	struct task *t = op->fleet->tasks;
	for (uint32_t i = 0; i < count; i++) {
		t[i].verb = verb_of(op->method);
		t[i].force = args->force;
		t[i].stopped_only = args->stopped_only;
		t[i].signo = args->signo;
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

		(void)snprintf(t[i].ref, sizeof(t[i].ref), "%s", args->refs.v[i]);
		IGNORE(node_find(n, args->refs.v[i], &vm, &e) < 0);
		if (vm && count == 1)
			op->vm = vm->rec.id;
		if (done_before(op, t[i].verb, vm) && e.code != ERR_VM_AMBIGUOUS)
			task_done(n, &t[i], vm);
		else if (vm)
			task_send(n, &t[i], vm);
		else
			task_fail(n, &t[i], &e);
	}
	if (args->refs.n == 0) {
		list_for_each (l, &n->vms) {
			const struct vm *vm = list_entry(l, struct vm, link);

			if (selected(vm, args))
				task_send(n, t++, vm);
		}
	}
}

/* ---- create ---- */

static void generate_name(struct node *n, char out[VM_NAME_MAX + 1])
{
	uint16_t r[3];

	do {
		io_random(n->env->io, r, sizeof(r));
		(void)snprintf(out, VM_NAME_MAX + 1, "%s-%s",
			       adjectives[r[0] % ARRAY_LEN(adjectives)],
			       nouns[r[1] % ARRAY_LEN(nouns)]);
		if (vm_by_name(n, out))
			(void)snprintf(out, VM_NAME_MAX + 1, "%s-%s-%u",
				       adjectives[r[0] % ARRAY_LEN(adjectives)],
				       nouns[r[1] % ARRAY_LEN(nouns)], r[2]);
	} while (vm_by_name(n, out));
}

static vm_id generate_id(struct node *n)
{
	vm_id id;

	do {
		io_random(n->env->io, &id, sizeof(id));
		id &= VM_ID_MAX;
	} while (id == 0 || node_vm(n, id));
	return id;
}

/* Fills in what the request left open, and checks it against what the host has. */
static int resolve_spec(struct node *n, struct vm_spec *s, struct err *e)
{
	const struct conf *conf = &n->env->conf;
	const int rc = vm_spec_check(s, e);

	if (rc < 0)
		return rc;
	if (s->vmm[0] && !vmm_find(s->vmm))
		return err_set(e, ERR_BAD_REQUEST, "vmm: \"%s\" is unknown", s->vmm);
	if (!s->vmm[0])
		(void)snprintf(s->vmm, sizeof(s->vmm), "%s",
			       conf->vmm[0] ? conf->vmm : vmm_qemu.name);
	const bool null = strcmp(s->vmm, vmm_null.name) == 0;
	if (null && !s->image[0])
		(void)snprintf(s->image, sizeof(s->image), IMAGE_NULL);
	if (!s->image[0])
		(void)snprintf(s->image, sizeof(s->image), "%s", conf->image);
	const struct image_view *image = catalog_image(n->env->catalog, s->image);
	if (!image)
		return err_set(e, ERR_IMAGE_NOT_FOUND,
			       s->image[0] ? "no image is called \"%s\""
					   : "there is no image yet%s",
			       s->image);
	(void)snprintf(s->image, sizeof(s->image), "%s", image->name);
	if (!null && strcmp(image->name, IMAGE_NULL) == 0)
		return err_set(e, ERR_BAD_REQUEST, "image: \"null\" is for the null VMM only");
	const bool disk = image_has_disk(image);
	if (s->vcpu == 0)
		s->vcpu = disk ? conf->vcpu : 1;
	if (s->memory_bytes == 0)
		s->memory_bytes = disk ? conf->memory_bytes : MEMORY_MIN_BYTES;
	if (!disk) {
		s->disk_bytes = 0;
		return 0;
	}
	if (!s->kernel[0])
		(void)snprintf(s->kernel, sizeof(s->kernel), "%s",
			       image->kernel[0] ? image->kernel : conf->kernel);
	const struct kernel_view *kernel = catalog_kernel(n->env->catalog, s->kernel);
	if (!kernel)
		return err_set(e, ERR_KERNEL_NOT_FOUND,
			       s->kernel[0] ? "no kernel is called \"%s\""
					    : "there is no kernel yet%s",
			       s->kernel);
	(void)snprintf(s->kernel, sizeof(s->kernel), "%s", kernel->name);
	if (s->disk_bytes == 0)
		s->disk_bytes = conf->disk_bytes > image->bytes ? conf->disk_bytes : image->bytes;
	if (s->disk_bytes < image->bytes)
		return err_set(e, ERR_VM_SIZE, "disk: the image needs %llu MiB",
			       (unsigned long long)(image->bytes >> 20));
	return 0;
}

static int copy_spec(const struct vm_spec *from, struct vm_spec *to)
{
	struct buf b;

	buf_init(&b, STORE_VALUE_MAX);
	int rc = schema_encode(&vm_spec_schema, from, &b);
	if (rc == 0)
		rc = schema_decode(&vm_spec_schema, buf_data(&b), buf_len(&b), to, NULL);
	buf_fini(&b);
	return rc;
}

/* One VM of the operation: a record in memory, reserved by name; its first commit is the VM's own.
 */
static int make_vm(struct node *n, struct op *op, uint32_t index, struct vm **ret_vm, struct err *e)
{
	const struct create_args *args = op->args;
	struct vm_record rec = { .version = RECORD_VERSION, .exit_status = -1 };
	struct vm *vm;

	if (n->nvms >= n->env->conf.vms_max)
		return err_set(e, ERR_VM_LIMIT, "%u VMs exist, limits.vms_max is %u", n->nvms,
			       n->env->conf.vms_max);
	int rc = copy_spec(&args->spec, &rec.spec);
	if (rc < 0)
		return err_num(e, ERR_HOST_MEMORY, rc, "spec");
	if (!rec.spec.name[0])
		generate_name(n, rec.spec.name);
	else if (args->count > 1)
		(void)snprintf(rec.spec.name, sizeof(rec.spec.name), "%.52s-%u", args->spec.name,
			       index + 1);
	rc = vm_name_check(rec.spec.name, e);
	if (rc == 0 && vm_by_name(n, rec.spec.name))
		rc = err_set(e, ERR_VM_EXISTS, "a VM called \"%s\" exists", rec.spec.name);
	if (rc == 0)
		rc = resolve_spec(n, &rec.spec, e);
	if (rc == 0) {
		rec.id = generate_id(n);
		rec.state = VM_CREATING;
		rec.created_by = op->id;
		rec.created_index = index;
		rec.created_ms = io_wall_ms(n->env->io);
		rec.lease = args->lease;
		rc = vm_create(n->env, &rec, &vm);
		if (rc < 0)
			err_num(e, ERR_HOST_MEMORY, rc, "vm");
	}
	if (rc < 0) {
		schema_fini(&vm_record_schema, &rec);
		return rc;
	}
	if (args->lease)
		vm->lease = op->client;
	rc = register_vm(n, vm);
	if (rc < 0) {
		vm_destroy(vm);
		return err_num(e, ERR_HOST_MEMORY, rc, "vm");
	}
	*ret_vm = vm;
	return 0;
}

/* After a crash the same request comes again: what it made already is found by its op_id. */
static struct vm *made_before(const struct node *n, const struct op *op, uint32_t index)
{
	if (!op->resumed)
		return NULL;
	list_for_each (l, &n->vms) {
		struct vm *vm = list_entry(l, struct vm, link);

		if (vm->rec.created_index == index && op_id_equal(&vm->rec.created_by, &op->id))
			return vm;
	}
	return NULL;
}

void node_create_vms(struct node *n, struct op *op)
{
	const struct create_args *args = op->args;
	const uint32_t count = args->count > 0 ? args->count : 1;

	if (fleet_make(n, op, count) < 0)
		return;
	for (uint32_t i = 0; i < count; i++) {
		struct task *t = &op->fleet->tasks[i];
		struct vm *vm = made_before(n, op, i);
		struct err e = { 0 };

		t->verb = vm ? VERB_START : VERB_CREATE;
		t->no_start = args->no_start;
		t->deadline_ms = args->boot_deadline_ms;
		if (!vm && make_vm(n, op, i, &vm, &e) < 0) {
			task_fail(n, t, &e);
			continue;
		}
		if (count == 1)
			op->vm = vm->rec.id;
		if (t->verb == VERB_START && args->no_start) {
			task_done(n, t, vm); /* it is there */
			continue;
		}
		task_send(n, t, vm);
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
	rc = register_vm(l->node, vm);
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
		return err_num(e, ERR_HOST_MEMORY, rc, "recovery of %s", vm->rec.spec.name);
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
