/* guest_link.h - the daemon's end of the conversation with a guest's agent.
 *
 *   away --open--> seeking --marker--> greeting --hello, status--> up
 *                    ^ \___________________________________________/
 *                    |            broke the protocol, or flooded
 *                  resting <---------------'
 *
 * Part of the VM actor: it reads and writes the agent's stream and tells its VM by the functions
 * given at init.  Whatever the guest sends is checked and bounded: what it may say it was granted,
 * by credit that is its client's; an agent that says more, or nonsense, loses its commands and is
 * not listened to for a while.  One that has ended and begun anew is greeted again.
 * Files: guest_link.c (the conversation), guest_call.c (requests under way).
 */
#pragma once

#include "actors/frames.h"
#include "actors/op.h"
#include "proto/guest.h"
#include "proto/sync.h"

struct guest_link;
struct guest_call;

struct guest_link_ops {
	void (*up)(struct guest_link *l); /* hello and status have come: l->status */
	/* A question was answered: the op is the VM's, and `result` of the guest's method. */
	void (*answered)(struct guest_link *l, struct op *op, const void *result, uint64_t took_us);
	/* ... or it was not, and never will be. */
	void (*unanswered)(struct guest_link *l, struct op *op, const struct err *why);
	void (*down)(struct guest_link *l,
		     const struct err *why); /* hung up; commands have failed */
};

enum guest_phase {
	GUEST_AWAY,     /* no stream */
	GUEST_SEEKING,  /* our hello is on its way; what comes before the marker is thrown away */
	GUEST_GREETING, /* frames follow; those of an older conversation among them */
	GUEST_UP,       /* it has said hello with our session, and its status; calls may run */
	GUEST_RESTING,  /* it broke the protocol: not listened to until the timer fires */
};

/* One request under way in the guest: a command or a copy, with its streams; or a question. */
struct guest_call {
	struct list_node link; /* guest_link.calls */
	struct op *op;         /* owned until it goes home */
	uint32_t id;           /* of the request on the agent's channel */
	bool question;
	enum guest_method asked;  /* of a question */
	uint64_t asked_us;        /* reactor's clock */
	struct io_timer deadline; /* of a question */
	/* stdout and stderr, by stream */
	uint64_t window[WIRE_NSTREAMS]; /* bytes that the agent may still send */
	uint64_t owed[WIRE_NSTREAMS];   /* credit of the client, not yet passed on */
	bool out_ended[WIRE_NSTREAMS];
	/* stdin */
	uint32_t in_window; /* bytes that may be on their way from the client; 0: no stdin */
	uint64_t in_client; /* bytes that the client may still send */
	uint64_t in_guest;  /* bytes that the agent takes */
	bool in_ended;
};

struct guest_link {
	struct env *env;           /* borrowed */
	const struct actor *owner; /* borrowed: the VM */
	const struct log_ctx *log; /* borrowed */
	struct io_stream *stream;  /* borrowed from the VM; NULL when away */
	const struct guest_link_ops *ops;
	enum guest_phase phase;
	struct sync_scan scan;
	uint64_t session;
	uint64_t hello_us;  /* reactor's clock at our last hello */
	uint64_t noise;     /* bytes read since then without being up */
	uint32_t frame_max; /* bytes of the biggest map that the agent takes */
	uint32_t next_id;
	uint32_t status_id; /* request id of the status question, 0: none */
	uint32_t poweroff_id;
	uint32_t ask_id; /* request id of the question whether it still lives, 0: none */
	bool heard;      /* it has said something since the timer was set */
	struct buf in;   /* the frame being gathered */
	struct list calls;
	uint32_t ncalls;
	uint64_t strays;         /* bytes that it may still say about calls that are over */
	uint64_t stdin_budget;   /* sum of in_window */
	struct frames_tail tail; /* of what waits to be sent */
	struct io_timer
		timer; /* not up: say hello with a new session; up, with calls: does it live? */
	struct io_timer again; /* to read what was left for later */
	struct guest_status status;
};

void guest_link_init(struct guest_link *l, struct env *env, const struct actor *owner,
		     const struct guest_link_ops *ops);
/* Begins on a stream that has just been opened; the VM passes MSG_AGENT on to guest_link_read(). */
void guest_link_open(struct guest_link *l, struct io_stream *stream);
void guest_link_read(struct guest_link *l);
/* A timer of the VM has fired; nothing happens when it is not one of the link's. */
void guest_link_timer(struct guest_link *l, const struct msg *m);
/* Fails every command with `why` and forgets the stream. */
void guest_link_close(struct guest_link *l, const struct err *why);
void guest_link_fini(struct guest_link *l);

/* Asks for a clean power-off; the VMM's exit is the answer.  -ENOTCONN when the agent is not up. */
int guest_link_poweroff(struct guest_link *l);

/* Takes the op, a command or a copy: it is answered when that has ended.  Refused at once when the
 * agent is not up.  `env` is the VM's: what the request says of the same variable counts. */
void guest_link_call(struct guest_link *l, struct op *op, const struct strv *env);
/* Takes the op: ops->answered() finishes it, or ops->unanswered() when there is no answer within
 * the deadline. */
void guest_link_question(struct guest_link *l, struct op *op, enum guest_method m,
			 uint32_t deadline_ms);
/* Bytes, credit, signals from the client; ignored when the command has ended. */
void guest_link_chunk(struct guest_link *l, const struct chunk_msg *m);
bool guest_link_cancel(struct guest_link *l, uint64_t serial);

/* ---- between the guest_*.c files ---- */

int guest_link_send(struct guest_link *l, const struct wire *w) MUST_CHECK;
int guest_link_ask(struct guest_link *l, enum guest_method m, const void *args,
		   uint32_t *ret_id) MUST_CHECK;
/* What the agent says of no call that is under way: bounded, else ERR_GUEST_PROTOCOL. */
int guest_link_stray(struct guest_link *l, size_t bytes, struct err *e);
void guest_link_watch(struct guest_link *l); /* there are calls: notice when the agent hangs */
void guest_calls_fail(struct guest_link *l, const struct err *why);
void guest_calls_drained(struct guest_link *l); /* the agent has read: pass credit on */
void guest_call_timer(struct guest_link *l, const struct msg *m);
int guest_call_reply(struct guest_link *l, const struct wire *w, struct err *e);
int guest_call_data(struct guest_link *l, const struct wire *w, struct err *e);
int guest_call_credit(struct guest_link *l, const struct wire *w, struct err *e);
