/* exec.h - one running command, or a copy in a child of ours: its streams, its end, its one reply.
 *
 *   running --ended--> draining --streams empty--> replied (and freed by the session)
 *      `--cancel: SIGHUP, then SIGKILL to its process group--'
 *
 * exec_pump() does everything that can be done without waiting and is called on each turn of the
 * loop.  It reads no more output than it has credit to send, so that a slow reader slows the
 * writer; it keeps no output at all.  A command whose conversation is over is muted: it is killed
 * and reaped, and nobody is told.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/list.h"
#include "guest/agent/channel.h"
#include "guest/agent/spawn.h"
#include "guest/agent/watch.h"

struct exec_output {
	struct watch w;
	enum wire_stream stream;
	uint32_t credit;   /* bytes that the daemon takes */
	int64_t remainder; /* bytes in the pipe when the command ended, still to be sent */
};

/* What runs, and so what its reply is. */
enum exec_kind {
	EXEC_COMMAND, /* exec_result */
	EXEC_COPY,    /* copy_result, which the child says at its end */
	EXEC_SYNC,    /* nothing */
};

struct exec {
	struct list_node link; /* session.execs */
	int epoll;             /* borrowed */
	uint32_t id;
	struct op_id op_id;
	char what[128]; /* argv[0], for errors */
	bool tty;
	bool muted;
	bool cancelled;
	enum exec_kind kind;

	pid_t pid;
	struct watch process; /* pidfd */
	struct watch failure;
	bool ended;
	int wait_status;
	int64_t deadline_ms; /* of draining once ended, of SIGHUP when cancelled; -1: none */

	struct watch in;
	struct buf pending;   /* for stdin */
	bool in_ends;         /* after what is pending */
	uint32_t in_credit;   /* bytes that the daemon may still send */
	uint32_t in_consumed; /* of those sent, not yet given back */

	struct exec_output out[2]; /* stdout, stderr */
};

/* Each begins one, of the arguments that its method has: struct guest_exec_args,
 * guest_copy_in_args, guest_copy_out_args, or none.  The arguments are not needed after it. */
typedef int exec_begin(int epoll, const struct wire *request, const void *args,
		       struct exec **ret_exec, struct err *e);
exec_begin exec_begin_command;
exec_begin exec_begin_copy_in;
exec_begin exec_begin_copy_out;
exec_begin exec_begin_sync;

void exec_destroy(struct exec *x);

/* True when something moved, so that another turn is worth while; *ret_done when it is over. */
bool exec_pump(struct exec *x, struct channel *c, int64_t now_ms, bool *ret_done);

int exec_stdin(struct exec *x, const struct wire *data, struct err *e);
void exec_credit(struct exec *x, const struct wire *credit);
void exec_signal(const struct exec *x, int signo);
void exec_resize(const struct exec *x, uint32_t rows, uint32_t cols);
void exec_cancel(struct exec *x, int64_t now_ms);

/* Its conversation is over: cancelled, and its streams are closed. */
void exec_mute(struct exec *x, int64_t now_ms);
