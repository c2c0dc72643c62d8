/* launch.h - the command line of one VMM of the bare launcher: the daemon's own for a probe guest,
 * but that its console is logged nowhere.
 *
 * A VMM that reads a file of what it shall be, or listens itself, gets a directory for that, which
 * is gone at the end.
 */
#pragma once

#include "base/err.h"
#include "base/strv.h"
#include "bench/bench.h"
#include "vmm/vmm.h"

enum {
	LAUNCH_CONSOLE_FD =
		3, /* in the VMM: a listening socket, to which we are connected already */
	LAUNCH_PATH_BYTES = 1024,
	LAUNCH_DIR_BYTES = 64,
};

struct launch {
	const struct vmm_driver *driver; /* static */
	const char *accel;               /* "tcg", "kvm" */
	struct vmm_machine machine;      /* its strings are ours */
	char probe[LAUNCH_PATH_BYTES];
	char dir[LAUNCH_DIR_BYTES]; /* "" while there is none */
	char config[LAUNCH_DIR_BYTES + 16];
	char log[LAUNCH_DIR_BYTES + 16];
	char control[LAUNCH_DIR_BYTES + 16];
	uint32_t n; /* command lines made */
};

/* ERR_VMM_MISSING when there is no such VMM.  After a failure too, launch_fini() clears up. */
int launch_init(struct launch *l, const struct bench_args *a, struct err *e);
void launch_fini(struct launch *l);

/* The one place that says how the bare launcher starts a VMM: the next one's command line. */
int launch_argv(struct launch *l, struct strv *ret_argv, struct err *e);

/* Path of the probe guest: as given, else beside our own program (in the build directory or
 * installed).  ERR_IMAGE_NOT_FOUND. */
int launch_probe(const char *given, char *out, size_t size, struct err *e);
