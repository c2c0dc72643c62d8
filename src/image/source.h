/* source.h - where foreign bytes come from: a file or a pipe, hashed as it is read.
 *
 * Everything that a job parses passes through one of these, so that the sum which is reported is of
 * the bytes which were parsed.  Reads block.  Borrowed by the libarchive reader that
 * source_archive() feeds, which must be freed first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/macros.h"

struct archive;
struct evp_md_ctx_st;

enum {
	SOURCE_CHUNK = 256 * 1024, /* bytes of one read */
	SOURCE_SHA256_CHARS = 64,
};

struct source {
	int fd;                    /* owned */
	const char *name;          /* borrowed: the path, for messages */
	const char *stage;         /* borrowed: the word of its progress lines, or NULL for none */
	uint64_t size;             /* bytes; 0 when not known (a pipe) */
	uint64_t done;             /* bytes read */
	bool ended;                /* a read has met the end */
	struct evp_md_ctx_st *sum; /* owned */
	uint8_t *chunk;            /* owned; SOURCE_CHUNK bytes */
};

/* Opens a regular file; anything else would block or never end. */
int source_open(struct source *s, const char *path, const char *stage, struct err *e);

/* Takes `fd` over, also on failure. */
int source_adopt(struct source *s, int fd, const char *name, const char *stage, struct err *e);
void source_close(struct source *s);

/* Hashes bytes that the caller read from s->fd by itself, in order. */
int source_count(struct source *s, const void *data, size_t len, struct err *e) MUST_CHECK;

/* Points *ret_data into the chunk; returns the count, 0 at the end. */
ssize_t source_read(struct source *s, const void **ret_data, struct err *e) MUST_CHECK;

/* Reads what the parser left, so that the sum covers the whole source; then ends the sum. */
int source_finish(struct source *s, char ret_sha256[SOURCE_SHA256_CHARS + 1], struct err *e);

/* Opens the archive, whose formats and filters the caller has chosen, on the source. */
int source_archive(struct source *s, struct archive *a, struct err *e);

/* Allows the compressions that libarchive has built in; its others would start programs. */
void source_filters(struct archive *a);
