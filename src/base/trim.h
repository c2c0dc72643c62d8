/* trim.h - a log that grows for ever is kept within bounds while somebody writes it.
 *
 * The beginning becomes a hole; the length stays, and so does where everybody is in it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/macros.h"

/* It takes more than twice the room that its end may keep. */
bool trim_is_due(const struct stat *st, uint64_t keep);
/* 0, also where the file system has no holes; -1 and errno. */
int trim_file(int fd, const struct stat *st, uint64_t keep) MUST_CHECK;
