#include "actors/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/frames.h"
#include "actors/limits.h"
#include "actors/op.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "proto/frame.h"
#include "proto/wire.h"

struct client {
	struct actor actor;
	struct env *env;       /* borrowed */
	struct list_node link; /* env.clients */
	struct msg stop;       /* "the daemon is stopping", to ourselves */
	bool stays;            /* asked for that */
	bool settled;          /* ... and has its answer: counted in env.nsettled */
	struct io_stream stream;
	struct buf in;            /* the frame being gathered */
	struct io_timer deadline; /* of the hello, then of a frame that has begun */
	struct io_timer again;    /* to read what was left for later */
	struct serial_msg *gone;  /* owned until we are: to be said without memory */
	bool greeted;             /* hello was exchanged */
	bool closing;             /* io_stream_close() was called */
	bool paused;              /* we do not read: it does not */
	bool refused;             /* it is only told why */
	bool asking;              /* a question is with the node */
	struct map ops;           /* op.by_request: unanswered, ours until then */
	struct list questions;    /* op.msg.link: of those, not asked yet */
	uint64_t budget;          /* bytes of stream windows given out */
	struct frames_tail tail;  /* of what waits to be sent */
	uint64_t op_bytes;        /* that our operations take */
	uint64_t shared;          /* our part of env.client_bytes */
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

/* A client that does not read is not read from either.  What comes of requests that it sent before
 * is bounded too: questions wait, events are dropped, streams have their credit. */
static void pause_reading(struct client *c)
{
	if (c->paused)
		return;
	c->paused = true;
	io_stream_pause(c->env->io, &c->stream, true);
	io_timer_cancel(c->env->io, &c->deadline);
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
	if (io_stream_unsent(&c->stream) > CLIENT_OUT_LOW)
		io_stream_notify_drained(&c->stream, CLIENT_OUT_LOW);
	if (io_stream_unsent(&c->stream) > CLIENT_OUT_HIGH)
		pause_reading(c);
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

/* ---- memory ---- */

static uint64_t bytes_held(const struct client *c)
{
	return c->op_bytes + c->in.cap + io_stream_unsent(&c->stream) +
	       io_stream_unread(&c->stream);
}

/* Brings our share of env.client_bytes up to date. */
static void count_bytes(struct client *c)
{
	const uint64_t held = bytes_held(c);
	const uint64_t shared = held > CLIENT_BYTES_OWN ? held - CLIENT_BYTES_OWN : 0;

	c->env->client_bytes += shared - c->shared;
	c->shared = shared;
}

static uint64_t op_bytes(const struct op *op)
{
	const struct schema *args = client_methods[op->method].args;

	return sizeof(*op) + args->size + schema_owned(args, op->args);
}

static int check_memory(const struct client *c, uint64_t more, struct err *e)
{
	if (bytes_held(c) + more <= CLIENT_BYTES_OWN ||
	    c->env->client_bytes + more <= CLIENTS_BYTES_MAX)
		return 0;
	return err_set(e, ERR_BUSY,
		       "requests and unread answers of all connections take %d MiB already",
		       CLIENTS_BYTES_MAX >> 20);
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
static void fit_window(struct client *c, uint32_t *ret_window)
{
	uint32_t window = *ret_window ? *ret_window : WIRE_STREAM_WINDOW;

	if (window > WIRE_STREAM_WINDOW)
		window = WIRE_STREAM_WINDOW;
	if (c->budget + 2 * (uint64_t)window > CLIENT_STREAM_BUDGET)
		window = CLIENT_STREAM_SMALL;
	*ret_window = window;
	c->budget += 2 * (uint64_t)window;
}

/* One question at a time: so one large answer at most is made for who does not read it. */
static void ask_next(struct client *c)
{
	if (c->closing || c->paused || c->asking || list_empty(&c->questions))
		return;
	c->asking = true;
	actor_post(c->env->actors, c->env->node,
		   list_entry(list_pop(&c->questions), struct msg, link));
}

static void op_begin(struct client *c, struct op *op)
{
	c->op_bytes += op_bytes(op);
	if (op_window(op))
		fit_window(c, op_window(op));
	if (op_is_question(op->method)) {
		list_append(&c->questions, &op->msg.link);
		ask_next(c);
	} else {
		actor_post(c->env->actors, c->env->node, &op->msg);
	}
}

static int request(struct client *c, const struct wire *w, struct err *e)
{
	enum client_method m;
	uint8_t random[10];

	if (c->ops.count >= CLIENT_REQUESTS_MAX)
		return err_set(e, ERR_BUSY, "%d requests on this connection are unanswered",
			       (int)CLIENT_REQUESTS_MAX);
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
	if (check_memory(c, op_bytes(op), e) < 0) {
		op_destroy(op);
		return -EBUSY;
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
	op_begin(c, op);
	return 0;
}

static void cancel(struct client *c, uint32_t id)
{
	struct op *op = op_by_request(c, id);

	if (op)
		post_cancel(c->env->actors, c->env->node, &op->cancel, op->serial, c->actor.id);
}

/* Bytes, credit and signals of a command: the node knows which VM serves it. */
static int chunk(struct client *c, const struct wire *w, struct err *e)
{
	const struct op *op = op_by_request(c, w->id);
	struct chunk_msg head = { .serial = op ? op->serial : 0, .stream = w->stream };

	if (!op)
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
	if (post_chunk(c->env, c->env->node, &head, w->bytes.data) < 0)
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
		if (op_by_request(c,
				  w.id)) /* two replies of one id would be told apart by nobody */
			return err_set(e, ERR_BAD_FRAME, "id: %u is under way", w.id);
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

/* A frame that has begun must end in time: a byte a second holds nothing for ever.  Not while we
 * do not read, though. */
static void expect_end(struct client *c, bool moved)
{
	if (!c->greeted || c->closing)
		return;
	if (moved || c->paused || buf_len(&c->in) == 0)
		io_timer_cancel(c->env->io, &c->deadline);
	if (!c->paused && buf_len(&c->in) > 0 && !io_timer_pending(&c->deadline))
		io_timer_set(c->env->io, &c->deadline, CLIENT_FRAME_MS, 0);
}

static void read_frames(struct client *c)
{
	const uint8_t *payload;
	struct err e = { 0 };
	bool moved = false;
	int n = 0;

	while (!c->closing && !c->paused) {
		n = wire_next(buf_data(&c->in), buf_len(&c->in), FRAME_MAX, &payload, &e);
		if (n > 0 && frame(c, payload, (size_t)n, &e) < 0)
			n = -EPROTO;
		if (n <= 0)
			break;
		buf_consume(&c->in, FRAME_HEAD + (size_t)n);
		moved = true;
	}
	if (n < 0)
		protocol_error(c, &e);
	expect_end(c, moved);
}

/* Adds what has come to the frame that is being gathered. */
static void gather(struct client *c, const uint8_t *data, size_t have)
{
	const size_t room = c->in.max - buf_len(&c->in);
	const size_t take = have < room ? have : room;
	struct err e = { 0 };

	if (check_memory(c, take, &e) < 0) {
		protocol_error(c, &e);
		return;
	}
	if (buf_append(&c->in, data, take) < 0) {
		hang_up(c, "out of memory");
		return;
	}
	io_stream_consume(c->env->io, &c->stream, take);
	read_frames(c);
}

static void tell_lost(struct client *c, struct op *op);

static void resume(struct client *c)
{
	c->paused = false;
	io_stream_pause(c->env->io, &c->stream, false);
	map_for_each (m, &c->ops)
		tell_lost(c, container_of(m, struct op, by_request));
	ask_next(c);
	read_frames(c);
}

static void readable(struct client *c)
{
	const uint8_t *data;
	size_t have;

	if (c->paused && io_stream_unsent(&c->stream) <= CLIENT_OUT_LOW)
		resume(c);
	while (!c->closing && !c->paused && (have = io_stream_peek(&c->stream, &data)) > 0) {
		if (chunks_crowd(c->env)) {
			io_timer_set(c->env->io, &c->again, CHUNKS_AGAIN_MS, 0);
			return;
		}
		gather(c, data, have);
	}
	if (c->stream.eof || c->stream.error)
		hang_up(c, "it hung up");
}

/* ---- answers ---- */

/* Who asked for the daemon's end keeps the connection, and knows by its end that the process is
 * gone and what it held is free. */
static void settle(struct client *c)
{
	if (c->settled || io_stream_unsent(&c->stream) > 0)
		return;
	c->settled = true;
	c->env->nsettled++;
}

/* Said to whoever waits for nothing; else it comes after the last answer. */
static void stop(struct client *c)
{
	struct err e = { 0 };

	if (!c->env->stopping || c->closing || c->ops.count > 0)
		return;
	if (c->stays) {
		settle(c);
		return;
	}
	err_set(&e, ERR_DAEMON_STOPPING, "the daemon is shutting down");
	protocol_error(c, &e);
}

static void answered(struct client *c, struct op *op)
{
	struct wire w = { .type = WIRE_REPLY, .id = op->request_id, .op_id = op->id };

	map_remove(&c->ops, &op->by_request);
	c->op_bytes -= op_bytes(op);
	if (op_is_question(op->method))
		c->asking = false;
	if (op_window(op))
		c->budget -= 2 * (uint64_t)*op_window(op);
	if (op->err.code) {
		send_error(c, op->request_id, &op->id, &op->err, op->step);
	} else {
		w.body = (struct wire_span){ buf_data(&op->result), buf_len(&op->result) };
		send_wire(c, &w);
	}
	if (op->method == METHOD_SHUTDOWN && !op->err.code) {
		c->stays = true;
		io_stream_notify_drained(&c->stream, 0);
	}
	op_destroy(op);
	ask_next(c);
	stop(c);
}

static void send_event(struct client *c, const struct op *op, const char *name, const uint8_t *body,
		       size_t len)
{
	struct wire w = { .type = WIRE_EVENT, .id = op->request_id, .body = { body, len } };

	TEXT_SET(w.name, name);
	send_wire(c, &w);
}

/* Once all that was sent before has come by here, a watcher hears how much it has missed since. */
static void tell_lost(struct client *c, struct op *op)
{
	const struct lost_event ev = { .events = op->lost };
	struct buf body;

	if (op->lost == 0 || op->events > 0 || c->paused)
		return;
	op->lost = 0;
	if (op->method != METHOD_WATCH)
		return; /* progress: what comes next says more than what was lost */
	buf_init(&body, FRAME_MAX);
	if (schema_encode(&lost_event_schema, &ev, &body) == 0)
		send_event(c, op, client_events[EVENT_LOST].name, buf_data(&body), buf_len(&body));
	else
		op->lost = ev.events;
	buf_fini(&body);
}

static void event(struct client *c, const struct event_msg *m)
{
	struct op *op = op_by_serial(c, m->serial);

	if (!op)
		return;
	op->events--;
	if (c->paused || op->lost > 0)
		op->lost++;
	else
		send_event(c, op, m->name, m->body, m->len);
	tell_lost(c, op);
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
	struct list_node *n;

	while ((n = list_pop(&c->questions)) != NULL) {
		struct op *op = container_of(list_entry(n, struct msg, link), struct op, msg);

		map_remove(&c->ops, &op->by_request);
		op_destroy(op);
	}
	map_for_each (m, &c->ops) {
		struct op *op = container_of(m, struct op, by_request);

		if (!op->detach)
			post_cancel(c->env->actors, c->env->node, &op->cancel, op->serial,
				    c->actor.id);
	}
	actor_post(c->env->actors, c->env->node, &take_ptr(&c->gone)->msg);
	io_timer_cancel(c->env->io, &c->deadline);
	io_timer_cancel(c->env->io, &c->again);
	list_remove(&c->link);
	map_fini(&c->ops);
	buf_fini(&c->in);
	c->env->client_bytes -= c->shared;
	if (c->refused)
		c->env->nrefused--;
	else
		c->env->nclients--;
	if (c->settled)
		c->env->nsettled--;
	actor_fini(&c->actor);
	free(c);
}

static void handle(struct actor *a, struct msg *m)
{
	struct client *c = container_of(a, struct client, actor);
	struct err e = { 0 };

	if (m == &c->stream.msg && c->stream.closed) {
		ended(c);
		return;
	}
	if (m == &c->stream.msg) {
		readable(c);
		stop(c); /* what waited to be sent is gone */
	} else if (m == &c->again.msg) {
		readable(c);
	} else if (m == &c->deadline.msg) {
		err_set(&e, ERR_TIMEOUT,
			c->greeted ? "a frame did not end within %d ms" : "no hello within %d ms",
			c->greeted ? (int)CLIENT_FRAME_MS : (int)CLIENT_HELLO_MS);
		protocol_error(c, &e);
	} else if (m == &c->stop) {
		stop(c);
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
	count_bytes(c);
}

static int client_open(struct env *env, int fd, struct client **ret_client)
{
	struct client *c = calloc(1, sizeof(*c));
	int rc = c ? actor_init(&c->actor, env->actors, handle) : -ENOMEM;

	if (rc == 0) {
		(void)snprintf(c->actor.log.actor, sizeof(c->actor.log.actor), "client/%d", fd);
		c->env = env;
		buf_init(&c->in, FRAME_HEAD + FRAME_MAX);
		map_init(&c->ops);
		list_init(&c->questions);
		io_timer_init(&c->deadline, &c->actor, MSG_TIMER);
		io_timer_init(&c->again, &c->actor, MSG_TIMER);
		c->gone = serial_make(MSG_CLIENT_GONE, 0, c->actor.id);
		rc = c->gone ? io_stream_open(env->io, &c->stream, &c->actor, MSG_STREAM, fd)
			     : -ENOMEM;
		if (rc < 0)
			actor_fini(&c->actor);
	}
	if (rc < 0) {
		if (c)
			free(c->gone);
		free(c);
		io_close(env->io, fd);
		return rc;
	}
	*ret_client = c;
	return 0;
}

int client_create(struct env *env, int fd)
{
	struct client *c;
	const int rc = client_open(env, fd, &c);

	if (rc < 0)
		return rc;
	io_timer_set(env->io, &c->deadline, CLIENT_HELLO_MS, 0);
	list_append(&env->clients, &c->link);
	env->nclients++;
	return 0;
}

void client_refuse(struct env *env, int fd, const struct err *why)
{
	struct client *c;

	if (env->nrefused >= CLIENTS_REFUSED_MAX) {
		io_close(env->io, fd);
		return;
	}
	if (client_open(env, fd, &c) < 0)
		return;
	env->nrefused++;
	c->refused = true;
	protocol_error(c, why);
}

void clients_stop(struct env *env)
{
	list_for_each (n, &env->clients) {
		struct client *c = list_entry(n, struct client, link);

		actor_post(env->actors, c->actor.id, &c->stop);
	}
}
