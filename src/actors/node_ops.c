/* node_ops.c - what operations do and did: their records, op.show, op.list, op.wait. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/limits.h"
#include "actors/node.h"
#include "base/text.h"

static_assert((int)OP_STEPS_MAX * OP_STEP_BYTES +
			      (int)OP_TARGETS_MAX * (TARGET_ROW_BYTES + 2 * ERR_TEXT_MAX) <
		      RESULT_BYTES_MAX,
	      "op.show is one frame");

/* ---- records ---- */

int node_op_record(struct node *n, const struct op_id *id, struct op_record *ret_rec)
{
	return db_get(n->env->db, STORE_OPS, id->b, OP_ID_BYTES, &op_record_schema, ret_rec, NULL);
}

/* The result comes first: it must be given again.  Steps have what it leaves. */
static void fit_steps(struct op_record *rec)
{
	const size_t used = STORE_VALUE_MAX - RESULT_BYTES_MAX + rec->result.len;
	const size_t room = (STORE_VALUE_MAX - used) / OP_STEP_BYTES;

	if (rec->view.steps.n > room) {
		rec->view.steps_lost += rec->view.steps.n - (uint32_t)room;
		rec->view.steps.n = (uint32_t)room;
	}
}

int node_op_put(struct node *n, struct op *op, bool done)
{
	struct op_record rec = {
		.version = RECORD_VERSION,
		.digest = op->digest,
		.done = done,
		.sys = op->err.sys,
		.result = { buf_data(&op->result), done ? buf_len(&op->result) : 0 },
	};

	TEXT_SET(rec.method, client_methods[op->method].name);
	op_view_fill(n->env, op, &rec.view);
	op_view_steps(n->env, op, &rec.view);
	fit_steps(&rec);
	return db_put(n->env->db, STORE_OPS, op->id.b, OP_ID_BYTES, &op_record_schema, &rec);
}

/* A record that says "running" of one that is not under way: the daemon ended in its middle. */
static void correct_state(const struct op_record *rec, struct op_view *view)
{
	if (!rec->done)
		(void)snprintf(view->state, sizeof(view->state), "interrupted");
}

/* ---- commits ---- */

void node_op_committed(struct node *n, const struct op *op)
{
	n->commits[n->commit_at] = (struct op_commit){
		.id = op->id,
		.us = io_now_us(n->env->io) - op->answered_us,
	};
	n->commit_at = (n->commit_at + 1) % OP_COMMITS_KEEP;
}

static uint64_t commit_us(const struct node *n, const struct op_id *id)
{
	for (uint32_t i = 0; i < OP_COMMITS_KEEP; i++)
		if (op_id_equal(&n->commits[i].id, id))
			return n->commits[i].us;
	return 0;
}

/* ---- one operation ---- */

/* Answers `to` with the view and, where it is about VMs, the first of them: as they are now (from
 * its tasks), or as its result says. */
static void answer_view(struct node *n, struct op *to, struct op_view *view,
			const struct fleet *fleet, const struct bytes *result)
{
	struct targets_result done = { 0 };
	struct target_result *rows = NULL;
	uint32_t count = fleet ? fleet->n : 0;

	if (count > OP_TARGETS_MAX)
		count = OP_TARGETS_MAX;
	if (fleet) {
		rows = calloc(count > 0 ? count : 1, sizeof(*rows));
		for (uint32_t i = 0; rows && i < count; i++)
			node_task_row(n, &fleet->tasks[i], &rows[i]);
		if (rows)
			view->targets = (struct seq){ .items = rows, .n = count };
	} else if (view->vms > 0 && result->len > 0 &&
		   schema_decode(&targets_result_schema, result->data, result->len, &done, NULL) ==
			   0) {
		view->targets = done.targets;
		if (view->targets.n > OP_TARGETS_MAX)
			view->targets.n = OP_TARGETS_MAX;
	}
	view->commit_us = commit_us(n, &view->op_id);
	op_done(n->env, to, &op_view_schema, view);
	schema_fini(&targets_result_schema, &done);
	free(rows);
}

static void answer_live(struct node *n, struct op *to, struct op *found)
{
	const struct bytes result = { buf_data(&found->result), buf_len(&found->result) };
	struct op_view view;

	op_view_fill(n->env, found, &view);
	op_view_steps(n->env, found, &view);
	answer_view(n, to, &view, found->fleet, &result);
}

static void answer_record(struct node *n, struct op *to, const struct op_id *id)
{
	struct op_record rec;
	struct op_view view;

	if (node_op_record(n, id, &rec) < 0) {
		op_refuse(n->env, to, ERR_OP_NOT_FOUND, "no operation has this id");
		return;
	}
	view = rec.view; /* lent */
	correct_state(&rec, &view);
	answer_view(n, to, &view, NULL, &rec.result);
	schema_fini(&op_record_schema, &rec);
}

void node_op_show(struct node *n, struct op *op)
{
	const struct op_args *args = op->args;
	struct op *found = node_op(n, &args->op_id);

	if (found && found != op)
		answer_live(n, op, found);
	else
		answer_record(n, op, &args->op_id);
}

/* ---- waiting for the end of one ---- */

void node_op_wait(struct node *n, struct op *op)
{
	const struct op_wait_args *args = op->args;
	struct op *found = node_op(n, &args->op_id);

	if (!found) {
		answer_record(n, op, &args->op_id);
		return;
	}
	if (found->method == METHOD_OP_WAIT) { /* itself, or one that waits for us in turn */
		op_refuse(n->env, op, ERR_BAD_REQUEST, "op_id: it waits itself");
		return;
	}
	list_append(&found->followers, &op->follow);
	node_deadline(n, op, args->deadline_ms);
}

void node_op_ended(struct node *n, struct op *ended, struct op *waits)
{
	answer_live(n, waits, ended);
}

/* ---- the list ---- */

struct op_rows {
	const struct node *node;
	struct op_view *rows;
	uint32_t n;
};

static int add_record(void *arg, const void *key, size_t key_len, const void *value, size_t len)
{
	struct op_rows *r = arg;
	struct op_record rec;

	(void)key;
	(void)key_len;
	if (schema_decode(&op_record_schema, value, len, &rec, NULL) < 0)
		return 0; /* of a newer version: not ours to show */
	if (!node_op(r->node, &rec.view.op_id)) {
		struct op_view *view = &r->rows[r->n++];

		*view = rec.view;
		correct_state(&rec, view);
		view->commit_us = commit_us(r->node, &view->op_id);
		view->steps = (struct seq){ 0 };
		view->steps_lost = 0;
	}
	schema_fini(&op_record_schema, &rec);
	return r->n == OP_ROWS_MAX;
}

void node_op_list(struct node *n, struct op *op)
{
	struct op_rows r = {
		.node = n,
		.rows = calloc(OP_ROWS_MAX, sizeof(struct op_view)),
	};
	struct op_list_result result;
	struct err e = { 0 };

	if (!r.rows) {
		op_refuse(n->env, op, ERR_HOST_MEMORY, "list");
		return;
	}
	map_for_each (m, &n->ops) {
		const struct op *at = container_of(m, struct op, by_id);

		if (at != op && r.n < OP_ROWS_MAX)
			op_view_fill(n->env, at, &r.rows[r.n++]);
	}
	if (r.n < OP_ROWS_MAX &&
	    store_each_reverse(db_store(n->env->db), STORE_OPS, add_record, &r, &e) < 0) {
		op_fail(n->env, op, &e);
	} else {
		result.ops = (struct seq){ .items = r.rows, .n = r.n };
		op_done(n->env, op, &op_list_result_schema, &result);
	}
	free(r.rows);
}
