/* unpack.h - a tar archive into a directory, as its bytes come.
 *
 * Names that are absolute, climb or are empty are refused, and nothing is written through a
 * symbolic link below the directory where `beneath` says so: each step of a path is opened by
 * itself, so an archive of a hostile sender, and whoever changes the tree meanwhile, stay below it.
 * Existing files are replaced, not written into, once the new one is whole; what an archive cut
 * short leaves behind is whole files only.  Owners, modes, times, links, holes and attributes are
 * those of the archive.  Blocks on the disk.  Memory: one entry, and a few bytes for each level of
 * depth.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct unpack_how {
	bool as;      /* as cp(1) does: into the path where it is a directory, else under its name;
		       * without it the path must be a directory */
	bool owners;  /* the archive's; else ours, and no set-id bits */
	bool beneath; /* symbolic links below the path lead nowhere */
	bool devices; /* device nodes too; else they are left out */
};

struct unpack;

int unpack_open(const char *path, const struct unpack_how *how, struct unpack **ret_unpack,
		struct err *e) MUST_CHECK;
int unpack_feed(struct unpack *u, const uint8_t *data, size_t len, struct err *e) MUST_CHECK;
/* After the last byte: is it whole?  Directories get their times now. */
int unpack_end(struct unpack *u, struct err *e) MUST_CHECK;
void unpack_close(struct unpack *u); /* removes a file that is not whole; NULL is fine */

uint64_t unpack_entries(const struct unpack *u);
uint64_t unpack_bytes(const struct unpack *u); /* of files, holes included */
struct buf *unpack_notes(struct unpack *u);    /* lines; the caller consumes them */
