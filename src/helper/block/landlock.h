/* landlock.h - which files a child of the tools may open: its libraries and its disk. */
#pragma once

#include "base/macros.h"

/* From here on the process opens what is in the host's /usr, to read; /dev/null; what it has open
 * as `disk`; what the kernel says of it in /proc/self.  Nothing changes where the kernel has no
 * Landlock. -errno. */
int landlock_confine(int disk) MUST_CHECK;
