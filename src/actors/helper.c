#include "actors/helper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/msg.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "proto/frame.h"
#include "proto/wire.h"

enum phase {
	DOWN,       /* nobody asks */
	PAUSED,     /* a connection has failed: not again before the timer */
	CONNECTING, /* connect.armed; the timer runs */
	GREETING,   /* our hello is out; the timer runs */
	UP,
	CLOSING, /* the stream's last message is to come */
};

/* A question, from when it was asked until it is answered. */
struct request {
	struct list_node link; /* helper.waiting or helper.asked */
	struct helper_question q;
	struct buf args;              /* owned: the encoded map */
	struct helper_answer *answer; /* owned: to tell a failure without memory */
	uint32_t id;                  /* 0: it has not gone out */
};

struct helper {
	struct actor actor;
	struct io *io;         /* borrowed */
	struct actors *actors; /* borrowed */
	char *path;            /* owned */
	enum phase phase;
	bool ending;
	struct io_op connect;
	struct io_stream stream;
	struct io_timer timer;
	uint32_t pause_ms;
	struct buf in;       /* the frame being gathered */
	struct list waiting; /* request.link, oldest first */
	struct list asked;
	uint32_t nwaiting;
	uint32_t nasked; /* at most HELPER_PENDING_MAX: the helper would not read more */
	uint32_t last_id;
	struct actor_id watcher;
	uint32_t watcher_type; /* MSG_NONE: there is none */
};

/* ---- answers ---- */

static void answer_drop(struct msg *m)
{
	helper_answer_free(container_of(m, struct helper_answer, msg));
}

static struct helper_answer *answer_make(struct helper *h, const struct helper_question *q,
					 size_t len)
{
	struct helper_answer *a = malloc(sizeof(*a) + len);

	if (!a)
		return NULL;
	*a = (struct helper_answer){
		.msg = { .type = q->msg_type, .token = q->token, .drop = answer_drop },
		.io = h->io,
		.method = q->method,
		.len = len,
	};
	return a;
}

void helper_answer_free(struct helper_answer *a)
{
	for (uint32_t i = 0; i < a->nfds; i++)
		if (a->fds[i] >= 0)
			io_close(a->io, a->fds[i]);
	free(a);
}

int helper_result(const struct helper_answer *a, void *ret_result, struct err *e)
{
	return schema_decode(helper_methods[a->method].result, a->body, a->len, ret_result, e);
}

static void request_free(struct request *r)
{
	buf_fini(&r->args);
	free(r->answer);
	free(r);
}

/* The request is over: its owner gets the answer, or it frees itself. */
static void request_end(struct helper *h, struct request *r, struct helper_answer *a)
{
	list_remove(&r->link);
	if (r->id)
		h->nasked--;
	else
		h->nwaiting--;
	if (a == r->answer)
		r->answer = NULL;
	actor_post(h->actors, r->q.owner, &a->msg);
	request_free(r);
}

static void request_fail(struct helper *h, struct request *r, const struct err *why)
{
	struct helper_answer *a = r->answer;

	a->err = *why;
	a->msg.res = err_errno(why);
	request_end(h, r, a);
}

static void all_fail(struct helper *h, struct list *l, const struct err *why)
{
	while (!list_empty(l))
		request_fail(h, list_entry(list_first(l), struct request, link), why);
}

/* ---- the connection ---- */

static void connection_want(struct helper *h)
{
	if (h->phase != DOWN || h->ending || list_empty(&h->waiting))
		return;
	h->phase = CONNECTING;
	io_timer_set(h->io, &h->timer, HELPER_GREET_MS, 0);
	io_connect_unix(h->io, &h->connect, h->path);
}

static void connection_pause(struct helper *h)
{
	h->phase = PAUSED;
	io_timer_set(h->io, &h->timer, h->pause_ms, 0);
	h->pause_ms = h->pause_ms * 2 < HELPER_PAUSE_MAX_MS ? h->pause_ms * 2 : HELPER_PAUSE_MAX_MS;
}

/* What is under way may be half done; what waits will be asked on the next connection. */
static void connection_drop(struct helper *h, const struct err *why)
{
	LOG_WARN(&h->actor.log, NULL, "helper.down", K("code", err_name(why->code)),
		 K("why", why->text));
	all_fail(h, &h->asked, why);
	io_timer_cancel(h->io, &h->timer);
	h->phase = CLOSING;
	io_stream_close(h->io, &h->stream, 0);
}

/* There is no helper to ask: nobody is kept waiting for one. */
static void connection_failed(struct helper *h, const struct err *why)
{
	LOG_WARN(&h->actor.log, NULL, "helper.unreachable", K("why", why->text));
	all_fail(h, &h->waiting, why);
	connection_pause(h);
}

static int say_hello(struct helper *h)
{
	const struct wire hello = {
		.type = WIRE_HELLO,
		.name = "bangerd " BANGER_VERSION,
		.version = WIRE_VERSION,
		.version_min = WIRE_VERSION_MIN,
		.frame_max = HELPER_FRAME_MAX,
	};
	const int rc = wire_encode(&hello, io_stream_out(&h->stream));

	if (rc == 0)
		io_stream_flush(h->io, &h->stream);
	return rc;
}

static void connected(struct helper *h, int res)
{
	struct err e = { 0 };

	h->phase = DOWN;
	io_timer_cancel(h->io, &h->timer);
	if (res < 0)
		(void)err_num(&e, ERR_HELPER_DOWN, res, "%s", h->path);
	else if (h->ending)
		io_close(h->io, res);
	else if (io_stream_open_passing(h->io, &h->stream, &h->actor, MSG_STREAM, res) < 0) {
		io_close(h->io, res);
		(void)err_set(&e, ERR_HOST_MEMORY, "%s", h->path);
	} else {
		h->phase = GREETING;
		buf_clear(&h->in);
		io_timer_set(h->io, &h->timer, HELPER_GREET_MS, 0);
		if (say_hello(h) < 0) {
			(void)err_set(&e, ERR_HOST_MEMORY, "%s", h->path);
			connection_drop(h, &e);
		}
		return;
	}
	if (e.code && !h->ending)
		connection_failed(h, &e);
}

/* ---- questions ---- */

static int request_send(struct helper *h, struct request *r)
{
	struct wire w = { .type = WIRE_REQUEST, .id = h->last_id + 1, .op_id = r->q.op_id };
	uint8_t random[10];

	if (op_id_is_zero(&w.op_id)) {
		io_random(h->io, random, sizeof(random));
		w.op_id = op_id_make(io_wall_ms(h->io), random);
	}
	(void)snprintf(w.name, sizeof(w.name), "%s", helper_methods[r->q.method].name);
	w.body = (struct wire_span){ buf_data(&r->args), buf_len(&r->args) };
	return wire_encode(&w, io_stream_out(&h->stream));
}

static void send_what_may_go(struct helper *h)
{
	while (h->phase == UP && h->nasked < HELPER_PENDING_MAX && !list_empty(&h->waiting)) {
		struct request *r = list_entry(list_first(&h->waiting), struct request, link);
		const struct err e = { .code = ERR_HOST_MEMORY,
				       .text = "a request of the root helper" };

		if (request_send(h, r) < 0) {
			request_fail(h, r, &e);
			continue;
		}
		r->id = ++h->last_id;
		list_remove(&r->link);
		list_append(&h->asked, &r->link);
		h->nwaiting--;
		h->nasked++;
	}
	if (h->phase == UP)
		io_stream_flush(h->io, &h->stream);
}

static struct request *request_make(struct helper *h, const struct helper_question *q,
				    struct err *e)
{
	struct request *r = calloc(1, sizeof(*r));
	int rc;

	if (r)
		r->answer = answer_make(h, q, 0);
	if (!r || !r->answer) {
		free(r);
		(void)err_set(e, ERR_HOST_MEMORY, "a question to the root helper");
		return NULL;
	}
	r->q = *q;
	r->q.args = NULL;
	buf_init(&r->args, HELPER_FRAME_MAX);
	rc = q->args ? schema_encode(helper_methods[q->method].args, q->args, &r->args) : 0;
	if (rc < 0) {
		(void)err_set(e, rc == -ENOMEM ? ERR_HOST_MEMORY : ERR_BAD_REQUEST, "%s: arguments",
			      helper_methods[q->method].name);
		request_free(r);
		return NULL;
	}
	return r;
}

int helper_ask(struct helper *h, const struct helper_question *q, struct err *e)
{
	struct request *r;

	if (h->ending)
		return err_set(e, ERR_DAEMON_STOPPING, "the daemon is stopping");
	if (h->nwaiting == HELPER_QUEUE_MAX)
		return err_set(e, ERR_BUSY, "%d questions wait for the root helper",
			       HELPER_QUEUE_MAX);
	r = request_make(h, q, e);
	if (!r)
		return err_errno(e);
	list_append(&h->waiting, &r->link);
	h->nwaiting++;
	connection_want(h);
	send_what_may_go(h);
	return 0;
}

/* ---- what it says ---- */

static struct request *request_find(struct helper *h, uint32_t id)
{
	list_for_each (n, &h->asked) {
		struct request *r = list_entry(n, struct request, link);

		if (r->id == id)
			return r;
	}
	return NULL;
}

/* The answer takes its descriptors off the stream, in whose order they are; they come with the
 * frame's first byte, so they are there. */
static int fds_take(struct helper *h, uint32_t n, int *fds, struct err *e)
{
	for (uint32_t i = 0; i < n; i++) {
		fds[i] = io_stream_take_fd(&h->stream);
		if (fds[i] >= 0)
			continue;
		while (i-- > 0)
			io_close(h->io, fds[i]);
		return err_set(e, ERR_HELPER_DOWN,
			       "the root helper announced %u descriptors and sent fewer", n);
	}
	return 0;
}

static int got_reply(struct helper *h, const struct wire *w, struct err *e)
{
	struct request *r = request_find(h, w->id);
	int fds[HELPER_FDS_MAX];
	struct helper_answer *a;

	if (!r && w->failed) /* about the connection: why we are turned away */
		return err_set(e, ERR_HELPER_DOWN, "%s", w->error.message);
	if (!r || w->fds > HELPER_FDS_MAX)
		return err_set(e, ERR_HELPER_DOWN, "the root helper answered what was not asked");
	const int rc = fds_take(h, w->fds, fds, e);
	if (rc < 0)
		return rc;
	a = w->failed ? NULL : answer_make(h, &r->q, w->body.len);
	if (!a)
		a = r->answer;
	memcpy(a->fds, fds, w->fds * sizeof(int));
	a->nfds = w->fds;
	if (w->failed)
		wire_error_get(w, &a->err);
	else if (a == r->answer)
		(void)err_set(&a->err, ERR_HOST_MEMORY, "an answer of the root helper");
	else if (w->body.len > 0)
		memcpy(a->body, w->body.data, w->body.len);
	a->msg.res = a->err.code ? err_errno(&a->err) : 0;
	request_end(h, r, a);
	return 0;
}

/* Without memory it hears of the next one. */
static void tell_watcher(struct helper *h)
{
	struct serial_msg *m = h->watcher_type == MSG_NONE
				       ? NULL
				       : serial_make(h->watcher_type, 0, h->actor.id);

	if (m)
		actor_post(h->actors, h->watcher, &m->msg);
}

void helper_watch(struct helper *h, struct actor_id who, uint32_t msg_type)
{
	h->watcher = who;
	h->watcher_type = msg_type;
}

static int got_hello(struct helper *h, const struct wire *w, struct err *e)
{
	uint32_t version;
	int rc;

	if (h->phase != GREETING)
		return err_set(e, ERR_HELPER_DOWN, "the root helper said hello twice");
	rc = wire_version_agree(w, &version, e);
	if (rc < 0)
		return rc;
	io_timer_cancel(h->io, &h->timer);
	h->phase = UP;
	h->pause_ms = HELPER_PAUSE_FIRST_MS;
	LOG_INFO(&h->actor.log, NULL, "helper.up", K("helper", w->name));
	tell_watcher(h);
	return 0;
}

static int got_frame(struct helper *h, const uint8_t *payload, size_t len, struct err *e)
{
	struct wire w;
	int rc = frame_check(payload, len, e);

	if (rc == 0)
		rc = wire_decode(payload, len, &w, e);
	if (rc < 0)
		return rc;
	if (w.type == WIRE_HELLO)
		return got_hello(h, &w, e);
	if (w.type == WIRE_REPLY)
		return got_reply(h, &w, e);
	return err_set(e, ERR_HELPER_DOWN, "the root helper sent a frame that it may not");
}

/* One frame off h->in: 1, 0 when more bytes are needed, -errno. */
static int read_one(struct helper *h, struct err *e)
{
	int len;

	if (buf_len(&h->in) < FRAME_HEAD)
		return 0;
	len = frame_length(buf_data(&h->in), HELPER_FRAME_MAX, e);
	if (len < 0)
		return len;
	if (buf_len(&h->in) < FRAME_HEAD + (size_t)len)
		return 0;
	const int rc = got_frame(h, buf_data(&h->in) + FRAME_HEAD, (size_t)len, e);
	buf_consume(&h->in, FRAME_HEAD + (size_t)len);
	return rc < 0 ? rc : 1;
}

static void read_all(struct helper *h)
{
	struct err e = { 0 };
	const uint8_t *data;
	size_t n;
	int rc = 0;

	while (rc >= 0 && (n = io_stream_peek(&h->stream, &data)) > 0) {
		rc = buf_append(&h->in, data, n);
		if (rc < 0)
			(void)err_set(&e, ERR_HOST_MEMORY, "frames of the root helper");
		io_stream_consume(h->io, &h->stream, n);
		while (rc >= 0 && (rc = read_one(h, &e)) > 0) {
		}
	}
	if (rc >= 0 && (h->stream.eof || h->stream.error))
		rc = err_num(&e, ERR_HELPER_DOWN, h->stream.error ? h->stream.error : -EPIPE,
			     "the root helper hung up");
	if (rc < 0)
		connection_drop(h, &e);
	else
		send_what_may_go(h);
}

/* ---- the actor ---- */

static void stream_event(struct helper *h)
{
	if (!h->stream.closed) {
		if (h->phase == GREETING || h->phase == UP)
			read_all(h);
		return;
	}
	h->phase = DOWN;
	if (!h->ending)
		connection_pause(h);
}

static void timer_event(struct helper *h)
{
	const struct err e = { .code = ERR_HELPER_DOWN,
			       .text = "the root helper does not say hello" };

	if (h->phase == GREETING) {
		connection_drop(h, &e);
	} else if (h->phase == CONNECTING) {
		io_cancel(h->io, &h->connect);
	} else if (h->phase == PAUSED) {
		h->phase = DOWN;
		connection_want(h);
	}
}

static void handle(struct actor *a, struct msg *m)
{
	struct helper *h = container_of(a, struct helper, actor);

	if (m == &h->connect.msg)
		connected(h, m->res);
	else if (m == &h->stream.msg)
		stream_event(h);
	else if (m == &h->timer.msg)
		timer_event(h);
	else
		ASSERT(!"a message of the helper's proxy");
}

int helper_create(struct io *io, struct actors *actors, const char *path, struct helper **ret_h)
{
	struct helper *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->path = strdup(path);
	if (!h->path || actor_init(&h->actor, actors, handle) < 0) {
		free(h->path);
		free(h);
		return -ENOMEM;
	}
	(void)snprintf(h->actor.log.actor, sizeof(h->actor.log.actor), "helper");
	h->io = io;
	h->actors = actors;
	h->pause_ms = HELPER_PAUSE_FIRST_MS;
	h->stream.fd = -EBADF;
	io_op_init(&h->connect, &h->actor, MSG_IO);
	io_timer_init(&h->timer, &h->actor, MSG_TIMER);
	buf_init(&h->in, FRAME_HEAD + HELPER_FRAME_MAX + IO_BUF_BYTES);
	list_init(&h->waiting);
	list_init(&h->asked);
	*ret_h = h;
	return 0;
}

void helper_end(struct helper *h)
{
	const struct err why = { .code = ERR_DAEMON_STOPPING, .text = "the daemon is stopping" };

	h->ending = true;
	all_fail(h, &h->waiting, &why);
	if (h->phase == CONNECTING)
		io_cancel(h->io, &h->connect);
	else if (h->phase == GREETING || h->phase == UP)
		connection_drop(h, &why);
	else if (h->phase == PAUSED)
		h->phase = DOWN;
	io_timer_cancel(h->io, &h->timer);
}

bool helper_ended(const struct helper *h)
{
	return h->ending && h->phase == DOWN && !io_op_busy(&h->connect);
}

void helper_destroy(struct helper *h)
{
	if (!h)
		return;
	ASSERT(h->phase == DOWN);
	ASSERT(list_empty(&h->waiting));
	ASSERT(list_empty(&h->asked));
	actor_fini(&h->actor);
	buf_fini(&h->in);
	free(h->path);
	free(h);
}
