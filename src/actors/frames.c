#include "actors/frames.h"

#include <errno.h>

/* Still the last one, and none of it is the kernel's yet. */
static bool joins(const struct frames_tail *t, struct io_stream *s, const struct wire *w)
{
	return t->carried > 0 && w->bytes.len > 0 && t->id == w->id && t->stream == w->stream &&
	       t->end == io_stream_appended(s) && t->len <= buf_len(io_stream_out(s));
}

int frames_put_data(struct io_stream *s, struct frames_tail *t, const struct wire *w)
{
	struct buf *out = io_stream_out(s);
	struct frames_tail next = { .id = w->id, .stream = w->stream, .carried = w->bytes.len };
	const size_t before = buf_len(out);
	int rc = -EMSGSIZE;

	if (joins(t, s, w)) {
		rc = wire_data_grow(out, t->len, t->carried, &w->bytes);
		next.len = t->len;
		next.carried += t->carried;
	}
	if (rc == -EMSGSIZE) {
		rc = wire_encode(w, out);
		next.len = 0;
		next.carried = w->bytes.len;
	}
	if (rc < 0)
		return rc;
	next.len += buf_len(out) - before;
	next.end = io_stream_appended(s);
	*t = next;
	return 0;
}
