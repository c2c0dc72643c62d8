/* io.h - asynchronous I/O, the only clock, and the loop.
 *
 * Two implementations, chosen at link time: io_uring.c, and io_sim.c with a seed, a virtual clock
 * and injected faults.  One thread, one ring.  Submission never fails for the caller: errors are
 * results, and every result is a message to the owner's mailbox.  While an io_op is armed the
 * implementation owns the struct and its buffer: neither may move, be re-armed or be freed before
 * the message is handled.  Cancelled is not finished: wait for the message, then close.
 *
 * Blocking work goes to io_work() (worker threads) and io_spawn() (child processes).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/actor.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/strv.h"

struct io;

/* ---- the loop ---- */

struct io_config {
	uint32_t entries; /* submission queue length; 0: IO_ENTRIES */
};

enum {
	IO_ENTRIES = 256,
	IO_LANE_THREADS = 2,  /* worker threads of each lane but the store's, which has one */
	IO_BUFS = 256,        /* provided receive buffers, shared by all streams */
	IO_BUF_BYTES = 16384, /* size of each */
	IO_STREAM_OUT_MAX = 4 << 20, /* bytes that may wait to be sent on one stream */
	IO_LISTEN_BACKLOG = 1024,
	IO_ACCEPT_QUEUE = 64,       /* accepted descriptors that may wait for their actor */
	IO_ACCEPT_BACKOFF_MS = 100, /* pause of a listener that ran out of descriptors */
	IO_STREAM_CHUNKS = 8, /* receive buffers that one stream may hold before it is throttled */
	IO_STREAM_FDS = 16,   /* passed descriptors that may wait on one stream; more are closed */
};

/* Fails with ERR_NO_IO_URING where the kernel refuses io_uring. */
int io_create(const struct io_config *conf, struct actors *actors, struct io **ret_io,
	      struct err *e);
void io_destroy(struct io *io); /* everything must have been cancelled and have ended */

/* One turn: flush what is to be sent, wait until something happens or the next timer is due (not at
 * all while actors are runnable), move completions and due timers into mailboxes, run the actors.
 * 0, or -errno when the ring itself is broken. */
int io_turn(struct io *io);

uint64_t io_now_us(const struct io *io);  /* monotonic, as of this turn */
uint64_t io_wall_ms(const struct io *io); /* Unix time */
void io_random(struct io *io, void *buf, size_t len);

/* ---- operations ---- */

/* One request to the kernel; private to the implementation. */
struct io_req {
	struct list_node link; /* io.queue: to be submitted, or to be cancelled */
	uint8_t kind;
	bool flying;    /* handed over, and its last completion has not come */
	bool cancelled; /* also read by worker threads, atomically */
};

struct io_op {
	struct msg msg; /* .type and .token are the owner's to set before arming; .res the result */
	struct actor_id owner; /* who gets the message */
	bool armed;            /* from arming until the message is in the owner's mailbox */
	/* what follows is private to the implementation */
	struct io_req req;
	union {
		struct {
			int fd;
			uint32_t events;
		} poll;
		void *connect; /* owned */
		struct {
			int (*fn)(void *arg, const bool *cancelled);
			void *arg;
			struct io_spawn *spawn; /* borrowed; NULL: plain work */
		} work;
	} priv;
};

void io_op_init(struct io_op *op, const struct actor *owner, uint32_t msg_type);

/* Until its message has been handled, an op may not be armed again, moved or freed. */
static inline bool io_op_busy(const struct io_op *op)
{
	return op->armed || list_linked(&op->msg.link);
}

/* One-shot readiness (poll(2) events; a pidfd is readable once its process has exited). */
void io_poll(struct io *io, struct io_op *op, int fd, uint32_t events);

/* Connects to a unix socket at an absolute path of any length.  res: a connected descriptor, which
 * now belongs to the receiver, or -errno. */
void io_connect_unix(struct io *io, struct io_op *op, const char *path);

/* It still ends by message: -ECANCELED, or its result where that came first. */
void io_cancel(struct io *io, struct io_op *op);

/* ---- timers ---- */

/* A set timer does not count as in flight: cancel it before its actor goes. */
struct io_timer {
	struct msg msg;
	struct actor_id owner;
	uint64_t due_us;
	/* what follows is private to the implementation: a pairing heap needs no memory of its own
	 */
	uint64_t seq; /* equal dues keep the order in which they were set */
	struct io_timer *child;
	struct io_timer *next;
	struct io_timer *prev; /* the left sibling, or the parent of a first child */
	bool set;
};

void io_timer_init(struct io_timer *t, const struct actor *owner, uint32_t msg_type);
/* Posts t->msg once delay_ms have passed; replaces an earlier setting.  `token` is put into msg. */
void io_timer_set(struct io *io, struct io_timer *t, uint64_t delay_ms, uint32_t token);
/* After this no message comes, also when it was already queued. */
void io_timer_cancel(struct io *io, struct io_timer *t);

/* Its message is still to be handled: it is set, or has just fired. */
static inline bool io_timer_pending(const struct io_timer *t)
{
	return t->set || list_linked(&t->msg.link);
}

/* ---- streams: one connected stream socket ---- */

/* Receives by multishot into shared buffers; what arrives is queued on the stream and announced by
 * one message (res > 0: bytes wait; 0: the peer has closed; -errno).  What came while that message
 * waited is covered by it, except that an end gets a message of its own.  The fields tell the whole
 * state, also where one message stands for two events.  Sending appends to a buffer that is flushed
 * once per turn.  io_stream_close() ends by a last message with `closed` set, after which the
 * struct may go; the descriptor is closed by then. */
struct io_stream {
	struct msg msg; /* "something to read, or the end", posted at most once at a time */
	struct actor_id owner;
	int fd;      /* owned */
	bool closed; /* the last message: nothing in flight any more */
	bool eof;    /* the peer sends no more */
	int error;   /* -errno of a failed receive or send, else 0 */
	void *impl;  /* owned by the implementation */
};

/* Takes the descriptor.  -ENOMEM leaves it with the caller. */
int io_stream_open(struct io *io, struct io_stream *s, const struct actor *owner, uint32_t msg_type,
		   int fd) MUST_CHECK;

/* The same for a peer that passes descriptors along with its bytes (SCM_RIGHTS).  They wait, in the
 * order in which they came, from when the bytes that they came with can be read; what is left when
 * the stream is closed is closed. */
int io_stream_open_passing(struct io *io, struct io_stream *s, const struct actor *owner,
			   uint32_t msg_type, int fd) MUST_CHECK;
/* The oldest, which is the caller's now; -EAGAIN: none waits. */
int io_stream_take_fd(struct io_stream *s);

/* The oldest bytes received, contiguous; valid until consumed or until the handler returns.  0 when
 * nothing waits.  Once some are consumed there may be more: ask until 0. */
size_t io_stream_peek(struct io_stream *s, const uint8_t **ret_data);
void io_stream_consume(struct io *io, struct io_stream *s, size_t len);
size_t io_stream_unread(const struct io_stream *s); /* bytes received and not consumed */

/* Stops and resumes receiving: back-pressure for a peer that sends faster than we handle. */
void io_stream_pause(struct io *io, struct io_stream *s, bool paused);

/* The buffer to append frames to, and io_stream_flush() to have them sent at the end of this turn.
 * Bounded by IO_STREAM_OUT_MAX: -ENOBUFS from buf_append() means that the peer does not read. */
struct buf *io_stream_out(struct io_stream *s);
void io_stream_flush(struct io *io, struct io_stream *s);
size_t
io_stream_unsent(const struct io_stream *s); /* bytes appended and not yet taken by the kernel */
/* All bytes ever appended, sent or not: the same number means that nothing was appended since. */
uint64_t io_stream_appended(const struct io_stream *s);
/* Ask for one message (msg.res = 0 bytes to read possible) once unsent falls to low or less. */
void io_stream_notify_drained(struct io_stream *s, size_t low);

/* Sends what is waiting for at most linger_ms, then closes.  Always ends by message. */
void io_stream_close(struct io *io, struct io_stream *s, uint32_t linger_ms);

/* ---- listeners ---- */

struct io_listener {
	struct msg msg; /* "descriptors wait": io_listener_next() until it returns -EAGAIN */
	struct actor_id owner;
	int fd;      /* owned */
	bool closed; /* the last message */
	void *impl;
};

/* Takes a listening descriptor. */
int io_listener_open(struct io *io, struct io_listener *l, const struct actor *owner,
		     uint32_t msg_type, int fd) MUST_CHECK;
int io_listener_next(struct io *io,
		     struct io_listener *l); /* a descriptor, or -EAGAIN, or -errno */
void io_listener_close(struct io *io, struct io_listener *l);

/* ---- blocking work ---- */

/* Runs fn(arg) on a worker thread; msg.res is what it returned.  A job that has not begun when
 * cancelled ends in -ECANCELED; one that has runs on, so it should look at *cancelled at its
 * leisure. */
typedef int io_work_fn(void *arg, const bool *cancelled);

/* How the function looks at *cancelled, which another thread writes. */
static inline bool io_cancelled(const bool *cancelled)
{
	return __atomic_load_n(cancelled, __ATOMIC_RELAXED);
}

enum io_lane {
	IO_LANE_STORE, /* in order */
	IO_LANE_START, /* short, and something scarce is held until it is done: a start, a child */
	IO_LANE_ANY,   /* all else: files by the thousand, whole images */
	IO_NLANES,
};

void io_work(struct io *io, struct io_op *op, enum io_lane lane, io_work_fn *fn, void *arg);

/* ---- child processes ---- */

enum {
	IO_SPAWN_FDS = 8,
};

struct io_spawn_fd {
	int fd;     /* ours, stays ours: borrowed until the message */
	int target; /* its number in the child: 0, 1, 2, or 3 + index as the driver wrote it in argv
		     */
};

struct io_spawn {
	const struct strv *argv; /* borrowed until the message; argv[0] is an absolute path */
	const struct strv *envp; /* borrowed; NULL: empty environment */
	struct io_spawn_fd fds[IO_SPAWN_FDS];
	uint32_t nfds;    /* targets 0..2 that are not named become /dev/null */
	int cgroup_fd;    /* CLONE_INTO_CGROUP, or -EBADF */
	bool new_session; /* setsid(): outlives our terminal and process group */
	uint64_t nofile;  /* RLIMIT_NOFILE soft limit, 0: as ours */
	/* results, set before the message */
	pid_t pid;
	int pidfd;            /* belongs to the receiver */
	uint64_t start_ticks; /* field 22 of /proc/PID/stat: tells a reused pid */
	struct err err;       /* why, when res < 0 */
	int null_fd;          /* private to the implementation, borrowed: /dev/null */
};

/* clone3(CLONE_PIDFD) + execve on a worker thread.  Signals reset, every other descriptor closed.
 * res 0, or -errno of what failed, exec included.  The child is reaped with io_reap(). */
void io_spawn(struct io *io, struct io_op *op, struct io_spawn *sp);

/* waitid(P_PIDFD, WNOHANG): exit status as wait(2) encodes it in *ret_status.  -EAGAIN while it
 * runs; -ECHILD for an adopted one, whose parent reaps it. */
int io_reap(struct io *io, int pidfd, int *ret_status);

/* pidfd_send_signal(2); -ESRCH when it has exited. */
int io_kill(struct io *io, int pidfd, int signo);

/* As kill(2) on a process group: that of a child started with new_session and not yet reaped. */
int io_kill_group(struct io *io, pid_t leader, int signo);

/* A pidfd for a process that was started before us, only if it is still the same one: ours, with
 * that start time and `text` in its command line (pids and times begin anew with each boot).
 * -ESRCH. */
int io_adopt(struct io *io, pid_t pid, uint64_t start_ticks, const char *text);

/* A pidfd for the process of ours whose command line contains `text`, after a crash left its pid
 * unrecorded.  -ESRCH when there is none; any other error says nothing about that.  Looks through
 * /proc: for recovery only. */
int io_find_process(struct io *io, const char *text);

/* What a process has used so far; 0 where the kernel does not tell us. */
struct io_usage {
	uint64_t sampled_us; /* CLOCK_MONOTONIC */
	uint64_t cpu_us;     /* of all its threads, in user and kernel */
	uint64_t rss_bytes;
	uint64_t pss_bytes;  /* its share of what it shares */
	uint64_t read_bytes; /* from storage */
	uint64_t write_bytes;
};

/* For worker threads: it blocks.  -ESRCH when the process with that start time (0: any) has gone.
 */
int io_usage(struct io *io, pid_t pid, uint64_t start_ticks, struct io_usage *ret_usage);

/* Calls fn for each process of ours (of our user, but not this one) whose command line contains
 * `text`, until it returns non-zero, which is then the result.  The command line is its first few
 * KiB, words ended by NULs.  -errno where not all could be looked at.  Looks through /proc and
 * blocks: for recovery, on any thread. */
typedef int io_process_fn(void *arg, pid_t pid, uint64_t start_ticks, const char *cmdline,
			  size_t len);
int io_each_process(struct io *io, const char *text, io_process_fn *fn, void *arg);

/* Two connected stream sockets, of which one goes to a child. */
int io_pair(struct io *io, int ret_fd[2]);

/* The user who has connected to us, as the kernel noted it when he did. */
int io_peer_uid(struct io *io, int fd, uid_t *ret_uid);

/* Closes a descriptor that came out of this interface and is not in use by any operation. */
void io_close(struct io *io, int fd);

/* A listening unix socket at an absolute path of any length, mode 0600 from birth, replacing a
 * stale one.  Synchronous: bind(2) and listen(2) on a local path do not wait. */
int io_listen_unix(struct io *io, const char *path, struct err *e);
/* Of a listening socket that strangers may reach: no more connections wait in the kernel, which may
 * all be accepted at once before anybody looks. */
void io_listen_few(struct io *io, int fd, int backlog);
