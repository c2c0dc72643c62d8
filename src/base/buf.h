/* buf.h - a byte queue: append at the end, consume at the front.
 *
 * Grows by doubling up to `max` bytes and never beyond: an append that does not fit fails with
 * -ENOBUFS (or -ENOMEM) and leaves the contents as they were.  A buffer that is empty gives memory
 * above BUF_KEEP back, so that an idle connection costs little.  One that was made of the caller's
 * memory (buf_init_fixed) neither grows nor gives any back: it never allocates.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/macros.h"

enum {
	BUF_FIRST = 512, /* bytes of the first allocation */
	BUF_KEEP = 4096, /* bytes that an empty buffer may keep */
};

struct buf {
	uint8_t *mem; /* owned, unless fixed */
	size_t start;
	size_t end;
	size_t cap;
	size_t max;
	bool fixed;
};

void buf_init(struct buf *b, size_t max);
void buf_init_fixed(struct buf *b, void *mem, size_t size);
void buf_fini(struct buf *b);

int buf_make_room(struct buf *b, size_t len) MUST_CHECK; /* buf_reserve()'s slow way */

static inline size_t buf_len(const struct buf *b)
{
	return b->end - b->start;
}

static inline uint8_t *buf_data(const struct buf *b)
{
	/* NULL + 0 is undefined in C11, and after a branch gcc sees NULL wherever this is used. */
	return (uint8_t *)((uintptr_t)b->mem + b->start);
}

/* Makes room for len more bytes and returns where to write them; buf_commit() counts them in. */
static inline MUST_CHECK int buf_reserve(struct buf *b, size_t len, uint8_t **ret_at)
{
	if (len > b->cap - b->end || buf_len(b) + len > b->max) {
		const int rc = buf_make_room(b, len);

		if (rc < 0)
			return rc;
	}
	*ret_at = b->mem + b->end;
	return 0;
}

static inline void buf_commit(struct buf *b, size_t len)
{
	ASSERT(len <= b->cap - b->end);
	b->end += len;
}

static inline MUST_CHECK int buf_append(struct buf *b, const void *data, size_t len)
{
	uint8_t *at;

	if (len == 0)
		return 0;
	const int rc = buf_reserve(b, len, &at);
	if (rc < 0)
		return rc;
	memcpy(at, data, len);
	buf_commit(b, len);
	return 0;
}

void buf_consume(struct buf *b, size_t len);
void buf_truncate(struct buf *b, size_t len); /* keeps the first len bytes */
void buf_clear(struct buf *b);                /* empties it; may give memory back */
