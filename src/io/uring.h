/* uring.h - private to io/: the real implementation's parts.  Only here and in what includes it may
 * liburing.h be seen.
 *
 *   ring.c      sets the ring up, and says what to do where that is refused
 *   io_uring.c  requests to entries, completions to io_req_done(), the turn
 *   work.c      worker threads          spawn.c, process.c  child processes
 *   unix.c      unix sockets by path
 */
#pragma once

#include <liburing.h>
#include <pthread.h>

#include "io/core.h"

enum {
	RING_CQ_FACTOR = 4, /* completions per entry: multishot requests give many */
	RING_BUF_GROUP = 0,
	RANDOM_POOL = 256, /* bytes fetched at a time */
	WORKERS_MAX = 1 + (IO_NLANES - 1) * IO_LANE_THREADS,
};

struct worker_lane {
	struct workers *workers; /* whose it is */
	pthread_cond_t wake;
	struct list jobs; /* io_op.msg.link, oldest first */
};

/* Guarded by `lock`, but for what is set before the threads start. */
struct workers {
	pthread_mutex_t lock;
	struct worker_lane lanes[IO_NLANES];
	struct list done; /* io_op.msg.link, oldest first */
	bool stop;
	int wake_fd; /* owned: eventfd, written when `done` gets its first */
	int null_fd; /* owned: /dev/null, for children that are given nothing */
	pthread_t threads[WORKERS_MAX];
	uint32_t nthreads;
};

struct uring {
	struct io io;
	struct io_uring ring;
	struct io_uring_buf_ring *bufs; /* owned */
	uint32_t bufs_back;             /* given back, not yet shown to the kernel */
	bool ring_up;
	struct workers workers;
	struct io_req wake;
	uint64_t wake_count;
	uint8_t random[RANDOM_POOL];
	size_t random_left;
};

static inline struct uring *uring_of(struct io *io)
{
	return container_of(io, struct uring, io);
}

int ring_up(struct uring *u, uint32_t entries, struct err *e);
void ring_down(struct uring *u);

int workers_up(struct workers *w, struct err *e);
void workers_down(struct workers *w);
void workers_collect(struct io *io, struct workers *w); /* finished jobs to mailboxes */

/* A connect(2) under way; priv.connect of its op. */
struct unix_addr;
int unix_connect_begin(const char *path, struct unix_addr **ret_addr);
int unix_connect_end(struct unix_addr *addr, int res); /* frees it; the descriptor, or -errno */
void unix_connect_sqe(const struct unix_addr *addr, struct io_uring_sqe *sqe);

int spawn_run(struct io_spawn *sp);                      /* blocks: on a worker thread */
int process_start_ticks(pid_t pid, uint64_t *ret_ticks); /* reads /proc */
