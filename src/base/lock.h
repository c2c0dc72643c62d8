/* lock.h - one process per directory.
 *
 * flock(2) on a file that is never removed (removing it would let two holders exist).  The lock
 * belongs to the open file description, so it ends with the process however that dies, and a second
 * attempt within the same process is refused too.
 */
#pragma once

#include "base/err.h"

/* Waits two seconds at most, for a holder that is just ending.  ERR_STORE_LOCKED names the holder's
 * process id where it can be read; `what` begins the message. */
int lock_take(const char *what, const char *dir, const char *file, int *ret_fd, struct err *e);
