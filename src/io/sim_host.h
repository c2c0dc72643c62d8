/* sim_host.h - private to io/: the simulated host's parts.
 *
 *   sim.c          life, time, chance, what may fail and when the daemon dies
 *   sim_net.c      sockets: listeners by path, connected ends, peers with callbacks
 *   sim_process.c  programs and their processes; how the daemon starts and watches them
 *   io_sim.c       requests in flight, the daemon's descriptors, the turn
 *   sim_work.c     blocking work, on lanes
 */
#pragma once

#include <sys/stat.h>

#include "base/map.h"
#include "io/core.h"
#include "io/sim.h"

enum {
	SIM_FD_BASE = 1 << 20,   /* the daemon's simulated descriptors are numbered from here */
	SIM_FDS_MAX = 16384,     /* at once */
	SIM_SOCK_BYTES = 212992, /* unread bytes of one end: net.core.wmem_default */
	SIM_OUT_MAX = 64 << 20,  /* unsent bytes of a peer */
	SIM_TICK_US = 10000,     /* of a process's start time */
	SIM_PID_FIRST = 300,     /* after a boot */
	SIM_PID_MAX = 32768,
};

struct flight;

struct sim_passed;

/* One end of a connection. */
struct sim_sock {
	struct sim *sim;
	struct list_node link;     /* sim.socks */
	struct list_node waiting;  /* sim_listener.pending, until accepted */
	struct sim_sock *peer;     /* NULL once it has closed */
	struct buf rx;             /* came from the peer, not yet read */
	uint64_t taken;            /* bytes that were read of it so far */
	struct sim_passed *passed; /* owned array: descriptors on their way, oldest first */
	uint32_t npassed;
	bool eof;
	bool reset;            /* the peer went with bytes of ours unread */
	uint32_t refs;         /* descriptors, the daemon's and of processes */
	struct sim_conn *conn; /* a peer's or program's end; else the daemon's */
	struct flight *recv;
	struct flight *send;
	struct list pollers; /* flight.wait */
};

struct sim_listener {
	struct sim *sim;
	struct list_node link; /* sim.listeners */
	char *path;            /* owned */
	dev_t dev;
	ino_t ino; /* 0: its path is another's now */
	uint32_t refs;
	struct list pending; /* sim_sock.waiting */
	uint32_t npending;
	uint32_t backlog;       /* at most */
	struct list connecting; /* flight.wait: the backlog is full */
	struct flight *accept;
	struct sim_proc *proc; /* who is told of connections, by on_accept */
	int number;
	void (*on_accept)(struct sim_proc *p, int number);
	struct sim_event offered;
};

/* A request under way. */
struct flight {
	struct list_node link; /* sim_io.flights */
	struct list_node wait; /* on what it waits for */
	struct sim_event ev;   /* its answer */
	struct sim_io *io;
	struct io_req *req;
	enum sim_effect effect;
	enum io_lane lane; /* of work */
	struct sim_verdict verdict;
	bool asked;        /* the verdict is known */
	bool cancelled;    /* the next thing that happens is its end ... */
	bool cancel_after; /* ... or its answer, if that can be, and then its end */
	bool begun;        /* work: cannot be taken back */
	struct sim_sock *sock;
	struct sim_listener *listener;
	struct sim_proc *proc;
	const uint8_t *data; /* of a send */
	size_t len;
};

struct sim_fd {
	enum { SIM_FD_FREE, SIM_FD_SOCK, SIM_FD_LISTENER, SIM_FD_PROC } kind;
	union {
		struct sim_sock *sock;
		struct sim_listener *listener;
		struct sim_proc *proc;
	};
};

/* A descriptor that comes with a byte of a connection. */
struct sim_passed {
	uint64_t at;
	struct sim_fd what;
};

/* A daemon's side. */
struct sim_io {
	struct io io;
	struct sim *sim;
	bool own_sim;
	struct list flights; /* flight.link */
	struct sim_fd *fds;  /* owned */
	uint32_t nfds;
	uint32_t nopen;
	uint16_t bufs[IO_BUFS]; /* free receive buffers, a stack */
	uint32_t nbufs;
	struct sim_lane {
		struct list queue; /* flight.wait: not begun */
		uint32_t begun;
		uint32_t max;
	} lanes[IO_NLANES];
};

struct sim {
	struct sim_config conf;
	uint64_t rng;
	uint64_t random; /* of io_random() */
	uint64_t now_us;
	uint64_t boot_us;
	int64_t wall_off_ms;
	uint64_t seq;
	struct sim_event **heap; /* owned */
	uint32_t nheap;
	uint32_t heap_cap;
	sim_policy_fn *policy;
	void *policy_arg;
	uint64_t die_at;
	uint64_t acts;
	bool dead;
	struct list listeners;
	struct list socks;
	struct list conns;
	struct list procs;
	const struct sim_program *programs[SIM_PROGRAMS_MAX]; /* borrowed, static */
	uint32_t nprograms;
	pid_t last_pid;
	struct sim_io *daemon; /* NULL: none lives */
};

static inline struct sim_io *sim_io_of(struct io *io)
{
	return container_of(io, struct sim_io, io);
}

/* ---- sim.c ---- */

void *sim_alloc(size_t bytes); /* zeroed; ends the process when there is none */
uint64_t sim_usual_us(struct sim *s, enum sim_effect e);
/* An effect is about to happen.  False: the daemon is dead, it does not. */
bool sim_act(struct sim *s);
bool sim_next_us(const struct sim *s, uint64_t *ret_at_us);
/* Fires everything due by now, unless the daemon dies of it. */
void sim_fire_due(struct sim *s);

/* ---- io_sim.c ---- */

void sim_fd_drop(struct sim_fd *what);                 /* gives up what it refers to */
int sim_fd_put(struct sim_io *io, struct sim_fd what); /* the lowest free number; -EMFILE */
struct sim_fd *sim_fd_at(struct sim_io *io, int fd);   /* NULL: not an open one */
struct flight *flight_make(struct sim_io *io, struct io_req *r, enum sim_effect e);
void flight_answer(struct flight *f, const char *what); /* it is ready: answered in a while */
void flight_end(struct flight *f, int res, int bid, bool more);
void flight_free(struct flight *f);
void sim_io_drop(struct sim_io *io); /* the daemon is gone */

/* ---- sim_net.c ---- */

struct sim_listener *listener_at(struct sim *s, const char *path, int *ret_error);
void listener_unref(struct sim_listener *l);
void sock_unref(struct sim_sock *sock);
struct sim_sock *sock_accept(struct sim_listener *l); /* NULL: none waits */
int sock_pair(struct sim *s, struct sim_sock *ret[2]);
void sock_pass(struct sim_sock *sock, uint64_t at, struct sim_fd what); /* to its peer */
void sock_drop_all(struct sim *s);
void net_ready(struct flight *f); /* answers it if it can be */
bool net_fire(struct flight *f);  /* false: not yet */

/* ---- sim_process.c ---- */

void proc_unref(struct sim_proc *p);
void proc_drop_all(struct sim *s);
void proc_orphan_all(struct sim *s);
int proc_start(struct sim_io *io, struct io_spawn *sp);

/* ---- sim_work.c ---- */

void work_fire(struct flight *f);
