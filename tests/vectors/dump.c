#include "tests/vectors/dump.h"

#include <inttypes.h>

#include "base/assert.h"
#include "proto/cursor.h"
#include "proto/frame.h"

enum {
	BYTES_PER_LINE = 32,
};

void dump_bytes(FILE *to, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		(void)fprintf(to, "%02x%s", data[i],
			      i + 1 == len || (i + 1) % BYTES_PER_LINE == 0 ? "\n" : "");
}

static struct mp_head head_at(struct mp_cursor *c)
{
	struct mp_head h;
	const int rc = mp_read(c, &h);

	ASSERT(rc == 0);
	return h;
}

static void dump_text(FILE *to, const struct mp_head *h)
{
	(void)fputc('"', to);
	for (uint32_t i = 0; i < h->len; i++)
		(void)fputc(h->data[i] < ' ' ? '?' : h->data[i], to);
	(void)fputc('"', to);
}

static void dump_value(FILE *to, const struct mp_head *h)
{
	if (h->type == MP_STR)
		dump_text(to, h);
	else if (h->type == MP_BOOL)
		(void)fputs(h->u ? "true" : "false", to);
	else if (h->type == MP_UINT)
		(void)fprintf(to, "%" PRIu64, h->u);
	else if (h->type == MP_INT)
		(void)fprintf(to, "%" PRId64, h->i);
	else if (h->type == MP_BIN)
		(void)fprintf(to, "bin of %u", h->len);
	else if (h->type == MP_ARRAY)
		(void)fprintf(to, "array of %u", h->len);
	else if (h->type == MP_MAP)
		(void)fprintf(to, "map of %u", h->len);
}

/* One value, with the name before it where it has one. */
static void dump_item(FILE *to, struct mp_cursor *c, bool named, int depth)
{
	const uint8_t *const begin = c->at;
	struct mp_head h;

	(void)fprintf(to, "# %*s", 2 * depth, "");
	h = head_at(c);
	if (named) {
		ASSERT(h.type == MP_STR);
		(void)fprintf(to, "%.*s: ", (int)h.len, (const char *)h.data);
		h = head_at(c);
	}
	dump_value(to, &h);
	(void)fputc('\n', to);
	dump_bytes(to, begin, (size_t)(c->at - begin));
	if (h.type == MP_MAP || h.type == MP_ARRAY)
		for (uint32_t i = 0; i < h.len; i++)
			dump_item(to, c, h.type == MP_MAP, depth + 1);
}

void dump_frame(FILE *to, const uint8_t *frame, size_t len)
{
	struct mp_cursor c = { .at = frame + FRAME_HEAD, .end = frame + len };

	(void)fprintf(to, "# length: %zu\n", len - FRAME_HEAD);
	dump_bytes(to, frame, FRAME_HEAD);
	dump_item(to, &c, false, 0);
}
