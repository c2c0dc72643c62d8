/* logs.h - what VMs print is kept within bounds while they run.
 *
 * A guest can print for ever, and make its VMM complain for ever.  Both write their logs
 * themselves, so that nothing is lost while no daemon runs (docs/adr/0014-*.md); from time to time
 * the daemon looks how much room they take, and gives the beginning of one that takes too much back
 * to the file system.  The file's length stays: where there was something to read, there is a hole.
 * An actor of its own, whose work is done on a worker thread; logs in jails are cut by the root
 * helper, which is asked where one is long.
 */
#pragma once

#include "base/macros.h"

struct logs;
struct node;

/* For the daemon's life.  -ENOMEM. */
int logs_begin(struct node *n, struct logs **ret_logs) MUST_CHECK;
/* A VM has begun to write: it is looked after from now on, as long as any does. */
void logs_look_after(struct logs *l);
