/* guest_link.h - the daemon's end of the conversation with a guest's agent.
 *
 * Part of the VM actor: it reads and writes the agent's stream and tells its VM by the functions
 * given at init.  Whatever the guest sends is checked; one that breaks the protocol is hung up on,
 * which fails its commands and nothing else.  Memory is bounded by credit: the agent may send what
 * we granted, which is what the client granted us.
 */
#pragma once

#include "actors/op.h"
#include "proto/guest.h"
#include "proto/sync.h"

struct guest_link;

struct guest_link_ops {
	void (*up)(struct guest_link *l); /* hello and status have come: l->status */
	void (*down)(struct guest_link *l,
		     const struct err *why); /* hung up; commands have failed */
};

/* One command in the guest. */
struct guest_exec {
	struct list_node link;          /* guest_link.execs */
	struct op *op;                  /* owned until it goes home */
	uint32_t id;                    /* request id on the agent's channel */
	uint64_t window[WIRE_NSTREAMS]; /* bytes that the agent may still send */
};

struct guest_link {
	struct env *env;           /* borrowed */
	const struct log_ctx *log; /* borrowed */
	struct io_stream *stream;  /* borrowed from the VM; NULL while there is none */
	const struct guest_link_ops *ops;
	struct sync_scan scan;
	bool synced; /* the agent's GUEST_SYNC has come: frames follow */
	bool up;     /* it has said hello with our session, and its status */
	uint64_t session;
	uint32_t frame_max; /* bytes of the biggest map that the agent takes */
	uint32_t next_id;
	uint32_t status_id; /* request id of the status question, 0: none */
	uint32_t poweroff_id;
	struct buf in; /* the frame being gathered */
	struct list execs;
	uint32_t nexecs;
	struct io_timer hello; /* no answer: say hello again with a new session */
	struct guest_status status;
};

void guest_link_init(struct guest_link *l, struct env *env, const struct actor *owner,
		     const struct guest_link_ops *ops);
/* Begins on a stream that has just been opened; the VM passes MSG_AGENT on to guest_link_read(). */
void guest_link_open(struct guest_link *l, struct io_stream *stream);
void guest_link_read(struct guest_link *l);
void guest_link_timer(struct guest_link *l);
/* Fails every command with `why` and forgets the stream. */
void guest_link_close(struct guest_link *l, const struct err *why);
void guest_link_fini(struct guest_link *l);

/* Asks for a clean power-off; the VMM's exit is the answer.  -ENOTCONN when the agent is not up. */
int guest_link_poweroff(struct guest_link *l);

/* Takes the op: it is answered when the command has ended.  Refused at once when the agent is not
 * up.  `env` is the VM's: what the request says of the same variable counts. */
void guest_link_exec(struct guest_link *l, struct op *op, const struct strv *env);
/* Bytes, credit, signals from the client; ignored when the command has ended. */
void guest_link_chunk(struct guest_link *l, const struct chunk_msg *m);
bool guest_link_cancel(struct guest_link *l, uint64_t serial);
