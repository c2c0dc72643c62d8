/* op.c - `op list|show|cancel`: what the daemon is doing, and did, with times. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "human.h"
#include "object.h"
#include "report.h"

static const struct column list_columns[] = {
	{ .head = "OP" },    { .head = "METHOD" }, { .head = "STATE" },
	{ .head = "VM" },    { .head = "BEGAN" },  { .head = "TOOK", .right = true },
	{ .head = "ERROR" },
};

static const struct column step_columns[] = {
	{ .head = "STEP" },
	{ .head = "" },
	{ .head = "AT", .right = true },
	{ .head = "TOOK", .right = true },
	{ .head = "RESULT" },
};

static int add_cells(struct table *t, const char *const *cells, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (table_cell(t, cells[i]) < 0)
			return err_set(e, ERR_HOST_MEMORY, "table");
	return 0;
}

static int add_op(struct table *t, const struct op_view *op, struct err *e)
{
	char id[OP_ID_CHARS + 1];
	char vm[VM_ID_CHARS + 1] = "";
	char began[HUMAN_MAX];
	char took[HUMAN_MAX];
	const char *const cells[] = { id, op->method, op->state, vm, began, took, op->code };

	op_id_text(&op->op_id, id);
	if (op->vm)
		vm_id_text(op->vm, vm);
	human_time(op->wall_ms, began);
	human_duration(op->duration_us, took);
	return add_cells(t, cells, ARRAY_LEN(cells), e);
}

int op_list_run(const struct options *o)
{
	CLEANUP_CALL struct call c = { 0 };
	const struct op_list_result *r;
	struct table t;
	struct err e = { 0 };
	char id[OP_ID_CHARS + 1];
	int rc = 0;
	const int status = session_ask(o, &c, METHOD_OP_LIST, &(struct none){ 0 });

	if (status != 0)
		return status;
	r = c.result;
	if (o->json)
		return report_json(&op_list_result_schema, r, &e) < 0 ? STATUS_FAILED : STATUS_OK;
	table_init(&t, list_columns, ARRAY_LEN(list_columns));
	for (uint32_t i = 0; i < r->ops.n && rc == 0; i++) {
		const struct op_view *op = (const struct op_view *)r->ops.items + i;

		if (!o->quiet) {
			rc = add_op(&t, op, &e);
			continue;
		}
		op_id_text(&op->op_id, id);
		(void)printf("%s\n", id);
	}
	return o->quiet ? STATUS_OK : object_table(o, &t, rc, &e);
}

static int args_fill(const struct options *o, struct op_args *ret_args)
{
	struct err e = { 0 };

	if (op_id_parse(o->args[0], &ret_args->op_id) == 0)
		return STATUS_OK;
	err_set(&e, ERR_BAD_REQUEST, "\"%s\" is not an op_id (26 characters)", o->args[0]);
	report_error(o, &e, NULL, NULL, NULL);
	return STATUS_USAGE;
}

static int add_step(struct table *t, const struct op_step *step, struct err *e)
{
	char at[HUMAN_MAX];
	char took[HUMAN_MAX];
	const char *const cells[] = { step->name, step->undo ? "undo" : "do", at, took,
				      step->result ? err_sys_text(step->result) : "ok" };

	human_duration(step->begin_us, at);
	human_duration(step->duration_us, took);
	return add_cells(t, cells, ARRAY_LEN(cells), e);
}

static int show(const struct options *o, const struct op_view *op)
{
	char text[OP_ID_CHARS + 1];
	char began[HUMAN_MAX];
	char took[HUMAN_MAX];
	struct table t;
	struct err e = { 0 };
	int rc = 0;

	op_id_text(&op->op_id, text);
	human_time(op->wall_ms, began);
	human_duration(op->duration_us, took);
	(void)printf("%s  %s  %s  began %s  took %s\n", text, op->method, op->state, began, took);
	if (op->vm) {
		vm_id_text(op->vm, text);
		(void)printf("VM %s\n", text);
	}
	if (op->code[0])
		(void)printf("%s: %s\n", op->code, op->message);
	if (op->steps.n == 0)
		return STATUS_OK;
	(void)putchar('\n');
	table_init(&t, step_columns, ARRAY_LEN(step_columns));
	for (uint32_t i = 0; i < op->steps.n && rc == 0; i++)
		rc = add_step(&t, (const struct op_step *)op->steps.items + i, &e);
	return object_table(o, &t, rc, &e);
}

int op_show_run(const struct options *o)
{
	CLEANUP_CALL struct call c = { 0 };
	struct op_args args = { 0 };
	struct err e = { 0 };
	int status = args_fill(o, &args);

	if (status == 0)
		status = session_ask(o, &c, METHOD_OP_SHOW, &args);
	if (status != 0)
		return status;
	if (o->json)
		return report_json(&op_view_schema, c.result, &e) < 0 ? STATUS_FAILED : STATUS_OK;
	return show(o, c.result);
}

int op_cancel_run(const struct options *o)
{
	CLEANUP_CALL struct call c = { 0 };
	struct op_args args = { 0 };
	const int status = args_fill(o, &args);

	return status ? status : session_ask(o, &c, METHOD_OP_CANCEL, &args);
}
