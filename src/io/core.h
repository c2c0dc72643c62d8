/* core.h - private to io/: what both implementations share, and what each supplies.
 *
 * Shared (core.c, timer.c, stream.c, listener.c): the queue of requests, the bookkeeping of
 * messages, the timers, and the whole life of streams and listeners.  Supplied (io_uring.c,
 * io_sim.c): a kernel, which takes requests and answers each by io_req_done().  So the state
 * machines that the simulator torments are the very ones that run.
 *
 *   req_submit() -> queue -> kernel_submit() -> flying -> io_req_done() -> stream, listener, op
 *
 * Single thread.  Nothing in here blocks.
 */
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include "base/list.h"
#include "io/io.h"

enum io_req_kind {
	REQ_POLL = 1, /* struct io_op */
	REQ_CONNECT,  /* struct io_op */
	REQ_WORK,     /* struct io_op; runs on a worker thread, is never in the queue */
	REQ_RECV,     /* struct stream: multishot, but for one that passes descriptors */
	REQ_SEND,     /* struct stream */
	REQ_ACCEPT,   /* struct listener: multishot */
	REQ_WAKE,     /* the implementation's own */
};

/* Timers of our own have no owner; their message type says what they are for. */
enum io_timer_use {
	TIMER_LINGER,
	TIMER_BACKOFF,
};

enum {
	NO_BUF = -1,
	POOL_SCARCE = IO_BUFS / 4, /* with fewer free buffers, idle holders must copy theirs out */
	POOL_LENT_FIRST = 32,      /* buffers that the kernel may fill in one turn, at first */
};

/* The receive buffers, by number.  A buffer is free, the kernel's, or waits in one stream's queue.
 * The kernel takes them in turn, so it is lent no more than it has needed at once: memory that was
 * never written does not count as ours. */
struct pool {
	uint8_t *mem;   /* owned: IO_BUFS * IO_BUF_BYTES, page aligned */
	uint32_t held;  /* in queues of streams */
	uint32_t lent;  /* the kernel's */
	uint32_t want;  /* as many should be */
	uint32_t nfree; /* of free[]; the last one given back is the next to be lent */
	uint16_t free[IO_BUFS];
	struct chunk {
		uint16_t next;
		uint32_t off;
		uint32_t len;
	} chunks[IO_BUFS];
};

struct io {
	struct actors *actors; /* borrowed, outlives us */
	uint64_t now_us;
	struct io_timer *timers; /* root of the heap, borrowed */
	uint64_t timer_seq;
	struct list queue;   /* io_req.link: to be submitted or cancelled at the end of the turn */
	struct list late;    /* stream.late: ends to announce once the message before is handled */
	struct list starved; /* stream.starved: want a receive buffer */
	struct list holders; /* stream.holds: have receive buffers */
	struct pool pool;
};

/* Of a stream that passes descriptors: it receives into memory of its own, once at a time. */
struct passing {
	struct msghdr msg;
	struct iovec iov;
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(IO_STREAM_FDS * sizeof(int))];
	} control;
	int fds[IO_STREAM_FDS]; /* owned: they wait to be taken, oldest first */
	uint32_t nfds;
	uint8_t data[IO_BUF_BYTES];
};

/* What a stream is behind struct io_stream.  Its idle size matters: one per VM and per client. */
struct stream {
	struct io *io;       /* borrowed, outlives us */
	struct io_stream *s; /* borrowed: the owner keeps it until `closed` */
	struct io_req recv;
	struct io_req send;
	struct list_node late;    /* io.late */
	struct list_node starved; /* io.starved */
	struct list_node holds;   /* io.holders */
	struct buf out;           /* appended by the owner */
	struct buf sending;       /* the kernel's while send.flying */
	struct buf spill;         /* received bytes copied out of scarce buffers; oldest first */
	uint64_t taken;           /* bytes that ever went from `out` to `sending` */
	size_t received;          /* bytes in spill and chunks */
	size_t low;               /* notify at this many unsent bytes */
	struct passing *passing;  /* owned; NULL: none */
	struct io_timer linger;
	uint16_t first; /* chunk, when nchunks > 0 */
	uint16_t last;
	uint16_t nchunks;
	bool notify;
	bool paused;
	bool full; /* throttled until the owner consumes */
	bool closing;
};

struct listener {
	struct io *io;         /* borrowed, outlives us */
	struct io_listener *l; /* borrowed: the owner keeps it until `closed` */
	struct io_req accept;
	struct buf fds; /* accepted, oldest first; owned until io_listener_next() */
	struct io_timer backoff;
	int error; /* to be returned once by io_listener_next() */
	bool closing;
};

/* ---- shared ---- */

int core_init(struct io *io, struct actors *actors); /* -ENOMEM */
void core_fini(struct io *io);

/* Before the wait: hands the queue to the kernel. */
void core_flush(struct io *io);
/* After the completions: announces what is late. */
void core_announce(struct io *io);

void req_submit(struct io *io, struct io_req *r, enum io_req_kind kind);
void req_cancel(struct io *io, struct io_req *r); /* no-op when it is neither queued nor flying */

static inline bool req_busy(const struct io_req *r)
{
	return r->flying || list_linked(&r->link);
}

/* A completion.  `bid` is the receive buffer that came with it or NO_BUF; `more`: others follow. */
void io_req_done(struct io *io, struct io_req *r, int res, int bid, bool more);

void owner_hold(struct io *io, struct actor_id id); /* one more thing in flight */
void owner_release(struct io *io, struct actor_id id);

void op_arm(struct io *io, struct io_op *op);
void op_end(struct io *io, struct io_op *op, int res);

static inline uint8_t *pool_at(const struct io *io, int bid)
{
	return io->pool.mem + (size_t)bid * IO_BUF_BYTES;
}

void pool_give(struct io *io, int bid);
void pool_short(struct io *io); /* the kernel ran out of what it was lent */

bool timer_next(const struct io *io, uint64_t *ret_due_us);
void timers_run(struct io *io); /* posts what is due at io->now_us */

void stream_recv_done(struct stream *st, int res, int bid);
void stream_send_done(struct stream *st, int res);
size_t stream_send_begin(struct stream *st, const uint8_t **ret_data); /* when it is submitted */
void stream_passed(struct stream *st, int fd); /* a descriptor has come: the stream's now */
void stream_linger_over(struct stream *st);
void stream_rearm(struct stream *st);
void stream_spill(struct stream *st);
void stream_announce_end(struct stream *st);

void listener_accept_done(struct listener *l, int res);
void listener_rearm(struct listener *l);

/* ---- supplied by the implementation ---- */

/* Takes the request over; false when there is no room before the next turn. */
bool kernel_submit(struct io *io, struct io_req *r);
bool kernel_cancel(struct io *io, struct io_req *r);
void kernel_buffer(struct io *io, int bid); /* may be received into again */
void kernel_close(struct io *io, int fd);
/* A passing stream has received: tells stream_passed() of what came along. */
void kernel_passed(struct io *io, struct stream *st);
int kernel_adopt_fd(struct io *io, int fd);      /* makes a descriptor fit for requests */
int kernel_connected(struct io_op *op, int res); /* frees priv.connect; the descriptor, or res */
void kernel_drop_result(struct io_op *op); /* res of a connect or spawn that nobody will see */
void work_cancel(struct io *io, struct io_op *op);
