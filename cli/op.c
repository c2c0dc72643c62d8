/* op.c - `op list|show|wait|cancel`: what the daemon is doing, and did, with times. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "human.h"
#include "object.h"
#include "op_show.h"
#include "report.h"

static const struct column columns[] = {
	{ .head = "OP" },
	{ .head = "METHOD" },
	{ .head = "STATE", .drop = 1 },
	{ .head = "VM", .shrink = true, .drop = 3 },
	{ .head = "BEGAN", .drop = 5 },
	{ .head = "TOOK", .right = true, .drop = 2 },
	{ .head = "ERROR", .shrink = true, .drop = 4 },
};

/* The one VM's id, or how many there are and failed. */
static void vms_text(const struct op_view *op, char *out, size_t size)
{
	out[0] = '\0';
	if (op->vm)
		vm_id_text(op->vm, out);
	else if (op->failed)
		(void)snprintf(out, size, "%u, %u failed", op->vms, op->failed);
	else if (op->vms)
		(void)snprintf(out, size, "%u", op->vms);
}

static int add_row(struct rows *r, const struct op_view *op, struct err *e)
{
	char id[OP_ID_CHARS + 1];
	char vms[32];
	char began[HUMAN_MAX];
	char took[HUMAN_MAX];
	const char *const cells[] = { id, op->method, op->state, vms, began, took, op->code };

	op_id_text(&op->op_id, id);
	vms_text(op, vms, sizeof(vms));
	human_time(op->wall_ms, began);
	human_duration(op->duration_us, took);
	return rows_add(r, op, id, cells, e);
}

int op_list_run(const struct options *o)
{
	CLEANUP_CALL struct call c = { 0 };
	struct rows rows;
	struct err e = { 0 };
	int rc = 0;
	int status = rows_init(&rows, o, columns, ARRAY_LEN(columns), &op_view_schema);

	if (status != 0)
		return status;
	status = session_ask(o, &c, METHOD_OP_LIST, &(struct none){ 0 });
	if (status == 0) {
		const struct op_list_result *r = c.result;
		const struct op_view *ops = r->ops.items;

		for (uint32_t i = 0; i < r->ops.n && rc == 0; i++)
			rc = add_row(&rows, &ops[i], &e);
	}
	return object_list_end(&rows, status, rc, &e);
}

static int id_fill(const struct options *o, struct op_id *ret_id)
{
	struct err e = { 0 };

	if (op_id_parse(o->args[0], ret_id) == 0)
		return STATUS_OK;
	err_set(&e, ERR_BAD_REQUEST, "\"%s\" is not an op_id (26 characters)", o->args[0]);
	report_error(o, &e, NULL, NULL, NULL);
	return STATUS_USAGE;
}

int op_show_run(const struct options *o)
{
	CLEANUP_CALL struct call c = { 0 };
	struct op_args args = { 0 };
	struct err e = { 0 };
	int status = id_fill(o, &args.op_id);
	int rc;

	if (status == 0)
		status = session_ask(o, &c, METHOD_OP_SHOW, &args);
	if (status != 0)
		return status;
	if (o->trace)
		rc = op_trace(c.result, &e);
	else if (o->json)
		rc = report_json(&op_view_schema, c.result, &e);
	else
		rc = op_show(o, c.result, &e);
	if (rc == 0)
		return STATUS_OK;
	report_error(o, &e, NULL, NULL, NULL);
	return STATUS_FAILED;
}

int op_wait_run(const struct options *o)
{
	CLEANUP_CALL struct call c = { 0 };
	struct op_wait_args args = { .deadline_ms = o->timeout_ms };
	const struct op_view *op;
	struct err e = { 0 };
	int status = id_fill(o, &args.op_id);

	if (status == 0)
		status = session_ask(o, &c, METHOD_OP_WAIT, &args);
	if (status != 0)
		return status;
	op = c.result;
	if (o->json && report_json(&op_view_schema, op, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_FAILED;
	}
	if (!o->json && !o->quiet)
		(void)printf("%s\n", op->state);
	return strcmp(op->state, "done") == 0 && op->failed == 0 ? STATUS_OK : STATUS_FAILED;
}

int op_cancel_run(const struct options *o)
{
	CLEANUP_CALL struct call c = { 0 };
	struct op_args args = { 0 };
	const int status = id_fill(o, &args.op_id);

	return status ? status : session_ask(o, &c, METHOD_OP_CANCEL, &args);
}
