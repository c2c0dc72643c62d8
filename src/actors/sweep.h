/* sweep.h - what no record names goes: directories and processes that a crash, or a removal that
 * failed for good, has left behind.
 *
 * Before the daemon listens, each directory is moved into one of its own, which is quick and cannot
 * meet an operation of the same name; a worker then removes that, until it is gone.  What cannot be
 * moved is told in the log and left for the next start.  Processes are known by the home in their
 * command lines, so another daemon's VMs run on; so do their sockets, should it have had the same
 * runtime directory.  Where the store is new, disks, images and kernels stay: they may be all that
 * is left of what its records named.
 */
#pragma once

#include "actors/node.h"

/* Once the records are loaded and what they say is being recovered.  -ENOMEM. */
int sweep_begin(struct node *n) MUST_CHECK;
