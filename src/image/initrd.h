/* initrd.h - writes the guest's first file system: an uncompressed cpio (newc) archive.
 *
 *   /init /banger-agent /modules /lib/modules/NAME.ko /dev/console, and empty directories
 *
 * /modules names the modules, one path on a line, in the order in which to load them.  The same
 * input gives the same bytes.  Format: Documentation/driver-api/early-userspace/buffer-format.rst.
 */
#pragma once

#include "base/err.h"
#include "image/modules.h"

#define INITRD_MODULE_DIR "lib/modules"

enum {
	INITRD_PROGRAM_MAX = 64 << 20, /* bytes of one program */
};

/* `init` and `agent` are the paths of static programs. */
int initrd_write(const char *path, const char *init, const char *agent, const struct modules *m,
		 struct err *e);
