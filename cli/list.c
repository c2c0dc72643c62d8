#include "list.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "human.h"
#include "report.h"
#include "rows.h"

static const struct column columns[] = {
	{ .head = "ID", .drop = 1 },
	{ .head = "NAME", .shrink = true },
	{ .head = "STATE" },
	{ .head = "IMAGE", .shrink = true, .drop = 3 },
	{ .head = "IP", .drop = 4 },
	{ .head = "VCPU", .right = true, .drop = 6 },
	{ .head = "MEM", .right = true, .drop = 5 },
	{ .head = "DISK", .right = true, .drop = 7 },
	{ .head = "AGE", .right = true, .drop = 2 },
};

struct listing {
	struct rows rows;
	uint64_t now_s;
};

/* One page; its `next` is copied to args->after. */
static int page(struct session *s, struct list_args *args, list_fn *fn, void *arg)
{
	CLEANUP_CALL struct call c = { 0 };
	const struct list_result *r;

	if (session_call(s, &c, METHOD_VM_LIST, args) < 0)
		return session_report(s, &c);
	r = c.result;
	for (uint32_t i = 0; i < r->vms.n; i++) {
		struct err e = { 0 };

		if (fn(arg, (const struct vm_view *)r->vms.items + i, &e) < 0) {
			report_error(s->o, &e, NULL, NULL, NULL);
			return command_failure(s->o->command);
		}
	}
	memcpy(args->after, r->next, sizeof(args->after));
	return 0;
}

int list_each(struct session *s, bool all, const struct strv *labels, list_fn *fn, void *arg)
{
	struct list_args args = { .all = all, .labels = *labels }; /* lent */
	int status;

	do
		status = page(s, &args, fn, arg);
	while (status == 0 && args.after[0]);
	return status;
}

static int add_row(void *arg, const struct vm_view *vm, struct err *e)
{
	struct listing *l = arg;
	const uint64_t created_s = vm->created_ms / 1000;
	char id[VM_ID_CHARS + 1];
	char vcpu[HUMAN_MAX];
	char memory[HUMAN_MAX];
	char disk[HUMAN_MAX];
	char age[HUMAN_MAX];
	const char *const cells[] = { id,          vm->spec.name, vm->state, vm->spec.image,
				      vm->address, vcpu,          memory,    disk,
				      age };

	vm_id_text(vm->id, id);
	(void)snprintf(vcpu, sizeof(vcpu), "%u", vm->spec.vcpu);
	human_bytes(vm->spec.memory_bytes, memory);
	human_bytes(vm->spec.disk_bytes, disk);
	human_age(l->now_s > created_s ? l->now_s - created_s : 0, age);
	return rows_add(&l->rows, vm, id, cells, e);
}

int list_run(const struct options *o)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	struct listing l = { .now_s = (uint64_t)time(NULL) };
	struct err e = { 0 };
	int status = rows_init(&l.rows, o, columns, ARRAY_LEN(columns), &vm_view_schema);

	if (status != 0)
		return status;
	if (session_open(&s, o, true, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		status = STATUS_FAILED;
	} else {
		status = list_each(&s, o->all, &o->labels, add_row, &l);
	}
	session_close(&s); /* a full pipe may hold us from here on: interrupts end us again */
	rows_end(&l.rows, status != 0);
	return status;
}

int ref_args_fill(const struct options *o, struct ref_args *ret_args, struct err *e)
{
	if (strlen(o->args[0]) > REF_MAX)
		return err_set(e, ERR_BAD_REQUEST, "\"%.40s...\" is no name or id of a VM",
			       o->args[0]);
	(void)snprintf(ret_args->ref, sizeof(ret_args->ref), "%s", o->args[0]);
	return 0;
}

int list_show(const struct options *o, struct call *c)
{
	struct ref_args args = { 0 };
	struct err e = { 0 };

	if (ref_args_fill(o, &args, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_USAGE;
	}
	return session_ask(o, c, METHOD_VM_SHOW, &args);
}

int show_run(const struct options *o)
{
	CLEANUP_CALL struct call c = { 0 };
	struct err e = { 0 };
	int status = list_show(o, &c);

	if (status == 0 && report_json(&vm_view_schema, c.result, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		status = STATUS_FAILED;
	}
	return status;
}
