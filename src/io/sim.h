/* sim.h - the simulated host behind io.h: its clock, its chance, its sockets and its processes.
 *
 * A `struct sim` is the machine that a daemon runs on.  It outlives the daemon: one may be killed
 * in the middle of anything (sim_kill) and another be made on the same host, as after kill -9; or
 * the power goes (sim_power_loss) and only files are left.  Names of sockets are real inodes in
 * real directories, so files and sockets can be looked at together.
 *
 * Time is virtual: a turn with nothing to do jumps to the next thing that is due.  Whatever a real
 * host decides by chance (how long things take, which of two comes first, how many bytes a read
 * gives) is asked of one source of choices, a seeded generator or given bytes, so that a run is a
 * function of its seed.  A daemon's request acts on the host when it is answered, not when it is
 * made: late, and in an order that it cannot rely on.
 *
 * Programs (VMMs, importers) are functions registered by name that the daemon may spawn; peers of
 * the daemon are connections with callbacks.  Both run between the daemon's handlers, never within.
 */
#pragma once

#include "io/io.h"

struct sim;
struct sim_conn;
struct sim_proc;

/* ---- the host's life ---- */

struct sim_config {
	uint64_t seed;
	const uint8_t *choices; /* borrowed; what is chosen, before the seed is asked */
	size_t nchoices;
	bool steady; /* everything takes its usual time, and comes in order */
};

struct sim *sim_create(const struct sim_config *conf); /* NULL without memory */
void sim_destroy(struct sim *s);                       /* no daemon may be left */

/* The host that io_create() makes the next daemon's io on.  NULL: each has a steady one of its own.
 */
void sim_use(struct sim *s);

/* kill -9 of the daemon: its requests and descriptors are gone, its children are init's.  What it
 * has allocated is the caller's to free. */
void sim_kill(struct sim *s);
/* As above, and every process and socket is gone, pids begin anew.  The caller empties the runtime
 * directory: it is a tmpfs. */
void sim_power_loss(struct sim *s);

/* ---- time and chance ---- */

uint64_t sim_now_us(const struct sim *s);
void sim_wall_jump(struct sim *s, int64_t ms); /* somebody sets the clock */

/* 0 .. n-1. */
uint32_t sim_choose(struct sim *s, uint32_t n);
bool sim_chance(struct sim *s, uint32_t one_in);

/* Something that happens at a time.  Embedded in its owner's struct; zeroed: not set. */
struct sim_event {
	uint64_t at_us;
	uint64_t tie;
	uint32_t slot; /* in the host's heap, + 1; 0: not set */
	void (*fire)(struct sim_event *ev);
};
void sim_event_set(struct sim *s, struct sim_event *ev, uint64_t delay_us);
void sim_event_cancel(struct sim *s, struct sim_event *ev);

/* True when nothing is going to happen any more by the host's doing. */
bool sim_idle(const struct sim *s);
/* Lets the host go on without a daemon: everything that is due within that time. */
void sim_run(struct sim *s, uint64_t for_us);

/* ---- faults ---- */

/* What the daemon does to the host; each may fail, each may be the last that it does. */
/* clang-format off */
#define SIM_EFFECTS(EFFECT)                                              \
	EFFECT(LISTEN,  "listen")                                        \
	EFFECT(CONNECT, "connect")                                       \
	EFFECT(ACCEPT,  "accept")                                        \
	EFFECT(OPEN,    "open")    /* a descriptor becomes a stream */   \
	EFFECT(RECV,    "recv")                                          \
	EFFECT(SEND,    "send")                                          \
	EFFECT(POLL,    "poll")                                          \
	EFFECT(PAIR,    "pair")                                          \
	EFFECT(WORK,    "work")    /* late or never, but no error */     \
	EFFECT(STORE,   "store")   /* as WORK, on the store's lane */    \
	EFFECT(SPAWN,   "spawn")                                         \
	EFFECT(KILL,    "kill")                                          \
	EFFECT(ADOPT,   "adopt")                                         \
	EFFECT(FILE,    "file")    /* told by who intercepts the call */ \
	EFFECT(MEMORY,  "memory")  /* as FILE */                         \
	EFFECT(HELPER,  "helper")  /* as FILE: what it asks of the root helper */
/* clang-format on */

enum sim_effect {
#define EFFECT(sym, name) SIM_##sym,
	SIM_EFFECTS(EFFECT)
#undef EFFECT
		SIM_NEFFECTS,
};
const char *sim_effect_name(enum sim_effect e);

struct sim_call {
	enum sim_effect effect;
	const char *what; /* a path, a program's name, of work the actor that wants it; or "" */
};

struct sim_verdict {
	int error;         /* -errno: it fails, and nothing happens */
	bool hang;         /* it is never answered, unless it is cancelled */
	uint64_t delay_us; /* != 0: it takes this long instead of its usual time */
};

/* Asked once for each call when it is made; the verdict comes zeroed. */
typedef void sim_policy_fn(void *arg, const struct sim_call *call, struct sim_verdict *v);
void sim_policy(struct sim *s, sim_policy_fn *fn, void *arg);

/* For calls that are intercepted elsewhere (files, memory): 0, or the -errno to fail with. */
int sim_ask(struct sim *s, enum sim_effect effect, const char *what);
/* For what others do for the daemon: the whole verdict. */
void sim_judge(struct sim *s, enum sim_effect effect, const char *what, struct sim_verdict *v);

/* The daemon dies when it is about to do its n-th effect from now (1: the next; 0: never): that one
 * does not happen, nor does anything after it. */
void sim_die_at(struct sim *s, uint64_t n);
bool sim_dead(const struct sim *s);
uint64_t sim_acts(const struct sim *s); /* effects that have happened so far */

/* True while the daemon's own code runs, false in the host's: tells whose memory is whose. */
extern bool sim_daemon_runs;
/* True while a function of io_work() runs. */
extern bool sim_working;

bool sim_host_enter(void); /* into the host's code; the result goes to sim_host_leave() */
void sim_host_leave(const bool *was);
#define SIM_HOST_SCOPE                                                                             \
	__attribute__((cleanup(sim_host_leave), unused)) const bool sim_was_ = sim_host_enter()

/* The descriptor goes along with the next byte that is appended to the stream (io_stream_out()):
 * for an actor that plays the daemon's peer. */
void sim_pass(struct io *io, struct io_stream *s, int fd);

/* ---- connections of peers and programs ---- */

struct sim_conn_ops {
	/* Bytes have come; all of them are taken.  The connection may be closed in here, but its
	 * memory stays. */
	void (*data)(struct sim_conn *c, const uint8_t *data, size_t len);
	/* The other end has closed (0), or -errno.  Close it in here or later. */
	void (*end)(struct sim_conn *c, int error);
};

struct sim_conn {
	const struct sim_conn_ops *ops;
	void *arg;
	uid_t uid; /* of who has connected: ours, unless changed at once */
	/* private */
	struct sim *sim;
	struct sim_sock *sock; /* NULL: not connected (any more) */
	struct sim_proc *proc; /* whose it is, or NULL */
	struct list_node link; /* sim.conns */
	struct sim_event readable;
	struct sim_event writable;
	struct buf out;
	bool paused;
	bool told_end;
};

/* Connects to a listening socket.  0, or -errno as connect(2); c is the caller's memory. */
int sim_connect(struct sim *s, struct sim_conn *c, const char *path, const struct sim_conn_ops *ops,
		void *arg);
bool sim_conn_open(const struct sim_conn *c);
/* Queues; the bytes go as the other end takes them. */
void sim_conn_send(struct sim_conn *c, const void *data, size_t len);
void sim_conn_pause(struct sim_conn *c, bool paused); /* stops reading */
void sim_conn_close(struct sim_conn *c);
/* A descriptor goes along with the next byte that is sent: of a process, of a new connection to the
 * listening socket (-errno as connect(2)), of a new listening socket. */
void sim_conn_pass_process(struct sim_conn *c, struct sim_proc *p);
int sim_conn_pass_connection(struct sim_conn *c, const char *path);
int sim_conn_pass_listener(struct sim_conn *c, const char *path); /* ... as bind(2) */
/* ... of one end of a pair; the process has the other. */
void sim_conn_pass_pair(struct sim_conn *c, struct sim_proc *p, int number);

/* ---- processes ---- */

struct sim_program {
	const char *name; /* argv[0] ends in it */
	size_t bytes;     /* of p->mem */
	void (*start)(struct sim_proc *p);
	void (*signal)(struct sim_proc *p, int signo); /* but SIGKILL; NULL: it ends the process */
	void (*end)(struct sim_proc *p);               /* it is over, however; may be NULL */
};

enum {
	SIM_PROGRAMS_MAX = 16,
	SIM_PROC_FDS = 12, /* inherited descriptors of a process */
};

struct sim_proc {
	struct sim *sim;
	const struct sim_program *program;
	void *mem; /* owned: the program's own, zeroed at first */
	pid_t pid;
	pid_t group;
	uint64_t start_ticks;
	struct strv argv; /* owned */
	bool exited;      /* a zombie, until its parent reaps it */
	bool foreign;     /* another user's: not ours to signal or to look into */
	int *ret_status;  /* borrowed: where its parent, that is not the daemon, learns it; or NULL
			   */
	/* private */
	bool ours; /* the daemon that lives is its parent */
	uint32_t refs;
	int status;
	struct list_node link; /* sim.procs */
	struct list pollers;   /* flight.wait */
	struct list alarms;
	struct sim_event dying;
	int dying_by;
	struct sim_inherited {
		int number; /* of the descriptor in the child */
		struct sim_listener *listener;
		struct sim_sock *sock;
		char *path; /* owned: of a real file */
	} fds[SIM_PROC_FDS];
	uint32_t nfds;
};

void sim_install(struct sim *s, const struct sim_program *program);
/* A process that the daemon has not started. */
struct sim_proc *sim_spawn(struct sim *s, const struct sim_program *program, const char *word,
			   bool foreign);
/* Likewise, another user's, with a command line; it may be given listeners before it begins. */
struct sim_proc *sim_fork(struct sim *s, const struct sim_program *program);
void sim_exec(struct sim_proc *p);
int sim_proc_listen(struct sim_proc *p, int number, const char *path); /* -errno */
void sim_proc_open(struct sim_proc *p, int number, const char *path);  /* a file, to write */
struct sim_proc *sim_find(struct sim *s, pid_t pid); /* NULL when there is none, also a zombie */
struct sim_proc *sim_next(struct sim *s, const struct sim_proc *after); /* NULL: the first */
uint32_t sim_listeners(const struct sim *s);

/* Takes one connection that waits on the inherited listener; -EAGAIN, -EBADF. */
int sim_proc_accept(struct sim_proc *p, int number, struct sim_conn *c,
		    const struct sim_conn_ops *ops, void *arg);
/* Connects an inherited socket. */
int sim_proc_use(struct sim_proc *p, int number, struct sim_conn *c, const struct sim_conn_ops *ops,
		 void *arg);
/* Called once a connection waits on the inherited listener, each time. */
void sim_proc_on_accept(struct sim_proc *p, int number, void (*fn)(struct sim_proc *p, int number));
void sim_proc_write(struct sim_proc *p, int number, const char *text); /* to an inherited file */
void sim_proc_after(struct sim_proc *p, uint64_t delay_us, void (*fn)(struct sim_proc *p));
void sim_proc_exit(struct sim_proc *p, int status); /* as wait(2) has it */
void sim_proc_signal(struct sim_proc *p, int signo);
/* Removes the path of an inherited listener, as QEMU does when it ends. */
void sim_proc_unlink(struct sim_proc *p, int number);

/* ---- what the daemon has open: for the search for leaks ---- */

/* Nothing that it has asked for is going to be answered, but for what peers and processes do. */
bool sim_daemon_rests(const struct sim *s);
uint32_t sim_daemon_fds(const struct sim *s);
uint32_t sim_daemon_children(struct sim *s); /* living or not yet reaped */
