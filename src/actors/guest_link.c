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
	*l = (struct guest_link){ .env = env, .owner = owner, .log = &owner->log, .ops = ops };
	l->frame_max = GUEST_FRAME_MAX;
	buf_init(&l->in, FRAME_HEAD + GUEST_FRAME_MAX);
	list_init(&l->calls);
	io_timer_init(&l->timer, owner, MSG_TIMER);
	io_timer_init(&l->again, owner, MSG_TIMER);
}

void guest_link_fini(struct guest_link *l)
{
	ASSERT(list_empty(&l->calls));
	if (l->env) {
		io_timer_cancel(l->env->io, &l->timer);
		io_timer_cancel(l->env->io, &l->again);
	}
	buf_fini(&l->in);
}

/* ---- sending ---- */

int guest_link_send(struct guest_link *l, const struct wire *w)
{
	const int rc = wire_encode(w, io_stream_out(l->stream));

	if (rc == 0)
		io_stream_flush(l->env->io, l->stream);
	return rc;
}

int guest_link_ask(struct guest_link *l, enum guest_method m, const void *args, uint32_t *ret_id)
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
		rc = guest_link_send(l, &w);
	}
	buf_fini(&body);
	if (rc == 0)
		*ret_id = w.id;
	return rc;
}

static void told(const struct guest_link *l, const char *event, const struct err *why)
{
	LOG_WARN(l->log, NULL, event, K("code", err_name(why->code)), K("why", why->text));
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
	l->phase = GUEST_SEEKING;
	l->scan = (struct sync_scan){ 0 };
	l->hello_us = io_now_us(l->env->io);
	l->noise = 0;
	l->status_id = 0;
	buf_clear(&l->in);
	if (buf_append(io_stream_out(l->stream), GUEST_SYNC, GUEST_SYNC_BYTES) == 0)
		IGNORE(guest_link_send(l, &w) < 0); /* said again when no answer comes */
	io_timer_set(l->env->io, &l->timer, AGENT_HELLO_MS, 0);
}

/* ---- does it still live? ---- */

void guest_link_watch(struct guest_link *l)
{
	if (l->timer.set)
		return;
	l->heard = false;
	l->ask_id = 0;
	io_timer_set(l->env->io, &l->timer, AGENT_QUIET_MS, 0);
}

static void look_after(struct guest_link *l)
{
	const struct err gone = { .code = ERR_GUEST_GONE,
				  .text = "the guest's agent does not answer any more" };

	if (l->ncalls == 0)
		return;
	if (l->heard) {
		guest_link_watch(l);
	} else if (l->ask_id == 0) {
		IGNORE(guest_link_ask(l, GUEST_METHOD_STATUS, NULL, &l->ask_id) < 0);
		io_timer_set(l->env->io, &l->timer, AGENT_ANSWER_MS, 0);
	} else {
		told(l, "agent.hangs", &gone);
		guest_calls_fail(l, &gone);
		say_hello(l);
	}
}

static void timer_fired(struct guest_link *l)
{
	if (l->phase == GUEST_RESTING)
		io_stream_pause(l->env->io, l->stream, false);
	if (l->phase == GUEST_UP)
		look_after(l);
	else if (l->phase != GUEST_AWAY)
		say_hello(l);
}

void guest_link_open(struct guest_link *l, struct io_stream *stream)
{
	ASSERT(l->phase == GUEST_AWAY);
	l->stream = stream;
	l->poweroff_id = 0;
	l->tail = (struct frames_tail){ 0 };
	say_hello(l);
}

/* ---- the end, for good or for now ---- */

void guest_link_close(struct guest_link *l, const struct err *why)
{
	l->stream = NULL;
	l->phase = GUEST_AWAY;
	buf_clear(&l->in);
	io_timer_cancel(l->env->io, &l->timer);
	io_timer_cancel(l->env->io, &l->again);
	guest_calls_fail(l, why);
}

static void hang_up(struct guest_link *l, const struct err *why)
{
	told(l, "agent.down", why);
	guest_link_close(l, why);
	l->ops->down(l, why);
}

/* It is not listened to, so that a flood fills its own channel and nothing else. */
static void rest(struct guest_link *l, const struct err *why)
{
	told(l, "agent.rest", why);
	l->phase = GUEST_RESTING;
	buf_clear(&l->in);
	io_stream_pause(l->env->io, l->stream, true);
	io_timer_set(l->env->io, &l->timer, AGENT_REST_MS, 0);
	guest_calls_fail(l, why);
}

/* The marker where a frame might begin: another agent speaks now, what the old one ran is gone. */
static int begun_anew(struct guest_link *l, struct err *e)
{
	const struct err why = { .code = ERR_GUEST_GONE, .text = "the guest's agent ended" };

	if (l->phase != GUEST_UP)
		return 0; /* the answer to our hello follows */
	if (io_now_us(l->env->io) - l->hello_us < AGENT_ANEW_MS * UINT64_C(1000))
		return err_set(e, ERR_GUEST_PROTOCOL, "it begins anew all the time");
	told(l, "agent.anew", &why);
	guest_calls_fail(l, &why);
	say_hello(l);
	return 0;
}

int guest_link_poweroff(struct guest_link *l)
{
	if (l->phase != GUEST_UP)
		return -ENOTCONN;
	return guest_link_ask(l, GUEST_METHOD_POWEROFF, NULL, &l->poweroff_id);
}

/* ---- receiving ---- */

static int got_hello(struct guest_link *l, const struct wire *w, struct err *e)
{
	if (l->phase == GUEST_UP)
		return guest_link_stray(l, 0, e);
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
	if (l->status_id == 0 && guest_link_ask(l, GUEST_METHOD_STATUS, NULL, &l->status_id) < 0)
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
	l->phase = GUEST_UP;
	l->strays = LINK_STRAYS_FIRST;
	io_timer_cancel(l->env->io, &l->timer);
	LOG_INFO(l->log, NULL, "agent.up", K("boot_id", l->status.boot_id),
		 K("agent", l->status.agent));
	l->ops->up(l);
	return 0;
}

static int got_frame(struct guest_link *l, const uint8_t *payload, size_t len, struct err *e)
{
	struct wire w;
	const int rc = wire_decode(payload, len, &w, e);

	if (rc < 0)
		return rc;
	l->heard = true;
	switch (w.type) {
	case WIRE_HELLO:
		return got_hello(l, &w, e);
	case WIRE_REPLY:
		if (w.id == l->status_id && l->phase == GUEST_GREETING)
			return got_status(l, &w, e);
		if (w.id == l->ask_id && l->phase == GUEST_UP) {
			l->ask_id = 0;
			return 0;
		}
		return guest_call_reply(l, &w, e);
	case WIRE_DATA:
		return guest_call_data(l, &w, e);
	case WIRE_CREDIT:
		return guest_call_credit(l, &w, e);
	case WIRE_EVENT:
		return guest_link_stray(l, len, e); /* none is defined yet */
	case WIRE_REQUEST:
	case WIRE_CANCEL:
	case WIRE_SIGNAL:
	case WIRE_RESIZE:
	case WIRE_NTYPES:
		break;
	}
	return err_set(e, ERR_GUEST_PROTOCOL, "a frame that only the daemon may send");
}

/* The marker at the front of l->in?  1 yes, 0 more bytes are needed, -1 no: a frame's head. */
static int marker_at_front(const struct guest_link *l)
{
	const size_t have = buf_len(&l->in);
	const size_t n = have < GUEST_SYNC_BYTES ? have : GUEST_SYNC_BYTES;

	if (n == 0)
		return 0;
	if (memcmp(buf_data(&l->in), GUEST_SYNC, n) != 0)
		return -1;
	return n == GUEST_SYNC_BYTES;
}

/* One marker or frame off l->in: 1, 0 when more bytes are needed, -errno. */
static int read_one(struct guest_link *l, struct err *e)
{
	const uint8_t *payload;
	int n = marker_at_front(l);

	if (n == 0)
		return 0;
	if (n > 0) {
		buf_consume(&l->in, GUEST_SYNC_BYTES);
		n = begun_anew(l, e);
		return n < 0 ? n : 1;
	}
	n = wire_next(buf_data(&l->in), buf_len(&l->in), GUEST_FRAME_MAX, &payload, e);
	if (n <= 0)
		return n;
	const int rc = got_frame(l, payload, (size_t)n, e);
	if (rc < 0)
		return rc;
	buf_consume(&l->in, FRAME_HEAD + (size_t)n);
	return 1;
}

/* What looked like a frame was the rest of one cut in two by an older conversation; the marker may
 * be among the bytes gathered. */
static void seek_again(struct guest_link *l)
{
	bool found;

	l->scan = (struct sync_scan){ 0 };
	buf_consume(&l->in, sync_feed(&l->scan, buf_data(&l->in), buf_len(&l->in), &found));
	l->phase = found ? GUEST_GREETING : GUEST_SEEKING;
}

static void read_frames(struct guest_link *l)
{
	struct err e = { 0 };
	int rc;

	do {
		rc = read_one(l, &e);
		if (rc < 0 && l->phase == GUEST_GREETING) {
			seek_again(l);
			e = (struct err){ 0 };
			rc = l->phase == GUEST_GREETING;
		}
	} while (rc > 0 && (l->phase == GUEST_GREETING || l->phase == GUEST_UP));
	if (rc < 0) {
		e.code = ERR_GUEST_PROTOCOL;
		rest(l, &e);
	}
}

/* Takes some of the bytes that wait; how many. */
static size_t read_some(struct guest_link *l, const uint8_t *data, size_t have, struct err *e)
{
	const size_t room = l->in.max - buf_len(&l->in);
	bool found;

	if (l->phase == GUEST_RESTING)
		return have;
	if (l->phase == GUEST_SEEKING) {
		have = sync_feed(&l->scan, data, have, &found);
		if (found)
			l->phase = GUEST_GREETING;
	} else {
		have = have < room ? have : room;
		if (buf_append(&l->in, data, have) < 0) {
			err_set(e, ERR_HOST_MEMORY, "agent's frame");
			return have;
		}
	}
	if (l->phase != GUEST_UP)
		l->noise += have;
	if (l->noise > LINK_NOISE_MAX)
		err_set(e, ERR_GUEST_PROTOCOL, "no end of bytes without a hello");
	return have;
}

void guest_link_read(struct guest_link *l)
{
	const uint8_t *data;
	size_t have;
	struct err e = { 0 };

	while (l->stream && (have = io_stream_peek(l->stream, &data)) > 0) {
		if (chunks_crowd(l->env)) {
			io_timer_set(l->env->io, &l->again, CHUNKS_AGAIN_MS, 0);
			return;
		}
		have = read_some(l, data, have, &e);
		io_stream_consume(l->env->io, l->stream, have);
		if (e.code) {
			rest(l, &e);
			e = (struct err){ 0 };
		} else {
			read_frames(l);
		}
	}
	if (l->phase == GUEST_UP)
		guest_calls_drained(l);
	if (l->stream && (l->stream->eof || l->stream->error)) {
		err_set(&e, ERR_GUEST_GONE, "the agent's channel was closed");
		hang_up(l, &e);
	}
}

void guest_link_timer(struct guest_link *l, const struct msg *m)
{
	if (m == &l->timer.msg)
		timer_fired(l);
	else if (m == &l->again.msg)
		guest_link_read(l);
	else
		guest_call_timer(l, m);
}
