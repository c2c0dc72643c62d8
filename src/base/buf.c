#include "base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void buf_init_fixed(struct buf *b, void *mem, size_t size)
{
	*b = (struct buf){ .mem = mem, .cap = size, .max = size, .fixed = true };
}

void buf_fini(struct buf *b)
{
	if (!b->fixed)
		free(b->mem);
	*b = (struct buf){ .max = b->max };
}

int buf_make_room(struct buf *b, size_t len)
{
	const size_t used = buf_len(b);

	if (len > b->max || used > b->max - len)
		return -ENOBUFS;
	if (b->cap - b->end < len && b->start > 0) {
		memmove(b->mem, b->mem + b->start, used);
		b->start = 0;
		b->end = used;
	}
	if (b->cap - b->end < len) {
		size_t cap = b->cap ? b->cap : BUF_FIRST;

		while (cap < used + len)
			cap *= 2;
		if (cap > b->max)
			cap = b->max; /* enough: what fits is within it */
		uint8_t *mem = realloc(b->mem, cap);
		if (!mem)
			return -ENOMEM;
		b->mem = mem;
		b->cap = cap;
	}
	return 0;
}

void buf_consume(struct buf *b, size_t len)
{
	ASSERT(len <= buf_len(b));
	b->start += len;
	if (b->start == b->end)
		buf_clear(b);
}

void buf_truncate(struct buf *b, size_t len)
{
	ASSERT(len <= buf_len(b));
	b->end = b->start + len;
}

void buf_clear(struct buf *b)
{
	b->start = 0;
	b->end = 0;
	if (b->cap > BUF_KEEP && !b->fixed) {
		free(b->mem);
		b->mem = NULL;
		b->cap = 0;
	}
}
