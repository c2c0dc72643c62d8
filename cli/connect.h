/* connect.h - finds the daemon's socket, and starts the daemon where there is none.
 *
 * Starting: under a lock in the runtime directory we make the listening socket ourselves and hand
 * it to the daemon as sd_listen_fds(3) describes (descriptor 3, LISTEN_FDS, LISTEN_PID).  Whoever
 * connects meanwhile waits in its backlog, so nobody polls, and however many commands begin at
 * once, one daemon is started.  A daemon that dies resets the waiting connections.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/paths.h"
#include "options.h"

struct connect_result {
	int fd;                       /* owned by the caller; non-blocking */
	bool started;                 /* by this call */
	off_t log_at;                 /* where the started daemon's lines begin ... */
	char log[PATHS_FILE_MAX + 1]; /* ... in here */
};

/* Whose daemon, and where it keeps its things: what --system or --session says, else BANGER_SYSTEM;
 * else the system's where this user may connect to one, unless BANGER_RUNTIME_DIR names another
 * place.  So does `docker` with what is installed on a host. */
int connect_paths(const struct options *o, struct paths *ret_paths, bool *ret_system,
		  struct err *e) MUST_CHECK;

/* To o->socket, else as connect_paths() has it.  Only a session's daemon is started when absent,
 * and only if `start`: the system's is systemd's. */
int connect_daemon(const struct options *o, bool start, struct connect_result *ret_how,
		   struct err *e) MUST_CHECK;

/* The daemon that we started hung up before its hello: e becomes that, with its last words. */
int connect_explain(const struct connect_result *how, struct err *e);
