/* launch.h - the command line of one VMM of the bare launcher: the daemon's own, less its sockets.
 */
#pragma once

#include "base/err.h"
#include "base/strv.h"

/* Bytes of a probe guest's memory; it needs a page. */
#define LAUNCH_MEMORY_BYTES (UINT64_C(32) << 20)

/* The one place that says how the bare launcher starts a VMM; the guest's serial port is logged to
 * the VMM's standard output.  ERR_VMM_MISSING when there is no such VMM. */
int launch_argv(const char *vmm, const char *accel, const char *probe, struct strv *ret_argv,
		struct err *e);

/* Path of the probe guest: as given, else beside our own program (in the build directory or
 * installed).  ERR_IMAGE_NOT_FOUND. */
int launch_probe(const char *given, char *out, size_t size, struct err *e);
