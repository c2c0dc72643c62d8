#include "actors/op.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/limits.h"
#include "proto/frame.h"

bool op_is_durable(enum client_method m)
{
	static const uint64_t durable = BIT(METHOD_VM_CREATE) | BIT(METHOD_VM_START) |
					BIT(METHOD_VM_STOP) | BIT(METHOD_VM_RESTART) |
					BIT(METHOD_VM_KILL) | BIT(METHOD_VM_DELETE) |
					BIT(METHOD_IMAGE_IMPORT) | BIT(METHOD_IMAGE_BUILD) |
					BIT(METHOD_IMAGE_RM) | BIT(METHOD_KERNEL_IMPORT) |
					BIT(METHOD_KERNEL_RM);

	static_assert(METHOD_NMETHODS <= 64, "methods are kept in a 64-bit mask");
	return (durable & BIT(m)) != 0;
}

static void op_drop(struct msg *m)
{
	op_destroy(container_of(m, struct op, msg));
}

struct op *op_create(struct env *env, enum client_method m)
{
	struct op *op = calloc(1, sizeof(*op));

	if (!op)
		return NULL;
	op->msg.type = MSG_OP;
	op->msg.drop = op_drop;
	op->method = m;
	op->serial = ++env->serial;
	op->admitted_us = io_now_us(env->io);
	op->admitted_ms = io_wall_ms(env->io);
	list_init(&op->followers);
	buf_init(&op->result, RESULT_BYTES_MAX);
	if (client_methods[m].args->size > 0) {
		op->args = calloc(1, client_methods[m].args->size);
		if (!op->args) {
			free(op);
			return NULL;
		}
	}
	return op;
}

void op_destroy(struct op *op)
{
	if (!op)
		return;
	ASSERT(!op->fleet);
	ASSERT(list_empty(&op->followers));
	ASSERT(!op->commit.armed);
	if (op->args)
		schema_fini(client_methods[op->method].args, op->args);
	free(op->args);
	buf_fini(&op->result);
	free(op);
}

static void op_home(struct env *env, struct op *op)
{
	op->msg.type = MSG_OP_DONE;
	actor_post(env->actors, env->node, &op->msg);
}

void op_done(struct env *env, struct op *op, const struct schema *result_schema, const void *result)
{
	if (result_schema) {
		const int rc = schema_encode(result_schema, result, &op->result);

		if (rc < 0) {
			buf_clear(&op->result);
			err_num(&op->err, ERR_INTERNAL, rc, "result of %s does not fit",
				client_methods[op->method].name);
		}
	}
	op_home(env, op);
}

void op_fail(struct env *env, struct op *op, const struct err *e)
{
	op->err = *e;
	op_home(env, op);
}

int op_refuse(struct env *env, struct op *op, enum err_code code, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	const int rc = err_set(&op->err, code, "%s", text);
	op_home(env, op);
	return rc;
}

void op_progress(struct env *env, const struct op *op, const struct progress_event *ev)
{
	struct buf body;

	if (!op->progress || !actor_find(env->actors, op->client))
		return;
	buf_init(&body, FRAME_MAX);
	/* Progress is told as far as memory goes; the answer does not depend on it. */
	if (schema_encode(&progress_event_schema, ev, &body) == 0)
		IGNORE(post_event(env->actors, op->client, op->serial, "progress", buf_data(&body),
				  buf_len(&body)) < 0);
	buf_fini(&body);
}

void op_take_times(struct op *op, const struct plan_time *times, uint32_t n)
{
	for (uint32_t i = 0; i < n && op->nsteps < STEPS_MAX; i++) {
		struct op_step *s = &op->steps[op->nsteps++];

		(void)snprintf(s->name, sizeof(s->name), "%s", times[i].name);
		s->begin_us = times[i].begin_us > op->admitted_us
				      ? times[i].begin_us - op->admitted_us
				      : 0;
		s->duration_us = times[i].duration_us;
		s->result = times[i].result;
		s->undo = times[i].undo;
	}
}

void op_view_fill(const struct env *env, const struct op *op, struct op_view *ret_view)
{
	struct op_view v = {
		.op_id = op->id,
		.vm = op->vm,
		.wall_ms = op->admitted_ms,
		.duration_us = io_now_us(env->io) - op->admitted_us,
		.steps = { .items = NULL, .n = 0 },
	};
	const bool done = op->msg.type == MSG_OP_DONE;

	(void)snprintf(v.method, sizeof(v.method), "%s", client_methods[op->method].name);
	(void)snprintf(v.state, sizeof(v.state), "%s",
		       !done                           ? "running"
		       : !op->err.code                 ? "done"
		       : op->err.code == ERR_CANCELLED ? "cancelled"
						       : "failed");
	if (op->err.code) {
		(void)snprintf(v.code, sizeof(v.code), "%s", err_name(op->err.code));
		(void)snprintf(v.message, sizeof(v.message), "%s", op->err.text);
	}
	*ret_view = v;
}
