/* logfile.h - a VM's log, read here and followed by inotify(7).
 *
 * The logs are files of the daemon's owner, who we are, so neither the daemon's end nor the VM's
 * stop ends what is read.  A log whose last name is gone is not written to any more: another takes
 * its place, or none, where the VM is deleted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "proto/client.h"

enum {
	LOG_BLOCK_BYTES = 16384,
};

struct log {
	char dir[PATH_BYTES_MAX + 1];
	char path[PATH_BYTES_MAX + 1];
	int fd;      /* owned; -EBADF: not there yet */
	int inotify; /* owned; -EBADF: not followed */
	int dir_watch, file_watch;
	bool dir_gone;
	off_t at;
	char block[LOG_BLOCK_BYTES];
};

/* Of the console, or of the VMM.  Opens nothing. */
int log_init(struct log *log, const struct vm_view *vm, bool vmm, struct err *e) MUST_CHECK;
void log_fini(struct log *log);

/* From now on log.inotify is readable when something has happened; log_events_take() then. */
int log_follow(struct log *log, struct err *e) MUST_CHECK;
void log_events_take(struct log *log);
/* A log that has lost its name is closed: log_open() finds the one that takes its place. */
void log_drop_if_gone(struct log *log);

/* Opens the log where it is there. */
int log_open(struct log *log, struct err *e) MUST_CHECK;
/* Moves to where the last lines begin: a number, or "all". */
int log_skip(struct log *log, const char *tail, struct err *e) MUST_CHECK;
/* All that there is, on standard output. */
int log_put(struct log *log, struct err *e) MUST_CHECK;
