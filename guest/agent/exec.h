/* exec.h - one running command: its streams, its end, its one reply.
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

struct exec {
	struct list_node link; /* session.execs */
	int epoll;             /* borrowed */
	uint32_t id;
	struct op_id op_id;
	char what[128]; /* argv[0], for errors */
	bool tty;
	bool muted;
	bool cancelled;
	bool sync_only; /* the method "sync": no streams, no result */

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

int exec_create(int epoll, const struct wire *request, const struct guest_exec_args *args,
		struct exec **ret_exec, struct err *e);
int exec_create_sync(int epoll, const struct wire *request, struct exec **ret_exec, struct err *e);
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
