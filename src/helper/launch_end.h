/* launch_end.h - how VMMs have ended: the zygote is their parent, and is told by the kernel.
 *
 * Kept by VM, for who asks later: of one that runs and of one that has ended alike, the last that
 * was launched for it.  Where there is no room for all, those that have ended longest ago are
 * forgotten; where all run, new ones are not followed, and how they end will not be known.
 */
#pragma once

#include <sys/types.h>

#include "base/id.h"
#include "base/macros.h"
#include "proto/helper.h"

enum {
	LAUNCH_ENDS_MAX = 8192, /* VMs that are remembered */
};

/* From now on: a descriptor that is readable once any has ended; -errno.  Its children inherit that
 * SIGCHLD is blocked. */
int launch_ends_open(void) MUST_CHECK;
void launch_ends_reap(int fd); /* those that have */

void launch_ends_begun(vm_id vm, pid_t pid);
struct helper_end_view launch_ends_find(int fd, vm_id vm);
