/* hex.h - reads a vector: hexadecimal bytes, white space between them, comments from # to the end
 * of a line. */
#pragma once

#include <stddef.h>

#include "base/buf.h"

/* Appends the file's bytes; -errno, -EINVAL where it holds anything else. */
int hex_read(const char *path, struct buf *out) MUST_CHECK;

/* The rest of the first comment that begins "# key: ", cut to size; -ENOENT when there is none. */
int hex_comment(const char *path, const char *key, char *ret_text, size_t size) MUST_CHECK;
