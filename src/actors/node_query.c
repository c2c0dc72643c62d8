/* node_query.c - questions that the node answers from memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors/catalog.h"
#include "actors/choose.h"
#include "actors/limits.h"
#include "actors/node.h"
#include "base/text.h"
#include "proto/frame.h"

enum {
	LIST_HEAD = 64, /* bytes, and elements, of a list's reply besides its rows */
};

void node_info(struct node *n, struct op *op)
{
	const struct env *env = n->env;
	char why[CHOICE_WHY_MAX];
	struct info_result *r = calloc(1, sizeof(*r)); /* too large for the stack */

	if (!r) {
		op_refuse(n->env, op, ERR_HOST_MEMORY, "info");
		return;
	}
	*r = (struct info_result){
		.started_ms = env->started_ms,
		.pid = (uint32_t)getpid(),
		.vms = n->nvms,
		.cpus = env->conf.cpus,
		.memory_bytes = env->conf.host_memory_bytes,
		.starts_max = env->gate.max,
		.starting = env->gate.taken,
		.waiting = env->gate.nwaiting,
		.vcpu = env->conf.vcpu,
		.vm_memory_bytes = env->conf.memory_bytes,
		.vm_disk_bytes = env->conf.disk_bytes,
		.leaks = env->leaks,
	};

	TEXT_SET(r->version, BANGER_VERSION);
	TEXT_SET(r->state_dir, env->conf.state_dir);
	TEXT_SET(r->runtime_dir, env->conf.runtime_dir);
	TEXT_SET(r->vmm, choose_vmm(env, &(struct choice){ .os = true }, why)->name);
	TEXT_SET(r->vmm_reason, why);
	TEXT_SET(r->image, env->conf.image);
	TEXT_SET(r->kernel, env->conf.kernel);
	if (env->accel_known)
		TEXT_SET(r->accel, vmm_accel_name(env->accel));
	TEXT_SET(r->probe_accel, vmm_accel_name(env->probe_accel));
	TEXT_SET(r->accel_reason, env->accel_reason);
	if (env->system) {
		TEXT_SET(r->limits, "by the root helper, in each VM's jail");
		system_describe(env->system, r->helper, sizeof(r->helper));
		r->helper_up = env->system->known;
	} else {
		TEXT_SET(r->limits, env->cgroup.text);
	}
	catalog_images(env->catalog, &r->images);
	catalog_kernels(env->catalog, &r->kernels);
	list_for_each (l, &n->vms)
		r->running += vm_runs(list_entry(l, struct vm, link));
	op_done(n->env, op, &info_result_schema, r);
	free(r);
}

static void info(struct node *n, struct op *op)
{
	const struct info_args *args = op->args;

	accel_wait_init(&op->accel, &n->actor, MSG_ACCEL_KNOWN);
	op->awaits_accel = args->measure && !accel_take(n->env->accelerator, &op->accel, 0);
	if (!op->awaits_accel)
		node_info(n, op);
}

/* How much of a reply is left for rows: it is one frame, and so are its bytes and its elements
 * bounded. */
struct page {
	uint64_t bytes;
	uint64_t elements;
	struct buf scratch;
};

/* 1; 0: the row does not fit any more, the next page begins with it; -ENOMEM. */
static int page_take(struct page *p, const struct vm_view *row)
{
	buf_clear(&p->scratch);
	const int rc = schema_encode(&vm_view_schema, row, &p->scratch);
	if (rc < 0)
		return rc == -ENOMEM ? rc : 0;
	const size_t bytes = buf_len(&p->scratch);
	/* The row itself is an element of the list, and its map is one value. */
	const uint32_t elements = 1 + frame_elements(buf_data(&p->scratch), bytes);

	if (bytes > p->bytes || elements > p->elements)
		return 0;
	p->bytes -= bytes;
	p->elements -= elements;
	return 1;
}

/* One page, in the order of the registry; `after` is the serial of the last VM of the page before,
 * which may be gone by now. */
static void list_vms(struct node *n, struct op *op)
{
	const struct list_args *args = op->args;
	const uint32_t asked = args->limit && args->limit < LIST_PAGE_MAX ? args->limit
									  : LIST_PAGE_MAX;
	const uint32_t limit = asked < n->nvms ? asked : n->nvms; /* a row is some kilobytes */
	struct list_result r = { .total = n->nvms };
	struct page page = { .bytes = RESULT_BYTES_MAX - LIST_HEAD,
			     .elements = FRAME_ELEMENTS_MAX - LIST_HEAD };
	struct vm_view *rows = calloc(limit > 0 ? limit : 1, sizeof(*rows));
	uint64_t after = 0;
	uint64_t last = 0;
	int room = 1;

	if (!rows) {
		op_refuse(n->env, op, ERR_HOST_MEMORY, "list");
		return;
	}
	if (args->after[0] && vm_id_parse(args->after, &after) < 0) {
		free(rows);
		op_refuse(n->env, op, ERR_BAD_REQUEST, "after: \"%s\" is no page's `next`",
			  args->after);
		return;
	}
	r.vms.items = rows;
	buf_init(&page.scratch, RESULT_BYTES_MAX);
	list_for_each (l, &n->vms) {
		const struct vm *vm = list_entry(l, struct vm, link);

		if (vm->serial <= after ||
		    (!args->all && !vm_runs(vm) && vm_state(vm) != VM_STARTING) ||
		    !node_labels_match(&args->labels, &vm->rec.spec.labels))
			continue;
		if (r.vms.n < limit)
			vm_view_fill(vm, &rows[r.vms.n]);
		room = r.vms.n < limit ? page_take(&page, &rows[r.vms.n]) : 0;
		if (room <= 0)
			break;
		last = vm->serial;
		r.vms.n++;
	}
	if (room == 0) {
		ASSERT(r.vms.n > 0);      /* each VM fits alone: vm_spec_check() */
		vm_id_text(last, r.next); /* written as an id is; clients need not know */
	}
	if (room < 0)
		op_refuse(n->env, op, ERR_HOST_MEMORY, "list");
	else
		op_done(n->env, op, &list_result_schema, &r);
	buf_fini(&page.scratch);
	free(rows);
}

static void show_vm(struct node *n, struct op *op)
{
	const struct ref_args *args = op->args;
	struct vm_view *v = calloc(1, sizeof(*v));
	struct err e = { 0 };
	struct vm *vm;

	if (!v) {
		op_refuse(n->env, op, ERR_HOST_MEMORY, "show");
		return;
	}
	if (node_find(n, args->ref, &vm, &e) < 0) {
		op_fail(n->env, op, &e);
	} else {
		vm_view_fill(vm, v);
		op_done(n->env, op, &vm_view_schema, v);
	}
	free(v);
}

static void cancel_by_id(struct node *n, struct op *op)
{
	const struct op_args *args = op->args;
	struct err e = { 0 };

	node_cancel(n, &args->op_id, &e);
	if (e.code)
		op_fail(n->env, op, &e);
	else
		op_done(n->env, op, NULL, NULL);
}

/* ---- images and kernels ---- */

static void images(struct node *n, struct op *op)
{
	struct image_list_result r;
	const struct image_view *v = catalog_images(n->env->catalog, &r.images.n);

	r.images.items = (void *)(uintptr_t)v;
	op_done(n->env, op, &image_list_result_schema, &r);
}

static void kernels(struct node *n, struct op *op)
{
	struct kernel_list_result r;
	const struct kernel_view *v = catalog_kernels(n->env->catalog, &r.kernels.n);

	r.kernels.items = (void *)(uintptr_t)v;
	op_done(n->env, op, &kernel_list_result_schema, &r);
}

static void show_image(struct node *n, struct op *op)
{
	const struct name_args *args = op->args;
	const struct image_view *v = catalog_image(n->env->catalog, args->name);

	if (v)
		op_done(n->env, op, &image_view_schema, v);
	else
		op_refuse(n->env, op, ERR_IMAGE_NOT_FOUND, "no image is called \"%s\"", args->name);
}

static void show_kernel(struct node *n, struct op *op)
{
	const struct name_args *args = op->args;
	const struct kernel_view *v = catalog_kernel(n->env->catalog, args->name);

	if (v)
		op_done(n->env, op, &kernel_view_schema, v);
	else
		op_refuse(n->env, op, ERR_KERNEL_NOT_FOUND, "no kernel is called \"%s\"",
			  args->name);
}

void node_answer(struct node *n, struct op *op)
{
	static void (*const answers[METHOD_NMETHODS])(struct node *, struct op *) = {
		[METHOD_INFO] = info,
		[METHOD_VM_LIST] = list_vms,
		[METHOD_VM_SHOW] = show_vm,
		[METHOD_OP_SHOW] = node_op_show,
		[METHOD_OP_WAIT] = node_op_wait,
		[METHOD_OP_LIST] = node_op_list,
		[METHOD_OP_CANCEL] = cancel_by_id,
		[METHOD_IMAGE_LIST] = images,
		[METHOD_IMAGE_SHOW] = show_image,
		[METHOD_KERNEL_LIST] = kernels,
		[METHOD_KERNEL_SHOW] = show_kernel,
	};

	ASSERT(answers[op->method]);
	answers[op->method](n, op);
}
