/* child.h - runs a tool of the host, with its stdout as a pipe and its stderr in the job's log.
 *
 * The tool must not outlive us, however we end: it is killed with us (PR_SET_PDEATHSIG).  As root
 * it is the first process of a PID namespace of its own, inside a private mount namespace, so that
 * its own children and whatever it mounted go with it.  Waiting blocks.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "image/jobs.h"

enum {
	CHILD_LINE_MAX = 256,   /* bytes kept of a tool's last words */
	CHILD_LOG_TAIL = 16384, /* bytes at the end of the log that are searched for them */
};

struct child {
	pid_t pid;        /* of ours, or of the namespace's guardian */
	int out;          /* owned: read end of its stdout */
	const char *name; /* borrowed: argv[0] */
};

/* `dir` becomes its working directory and TMPDIR.  ENOENT when the program is not installed. */
int child_start(struct child *c, char *const *argv, const char *dir, struct err *e);

/* Reaps it: its exit status, or 128 and the signal that ended it. */
int child_wait(struct child *c, int *ret_status, struct err *e);
void child_close(struct child *c); /* its stdout; safe to repeat */

/* The last complaint in the job's log ("E: ..."), else the last line, else "". */
void child_last_words(const struct job *job, char out[CHILD_LINE_MAX]);
