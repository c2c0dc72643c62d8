/* read.h - a tar archive, taken as its bytes come.
 *
 *   while (len > 0) {
 *           rc = tar_read(&r, data, len, &used, &e);    TAR_ENTRY: r.entry; TAR_DATA: r.bytes at
 * r.at data += used; len -= used;
 *   }
 *
 * Reads ustar, pax and GNU's dialect with its three ways to write sparse files down to one:
 * whatever the writer, data come with their place in the file.  Any bytes are safe; memory is
 * bounded by the numbers of entry.h.  What the entries say is not judged here: a name may be
 * absolute or climb.  Pure.
 */
#pragma once

#include "tar/entry.h"

enum tar_event {
	TAR_MORE, /* all bytes are used up */
	TAR_ENTRY,
	TAR_DATA,
	TAR_DONE, /* the entry's last byte has been; each entry ends so */
	TAR_END,  /* the archive's end; bytes after it are ignored */
};

enum tar_state {
	TAR_AT_HEADER,
	TAR_IN_TEXT,   /* a pax header or a long name */
	TAR_IN_BLOCKS, /* old sparse map: more blocks of it */
	TAR_IN_MAP,    /* new sparse map: text before the data */
	TAR_IN_DATA,
	TAR_IN_PADDING,
	TAR_AT_END,
};

struct tar_reader {
	enum tar_state state;
	struct tar_entry entry;
	/* of TAR_DATA */
	const uint8_t *bytes; /* borrowed from what was handed in */
	size_t len;
	uint64_t at; /* in the file */
	/* what follows is private */
	uint8_t block[TAR_BLOCK]; /* being gathered */
	size_t have;
	char type;       /* of the header whose text is gathered */
	struct buf text; /* the text; the map's tail while it is read */
	uint64_t left;   /* bytes of the entry still in the archive, data and map */
	size_t padding;
	bool zeros;     /* the last block was one of zeros */
	bool pending;   /* headers before the entry proper have come */
	bool end_due;   /* TAR_DONE is to be said ... */
	bool said_done; /* ... and was: the entry may be forgotten */
	/* what a pax header or a long name says of the next entry */
	struct {
		bool path, link, size, uid, gid, mtime, real_size;
		uint64_t value_size, value_real_size;
		uint32_t value_uid, value_gid;
		int64_t value_mtime_s;
		uint32_t value_mtime_ns;
		bool sparse_name;
		int sparse_major, sparse_minor; /* -1: not said */
	} next;
	/* of a sparse file */
	uint64_t map_numbers; /* of the map still to be read; the first is how many segments */
	bool map_counted;
	uint64_t map_at; /* the segment's place, read before its length */
	bool map_has_at;
	uint32_t segment; /* being read */
	uint64_t done;    /* bytes of it */
};

void tar_reader_init(struct tar_reader *r);
void tar_reader_fini(struct tar_reader *r);

/* What comes next in the bytes, and how many of them it took.  An enum tar_event, or -errno with
 * ERR_TAR_BAD; nothing can be read after that. */
int tar_read(struct tar_reader *r, const uint8_t *data, size_t len, size_t *ret_used,
	     struct err *e);

/* There are no more bytes: was that the end?  ERR_TAR_BAD. */
int tar_read_end(const struct tar_reader *r, struct err *e);
