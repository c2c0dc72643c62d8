/* lifecycle.h - what requests for many VMs have in common. */
#pragma once

#include "options.h"
#include "session.h"

/* A whole conversation of one request for many VMs.  The exit status. */
int lifecycle_ask(const struct options *o, enum client_method m, const struct targets_args *args);

/* Shows a struct targets_result: a line for each VM, an error for each that failed.  The exit
 * status. */
int lifecycle_results(struct session *s, struct call *c);
