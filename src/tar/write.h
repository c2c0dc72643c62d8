/* write.h - the headers of a tar archive: ustar, with a pax header before it where ustar does not
 * do (long names, times with nanoseconds, large numbers, extended attributes), and GNU's format 1.0
 * for sparse files.  GNU tar, libarchive and Go read all of it.  Pure.
 */
#pragma once

#include "tar/entry.h"

/* Appends what comes before the entry's data, a sparse file's map included, to a buffer that holds
 * TAR_HEADERS_MAX more.  *ret_data bytes of data follow, then tar_padding().  -ENOBUFS, -ENOMEM. */
int tar_write_entry(const struct tar_entry *t, struct buf *out, uint64_t *ret_data) MUST_CHECK;

/* Zero bytes after so many of data. */
static inline size_t tar_padding(uint64_t data)
{
	return (size_t)(-data % TAR_BLOCK);
}

enum {
	TAR_END_BYTES = 2 * TAR_BLOCK, /* zeros that end an archive */
};
