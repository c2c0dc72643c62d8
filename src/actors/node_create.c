/* node_create.c - what vm.create asks for becomes records and tasks: names, defaults, checks. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "actors/catalog.h"
#include "actors/choose.h"
#include "actors/limits.h"
#include "actors/node.h"
#include "base/text.h"

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

static void generate_name(struct node *n, char out[VM_NAME_MAX + 1])
{
	uint16_t r[3];

	do {
		io_random(n->env->io, r, sizeof(r));
		(void)snprintf(out, VM_NAME_MAX + 1, "%s-%s",
			       adjectives[r[0] % ARRAY_LEN(adjectives)],
			       nouns[r[1] % ARRAY_LEN(nouns)]);
		if (node_vm_by_name(n, out))
			(void)snprintf(out, VM_NAME_MAX + 1, "%s-%s-%u",
				       adjectives[r[0] % ARRAY_LEN(adjectives)],
				       nouns[r[1] % ARRAY_LEN(nouns)], r[2]);
	} while (node_vm_by_name(n, out));
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

static int resolve_vmm(const struct env *env, struct vm_spec *s, bool os, struct err *e)
{
	const struct choice c = { .os = os, .publish = s->publish.n > 0 };
	char why[CHOICE_WHY_MAX];

	if (!s->vmm[0])
		TEXT_SET(s->vmm, choose_vmm(env, &c, why)->name);
	return choose_check(env, vmm_find(s->vmm), &c, e);
}

/* Fills in what the request left open, and checks it against what the host has. */
static int resolve_spec(struct node *n, struct vm_spec *s, struct err *e)
{
	const struct conf *conf = &n->env->conf;
	int rc = vm_spec_check(s, e);

	if (rc < 0)
		return rc;
	if (s->vmm[0] && !vmm_find(s->vmm))
		return err_set(e, ERR_BAD_REQUEST, "vmm: \"%s\" is unknown", s->vmm);
	const bool null = strcmp(s->vmm[0] ? s->vmm : conf->vmm, vmm_null.name) == 0;
	if (null && !s->image[0])
		(void)snprintf(s->image, sizeof(s->image), IMAGE_NULL);
	if (!s->image[0])
		TEXT_SET(s->image, conf->image);
	const struct image_view *image = catalog_image(n->env->catalog, s->image);
	if (!image)
		return err_set(e, ERR_IMAGE_NOT_FOUND,
			       s->image[0] ? "no image is called \"%s\""
					   : "there is no image yet%s",
			       s->image);
	TEXT_SET(s->image, image->name);
	if (!null && strcmp(image->name, IMAGE_NULL) == 0)
		return err_set(e, ERR_BAD_REQUEST, "image: \"null\" is for the null VMM only");
	const bool disk = image_has_disk(image);
	rc = resolve_vmm(n->env, s, disk, e);
	if (rc == 0)
		rc = vm_limits_check(n->env, s, disk, e);
	if (rc < 0)
		return rc;
	if (s->vcpu == 0)
		s->vcpu = disk ? conf->vcpu : 1;
	if (s->memory_bytes == 0)
		s->memory_bytes = disk ? conf->memory_bytes : MEMORY_MIN_BYTES;
	if (!disk) {
		s->disk_bytes = 0;
		return 0;
	}
	if (!s->kernel[0])
		TEXT_SET(s->kernel, image->kernel[0] ? image->kernel : conf->kernel);
	const struct kernel_view *kernel = catalog_kernel(n->env->catalog, s->kernel);
	if (!kernel)
		return err_set(e, ERR_KERNEL_NOT_FOUND,
			       s->kernel[0] ? "no kernel is called \"%s\""
					    : "there is no kernel yet%s",
			       s->kernel);
	TEXT_SET(s->kernel, kernel->name);
	const bool snapshot = n->env->system && !system_disk(n->env->system)[0];
	if (s->disk_bytes == 0 && snapshot)
		s->disk_bytes = image->bytes;
	if (s->disk_bytes == 0)
		s->disk_bytes = conf->disk_bytes > image->bytes ? conf->disk_bytes : image->bytes;
	if (s->disk_bytes < image->bytes)
		return err_set(e, ERR_VM_SIZE, "disk: the image needs %llu MiB",
			       (unsigned long long)(image->bytes >> 20));
	if (snapshot && s->disk_bytes > image->bytes)
		return err_set(e, ERR_VM_SIZE,
			       "disk: a dm-snapshot is as large as its image: %llu MiB",
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

static bool hangs_on_accel(const struct node *n, const struct vm_spec *s)
{
	const char *name = s->image[0] ? s->image : n->env->conf.image;
	const struct image_view *image = catalog_image(n->env->catalog, name);

	return !s->vmm[0] && image &&
	       choose_needs_accel(n->env, &(struct choice){ .os = image_has_disk(image) });
}

bool node_awaits_accel(struct node *n, struct op *op)
{
	const struct create_args *args = op->args;

	accel_wait_init(&op->accel, &n->actor, MSG_ACCEL_KNOWN);
	op->awaits_accel = hangs_on_accel(n, &args->spec) &&
			   !accel_take(n->env->accelerator, &op->accel, 0);
	return op->awaits_accel;
}

void node_resolve(struct node *n, struct op *op)
{
	const struct create_args *args = op->args;
	struct vm_spec spec = { 0 };
	struct err e = { 0 };

	if (copy_spec(&args->spec, &spec) < 0)
		err_set(&e, ERR_HOST_MEMORY, "spec");
	else
		IGNORE(resolve_spec(n, &spec, &e) < 0);
	if (e.code)
		op_fail(n->env, op, &e);
	else
		op_done(n->env, op, &vm_spec_schema, &spec);
	schema_fini(&vm_spec_schema, &spec);
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
	if (rc == 0 && node_vm_by_name(n, rec.spec.name))
		rc = err_set(e, ERR_VM_EXISTS, "a VM called \"%s\" exists", rec.spec.name);
	if (rc == 0)
		rc = resolve_spec(n, &rec.spec, e);
	if (rc == 0 && n->env->system && strcmp(rec.spec.vmm, vmm_null.name) != 0)
		rc = system_take_slot(n->env->system, &rec, e);
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
		if (rec.address[0])
			system_give_slot(n->env->system, &rec);
		schema_fini(&vm_record_schema, &rec);
		return rc;
	}
	if (args->lease)
		vm->lease = op->client;
	rc = node_add_vm(n, vm);
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

static void create_one(struct node *n, struct op *op, struct task *t)
{
	const struct create_args *args = op->args;
	struct vm *vm = made_before(n, op, t->index);
	struct err e = { 0 };

	t->verb = vm ? VERB_START : VERB_CREATE;
	t->no_start = args->no_start;
	t->deadline_ms = args->boot_deadline_ms;
	if (t->cancelled)
		err_set(&e, ERR_CANCELLED, "cancelled before it began");
	else if (!vm)
		IGNORE(make_vm(n, op, t->index, &vm, &e) < 0);
	if (!vm || e.code) {
		node_task_fail(n, t, &e);
		return;
	}
	if (op->fleet->n == 1)
		op->vm = vm->rec.id;
	if (t->verb == VERB_START && (vm_state(vm) == VM_CREATING || vm_state(vm) == VM_DELETING)) {
		t->verb = VERB_DELETE; /* the crash came first: recovery is unmaking it */
		t->again = true;
	} else if (t->verb == VERB_START && args->no_start) {
		node_task_skip(n, t, vm); /* it is there */
		return;
	}
	node_task_send(n, t, vm);
}

void node_create_vms(struct node *n, struct op *op)
{
	const struct create_args *args = op->args;
	const uint32_t count = args->count > 0 ? args->count : 1;

	if (node_fleet_make(n, op, count) < 0)
		return;
	for (uint32_t i = 0; i < count; i++)
		create_one(n, op, &op->fleet->tasks[i]);
}

/* What was left of it is gone, and its name is free. */
static void create_anew(struct node *n, struct task *t)
{
	t->again = false;
	t->vm = 0;
	t->err = (struct err){ 0 };
	create_one(n, t->op, t);
}

bool node_create_again(struct node *n, struct task *t)
{
	if (t->err.code && t->err.code != ERR_VM_NOT_FOUND) {
		t->again = false;
		return false;
	}
	if (node_vm(n, t->vm))
		list_append(&n->again, &t->link); /* it is forgotten next */
	else
		create_anew(n, t); /* recovery was done before we asked */
	return true;
}

void node_create_rest(struct node *n, vm_id gone)
{
	list_for_each_safe (l, &n->again) {
		struct task *t = list_entry(l, struct task, link);

		if (t->vm != gone)
			continue;
		list_remove(l);
		create_anew(n, t);
	}
}
