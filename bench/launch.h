/* launch.h - the command line of one VMM of the bare launcher: the daemon's own for a probe guest,
 * but that its console is logged nowhere.
 */
#pragma once

#include "base/err.h"
#include "base/strv.h"

enum {
	LAUNCH_CONSOLE_FD =
		3, /* in the VMM: a listening socket, to which we are connected already */
};

/* The one place that says how the bare launcher starts a VMM.  ERR_VMM_MISSING when there is no
 * such VMM. */
int launch_argv(const char *vmm, const char *accel, const char *probe, struct strv *ret_argv,
		struct err *e);

/* Path of the probe guest: as given, else beside our own program (in the build directory or
 * installed).  ERR_IMAGE_NOT_FOUND. */
int launch_probe(const char *given, char *out, size_t size, struct err *e);
