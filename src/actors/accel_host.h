/* accel_host.h - what the verdict on accelerators depends on, as far as it can be seen from here.
 *
 * Blocks: for a worker thread.
 */
#pragma once

#include <stdbool.h>

enum {
	ACCEL_IDENTITY_MAX = 192,
	ACCEL_WHY_MAX = 96,
};

struct accel_host {
	bool usable;                       /* /dev/kvm opens */
	char why[ACCEL_WHY_MAX];           /* it does not */
	char identity[ACCEL_IDENTITY_MAX]; /* equal texts: nothing that matters has changed */
};

void accel_host_look(const char *kvm, const char *qemu, struct accel_host *ret_host);
