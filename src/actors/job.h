/* job.h - imports and builds of images and kernels: one actor each, around a `banger-imager`
 * process.
 *
 *   admit -> stage -> run -> publish -> record
 *
 * The process works in a staging directory and tells its progress on a pipe; what it made is
 * renamed into place and then recorded.  Undo removes what is there: the process, the staging
 * directory, and a published directory that no record names.
 */
#pragma once

#include "actors/op.h"

/* Takes the op; answers it. */
void job_begin(struct env *env, struct op *op);
void job_cancel(struct env *env, struct op *op);

/* Of the image or kernel that the operation is about. */
const char *job_name(const struct op *op);
