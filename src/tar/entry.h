/* entry.h - one member of a tar archive, and the bounds that hold for any.
 *
 * Names and targets are bytes without NUL, as the kernel has them: no character set is assumed.
 * Owners are numbers.  Data of a sparse file are its segments, in order and apart.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
	TAR_BLOCK = 512,
	TAR_PATH_MAX = 4095,        /* bytes of a name or a target */
	TAR_PAX_MAX = 256 << 10,    /* bytes of an extended header, or of a long name */
	TAR_XATTRS_MAX = 128 << 10, /* bytes of one entry's extended attributes, with their names */
	TAR_SEGMENTS_MAX = 65536,   /* of one sparse file */
	TAR_MAP_MAX = (TAR_SEGMENTS_MAX + 1) * 42 +
		      32, /* bytes of its map as text: two numbers each */
	TAR_HEADERS_MAX = TAR_PAX_MAX + TAR_MAP_MAX + 4 * TAR_BLOCK, /* of an entry besides data */
};

enum tar_kind {
	TAR_FILE,
	TAR_HARDLINK, /* another name for `link`, an entry before it */
	TAR_SYMLINK,
	TAR_CHAR,
	TAR_BLOCKDEV,
	TAR_DIR,
	TAR_FIFO,
};

struct tar_segment {
	uint64_t at;
	uint64_t len;
};

struct tar_entry {
	enum tar_kind kind;
	char path[TAR_PATH_MAX + 1];
	char link[TAR_PATH_MAX + 1];
	uint32_t mode; /* 07777 */
	uint32_t uid, gid;
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint32_t dev_major, dev_minor;
	uint64_t size; /* of a file, holes included */
	bool sparse;
	struct tar_segment *segments; /* owned; of a sparse file */
	uint32_t nsegments;
	struct buf xattrs; /* see tar_xattr_next() */
};

void tar_entry_init(struct tar_entry *t);
void tar_entry_clear(struct tar_entry *t); /* for the next one; keeps nothing */
void tar_entry_fini(struct tar_entry *t);

/* Appends to the map; one that follows the last without a hole joins it. */
int tar_segment_add(struct tar_entry *t, uint64_t at, uint64_t len) MUST_CHECK;

struct tar_xattr {
	const char *name; /* borrowed from the entry, NUL-terminated */
	const uint8_t *value;
	size_t len;
};

/* Room for a value of `len` bytes, to be written at *ret_value; -ENOBUFS over TAR_XATTRS_MAX. */
int tar_xattr_add(struct tar_entry *t, const char *name, size_t len,
		  uint8_t **ret_value) MUST_CHECK;
/* Each in turn: begin with *at = 0; false at the end. */
bool tar_xattr_next(const struct tar_entry *t, size_t *at, struct tar_xattr *ret_xattr);

/* What a system call on a file said, as an error for people: ERR_FILE_*, by its number. */
int tar_fault(struct err *e, int num, const char *fmt, ...) PRINTF_LIKE(3, 4);
