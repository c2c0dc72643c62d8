#include "io/core.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"

enum {
	PAGE_BYTES = 4096,
};

int core_init(struct io *io, struct actors *actors)
{
	*io = (struct io){ .actors = actors };
	list_init(&io->queue);
	list_init(&io->late);
	list_init(&io->starved);
	list_init(&io->holders);
	io->pool.want = POOL_LENT_FIRST;
	for (int bid = IO_BUFS - 1; bid >= 0; bid--)
		pool_give(io, bid);
	io->pool.mem = aligned_alloc(PAGE_BYTES, (size_t)IO_BUFS * IO_BUF_BYTES);
	return io->pool.mem ? 0 : -ENOMEM;
}

void core_fini(struct io *io)
{
	free(io->pool.mem);
	io->pool.mem = NULL;
}

uint64_t io_now_us(const struct io *io)
{
	return io->now_us;
}

/* ---- receive buffers ---- */

void pool_give(struct io *io, int bid)
{
	struct pool *p = &io->pool;

	ASSERT(p->nfree < IO_BUFS);
	p->free[p->nfree++] = (uint16_t)bid;
}

void pool_short(struct io *io)
{
	if (io->pool.nfree > 0 && io->pool.want < IO_BUFS)
		io->pool.want *= 2;
}

static void pool_lend(struct io *io)
{
	struct pool *p = &io->pool;

	for (; p->lent < p->want && p->nfree > 0; p->lent++)
		kernel_buffer(io, p->free[--p->nfree]);
}

/* ---- requests ---- */

void req_submit(struct io *io, struct io_req *r, enum io_req_kind kind)
{
	ASSERT(!r->flying);
	r->kind = (uint8_t)kind;
	r->cancelled = false;
	list_append(&io->queue, &r->link);
}

void req_cancel(struct io *io, struct io_req *r)
{
	if (!r->flying && list_linked(&r->link)) { /* the kernel has not heard of it */
		list_remove(&r->link);
		io_req_done(io, r, -ECANCELED, NO_BUF, false);
	} else if (r->flying && !r->cancelled) {
		r->cancelled = true;
		list_append(&io->queue, &r->link);
	}
}

void io_req_done(struct io *io, struct io_req *r, int res, int bid, bool more)
{
	if (!more) {
		r->flying = false;
		list_remove(&r->link); /* its cancellation may still be queued */
	}
	if (bid != NO_BUF)
		io->pool.lent--;
	switch ((enum io_req_kind)r->kind) {
	case REQ_CONNECT:
		res = kernel_connected(container_of(r, struct io_op, req), res);
		op_end(io, container_of(r, struct io_op, req), res);
		break;
	case REQ_POLL:
	case REQ_WORK:
		op_end(io, container_of(r, struct io_op, req), res);
		break;
	case REQ_RECV:
		stream_recv_done(container_of(r, struct stream, recv), res, bid);
		break;
	case REQ_SEND:
		stream_send_done(container_of(r, struct stream, send), res);
		break;
	case REQ_ACCEPT:
		listener_accept_done(container_of(r, struct listener, accept), res);
		break;
	case REQ_WAKE:
		break;
	}
}

/* Idle streams must not sit on buffers that busy ones need. */
static void holders_spill(struct io *io)
{
	if (io->pool.held <= IO_BUFS - POOL_SCARCE)
		return;
	list_for_each_safe (n, &io->holders)
		stream_spill(list_entry(n, struct stream, holds));
}

static void starved_rearm(struct io *io)
{
	/* No more than can be fed, or all but the first few would come straight back. */
	for (uint32_t n = io->pool.lent; n > 0; n--) {
		struct list_node *first = list_pop(&io->starved);

		if (!first)
			break;
		stream_rearm(list_entry(first, struct stream, starved));
	}
}

void core_flush(struct io *io)
{
	struct list_node *n;

	holders_spill(io);
	pool_lend(io);
	starved_rearm(io);
	while ((n = list_pop(&io->queue)) != NULL) {
		struct io_req *r = list_entry(n, struct io_req, link);
		const bool taken = r->flying ? kernel_cancel(io, r) : kernel_submit(io, r);

		if (!taken) {
			list_prepend(&io->queue, n);
			break;
		}
		r->flying = true;
	}
}

void core_announce(struct io *io)
{
	list_for_each_safe (n, &io->late) {
		struct stream *st = list_entry(n, struct stream, late);

		if (!list_linked(&st->s->msg.link))
			stream_announce_end(st);
	}
}

/* ---- owners and operations ---- */

void owner_hold(struct io *io, struct actor_id id)
{
	struct actor *a = actor_find(io->actors, id);

	ASSERT(a != NULL);
	a->inflight++;
}

void owner_release(struct io *io, struct actor_id id)
{
	struct actor *a = actor_find(io->actors, id);

	ASSERT(a != NULL); /* it may not go while anything is in flight */
	ASSERT(a->inflight > 0);
	a->inflight--;
}

/* The actor went with the result still in its mailbox: whatever it would have owned must go too. */
static void op_drop(struct msg *m)
{
	kernel_drop_result(container_of(m, struct io_op, msg));
}

void io_op_init(struct io_op *op, const struct actor *owner, uint32_t msg_type)
{
	*op = (struct io_op){
		.msg = { .type = msg_type, .drop = op_drop },
		.owner = owner->id,
	};
}

void op_arm(struct io *io, struct io_op *op)
{
	ASSERT(!io_op_busy(op));
	owner_hold(io, op->owner);
	op->armed = true;
}

void op_end(struct io *io, struct io_op *op, int res)
{
	ASSERT(op->armed);
	op->armed = false;
	op->msg.res = res;
	owner_release(io, op->owner);
	actor_post(io->actors, op->owner, &op->msg);
}

/* ---- processes ---- */

struct seek {
	struct io *io;
	const char *text;
};

static int adopt_found(void *arg, pid_t pid, uint64_t start_ticks, const char *cmdline, size_t len)
{
	const struct seek *s = arg;

	(void)cmdline;
	(void)len;
	const int fd = io_adopt(s->io, pid, start_ticks, s->text);

	return fd == -ESRCH ? 0 : fd; /* it has ended meanwhile */
}

int io_find_process(struct io *io, const char *text)
{
	struct seek s = { .io = io, .text = text };
	const int fd = io_each_process(io, text, adopt_found, &s);

	return fd == 0 ? -ESRCH : fd;
}

void io_poll(struct io *io, struct io_op *op, int fd, uint32_t events)
{
	op_arm(io, op);
	op->priv.poll.fd = fd;
	op->priv.poll.events = events;
	req_submit(io, &op->req, REQ_POLL);
}

void io_cancel(struct io *io, struct io_op *op)
{
	if (!op->armed)
		return; /* its message is on the way */
	if (op->req.kind == REQ_WORK)
		work_cancel(io, op);
	else
		req_cancel(io, &op->req);
}
