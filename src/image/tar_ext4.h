/* tar_ext4.h - flattens a tar of a root filesystem into an ext4 file system, streaming.
 *
 * The tar may be hostile: names obey tree.h, every count and size is bounded, and a refusal names
 * the entry.  The last entry of a name wins, as in tar; only a directory that is not empty is never
 * replaced by something else.  Hard links must name an earlier entry, inside the image.
 *
 * Kept: owners, modes, times to the nanosecond, devices, hard links, symlinks, holes, extended
 * attributes of the security, user and trusted name spaces.  Not kept: POSIX ACLs, file flags.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "image/source.h"

enum {
	TAR_RATIO_MAX = 200, /* bytes out for each byte in, beyond TAR_RATIO_FREE */
};

#define TAR_RATIO_FREE (UINT64_C(1) << 30) /* bytes: a small tar may well hold zeros */

/* Makes `path` with a disk of disk_bytes from the tar in `src`; closes the file system durably. */
int tar_to_ext4(struct source *src, const char *path, uint64_t disk_bytes, struct err *e);
