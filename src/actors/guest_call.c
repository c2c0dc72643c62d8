/* guest_call.c - requests under way in a guest: commands and copies, with their streams.
 *
 *   client  --stdin within in_client-->  call  --within in_guest-->  agent
 *   client  <--------  call  <--outputs within window---------------  agent
 *
 * The outputs' credit is the client's, passed on as it comes.  Standard input is granted by us, in
 * small windows and only while the agent reads its channel: however many commands take input at
 * once, what waits for the agent stays below LINK_OUT_MAX.  What is owed to the agent (a cancel, a
 * credit) has room above that, so it always gets through.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "actors/guest_link.h"
#include "actors/limits.h"
#include "base/cleanup.h"
#include "proto/frame.h"

static_assert((int)LINK_OUT_LOW + FRAME_MAX + LINK_STDIN_BUDGET +
			      (int)GUEST_EXECS_MAX * LINK_STDIN_SMALL <=
		      (int)LINK_OUT_MAX,
	      "the last request and all windows fit above LINK_OUT_LOW");
static_assert((int)LINK_OUT_MAX + (int)GUEST_EXECS_MAX * LINK_FRAME_SMALL <= (int)IO_STREAM_OUT_MAX,
	      "and so does the word that each call is over");

/* ---- finding, ending ---- */

static struct guest_call *call_by_id(const struct guest_link *l, uint32_t id)
{
	list_for_each (n, &l->calls) {
		struct guest_call *c = list_entry(n, struct guest_call, link);

		if (c->id == id)
			return c;
	}
	return NULL;
}

static struct guest_call *call_by_serial(const struct guest_link *l, uint64_t serial)
{
	list_for_each (n, &l->calls) {
		struct guest_call *c = list_entry(n, struct guest_call, link);

		if (c->op->serial == serial)
			return c;
	}
	return NULL;
}

static struct op *call_free(struct guest_link *l, struct guest_call *c)
{
	struct op *op = c->op;

	io_timer_cancel(l->env->io, &c->deadline);
	list_remove(&c->link);
	l->ncalls--;
	l->stdin_budget -= c->in_window;
	free(c);
	return op;
}

static void call_fail(struct guest_link *l, struct guest_call *c, const struct err *why)
{
	const bool question = c->question;
	struct op *op = call_free(l, c);

	if (question)
		l->ops->unanswered(l, op, why);
	else
		op_fail(l->env, op, why);
}

/* The agent ends it; what it still says of this id, within what it was granted, finds nobody. */
static void call_abandon(struct guest_link *l, struct guest_call *c, const struct err *why)
{
	const struct wire w = { .type = WIRE_CANCEL, .id = c->id };

	for (int s = WIRE_STDOUT; s <= WIRE_STDERR; s++)
		l->strays += c->window[s] + WIRE_CHUNK_MAX;
	IGNORE(guest_link_send(l, &w) < 0); /* no memory: it ends with the conversation */
	call_fail(l, c, why);
}

void guest_calls_fail(struct guest_link *l, const struct err *why)
{
	struct list_node *n;

	while ((n = list_first(&l->calls)) != NULL)
		call_fail(l, list_entry(n, struct guest_call, link), why);
}

bool guest_link_cancel(struct guest_link *l, uint64_t serial)
{
	struct guest_call *c = call_by_serial(l, serial);
	const struct err why = { .code = ERR_CANCELLED, .text = "the command was cancelled" };

	if (c)
		call_abandon(l, c, &why);
	return c != NULL;
}

/* ---- beginning ---- */

/* The VM's environment, then the request's: its word counts where both name a variable. */
static int merge_env(const struct strv *vm, const struct strv *request, struct strv *ret_env)
{
	int rc = strv_copy(ret_env, request);

	for (uint32_t i = 0; rc == 0 && i < vm->n; i++) {
		CLEANUP_FREE char *name = strndup(vm->v[i], strcspn(vm->v[i], "="));

		if (!name)
			rc = -ENOMEM;
		else if (!strv_value(request, name))
			rc = strv_add(ret_env, vm->v[i]);
	}
	return rc;
}

static size_t strv_bytes(const struct strv *s)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < s->n; i++)
		bytes += strlen(s->v[i]);
	return bytes;
}

static int send_exec(struct guest_link *l, const struct op *op, const struct strv *env,
		     uint32_t *ret_id, struct err *e)
{
	const struct exec_args *args = op->args;
	struct guest_exec_args guest = {
		.argv = args->argv, /* lent */
		.tty = args->tty,
		.stdin_open = args->stdin_open,
		.rows = args->rows,
		.cols = args->cols,
		.window = args->window,
	};
	int rc = merge_env(env, &args->env, &guest.env);

	memcpy(guest.cwd, args->cwd, sizeof(guest.cwd));
	if (rc == 0)
		rc = guest_link_ask(l, GUEST_METHOD_EXEC, &guest, ret_id);
	if (rc == -ENOBUFS || rc == -EMSGSIZE)
		rc = err_set(
			e, ERR_BAD_REQUEST,
			"argv and env: %zu and %zu bytes, more than %u with what surrounds them",
			strv_bytes(&args->argv), strv_bytes(&guest.env), l->frame_max);
	else if (rc < 0)
		rc = err_num(e, ERR_HOST_MEMORY, rc, "exec");
	strv_fini(&guest.env);
	return rc;
}

static int send_copy_in(struct guest_link *l, const struct op *op, uint32_t *ret_id)
{
	const struct copy_in_args *args = op->args;
	const struct guest_copy_in_args guest = {
		.path = args->path, /* lent */
		.as = args->as,
		.no_owner = args->no_owner,
		.window = args->window,
	};

	return guest_link_ask(l, GUEST_METHOD_COPY_IN, &guest, ret_id);
}

static int send_copy_out(struct guest_link *l, const struct op *op, uint32_t *ret_id)
{
	const struct copy_out_args *args = op->args;
	const struct guest_copy_out_args guest = {
		.path = args->path, /* lent */
		.follow = args->follow,
		.window = args->window,
	};

	return guest_link_ask(l, GUEST_METHOD_COPY_OUT, &guest, ret_id);
}

static int send_request(struct guest_link *l, const struct op *op, const struct strv *env,
			uint32_t *ret_id, struct err *e)
{
	int rc;

	if (op->method == METHOD_VM_EXEC)
		return send_exec(l, op, env, ret_id, e);
	rc = op->method == METHOD_VM_COPY_IN ? send_copy_in(l, op, ret_id)
					     : send_copy_out(l, op, ret_id);
	return rc < 0 ? err_num(e, ERR_HOST_MEMORY, rc, "copy") : 0;
}

static bool takes_input(const struct op *op)
{
	return op->method == METHOD_VM_COPY_IN ||
	       (op->method == METHOD_VM_EXEC && ((const struct exec_args *)op->args)->stdin_open);
}

static int call_admit(const struct guest_link *l, struct err *e)
{
	if (l->phase != GUEST_UP)
		return err_set(e, ERR_GUEST_GONE, "the guest's agent does not answer");
	if (l->ncalls >= GUEST_EXECS_MAX)
		return err_set(e, ERR_BUSY, "%d commands run in this VM already",
			       (int)GUEST_EXECS_MAX);
	if (io_stream_unsent(l->stream) > LINK_OUT_LOW)
		return err_set(e, ERR_BUSY, "the guest does not read its channel");
	return 0;
}

void guest_link_call(struct guest_link *l, struct op *op, const struct strv *env)
{
	struct guest_call *c = calloc(1, sizeof(*c));
	uint32_t *window = op_window(op);
	struct err e = { 0 };
	int rc = c ? call_admit(l, &e) : err_set(&e, ERR_HOST_MEMORY, "command");

	if (*window == 0)
		*window = WIRE_STREAM_WINDOW;
	if (rc == 0)
		rc = send_request(l, op, env, &c->id, &e);
	if (rc < 0) {
		free(c);
		op_fail(l->env, op, &e);
		return;
	}
	c->op = op;
	c->window[WIRE_STDOUT] = *window;
	c->window[WIRE_STDERR] = *window;
	if (takes_input(op)) {
		c->in_window = l->stdin_budget < LINK_STDIN_BUDGET ? LINK_STDIN_WINDOW
								   : LINK_STDIN_SMALL;
		l->stdin_budget += c->in_window;
	}
	list_append(&l->calls, &c->link);
	l->ncalls++;
	guest_link_watch(l);
}

void guest_link_question(struct guest_link *l, struct op *op, enum guest_method m,
			 uint32_t deadline_ms)
{
	struct guest_call *c = calloc(1, sizeof(*c));
	struct err e = { 0 };
	int rc = c ? call_admit(l, &e) : err_set(&e, ERR_HOST_MEMORY, "question");

	if (rc == 0 && guest_link_ask(l, m, NULL, &c->id) < 0)
		rc = err_set(&e, ERR_HOST_MEMORY, "question");
	if (rc < 0) {
		free(c);
		l->ops->unanswered(l, op, &e);
		return;
	}
	c->op = op;
	c->question = true;
	c->asked = m;
	c->asked_us = io_now_us(l->env->io);
	io_timer_init(&c->deadline, l->owner, MSG_TIMER);
	io_timer_set(l->env->io, &c->deadline, deadline_ms, 0);
	list_append(&l->calls, &c->link);
	l->ncalls++;
}

void guest_call_timer(struct guest_link *l, const struct msg *m)
{
	struct err why = { 0 };

	list_for_each (n, &l->calls) {
		struct guest_call *c = list_entry(n, struct guest_call, link);

		if (m != &c->deadline.msg)
			continue;
		err_set(&why, ERR_TIMEOUT, "the guest's agent gave no answer");
		call_abandon(l, c, &why);
		return;
	}
}

/* ---- credit, both ways ---- */

/* Grants the client what the agent has granted us, a window's worth at a time. */
static void stdin_grant(struct guest_link *l, struct guest_call *c)
{
	const uint64_t most = c->in_guest < c->in_window ? c->in_guest : c->in_window;
	const uint64_t more = most > c->in_client ? most - c->in_client : 0;
	const struct chunk_msg head = {
		.kind = CHUNK_CREDIT,
		.serial = c->op->serial,
		.stream = WIRE_STDIN,
		.a = (uint32_t)more,
	};

	if (more == 0 || (more < c->in_window / 2 && c->in_client > 0))
		return;
	if (post_chunk(l->env, c->op->client, &head, NULL) == 0)
		c->in_client += more;
}

/* Grants the agent what the client has granted us: many small credits may have become one. */
static void output_grant(struct guest_link *l, struct guest_call *c, enum wire_stream stream)
{
	const uint64_t owed = c->owed[stream];
	const struct wire w = {
		.type = WIRE_CREDIT,
		.id = c->id,
		.stream = stream,
		.credit = owed < WIRE_CREDIT_MAX ? (uint32_t)owed : WIRE_CREDIT_MAX,
	};

	if (owed == 0 || guest_link_send(l, &w) < 0)
		return; /* no memory: with the next one */
	c->owed[stream] -= w.credit;
	c->window[stream] += w.credit;
}

static void call_grant(struct guest_link *l, struct guest_call *c)
{
	output_grant(l, c, WIRE_STDOUT);
	output_grant(l, c, WIRE_STDERR);
	stdin_grant(l, c);
}

/* Whether the agent keeps up; else guest_calls_drained() will be called when it does again. */
static bool keeps_up(struct guest_link *l)
{
	if (io_stream_unsent(l->stream) <= LINK_OUT_LOW)
		return true;
	io_stream_notify_drained(l->stream, LINK_OUT_LOW);
	return false;
}

void guest_calls_drained(struct guest_link *l)
{
	list_for_each (n, &l->calls) {
		if (!keeps_up(l))
			return;
		call_grant(l, list_entry(n, struct guest_call, link));
	}
}

/* ---- the client's words ---- */

static void stdin_data(struct guest_link *l, struct guest_call *c, const struct chunk_msg *m)
{
	const struct wire w = {
		.type = WIRE_DATA, .id = c->id, .stream = WIRE_STDIN, .bytes = { m->data, m->len }
	};
	struct err why = { 0 };

	if (m->len > c->in_client || c->in_ended) {
		err_set(&why, ERR_BAD_REQUEST, "stdin: %s",
			c->in_ended ? "bytes after its end" : "bytes beyond its credit");
		call_abandon(l, c, &why);
		return;
	}
	c->in_client -= m->len;
	c->in_guest -= m->len;
	c->in_ended = m->len == 0;
	if (io_stream_unsent(l->stream) + m->len > LINK_OUT_MAX ||
	    frames_put_data(l->stream, &l->tail, &w) < 0) {
		err_set(&why, ERR_BUSY, "the guest does not read its channel");
		call_abandon(l, c, &why);
		return;
	}
	io_stream_flush(l->env->io, l->stream);
	if (keeps_up(l))
		stdin_grant(l, c);
}

/* Dropped while the agent is far behind: they can be said again, and nothing else is lost. */
static void send_lightly(struct guest_link *l, const struct wire *w)
{
	if (io_stream_unsent(l->stream) < LINK_OUT_MAX)
		IGNORE(guest_link_send(l, w) < 0);
}

void guest_link_chunk(struct guest_link *l, const struct chunk_msg *m)
{
	struct guest_call *c = call_by_serial(l, m->serial);
	struct wire w = { .id = c ? c->id : 0 };

	if (!c)
		return; /* has ended meanwhile */
	switch (m->kind) {
	case CHUNK_DATA:
		stdin_data(l, c, m);
		return;
	case CHUNK_CREDIT:
		c->owed[m->stream] += m->a;
		if (keeps_up(l))
			output_grant(l, c, (enum wire_stream)m->stream);
		return;
	case CHUNK_SIGNAL:
		w.type = WIRE_SIGNAL;
		w.signo = m->a;
		send_lightly(l, &w);
		return;
	case CHUNK_RESIZE:
		w.type = WIRE_RESIZE;
		w.rows = m->a;
		w.cols = m->b;
		send_lightly(l, &w);
		return;
	}
}

/* ---- the agent's words ---- */

int guest_link_stray(struct guest_link *l, size_t bytes, struct err *e)
{
	const uint64_t weight = bytes + LINK_FRAME_SMALL;

	if (weight > l->strays)
		return err_set(e, ERR_GUEST_PROTOCOL, "frames about nothing that is under way");
	l->strays -= weight;
	return 0;
}

/* The answer is not at odds with its schema, whatever it says. */
static void call_answered(struct guest_link *l, struct guest_call *c, const struct wire *w)
{
	const bool question = c->question;
	const struct schema *schema = question ? guest_methods[c->asked].result
					       : client_methods[c->op->method].result;
	const uint64_t took_us = io_now_us(l->env->io) - c->asked_us;
	struct op *op = call_free(l, c);
	CLEANUP_FREE void *result = calloc(1, schema->size);
	struct err why = { 0 };

	if (!result)
		err_set(&why, ERR_HOST_MEMORY, "answer of the guest");
	else if (w->failed)
		wire_error_get(w, &why);
	else if (schema_decode(schema, w->body.data, w->body.len, result, &why) == 0 && !question)
		op_done(l->env, op, schema, result);
	else if (!why.code)
		l->ops->answered(l, op, result, took_us);
	if (why.code && !question)
		op_fail(l->env, op, &why);
	else if (why.code)
		l->ops->unanswered(l, op, &why);
	else
		schema_fini(schema, result);
}

int guest_call_reply(struct guest_link *l, const struct wire *w, struct err *e)
{
	struct guest_call *c = call_by_id(l, w->id);

	if (!c)
		return guest_link_stray(l, w->body.len, e);
	call_answered(l, c, w);
	return 0;
}

int guest_call_data(struct guest_link *l, const struct wire *w, struct err *e)
{
	struct guest_call *c = call_by_id(l, w->id);
	struct chunk_msg head = { .kind = CHUNK_DATA, .stream = w->stream, .len = w->bytes.len };
	struct err why = { 0 };

	if (!c)
		return guest_link_stray(l, w->bytes.len, e);
	if (w->stream != WIRE_STDOUT && w->stream != WIRE_STDERR)
		return err_set(e, ERR_GUEST_PROTOCOL, "data on stream %u", w->stream);
	if (c->out_ended[w->stream])
		return err_set(e, ERR_GUEST_PROTOCOL, "stream %u: data after its end", w->stream);
	if (w->bytes.len > c->window[w->stream])
		return err_set(e, ERR_GUEST_PROTOCOL, "stream %u: %zu bytes beyond its credit",
			       w->stream, w->bytes.len - (size_t)c->window[w->stream]);
	c->window[w->stream] -= w->bytes.len;
	c->out_ended[w->stream] = w->bytes.len == 0;
	head.serial = c->op->serial;
	if (post_chunk(l->env, c->op->client, &head, w->bytes.data) < 0) {
		err_set(&why, ERR_HOST_MEMORY, "output of the command");
		call_abandon(l, c, &why);
	}
	return 0;
}

int guest_call_credit(struct guest_link *l, const struct wire *w, struct err *e)
{
	struct guest_call *c = call_by_id(l, w->id);

	if (w->stream != WIRE_STDIN)
		return err_set(e, ERR_GUEST_PROTOCOL, "credit for stream %u", w->stream);
	if (!c)
		return guest_link_stray(l, 0, e);
	if (c->in_window == 0 || c->in_guest + w->credit > WIRE_CREDIT_MAX)
		return err_set(e, ERR_GUEST_PROTOCOL, "stdin: %u bytes of credit, beyond bounds",
			       w->credit);
	c->in_guest += w->credit;
	if (keeps_up(l))
		stdin_grant(l, c);
	return 0;
}
