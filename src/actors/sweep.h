/* sweep.h - what no record names goes: directories that a crash, or a removal that failed for good,
 * has left behind.
 *
 * Before the daemon listens, each is moved into a directory of its own, which is quick and cannot
 * meet an operation of the same name; a worker then removes that directory, until it is gone.  What
 * cannot be moved is told in the log and left for the next start.  Processes are not swept: a VMM
 * that no record of ours names may be another daemon's.
 */
#pragma once

#include "actors/node.h"

/* Once the records are loaded and what they say is being recovered.  -ENOMEM. */
int sweep_begin(struct node *n) MUST_CHECK;
