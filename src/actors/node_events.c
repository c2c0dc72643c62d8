/* node_events.c - what happens, for those who watch.
 *
 * An event goes to each watcher that asked for its type.  Whether that one is quick enough is its
 * operation's matter: see op_event().
 */
#include <assert.h>
#include <string.h>

#include "actors/limits.h"
#include "actors/node.h"
#include "base/text.h"

/* What can be watched. */
#define WATCHED (BIT(EVENT_VM) | BIT(EVENT_OP) | BIT(EVENT_IMAGE) | BIT(EVENT_KERNEL))
static_assert(EVENT_NEVENTS <= 64, "events are kept in a 64-bit mask");

/* Of a view of an image or a kernel no more than its name. */
static const struct field named_fields[] = {
	FIELD(struct name_args, name, FIELD_STR, true, 1, 0, ""),
};
static const struct schema named_schema = SCHEMA_OPEN("named", struct name_args, named_fields);

/* ---- who watches ---- */

/* Labels are of VMs, so they ask for events of VMs alone. */
static int types_asked(const struct watch_args *args, uint64_t *ret_mask, struct err *e)
{
	uint64_t mask = 0;

	for (uint32_t i = 0; i < args->types.n; i++) {
		enum client_event type;

		if (client_event_find(args->types.v[i], &type) < 0 || !(WATCHED & BIT(type)))
			return err_set(e, ERR_BAD_REQUEST,
				       "types: \"%.40s\" is none; there are vm, op, image, kernel",
				       args->types.v[i]);
		if (type != EVENT_VM && args->labels.n > 0)
			return err_set(e, ERR_BAD_REQUEST,
				       "types: \"%.40s\" with labels, which only VMs have",
				       args->types.v[i]);
		mask |= BIT(type);
	}
	if (mask == 0)
		mask = args->labels.n > 0 ? BIT(EVENT_VM) : WATCHED;
	*ret_mask = mask;
	return 0;
}

void node_watch(struct node *n, struct op *op)
{
	struct err e = { 0 };

	if (n->nwatchers >= WATCHERS_MAX)
		op_refuse(n->env, op, ERR_BUSY, "%d watchers already", (int)WATCHERS_MAX);
	else if (types_asked(op->args, &op->watches, &e) < 0)
		op_fail(n->env, op, &e);
	if (op->watches == 0)
		return;
	list_append(&n->watchers, &op->follow);
	n->nwatchers++;
}

void node_watch_end(struct node *n, struct op *op)
{
	list_remove(&op->follow);
	n->nwatchers--;
}

/* ---- telling them ---- */

/* `labels`: of the VM that it is about, or NULL. */
static void tell(struct node *n, enum client_event type, const void *body,
		 const struct strv *labels)
{
	list_for_each (l, &n->watchers) {
		struct op *op = list_entry(l, struct op, follow);
		const struct watch_args *args = op->args;

		if ((op->watches & BIT(type)) &&
		    (!labels || node_labels_match(&args->labels, labels)))
			op_event(n->env, op, type, body);
	}
}

void node_event_vm(struct node *n, const struct vm *vm, const struct vm_changed_msg *m)
{
	struct vm_event ev = {
		.id = m->vm,
		.op_id = m->op_id,
		.wall_ms = io_wall_ms(n->env->io),
	};

	TEXT_SET(ev.name, m->name);
	TEXT_SET(ev.state, m->gone ? "gone" : vm_states[m->state].name);
	tell(n, EVENT_VM, &ev, vm ? &vm->rec.spec.labels : NULL);
}

/* Questions are nobody's business but the asker's. */
static bool op_is_told(const struct op *op)
{
	return op->durable || op_streams(op);
}

void node_event_op(struct node *n, const struct op *op)
{
	struct op_event ev = { .wall_ms = io_wall_ms(n->env->io) };
	struct op_view v;

	if (!op_is_told(op))
		return;
	op_view_fill(n->env, op, &v);
	ev.op_id = v.op_id;
	ev.vm = v.vm;
	ev.vms = v.vms;
	ev.failed = v.failed;
	ev.duration_us = op->answered_us ? v.duration_us : 0;
	memcpy(ev.method, v.method, sizeof(ev.method));
	memcpy(ev.state, v.state, sizeof(ev.state));
	memcpy(ev.code, v.code, sizeof(ev.code));
	memcpy(ev.message, v.message, sizeof(ev.message));
	tell(n, EVENT_OP, &ev, NULL);
}

/* The names that an operation on images or kernels added or removed. */
void node_event_objects(struct node *n, const struct op *op)
{
	struct name_args named = { 0 };
	const bool image = op->method == METHOD_IMAGE_IMPORT || op->method == METHOD_IMAGE_BUILD ||
			   op->method == METHOD_IMAGE_RM;
	const bool kernel = op->method == METHOD_KERNEL_IMPORT || op->method == METHOD_KERNEL_RM;
	const bool gone = op->method == METHOD_IMAGE_RM || op->method == METHOD_KERNEL_RM;
	struct object_event ev = {
		.op_id = op->id,
		.wall_ms = io_wall_ms(n->env->io),
	};

	if ((!image && !kernel) || op->err.code || list_empty(&n->watchers))
		return;
	TEXT_SET(ev.action, gone ? "removed" : "added");
	if (gone)
		named = *(const struct name_args *)op->args;
	else if (schema_decode(&named_schema, buf_data(&op->result), buf_len(&op->result), &named,
			       NULL) < 0)
		return;
	memcpy(ev.name, named.name, sizeof(ev.name));
	tell(n, image ? EVENT_IMAGE : EVENT_KERNEL, &ev, NULL);
}
