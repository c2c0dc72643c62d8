#include "actors/op.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/limits.h"
#include "base/text.h"
#include "proto/frame.h"

enum {
	STEPS_FIRST = 16, /* room for as many steps at first */
};

bool op_is_durable(enum client_method m)
{
	static const uint64_t durable = BIT(METHOD_VM_CREATE) | BIT(METHOD_VM_START) |
					BIT(METHOD_VM_STOP) | BIT(METHOD_VM_RESTART) |
					BIT(METHOD_VM_KILL) | BIT(METHOD_VM_SET) |
					BIT(METHOD_VM_DELETE) | BIT(METHOD_IMAGE_IMPORT) |
					BIT(METHOD_IMAGE_BUILD) | BIT(METHOD_IMAGE_RM) |
					BIT(METHOD_KERNEL_IMPORT) | BIT(METHOD_KERNEL_RM);

	static_assert(METHOD_NMETHODS <= 64, "methods are kept in a 64-bit mask");
	return (durable & BIT(m)) != 0;
}

bool op_is_question(enum client_method m)
{
	static const uint64_t questions = BIT(METHOD_INFO) | BIT(METHOD_VM_LIST) |
					  BIT(METHOD_VM_SHOW) | BIT(METHOD_OP_SHOW) |
					  BIT(METHOD_OP_LIST) | BIT(METHOD_IMAGE_LIST) |
					  BIT(METHOD_IMAGE_SHOW) | BIT(METHOD_KERNEL_LIST) |
					  BIT(METHOD_KERNEL_SHOW);

	return (questions & BIT(m)) != 0;
}

uint32_t *op_window(const struct op *op)
{
	switch ((int)op->method) {
	case METHOD_VM_EXEC:
		return &((struct exec_args *)op->args)->window;
	case METHOD_VM_COPY_IN:
		return &((struct copy_in_args *)op->args)->window;
	case METHOD_VM_COPY_OUT:
		return &((struct copy_out_args *)op->args)->window;
	default:
		return NULL;
	}
}

bool op_streams(const struct op *op)
{
	return op_window(op) || op->method == METHOD_VM_CONSOLE;
}

static bool asks_guest(enum client_method m)
{
	return client_methods[m].args == &guest_ask_args_schema;
}

/* The first member of each of them. */
static_assert(offsetof(struct exec_args, ref) == 0, "op_ref() reads it there");
static_assert(offsetof(struct copy_in_args, ref) == 0, "op_ref() reads it there");
static_assert(offsetof(struct copy_out_args, ref) == 0, "op_ref() reads it there");
static_assert(offsetof(struct guest_ask_args, ref) == 0, "op_ref() reads it there");

const char *op_ref(const struct op *op)
{
	return op_window(op) || asks_guest(op->method) ? op->args : NULL;
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
	ASSERT(!op->deadline.set);
	cancel_fini(&op->cancel);
	if (op->args)
		schema_fini(client_methods[op->method].args, op->args);
	free(op->args);
	free(op->steps);
	buf_fini(&op->result);
	free(op);
}

static void op_home(struct env *env, struct op *op)
{
	op->answered_us = io_now_us(env->io);
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

void op_event(struct env *env, struct op *op, enum client_event type, const void *body)
{
	const struct client_event_row *row = &client_events[type];
	struct buf b;

	if (!actor_find(env->actors, op->client))
		return;
	buf_init(&b, FRAME_MAX);
	if ((op->lost == 0 || op->events == 0) && op->events < EVENT_QUEUE_MAX &&
	    schema_encode(row->body, body, &b) == 0 &&
	    post_event(env->actors, op->client, op->serial, row->name, buf_data(&b), buf_len(&b)) ==
		    0)
		op->events++;
	else
		op->lost++;
	buf_fini(&b);
}

void op_progress(struct env *env, struct op *op, const struct progress_event *ev)
{
	if (op->progress)
		op_event(env, op, EVENT_PROGRESS, ev);
}

/* ---- steps ---- */

static struct op_step *step_add(struct op *op)
{
	if (op->nsteps == op->steps_cap && op->steps_cap < OP_STEPS_MAX) {
		const uint32_t twice = op->steps_cap ? 2 * op->steps_cap : STEPS_FIRST;
		const uint32_t cap = twice < OP_STEPS_MAX ? twice : OP_STEPS_MAX;
		struct op_step *steps = reallocarray(op->steps, cap, sizeof(*steps));

		if (steps) {
			op->steps = steps;
			op->steps_cap = cap;
		}
	}
	if (op->nsteps == op->steps_cap) {
		op->steps_lost++;
		return NULL;
	}
	return &op->steps[op->nsteps++];
}

/* Since the operation's admission; a VM that was at work before it came begins at 0. */
static uint64_t since_admission(const struct op *op, uint64_t us)
{
	return us > op->admitted_us ? us - op->admitted_us : 0;
}

uint32_t op_step_begun(const struct env *env, struct op *op, vm_id vm, const char *name, bool undo)
{
	struct op_step *s = step_add(op);

	if (!s)
		return OP_STEPS_MAX;
	*s = (struct op_step){
		.vm = vm,
		.begin_us = since_admission(op, io_now_us(env->io)),
		.undo = undo,
		.running = true,
	};
	TEXT_SET(s->name, name);
	return op->nsteps - 1;
}

void op_step_over(const struct env *env, struct op *op, uint32_t number, int rc)
{
	if (number >= op->nsteps)
		return; /* not kept */
	struct op_step *s = &op->steps[number];

	s->duration_us = since_admission(op, io_now_us(env->io)) - s->begin_us;
	s->result = rc;
	s->running = false;
}

void op_step_waited(const struct env *env, struct op *op, vm_id vm, const char *name,
		    uint64_t since_us)
{
	const uint32_t number = op_step_begun(env, op, vm, name, false);

	if (number < op->nsteps)
		op->steps[number].begin_us = since_admission(op, since_us);
	op_step_over(env, op, number, 0);
}

void op_view_steps(const struct env *env, struct op *op, struct op_view *view)
{
	for (uint32_t i = 0; i < op->nsteps; i++)
		if (op->steps[i].running)
			op->steps[i].duration_us = since_admission(op, io_now_us(env->io)) -
						   op->steps[i].begin_us;
	view->steps = (struct seq){ .items = op->steps, .n = op->nsteps };
	view->steps_lost = op->steps_lost;
}

/* ---- a look from outside ---- */

void op_view_fill(const struct env *env, const struct op *op, struct op_view *ret_view)
{
	const bool done = op->answered_us != 0;
	struct op_view v = {
		.op_id = op->id,
		.vm = op->vm,
		.vms = op->ntargets,
		.failed = op->nfailed,
		.wall_ms = op->admitted_ms,
		.duration_us = (done ? op->answered_us : io_now_us(env->io)) - op->admitted_us,
	};

	TEXT_SET(v.method, client_methods[op->method].name);
	TEXT_SET(v.state, !done                           ? "running"
			  : !op->err.code                 ? "done"
			  : op->err.code == ERR_CANCELLED ? "cancelled"
							  : "failed");
	if (op->err.code) {
		TEXT_SET(v.code, err_name(op->err.code));
		TEXT_SET(v.message, op->err.text);
	}
	*ret_view = v;
}
