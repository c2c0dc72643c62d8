/* grow.h - the root file system takes all of its disk, which may be larger than it was made for. */
#pragma once

#include "base/err.h"

/* No-op where it does already.  A failure leaves it as it is, and usable. */
int root_grow(const char *device, const char *mounted_at, struct err *e) MUST_CHECK;
