/* vmm_host.h - what there is of a VMM on this host that has to be asked to be known. */
#pragma once

#include "vmm/vmm.h"

struct vmm_host {
	bool usable;                   /* else `err` says why not */
	char version[VMM_VERSION_MAX]; /* "" where it is not asked for */
	struct err err;
};

/* Executes `program --version` where the driver wants to know it, and looks at /dev/kvm where it
 * needs that.  Blocks for some milliseconds, VMM_ASK_MS at most: before the loop begins, or on a
 * worker.  "": there is no program. */
void vmm_host_ask(const struct vmm_driver *d, const char *program, struct vmm_host *ret_host);
