/* lifecycle.h - what requests for many VMs have in common. */
#pragma once

#include "options.h"
#include "session.h"

/* Shows a struct targets_result: a line for each VM, an error for each that failed.  The exit
 * status. */
int lifecycle_results(struct session *s, struct call *c);
