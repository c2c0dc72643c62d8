/* copy.h - files that come as they are. */
#pragma once

#include <stdint.h>

#include "base/err.h"

struct source;

/* Copies all of `src` to `path` (which must not exist), hashing it, as a reflink where the file
 * system can, else block by block without its holes and zeros; the copy is made `bytes` long if
 * that is more.  fsyncs. */
int copy_sparse(struct source *src, const char *path, uint64_t bytes, struct err *e);

/* Writes a new file and fsyncs it. */
int copy_out(const char *path, const void *data, size_t len, struct err *e);
int copy_write(int fd, const void *data, size_t len); /* all of it: 0 or -errno */
