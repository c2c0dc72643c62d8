/* spawn.h - fork and exec of one command, or of a function of ours.
 *
 * What goes wrong between fork and exec is a struct spawn_failure in a pipe that exec closes; it is
 * read when the child has ended, so that starting never waits.  The child leads a session and a
 * process group of its own.
 */
#pragma once

#include <sys/types.h>

#include "base/err.h"
#include "proto/guest.h"

struct spawned {
	pid_t pid;
	int in;      /* our ends, owned by the caller; -EBADF: none.  Non-blocking. */
	int out;     /* stdout, or everything from a terminal */
	int err;     /* stderr; none with a terminal */
	int failure; /* of exec, if any */
};

int spawn_command(const struct guest_exec_args *args, struct spawned *ret_spawned, struct err *e);

/* A child that runs a function of ours instead of a program.  It has no descriptor of the agent's
 * but its streams, where it has any, and SPAWN_REPORT_FD, which is `failure` to us.  The function
 * returns its exit status. */
typedef int spawn_work(const void *arg);
enum spawn_streams {
	SPAWN_NO_STREAMS,
	SPAWN_INPUT,  /* stdin and stderr */
	SPAWN_OUTPUT, /* stdout and stderr */
};
enum {
	SPAWN_REPORT_FD = 3,
};
int spawn_function(spawn_work *work, const void *arg, enum spawn_streams streams,
		   struct spawned *ret_spawned, struct err *e);

/* Work: calls sync(2), which may take as long as a disk likes. */
int spawn_sync_work(const void *arg);

/* 0 when the command was executed, else -errno with ERR_EXEC_*. */
int spawn_failure_read(int fd, const char *what, struct err *e);

void terminal_resize(int fd, uint32_t rows, uint32_t cols);
