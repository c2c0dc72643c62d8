/* copy.h - the children that copy files: a tar archive out of a tree, or into one.
 *
 * Each is a fork of the agent (spawn_function) whose standard streams are pipes to it: the archive
 * on stdin or stdout, notes on stderr.  How it ended it says at SPAWN_REPORT_FD, in one write.
 */
#pragma once

#include "base/err.h"
#include "proto/guest.h"

/* What a child does; struct guest_copy_in_args, struct guest_copy_out_args.  They return the exit
 * status. */
int copy_in_work(const void *args);
int copy_out_work(const void *args);

/* What the child said at its end: 0, or -errno with the error. */
int copy_report_read(int fd, struct copy_result *ret_result, struct err *e);
