#include "actors/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/frames.h"
#include "actors/limits.h"
#include "actors/op.h"
#include "proto/frame.h"
#include "proto/wire.h"

struct client {
	struct actor actor;
	struct env *env; /* borrowed */
	struct io_stream stream;
	struct buf in;            /* the frame being gathered */
	struct io_timer deadline; /* of the hello, then of a frame that has begun */
	struct io_timer again;    /* to read what was left for later */
	bool greeted;             /* hello was exchanged */
	bool closing;             /* io_stream_close() was called */
	bool paused;              /* we do not read: it does not */
	struct map ops;           /* op.by_request: unanswered, ours until then */
	uint64_t budget;          /* bytes of stream windows given out */
	struct frames_tail tail;  /* of what waits to be sent */
};

/* ---- sending ---- */

static void hang_up(struct client *c, const char *why)
{
	if (c->closing)
		return;
	c->closing = true;
	LOG_DEBUG(&c->actor.log, NULL, "client.close", K("why", why));
	io_timer_cancel(c->env->io, &c->deadline);
	io_timer_cancel(c->env->io, &c->again);
	io_stream_close(c->env->io, &c->stream, CLIENT_LINGER_MS);
}

static void send_wire(struct client *c, const struct wire *w)
{
	int rc;

	if (c->closing)
		return;
	rc = w->type == WIRE_DATA ? frames_put_data(&c->stream, &c->tail, w)
				  : wire_encode(w, io_stream_out(&c->stream));
	if (rc < 0) {
		hang_up(c, "it does not read its answers");
		return;
	}
	io_stream_flush(c->env->io, &c->stream);
	if (!c->paused && io_stream_unsent(&c->stream) > CLIENT_OUT_HIGH) {
		c->paused = true;
		io_stream_pause(c->env->io, &c->stream, true);
		io_stream_notify_drained(&c->stream, CLIENT_OUT_HIGH / 2);
	}
}

static void send_error(struct client *c, uint32_t id, const struct op_id *op_id,
		       const struct err *e, const char *step)
{
	struct wire w = { .type = WIRE_REPLY, .id = id, .failed = true };

	if (op_id)
		w.op_id = *op_id;
	wire_error_set(&w, e, step);
	send_wire(c, &w);
}

/* The connection cannot go on: said once, on id 0, then closed. */
static void protocol_error(struct client *c, const struct err *e)
{
	send_error(c, 0, NULL, e, "");
	hang_up(c, e->text);
}

/* ---- requests ---- */

static struct op *op_by_request(const struct client *c, uint32_t id)
{
	for (struct map_node *m = map_find(&c->ops, map_hash_u64(id)); m; m = map_find_next(m)) {
		struct op *op = container_of(m, struct op, by_request);

		if (op->request_id == id)
			return op;
	}
	return NULL;
}

static struct op *op_by_serial(const struct client *c, uint64_t serial)
{
	map_for_each (m, &c->ops) {
		struct op *op = container_of(m, struct op, by_request);

		if (op->serial == serial)
			return op;
	}
	return NULL;
}

/* Windows beyond the connection's budget are small ones: its unsent bytes stay bounded. */
static void fit_window(struct client *c, struct exec_args *args)
{
	uint32_t window = args->window ? args->window : WIRE_STREAM_WINDOW;

	if (window > WIRE_STREAM_WINDOW)
		window = WIRE_STREAM_WINDOW;
	if (c->budget + 2 * (uint64_t)window > CLIENT_STREAM_BUDGET)
		window = CLIENT_STREAM_SMALL;
	args->window = window;
	c->budget += 2 * (uint64_t)window;
}

static int request(struct client *c, const struct wire *w, struct err *e)
{
	enum client_method m;
	uint8_t random[10];

	if (c->ops.count >= CLIENT_REQUESTS_MAX)
		return err_set(e, ERR_BUSY, "%d requests on this connection are unanswered",
			       (int)CLIENT_REQUESTS_MAX);
	if (op_by_request(c, w->id))
		return err_set(e, ERR_BAD_REQUEST, "id: %u is in use", w->id);
	if (client_method_find(w->name, &m) < 0)
		return err_set(e, ERR_UNKNOWN_METHOD, "method: \"%s\" is unknown", w->name);
	if (c->env->stopping)
		return err_set(e, ERR_DAEMON_STOPPING, "the daemon is shutting down");
	struct op *op = op_create(c->env, m);
	if (!op)
		return err_set(e, ERR_HOST_MEMORY, "request");
	const int rc = schema_decode(client_methods[m].args, w->body.data, w->body.len, op->args,
				     e);
	if (rc < 0) {
		op_destroy(op);
		return rc;
	}
	op->id = w->op_id;
	if (op_id_is_zero(&op->id)) {
		io_random(c->env->io, random, sizeof(random));
		op->id = op_id_make(op->admitted_ms, random);
	}
	op->digest = map_hash_bytes(w->body.data, w->body.len);
	op->client = c->actor.id;
	op->request_id = w->id;
	if (map_insert(&c->ops, &op->by_request, map_hash_u64(op->request_id)) < 0) {
		op_destroy(op);
		return err_set(e, ERR_HOST_MEMORY, "request");
	}
	op->detach = w->detach;
	op->progress = w->progress;
	if (m == METHOD_VM_EXEC)
		fit_window(c, op->args);
	actor_post(c->env->actors, c->env->node, &op->msg);
	return 0;
}

static void cancel(struct client *c, uint32_t id)
{
	const struct op *op = op_by_request(c, id);

	if (op)
		IGNORE(post_serial(c->env->actors, c->env->node, MSG_CANCEL, op->serial,
				   c->actor.id) < 0);
}

/* Bytes, credit and signals go straight to the VM that serves the command. */
static int chunk(struct client *c, const struct wire *w, struct err *e)
{
	const struct op *op = op_by_request(c, w->id);
	struct chunk_msg head = { .serial = op ? op->serial : 0, .stream = w->stream };

	if (!op || op->at.gen == 0)
		return 0; /* answered meanwhile */
	if (w->type == WIRE_DATA) {
		if (w->stream != WIRE_STDIN)
			return err_set(e, ERR_BAD_FRAME,
				       "stream: only 0 may carry data to the guest");
		head.kind = CHUNK_DATA;
		head.len = w->bytes.len;
	} else if (w->type == WIRE_CREDIT) {
		if (w->stream != WIRE_STDOUT && w->stream != WIRE_STDERR)
			return err_set(e, ERR_BAD_FRAME, "stream: credit is for 1 and 2");
		head.kind = CHUNK_CREDIT;
		head.a = w->credit;
	} else if (w->type == WIRE_SIGNAL) {
		head.kind = CHUNK_SIGNAL;
		head.a = w->signo;
	} else {
		head.kind = CHUNK_RESIZE;
		head.a = w->rows;
		head.b = w->cols;
	}
	if (post_chunk(c->env, op->at, &head, w->bytes.data) < 0)
		return err_set(e, ERR_HOST_MEMORY, "stream of request %u", w->id);
	return 0;
}

static int hello(struct client *c, const struct wire *w, struct err *e)
{
	const struct wire ours = {
		.type = WIRE_HELLO,
		.name = "bangerd/" BANGER_VERSION,
		.version = WIRE_VERSION,
		.version_min = WIRE_VERSION_MIN,
		.frame_max = FRAME_MAX,
	};

	if (c->greeted)
		return err_set(e, ERR_BAD_FRAME, "a second hello");
	if (w->version < WIRE_VERSION_MIN || w->version_min > WIRE_VERSION)
		return err_set(e, ERR_BAD_VERSION, "you speak %u to %u, the daemon %d to %d",
			       w->version_min, w->version, WIRE_VERSION_MIN, WIRE_VERSION);
	c->greeted = true;
	io_timer_cancel(c->env->io, &c->deadline);
	send_wire(c, &ours);
	return 0;
}

static int frame(struct client *c, const uint8_t *payload, size_t len, struct err *e)
{
	struct err why = { 0 };
	struct wire w;
	const int rc = wire_decode(payload, len, &w, e);

	if (rc < 0)
		return rc;
	if (!c->greeted && w.type != WIRE_HELLO)
		return err_set(e, ERR_BAD_FRAME, "the first frame must be a hello");
	switch (w.type) {
	case WIRE_HELLO:
		return hello(c, &w, e);
	case WIRE_REQUEST:
		if (request(c, &w, &why) < 0)
			send_error(c, w.id, &w.op_id, &why, "");
		return 0;
	case WIRE_CANCEL:
		cancel(c, w.id);
		return 0;
	case WIRE_DATA:
	case WIRE_CREDIT:
	case WIRE_SIGNAL:
	case WIRE_RESIZE:
		return chunk(c, &w, e);
	case WIRE_EVENT:
	case WIRE_REPLY:
	case WIRE_NTYPES:
		break;
	}
	return err_set(e, ERR_BAD_FRAME, "a frame that only the daemon may send");
}

static void read_frames(struct client *c)
{
	const uint8_t *payload;
	struct err e = { 0 };
	int n = 0;

	while (!c->closing && !c->paused) {
		n = wire_next(buf_data(&c->in), buf_len(&c->in), FRAME_MAX, &payload, &e);
		if (n > 0 && frame(c, payload, (size_t)n, &e) < 0)
			n = -EPROTO;
		if (n <= 0)
			break;
		buf_consume(&c->in, FRAME_HEAD + (size_t)n);
	}
	if (n < 0) {
		protocol_error(c, &e);
		return;
	}
	/* A frame that has begun must end in time: a byte a second holds nothing for ever. */
	if (c->greeted && buf_len(&c->in) > 0 && !c->deadline.set)
		io_timer_set(c->env->io, &c->deadline, CLIENT_FRAME_MS, 0);
	else if (c->greeted && buf_len(&c->in) == 0)
		io_timer_cancel(c->env->io, &c->deadline);
}

static void readable(struct client *c)
{
	const uint8_t *data;
	size_t have;

	if (c->paused && io_stream_unsent(&c->stream) <= CLIENT_OUT_HIGH / 2) {
		c->paused = false;
		io_stream_pause(c->env->io, &c->stream, false);
		read_frames(c);
	}
	while (!c->closing && !c->paused && (have = io_stream_peek(&c->stream, &data)) > 0) {
		if (chunks_crowd(c->env)) {
			io_timer_set(c->env->io, &c->again, CHUNKS_AGAIN_MS, 0);
			return;
		}
		const size_t room = c->in.max - buf_len(&c->in);
		const size_t take = have < room ? have : room;

		if (buf_append(&c->in, data, take) < 0) {
			hang_up(c, "out of memory");
			return;
		}
		io_stream_consume(c->env->io, &c->stream, take);
		read_frames(c);
	}
	if (c->stream.eof || c->stream.error)
		hang_up(c, "it hung up");
}

/* ---- answers ---- */

static void answered(struct client *c, struct op *op)
{
	struct wire w = { .type = WIRE_REPLY, .id = op->request_id, .op_id = op->id };

	map_remove(&c->ops, &op->by_request);
	if (op->method == METHOD_VM_EXEC)
		c->budget -= 2 * (uint64_t)((const struct exec_args *)op->args)->window;
	if (op->err.code) {
		send_error(c, op->request_id, &op->id, &op->err, op->step);
	} else {
		w.body = (struct wire_span){ buf_data(&op->result), buf_len(&op->result) };
		send_wire(c, &w);
	}
	op_destroy(op);
}

static void event(struct client *c, const struct event_msg *m)
{
	const struct op *op = op_by_serial(c, m->serial);
	struct wire w = { .type = WIRE_EVENT, .body = { m->body, m->len } };

	if (!op)
		return;
	w.id = op->request_id;
	(void)snprintf(w.name, sizeof(w.name), "%s", m->name);
	send_wire(c, &w);
}

static void guest_chunk(struct client *c, const struct chunk_msg *m)
{
	const struct op *op = op_by_serial(c, m->serial);
	struct wire w = { .type = m->kind == CHUNK_DATA ? WIRE_DATA : WIRE_CREDIT,
			  .stream = m->stream,
			  .credit = m->a,
			  .bytes = { m->data, m->len } };

	if (!op)
		return;
	w.id = op->request_id;
	send_wire(c, &w);
}

/* The stream is closed: operations lose their way home, and free themselves when they are done. */
static void ended(struct client *c)
{
	map_for_each (m, &c->ops) {
		const struct op *op = container_of(m, struct op, by_request);

		if (!op->detach)
			IGNORE(post_serial(c->env->actors, c->env->node, MSG_CANCEL, op->serial,
					   c->actor.id) < 0);
	}
	IGNORE(post_serial(c->env->actors, c->env->node, MSG_CLIENT_GONE, 0, c->actor.id) < 0);
	io_timer_cancel(c->env->io, &c->deadline);
	io_timer_cancel(c->env->io, &c->again);
	c->env->nclients--;
	map_fini(&c->ops);
	buf_fini(&c->in);
	actor_fini(&c->actor);
	free(c);
}

static void handle(struct actor *a, struct msg *m)
{
	struct client *c = container_of(a, struct client, actor);
	struct err e = { 0 };

	if (m == &c->stream.msg) {
		if (c->stream.closed)
			ended(c);
		else
			readable(c);
	} else if (m == &c->again.msg) {
		readable(c);
	} else if (m == &c->deadline.msg) {
		err_set(&e, ERR_TIMEOUT,
			c->greeted ? "a frame did not end within %d ms" : "no hello within %d ms",
			c->greeted ? (int)CLIENT_FRAME_MS : (int)CLIENT_HELLO_MS);
		protocol_error(c, &e);
	} else if (m->type == MSG_OP_DONE) {
		answered(c, container_of(m, struct op, msg));
	} else if (m->type == MSG_EVENT) {
		event(c, container_of(m, struct event_msg, msg));
		msg_free(m);
	} else if (m->type == MSG_CHUNK) {
		guest_chunk(c, container_of(m, struct chunk_msg, msg));
		msg_free(m);
	} else {
		ASSERT(!"no message for a client");
	}
}

int client_create(struct env *env, int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	int rc = c ? actor_init(&c->actor, env->actors, handle) : -ENOMEM;

	if (rc == 0) {
		(void)snprintf(c->actor.log.actor, sizeof(c->actor.log.actor), "client/%d", fd);
		c->env = env;
		buf_init(&c->in, FRAME_HEAD + FRAME_MAX);
		map_init(&c->ops);
		io_timer_init(&c->deadline, &c->actor, MSG_TIMER);
		io_timer_init(&c->again, &c->actor, MSG_TIMER);
		rc = io_stream_open(env->io, &c->stream, &c->actor, MSG_STREAM, fd);
		if (rc < 0)
			actor_fini(&c->actor);
	}
	if (rc < 0) {
		free(c);
		io_close(env->io, fd);
		return rc;
	}
	io_timer_set(env->io, &c->deadline, CLIENT_HELLO_MS, 0);
	env->nclients++;
	return 0;
}
