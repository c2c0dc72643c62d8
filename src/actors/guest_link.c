#include "actors/guest_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/limits.h"
#include "base/cleanup.h"
#include "proto/frame.h"
#include "proto/wire.h"

enum {
	REQUEST_HEAD = 128,       /* bytes of a request besides its arguments, at most */
	REQUEST_FRAME_MIN = 4096, /* bytes of a frame that an agent must take at least */
};

void guest_link_init(struct guest_link *l, struct env *env, const struct actor *owner,
		     const struct guest_link_ops *ops)
{
	*l = (struct guest_link){ .env = env, .log = &owner->log, .ops = ops };
	buf_init(&l->in, FRAME_HEAD + GUEST_FRAME_MAX);
	list_init(&l->execs);
	io_timer_init(&l->hello, owner, MSG_TIMER);
}

void guest_link_fini(struct guest_link *l)
{
	ASSERT(list_empty(&l->execs));
	if (l->env)
		io_timer_cancel(l->env->io, &l->hello);
	buf_fini(&l->in);
}

/* ---- sending ---- */

static int send_frame(struct guest_link *l, const struct wire *w)
{
	const int rc = wire_encode(w, io_stream_out(l->stream));

	if (rc == 0)
		io_stream_flush(l->env->io, l->stream);
	return rc;
}

static int send_request(struct guest_link *l, enum guest_method m, const void *args,
			uint32_t *ret_id)
{
	struct wire w = { .type = WIRE_REQUEST, .id = ++l->next_id };
	struct buf body;
	int rc = 0;

	buf_init(&body, l->frame_max - REQUEST_HEAD);
	(void)snprintf(w.name, sizeof(w.name), "%s", guest_methods[m].name);
	if (args)
		rc = schema_encode(guest_methods[m].args, args, &body);
	if (rc == 0) {
		w.body = (struct wire_span){ buf_data(&body), buf_len(&body) };
		rc = send_frame(l, &w);
	}
	buf_fini(&body);
	if (rc == 0)
		*ret_id = w.id;
	return rc;
}

/* A new session each time: the answer to an older hello must not be taken for this one's. */
static void say_hello(struct guest_link *l)
{
	struct wire w = {
		.type = WIRE_HELLO,
		.version = WIRE_VERSION,
		.version_min = WIRE_VERSION_MIN,
		.frame_max = GUEST_FRAME_MAX,
	};

	io_random(l->env->io, &l->session, sizeof(l->session));
	l->session |= 1; /* 0 is "none" */
	w.session = l->session;
	(void)snprintf(w.name, sizeof(w.name), "bangerd/%s", BANGER_VERSION);
	l->scan = (struct sync_scan){ 0 };
	l->synced = false;
	buf_clear(&l->in);
	if (buf_append(io_stream_out(l->stream), GUEST_SYNC, GUEST_SYNC_BYTES) == 0)
		IGNORE(send_frame(l, &w) < 0); /* said again when no answer comes */
	io_timer_set(l->env->io, &l->hello, AGENT_HELLO_MS, 0);
}

void guest_link_timer(struct guest_link *l)
{
	if (l->stream && !l->up)
		say_hello(l);
}

void guest_link_open(struct guest_link *l, struct io_stream *stream)
{
	ASSERT(!l->stream);
	l->stream = stream;
	l->up = false;
	l->status_id = 0;
	l->poweroff_id = 0;
	say_hello(l);
}

/* ---- commands ---- */

static void exec_free(struct guest_link *l, struct guest_exec *x)
{
	list_remove(&x->link);
	l->nexecs--;
	free(x);
}

static void exec_fail(struct guest_link *l, struct guest_exec *x, const struct err *why)
{
	struct op *op = take_ptr(&x->op);

	exec_free(l, x);
	op_fail(l->env, op, why);
}

void guest_link_close(struct guest_link *l, const struct err *why)
{
	struct list_node *n;

	l->stream = NULL;
	l->up = false;
	l->synced = false;
	buf_clear(&l->in);
	io_timer_cancel(l->env->io, &l->hello);
	while ((n = list_first(&l->execs)) != NULL)
		exec_fail(l, list_entry(n, struct guest_exec, link), why);
}

static void hang_up(struct guest_link *l, const struct err *why)
{
	LOG_WARN(l->log, NULL, "agent.down", K("code", err_name(why->code)), K("why", why->text));
	guest_link_close(l, why);
	l->ops->down(l, why);
}

static struct guest_exec *exec_by_id(const struct guest_link *l, uint32_t id)
{
	list_for_each (n, &l->execs) {
		struct guest_exec *x = list_entry(n, struct guest_exec, link);

		if (x->id == id)
			return x;
	}
	return NULL;
}

static struct guest_exec *exec_by_serial(const struct guest_link *l, uint64_t serial)
{
	list_for_each (n, &l->execs) {
		struct guest_exec *x = list_entry(n, struct guest_exec, link);

		if (x->op->serial == serial)
			return x;
	}
	return NULL;
}

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

static int send_exec(struct guest_link *l, const struct exec_args *args, const struct strv *env,
		     uint32_t *ret_id, struct err *e)
{
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
		rc = send_request(l, GUEST_METHOD_EXEC, &guest, ret_id);
	if (rc == -ENOBUFS && io_stream_unsent(l->stream) > 0)
		rc = err_set(e, ERR_BUSY, "the guest does not read its channel");
	else if (rc == -ENOBUFS || rc == -EMSGSIZE)
		rc = err_set(
			e, ERR_BAD_REQUEST,
			"argv and env: %zu and %zu bytes, more than %u with what surrounds them",
			strv_bytes(&args->argv), strv_bytes(&guest.env), l->frame_max);
	else if (rc < 0)
		rc = err_num(e, ERR_HOST_MEMORY, rc, "exec");
	strv_fini(&guest.env);
	return rc;
}

void guest_link_exec(struct guest_link *l, struct op *op, const struct strv *env)
{
	struct exec_args *args = op->args;
	struct err e = { 0 };

	if (!args->window)
		args->window = WIRE_STREAM_WINDOW;
	if (!l->up) {
		op_refuse(l->env, op, ERR_GUEST_GONE, "the guest's agent does not answer");
		return;
	}
	if (l->nexecs >= GUEST_EXECS_MAX) {
		op_refuse(l->env, op, ERR_BUSY, "%d commands run in this VM already",
			  (int)GUEST_EXECS_MAX);
		return;
	}
	struct guest_exec *x = calloc(1, sizeof(*x));
	if (!x) {
		op_refuse(l->env, op, ERR_HOST_MEMORY, "exec");
		return;
	}
	if (send_exec(l, args, env, &x->id, &e) < 0) {
		free(x);
		op_fail(l->env, op, &e);
		return;
	}
	x->op = op;
	x->window[WIRE_STDOUT] = args->window;
	x->window[WIRE_STDERR] = args->window;
	list_append(&l->execs, &x->link);
	l->nexecs++;
}

void guest_link_chunk(struct guest_link *l, const struct chunk_msg *m)
{
	struct guest_exec *x = exec_by_serial(l, m->serial);
	struct wire w = { 0 };

	if (!x)
		return; /* has ended meanwhile */
	w.id = x->id;
	switch (m->kind) {
	case CHUNK_DATA:
		w.type = WIRE_DATA;
		w.stream = WIRE_STDIN;
		w.bytes = (struct wire_span){ m->data, m->len };
		break;
	case CHUNK_CREDIT:
		w.type = WIRE_CREDIT;
		w.stream = m->stream;
		w.credit = m->a;
		x->window[m->stream] += m->a;
		break;
	case CHUNK_SIGNAL:
		w.type = WIRE_SIGNAL;
		w.signo = m->a;
		break;
	case CHUNK_RESIZE:
		w.type = WIRE_RESIZE;
		w.rows = m->a;
		w.cols = m->b;
		break;
	}
	if (send_frame(l, &w) < 0) {
		struct err why = { 0 };

		err_set(&why, ERR_GUEST_PROTOCOL, "the guest's agent does not read its channel");
		hang_up(l, &why);
	}
}

bool guest_link_cancel(struct guest_link *l, uint64_t serial)
{
	struct guest_exec *x = exec_by_serial(l, serial);
	const struct err why = { .code = ERR_CANCELLED, .text = "the command was cancelled" };

	if (!x)
		return false;
	/* The agent kills the command; what it still says of this id finds nobody. */
	const struct wire w = { .type = WIRE_CANCEL, .id = x->id };
	IGNORE(send_frame(l, &w) < 0);
	exec_fail(l, x, &why);
	return true;
}

int guest_link_poweroff(struct guest_link *l)
{
	if (!l->stream || !l->up)
		return -ENOTCONN;
	return send_request(l, GUEST_METHOD_POWEROFF, NULL, &l->poweroff_id);
}

/* ---- receiving ---- */

static int got_hello(struct guest_link *l, const struct wire *w, struct err *e)
{
	if (w->session != l->session)
		return 0; /* an older conversation's answer: ours comes after it */
	if (w->version < WIRE_VERSION_MIN || w->version_min > WIRE_VERSION)
		return err_set(e, ERR_BAD_VERSION, "agent speaks %u to %u, we %d to %d",
			       w->version_min, w->version, WIRE_VERSION_MIN, WIRE_VERSION);
	l->frame_max = w->frame_max ? w->frame_max : GUEST_FRAME_MAX;
	if (l->frame_max < REQUEST_FRAME_MIN)
		return err_set(e, ERR_GUEST_PROTOCOL, "frames of %u bytes are too small",
			       l->frame_max);
	if (l->frame_max > GUEST_REQUEST_MAX)
		l->frame_max = GUEST_REQUEST_MAX;
	if (l->status_id == 0 && send_request(l, GUEST_METHOD_STATUS, NULL, &l->status_id) < 0)
		return err_set(e, ERR_GUEST_PROTOCOL, "the guest's agent does not read");
	return 0;
}

static int got_status(struct guest_link *l, const struct wire *w, struct err *e)
{
	const int rc = w->failed ? err_set(e, ERR_GUEST_PROTOCOL, "status refused: %s",
					   w->error.message)
				 : schema_decode(&guest_status_schema, w->body.data, w->body.len,
						 &l->status, e);
	if (rc < 0)
		return rc;
	l->up = true;
	io_timer_cancel(l->env->io, &l->hello);
	LOG_INFO(l->log, NULL, "agent.up", K("boot_id", l->status.boot_id),
		 K("agent", l->status.agent));
	l->ops->up(l);
	return 0;
}

static int got_reply(struct guest_link *l, const struct wire *w, struct err *e)
{
	if (w->id == l->status_id && !l->up)
		return got_status(l, w, e);

	struct guest_exec *x = exec_by_id(l, w->id);
	if (!x)
		return 0; /* cancelled meanwhile, or the answer to poweroff */
	struct op *op = take_ptr(&x->op);
	exec_free(l, x);
	if (w->failed) {
		struct err why = { 0 };

		wire_error_get(w, &why);
		op_fail(l->env, op, &why);
		return 0;
	}
	struct exec_result r = { 0 };
	struct err why = { 0 };
	if (schema_decode(&exec_result_schema, w->body.data, w->body.len, &r, &why) < 0)
		op_fail(l->env, op, &why);
	else
		op_done(l->env, op, &exec_result_schema, &r);
	return 0;
}

static int got_data(struct guest_link *l, const struct wire *w, struct err *e)
{
	struct guest_exec *x = exec_by_id(l, w->id);
	const struct chunk_msg head = {
		.kind = CHUNK_DATA,
		.serial = x ? x->op->serial : 0,
		.stream = w->stream,
		.len = w->bytes.len,
	};

	if (!x)
		return 0;
	if (w->stream != WIRE_STDOUT && w->stream != WIRE_STDERR)
		return err_set(e, ERR_GUEST_PROTOCOL, "data on stream %u", w->stream);
	if (w->bytes.len > x->window[w->stream])
		return err_set(e, ERR_GUEST_PROTOCOL, "stream %u: %zu bytes beyond its credit",
			       w->stream, w->bytes.len - (size_t)x->window[w->stream]);
	x->window[w->stream] -= w->bytes.len;
	if (post_chunk(l->env->actors, x->op->client, &head, w->bytes.data) < 0) {
		struct err why = { 0 };

		err_set(&why, ERR_HOST_MEMORY, "output of the command");
		exec_fail(l, x, &why);
	}
	return 0;
}

static int got_credit(struct guest_link *l, const struct wire *w, struct err *e)
{
	const struct guest_exec *x = exec_by_id(l, w->id);
	const struct chunk_msg head = {
		.kind = CHUNK_CREDIT,
		.serial = x ? x->op->serial : 0,
		.stream = WIRE_STDIN,
		.a = w->credit,
	};

	if (w->stream != WIRE_STDIN)
		return err_set(e, ERR_GUEST_PROTOCOL, "credit for stream %u", w->stream);
	if (x)
		IGNORE(post_chunk(l->env->actors, x->op->client, &head, NULL) < 0);
	return 0;
}

static int got_frame(struct guest_link *l, const uint8_t *payload, size_t len, struct err *e)
{
	struct wire w;
	int rc = frame_check(payload, len, e);

	if (rc == 0)
		rc = wire_decode(payload, len, &w, e);
	if (rc < 0)
		return rc;
	switch (w.type) {
	case WIRE_HELLO:
		return got_hello(l, &w, e);
	case WIRE_REPLY:
		return got_reply(l, &w, e);
	case WIRE_DATA:
		return got_data(l, &w, e);
	case WIRE_CREDIT:
		return got_credit(l, &w, e);
	case WIRE_EVENT:
		return 0; /* none is defined yet; a newer agent may send some */
	case WIRE_REQUEST:
	case WIRE_CANCEL:
	case WIRE_SIGNAL:
	case WIRE_RESIZE:
	case WIRE_NTYPES:
		break;
	}
	return err_set(e, ERR_GUEST_PROTOCOL, "a frame that only the daemon may send");
}

/* Frames out of l->in.  0 when more bytes are needed. */
static int read_frames(struct guest_link *l, struct err *e)
{
	for (;;) {
		const uint8_t *payload;
		const int n = wire_next(buf_data(&l->in), buf_len(&l->in), GUEST_FRAME_MAX,
					&payload, e);
		int rc = n;

		/* Bytes may be the rest of a frame cut in two by an older conversation; only a
		 * marker that follows makes sense of them. */
		if (n > 0)
			rc = got_frame(l, payload, (size_t)n, e);
		if (rc < 0 || n == 0)
			return rc;
		if (!l->stream)
			return 0; /* hung up in between */
		buf_consume(&l->in, FRAME_HEAD + (size_t)n);
	}
}

void guest_link_read(struct guest_link *l)
{
	const uint8_t *data;
	size_t have;
	struct err e = { 0 };

	if (!l->stream)
		return;
	while (l->stream && (have = io_stream_peek(l->stream, &data)) > 0) {
		size_t take = have;

		if (!l->synced) {
			take = sync_feed(&l->scan, data, have, &l->synced);
		} else {
			const size_t room = l->in.max - buf_len(&l->in);

			take = take < room ? take : room;
			if (buf_append(&l->in, data, take) < 0) {
				err_set(&e, ERR_HOST_MEMORY, "agent's frame");
				hang_up(l, &e);
				return;
			}
		}
		io_stream_consume(l->env->io, l->stream, take);
		if (!l->synced)
			continue;
		const int rc = read_frames(l, &e);
		if (rc < 0 && l->stream && !l->up) {
			/* Not ours yet: go on looking for the marker. */
			l->synced = false;
			l->scan = (struct sync_scan){ 0 };
			buf_clear(&l->in);
			e = (struct err){ 0 };
		} else if (rc < 0 && l->stream) {
			if (e.code != ERR_HOST_MEMORY)
				e.code = ERR_GUEST_PROTOCOL;
			hang_up(l, &e);
			return;
		}
	}
	if (l->stream && (l->stream->eof || l->stream->error)) {
		err_set(&e, ERR_GUEST_GONE, "the agent's channel was closed");
		hang_up(l, &e);
	}
}
