/* io_uring.c - the real kernel behind io.h: requests become entries, completions come back.
 *
 * One io_uring_enter(2) per turn submits what the last turn left behind, waits, and collects.  The
 * ring's own thread does everything but blocking work (work.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/uring.h"

static uint64_t clock_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* ---- life ---- */

int io_create(const struct io_config *conf, struct actors *actors, struct io **ret_io,
	      struct err *e)
{
	struct uring *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return err_set(e, ERR_HOST_MEMORY, "io: no memory");
	u->workers.wake_fd = -EBADF;
	u->workers.null_fd = -EBADF;
	rc = core_init(&u->io, actors);
	if (rc < 0) {
		err_set(e, ERR_HOST_MEMORY, "io: no memory for receive buffers");
		goto fail;
	}
	rc = ring_up(u, conf && conf->entries ? conf->entries : IO_ENTRIES, e);
	if (rc < 0)
		goto fail;
	rc = workers_up(&u->workers, e);
	if (rc < 0)
		goto fail;
	u->io.now_us = clock_us(CLOCK_MONOTONIC);
	req_submit(&u->io, &u->wake, REQ_WAKE);
	*ret_io = &u->io;
	return 0;
fail:
	io_destroy(&u->io);
	return rc;
}

void io_destroy(struct io *io)
{
	if (!io)
		return;
	struct uring *u = uring_of(io);

	workers_down(&u->workers);
	ring_down(u);
	core_fini(io);
	free(u);
}

/* ---- requests ---- */

/* Makes room by an early submission when the turn has more requests than entries. */
static struct io_uring_sqe *sqe_get(struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (!sqe && io_uring_submit(&u->ring) > 0)
		sqe = io_uring_get_sqe(&u->ring);
	return sqe;
}

static void prep_op(const struct io_op *op, struct io_uring_sqe *sqe)
{
	if (op->req.kind == REQ_POLL)
		io_uring_prep_poll_add(sqe, op->priv.poll.fd, op->priv.poll.events);
	else
		unix_connect_sqe(op->priv.connect, sqe);
}

static void prep_recvmsg(const struct stream *st, struct io_uring_sqe *sqe)
{
	struct passing *p = st->passing;

	p->iov = (struct iovec){ p->data, sizeof(p->data) };
	p->msg = (struct msghdr){ .msg_iov = &p->iov,
				  .msg_iovlen = 1,
				  .msg_control = p->control.room,
				  .msg_controllen = sizeof(p->control.room) };
	io_uring_prep_recvmsg(sqe, st->s->fd, &p->msg, MSG_CMSG_CLOEXEC);
}

static void prep_recv(const struct stream *st, struct io_uring_sqe *sqe)
{
	if (st->passing) {
		prep_recvmsg(st, sqe);
		return;
	}
	io_uring_prep_recv_multishot(sqe, st->s->fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = RING_BUF_GROUP;
}

static void prep_send(struct stream *st, struct io_uring_sqe *sqe)
{
	const uint8_t *data;
	const size_t len = stream_send_begin(st, &data);

	io_uring_prep_send(sqe, st->s->fd, data, len, MSG_NOSIGNAL);
}

bool kernel_submit(struct io *io, struct io_req *r)
{
	struct uring *u = uring_of(io);
	struct io_uring_sqe *sqe = sqe_get(u);

	if (!sqe)
		return false;
	switch ((enum io_req_kind)r->kind) {
	case REQ_POLL:
	case REQ_CONNECT:
		prep_op(container_of(r, struct io_op, req), sqe);
		break;
	case REQ_RECV:
		prep_recv(container_of(r, struct stream, recv), sqe);
		break;
	case REQ_SEND:
		prep_send(container_of(r, struct stream, send), sqe);
		break;
	case REQ_ACCEPT:
		io_uring_prep_multishot_accept(sqe, container_of(r, struct listener, accept)->l->fd,
					       NULL, NULL, SOCK_CLOEXEC);
		break;
	case REQ_WAKE:
		io_uring_prep_read(sqe, u->workers.wake_fd, &u->wake_count, sizeof(u->wake_count),
				   0);
		break;
	case REQ_WORK: /* never comes here */
		break;
	}
	io_uring_sqe_set_data(sqe, r);
	return true;
}

bool kernel_cancel(struct io *io, struct io_req *r)
{
	struct io_uring_sqe *sqe = sqe_get(uring_of(io));

	if (!sqe)
		return false;
	io_uring_prep_cancel(sqe, r, 0);
	io_uring_sqe_set_data(sqe, NULL); /* only the request's own completion counts */
	return true;
}

void kernel_buffer(struct io *io, int bid)
{
	struct uring *u = uring_of(io);

	io_uring_buf_ring_add(u->bufs, pool_at(io, bid), IO_BUF_BYTES, (unsigned short)bid,
			      io_uring_buf_ring_mask(IO_BUFS), (int)u->bufs_back++);
}

void kernel_passed(struct io *io, struct stream *st)
{
	struct msghdr *const m = &st->passing->msg;

	(void)io;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		const size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			stream_passed(st, fd);
		}
	}
	m->msg_controllen = 0; /* told once */
}

void kernel_close(struct io *io, int fd)
{
	(void)io;
	if (fd >= 0)
		close(fd);
}

/* A request on a descriptor with O_NONBLOCK ends in -EAGAIN instead of waiting. */
int kernel_adopt_fd(struct io *io, int fd)
{
	const int flags = fcntl(fd, F_GETFL);

	(void)io;
	if (flags < 0 || ((flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0))
		return -errno;
	return 0;
}

void io_close(struct io *io, int fd)
{
	kernel_close(io, fd);
}

void kernel_drop_result(struct io_op *op)
{
	if (op->msg.res < 0)
		return;
	if (op->req.kind == REQ_CONNECT)
		close(op->msg.res);
	else if (op->req.kind == REQ_WORK && op->priv.work.spawn)
		close(op->priv.work.spawn->pidfd);
}

void io_connect_unix(struct io *io, struct io_op *op, const char *path)
{
	struct unix_addr *addr = NULL;

	op_arm(io, op);
	op->req.kind = REQ_CONNECT;
	const int rc = unix_connect_begin(path, &addr);

	op->priv.connect = addr;
	if (rc < 0)
		op_end(io, op, rc);
	else
		req_submit(io, &op->req, REQ_CONNECT);
}

int kernel_connected(struct io_op *op, int res)
{
	struct unix_addr *addr = op->priv.connect;

	op->priv.connect = NULL;
	return unix_connect_end(addr, res);
}

/* ---- completions ---- */

static void complete(struct uring *u, const struct io_uring_cqe *cqe)
{
	struct io_req *r = io_uring_cqe_get_data(cqe);
	const bool more = cqe->flags & IORING_CQE_F_MORE;
	int bid = NO_BUF;

	if (!r)
		return; /* a cancellation's own */
	if (cqe->flags & IORING_CQE_F_BUFFER)
		bid = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
	if (r == &u->wake)
		workers_collect(&u->io, &u->workers);
	io_req_done(&u->io, r, cqe->res, bid, more);
	if (r == &u->wake)
		req_submit(&u->io, &u->wake, REQ_WAKE);
}

static void complete_all(struct uring *u)
{
	struct io_uring_cqe *cqe;
	unsigned head;
	unsigned n = 0;

	io_uring_for_each_cqe(&u->ring, head, cqe)
	{
		complete(u, cqe);
		n++;
	}
	io_uring_cq_advance(&u->ring, n);
}

/* ---- the turn ---- */

static int submit_and_wait(struct uring *u)
{
	struct io *io = &u->io;
	struct io_uring_cqe *cqe;
	uint64_t due_us;

	if (!actors_idle(io->actors) || !list_empty(&io->late) || !list_empty(&io->queue))
		return io_uring_submit_and_get_events(&u->ring);
	if (!timer_next(io, &due_us))
		return io_uring_submit_and_wait(&u->ring, 1);

	const uint64_t now_us = clock_us(CLOCK_MONOTONIC); /* handlers have taken their time */
	const uint64_t left_us = due_us > now_us ? due_us - now_us : 0;
	struct __kernel_timespec ts = {
		.tv_sec = (int64_t)(left_us / 1000000),
		.tv_nsec = (long long)(left_us % 1000000) * 1000,
	};

	return io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);
}

int io_turn(struct io *io)
{
	struct uring *u = uring_of(io);

	core_flush(io);
	if (u->bufs_back > 0) {
		io_uring_buf_ring_advance(u->bufs, (int)u->bufs_back);
		u->bufs_back = 0;
	}
	const int rc = submit_and_wait(u);

	/* EBUSY and EAGAIN: the kernel is short of room; what we collect now makes some. */
	if (rc < 0 && rc != -ETIME && rc != -EINTR && rc != -EBUSY && rc != -EAGAIN)
		return rc;
	io->now_us = clock_us(CLOCK_MONOTONIC);
	core_announce(io);
	complete_all(u);
	timers_run(io);
	actors_run(io->actors);
	return 0;
}

uint64_t io_wall_ms(const struct io *io)
{
	(void)io;
	return clock_us(CLOCK_REALTIME) / 1000;
}

void io_random(struct io *io, void *buf, size_t len)
{
	struct uring *u = uring_of(io);
	uint8_t *at = buf;

	while (len > 0) {
		if (u->random_left == 0) {
			/* Up to 256 bytes come whole once the kernel's pool is ready. */
			const ssize_t n = getrandom(u->random, sizeof(u->random), 0);

			ASSERT(n == (ssize_t)sizeof(u->random));
			u->random_left = sizeof(u->random);
		}
		const size_t n = len < u->random_left ? len : u->random_left;

		memcpy(at, u->random + sizeof(u->random) - u->random_left, n);
		u->random_left -= n;
		at += n;
		len -= n;
	}
}
