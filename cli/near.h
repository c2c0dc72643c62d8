/* near.h - "did you mean" for names that only the daemon knows: VMs, images, kernels.
 *
 * Asks the daemon for the names of the kind that was not found, on the session where that happened.
 */
#pragma once

#include <stddef.h>

#include "base/err.h"

struct session;

/* Puts what was perhaps meant before the hint of an error "no VM is called "wbe"".  Leaves the hint
 * alone where the error is another, nothing is near, or the daemon does not answer. */
void near_hint(struct session *s, const struct err *e, char *hint, size_t size);
