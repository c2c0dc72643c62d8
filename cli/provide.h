/* provide.h - what a new VM needs and is not there yet, made before it is asked for.
 *
 * The daemon's settings say what a VM gets that is not asked for more closely.  As docker pulls,
 * `run` and `create` make a missing image and kernel of Debian's packages, with a note and a
 * progress display, unless --pull never.  The daemon does the work (image.build, kernel.import);
 * two clients that find the same thing missing end with one of it.
 */
#pragma once

#include "options.h"
#include "session.h"

#define PROVIDE_IMAGE "debian:bookworm" /* where no image is named and there is none */

/* 0, or the exit status after a report.  What cannot be told or made here is left for the create to
 * say. */
int provide(struct session *s, const struct options *o, const struct info_result *info);
