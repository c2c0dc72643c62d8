/* stream.c - one connected socket: a queue of received buffers, and bytes to be sent.
 *
 * Received bytes stay in the shared buffers until consumed: the queue is a chain of buffer numbers.
 * Sending uses two buffers: the owner appends to `out`; at the end of the turn, when nothing is
 * being sent, it becomes `sending`, which is the kernel's.  Closing: cancel, wait for the last
 * completion, close, tell (close(2) cancels nothing).
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "io/core.h"

enum {
	SPILL_MAX = 4 * IO_STREAM_CHUNKS * IO_BUF_BYTES, /* bytes */
};

/* Stands in for the buffer of a stream that is closed: nothing can be appended. */
static struct buf nowhere;

static struct stream *impl(const struct io_stream *s)
{
	return s->impl;
}

/* ---- telling the owner ---- */

static int received_res(const struct stream *st)
{
	return st->received > INT_MAX ? INT_MAX : (int)st->received;
}

static void stream_tell(struct stream *st, int res)
{
	struct io_stream *s = st->s;

	if (list_linked(&s->msg.link)) {
		if (s->msg.res >= 0 && !s->closed)
			s->msg.res = res;
		return;
	}
	s->msg.res = res;
	actor_post(st->io->actors, s->owner, &s->msg);
}

/* An end is never merged into the announcement of bytes: a handler may look at res alone. */
static void stream_ended(struct stream *st)
{
	if (st->closing || list_linked(&st->late))
		return;
	if (list_linked(&st->s->msg.link))
		list_append(&st->io->late, &st->late);
	else
		stream_announce_end(st);
}

void stream_announce_end(struct stream *st)
{
	list_remove(&st->late);
	stream_tell(st, st->s->error);
}

/* ---- receive buffers ---- */

static void chunk_push(struct stream *st, int bid, int len)
{
	struct pool *p = &st->io->pool;

	p->chunks[bid] = (struct chunk){ .len = (uint32_t)len };
	if (st->nchunks++ == 0)
		st->first = (uint16_t)bid;
	else
		p->chunks[st->last].next = (uint16_t)bid;
	st->last = (uint16_t)bid;
	st->received += (size_t)len;
	p->held++;
	if (!list_linked(&st->holds))
		list_append(&st->io->holders, &st->holds);
}

static void chunk_drop_first(struct stream *st)
{
	const uint16_t bid = st->first;

	st->first = st->io->pool.chunks[bid].next;
	st->io->pool.held--;
	if (--st->nchunks == 0)
		list_remove(&st->holds);
	pool_give(st->io, bid);
}

static void passed_drop(struct stream *st)
{
	for (uint32_t i = 0; st->passing && i < st->passing->nfds; i++)
		kernel_close(st->io, st->passing->fds[i]);
	if (st->passing)
		st->passing->nfds = 0;
}

static void received_drop(struct stream *st)
{
	while (st->nchunks > 0)
		chunk_drop_first(st);
	buf_fini(&st->spill);
	passed_drop(st);
	st->received = 0;
}

/* Copies queued chunks out, so that their buffers serve others; left alone when memory is short. */
void stream_spill(struct stream *st)
{
	if (list_linked(&st->s->msg.link))
		return; /* the owner has not had its turn */
	while (st->nchunks > 0) {
		const struct chunk *c = &st->io->pool.chunks[st->first];
		const uint8_t *data = pool_at(st->io, st->first) + c->off;

		if (buf_append(&st->spill, data, c->len) < 0)
			return;
		chunk_drop_first(st);
	}
}

/* ---- receiving ---- */

static bool throttled(const struct stream *st)
{
	return st->nchunks >= IO_STREAM_CHUNKS ||
	       buf_len(&st->spill) >= (size_t)IO_STREAM_CHUNKS * IO_BUF_BYTES;
}

void stream_rearm(struct stream *st)
{
	const struct io_stream *s = st->s;

	if (st->paused || st->full || st->closing || s->eof || s->error || req_busy(&st->recv) ||
	    list_linked(&st->starved))
		return;
	if (st->io->pool.held == IO_BUFS && !st->passing)
		list_append(&st->io->starved, &st->starved);
	else
		req_submit(st->io, &st->recv, REQ_RECV);
}

static void stream_finish_if_idle(struct stream *st);

static void stream_fail(struct stream *st, int error)
{
	if (!st->s->error)
		st->s->error = error;
	buf_fini(&st->out);
	if (!st->send.flying)
		buf_fini(&st->sending);
	stream_ended(st);
}

void stream_passed(struct stream *st, int fd)
{
	struct passing *p = st->passing;

	if (st->closing || p->nfds == IO_STREAM_FDS)
		kernel_close(st->io, fd);
	else
		p->fds[p->nfds++] = fd;
}

int io_stream_take_fd(struct io_stream *s)
{
	const struct stream *st = impl(s);
	struct passing *p = st ? st->passing : NULL;

	if (!p || p->nfds == 0)
		return -EAGAIN;
	const int fd = p->fds[0];

	p->nfds--;
	memmove(p->fds, p->fds + 1, p->nfds * sizeof(int));
	return fd;
}

/* Into the spill buffer, as if copied out of a shared one. */
static void passing_recv_done(struct stream *st, int res)
{
	const struct passing *p = st->passing;

	if (res > 0 && buf_append(&st->spill, p->data, (size_t)res) < 0) {
		stream_fail(st, -ENOMEM);
		return;
	}
	st->received += (size_t)res;
	stream_tell(st, received_res(st));
	st->full = throttled(st);
}

void stream_recv_done(struct stream *st, int res, int bid)
{
	if (st->passing && res >= 0)
		kernel_passed(st->io, st);
	if (bid != NO_BUF && (res <= 0 || st->closing))
		pool_give(st->io, bid);
	if (st->closing) {
		stream_finish_if_idle(st);
		return;
	}
	if (res > 0 && st->passing) {
		passing_recv_done(st, res);
	} else if (res > 0) {
		ASSERT(bid != NO_BUF);
		chunk_push(st, bid, res);
		stream_tell(st, received_res(st));
		if (throttled(st)) {
			st->full = true;
			req_cancel(st->io, &st->recv);
		}
	} else if (res == 0) {
		st->s->eof = true;
		stream_ended(st);
	} else if (res == -ENOBUFS) {
		pool_short(st->io);
		if (!list_linked(&st->starved) && !req_busy(&st->recv))
			list_append(&st->io->starved, &st->starved);
		return;
	} else if (res != -ECANCELED && res != -EINTR) {
		stream_fail(st, res);
	}
	stream_rearm(st);
}

size_t io_stream_peek(struct io_stream *s, const uint8_t **ret_data)
{
	const struct stream *st = impl(s);

	if (!st || st->received == 0)
		return 0;
	if (buf_len(&st->spill) > 0) {
		*ret_data = buf_data(&st->spill);
		return buf_len(&st->spill);
	}
	const struct chunk *c = &st->io->pool.chunks[st->first];

	*ret_data = pool_at(st->io, st->first) + c->off;
	return c->len;
}

size_t io_stream_unread(const struct io_stream *s)
{
	const struct stream *st = impl(s);

	return st ? st->received : 0;
}

static size_t consume_some(struct stream *st, size_t len)
{
	const size_t spilt = buf_len(&st->spill);

	if (spilt > 0) {
		const size_t n = len < spilt ? len : spilt;

		buf_consume(&st->spill, n);
		if (n == spilt)
			buf_fini(&st->spill);
		return n;
	}
	struct chunk *c = &st->io->pool.chunks[st->first];

	if (len < c->len) {
		c->off += (uint32_t)len;
		c->len -= (uint32_t)len;
		return len;
	}
	len = c->len;
	chunk_drop_first(st);
	return len;
}

void io_stream_consume(struct io *io, struct io_stream *s, size_t len)
{
	struct stream *st = impl(s);

	(void)io;
	if (!st)
		return;
	ASSERT(len <= st->received);
	st->received -= len;
	while (len > 0)
		len -= consume_some(st, len);
	if (st->full && st->received <= (size_t)IO_STREAM_CHUNKS / 2 * IO_BUF_BYTES &&
	    st->nchunks <= IO_STREAM_CHUNKS / 2) {
		st->full = false;
		stream_rearm(st);
	}
}

void io_stream_pause(struct io *io, struct io_stream *s, bool paused)
{
	struct stream *st = impl(s);

	if (!st || st->closing)
		return;
	st->paused = paused;
	if (!paused) {
		stream_rearm(st);
		return;
	}
	list_remove(&st->starved);
	req_cancel(io, &st->recv);
}

/* ---- sending ---- */

struct buf *io_stream_out(struct io_stream *s)
{
	struct stream *st = impl(s);

	return st && !st->closing && !s->error ? &st->out : &nowhere;
}

size_t io_stream_unsent(const struct io_stream *s)
{
	const struct stream *st = impl(s);

	return st ? buf_len(&st->out) + buf_len(&st->sending) : 0;
}

uint64_t io_stream_appended(const struct io_stream *s)
{
	const struct stream *st = impl(s);

	return st ? st->taken + buf_len(&st->out) : 0;
}

void io_stream_flush(struct io *io, struct io_stream *s)
{
	struct stream *st = impl(s);

	if (st && io_stream_unsent(s) > 0 && !s->error && !req_busy(&st->send))
		req_submit(io, &st->send, REQ_SEND);
}

size_t stream_send_begin(struct stream *st, const uint8_t **ret_data)
{
	if (buf_len(&st->sending) == 0) {
		const struct buf next = st->out;

		st->out = st->sending;
		st->sending = next;
		st->taken += buf_len(&next);
	}
	/* Both together stay within the bound. */
	st->out.max = IO_STREAM_OUT_MAX - buf_len(&st->sending);
	*ret_data = buf_data(&st->sending);
	return buf_len(&st->sending);
}

static void drained_check(struct stream *st)
{
	if (!st->notify || st->closing || io_stream_unsent(st->s) > st->low)
		return;
	st->notify = false;
	stream_tell(st, received_res(st));
}

void stream_send_done(struct stream *st, int res)
{
	if (res > 0) {
		buf_consume(&st->sending, (size_t)res);
		st->out.max = IO_STREAM_OUT_MAX - buf_len(&st->sending);
	}
	if (buf_len(&st->sending) == 0)
		buf_fini(&st->sending);
	if (res < 0 && res != -EINTR && res != -ECANCELED)
		stream_fail(st, res);
	if (res == -ECANCELED || st->s->error) { /* closing, or failed */
		buf_fini(&st->sending);
		buf_fini(&st->out);
	}
	if (buf_len(&st->out) == 0)
		buf_fini(&st->out); /* an idle stream costs no buffers */
	io_stream_flush(st->io, st->s);
	drained_check(st);
	if (st->closing)
		stream_finish_if_idle(st);
}

void io_stream_notify_drained(struct io_stream *s, size_t low)
{
	struct stream *st = impl(s);

	if (!st)
		return;
	st->notify = true;
	st->low = low;
	drained_check(st);
}

/* ---- life ---- */

static int stream_open(struct io *io, struct io_stream *s, const struct actor *owner,
		       uint32_t msg_type, int fd, struct passing *passing)
{
	const int rc = kernel_adopt_fd(io, fd);

	if (rc < 0)
		return rc;
	struct stream *st = calloc(1, sizeof(*st));

	if (!st)
		return -ENOMEM;
	st->io = io;
	st->s = s;
	st->passing = passing;
	st->linger.msg.type = TIMER_LINGER;
	buf_init(&st->out, IO_STREAM_OUT_MAX);
	buf_init(&st->sending, IO_STREAM_OUT_MAX);
	buf_init(&st->spill, SPILL_MAX);
	*s = (struct io_stream){
		.msg = { .type = msg_type },
		.owner = owner->id,
		.fd = fd,
		.impl = st,
	};
	owner_hold(io, s->owner);
	stream_rearm(st);
	return 0;
}

int io_stream_open(struct io *io, struct io_stream *s, const struct actor *owner, uint32_t msg_type,
		   int fd)
{
	return stream_open(io, s, owner, msg_type, fd, NULL);
}

int io_stream_open_passing(struct io *io, struct io_stream *s, const struct actor *owner,
			   uint32_t msg_type, int fd)
{
	struct passing *p = calloc(1, sizeof(*p));
	const int rc = p ? stream_open(io, s, owner, msg_type, fd, p) : -ENOMEM;

	if (rc < 0)
		free(p);
	return rc;
}

static void stream_finish_if_idle(struct stream *st)
{
	struct io *io = st->io;
	struct io_stream *s = st->s;

	if (req_busy(&st->recv) || req_busy(&st->send))
		return;
	io_timer_cancel(io, &st->linger);
	buf_fini(&st->out);
	buf_fini(&st->sending);
	passed_drop(st);
	free(st->passing);
	kernel_close(io, s->fd);
	s->fd = -EBADF;
	stream_tell(st, s->error);
	s->closed = true;
	s->impl = NULL;
	free(st);
	owner_release(io, s->owner);
}

void stream_linger_over(struct stream *st)
{
	req_cancel(st->io, &st->send); /* its completion finishes the stream */
}

void io_stream_close(struct io *io, struct io_stream *s, uint32_t linger_ms)
{
	struct stream *st = impl(s);

	if (!st || st->closing)
		return;
	st->closing = true;
	received_drop(st);
	list_remove(&st->starved);
	list_remove(&st->late);
	if (linger_ms > 0 && io_stream_unsent(s) > 0 && !s->error) {
		io_timer_set(io, &st->linger, linger_ms, 0);
		io_stream_flush(io, s);
		req_cancel(io, &st->recv);
		return;
	}
	buf_fini(&st->out);
	if (!req_busy(&st->recv) && !req_busy(&st->send)) {
		stream_finish_if_idle(st);
		return;
	}
	/* The last of these to end finishes the stream, which may be at once. */
	const bool sending = req_busy(&st->send);

	req_cancel(io, &st->recv);
	if (sending)
		req_cancel(io, &st->send);
}
