/* unpack.h - whole files into memory: an archive's entry, a compressed file, a Debian package's
 * files one after another.  Everything has a bound. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct archive;
struct source;

/* Reads what is left of the current entry, at most `max` bytes of it; owned by the caller. */
int unpack_entry(struct archive *a, size_t max, uint8_t **ret_data, size_t *ret_len, struct err *e);

/* Reads a file, or bytes in memory, and decompresses it where it is compressed. */
int unpack_file(const char *path, size_t max, uint8_t **ret_data, size_t *ret_len, struct err *e);
int unpack_memory(const void *data, size_t len, size_t max, uint8_t **ret_data, size_t *ret_len,
		  struct err *e);
