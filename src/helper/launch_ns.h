/* launch_ns.h - the mount namespace that jails are built in; the zygote's. */
#pragma once

#include "base/err.h"
#include "helper/conf.h"

/* Any directory of the host that is no part of what is taken along, to build on: a mount on it is
 * seen by nobody, and gone when the namespace is made. */
#define LAUNCH_SCAFFOLD "/dev"

/* A descriptor of the namespace.  Back in the one that it was called in. */
int launch_ns_open(const struct helper_conf *conf, int *ret_ns, struct err *e) MUST_CHECK;
