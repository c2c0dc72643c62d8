#include "proto/cursor.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "proto/frame.h"

/* First bytes 0xc0 to 0xdf: the type, and how many bytes of value or length follow. */
struct format {
	enum mp_type type;
	uint8_t follow;
	bool refused;
	bool is_signed;
};

static const struct format formats[32] = {
	[0x00] = { .type = MP_NIL },
	[0x01] = { .refused = true }, /* never used */
	[0x02] = { .type = MP_BOOL },
	[0x03] = { .type = MP_BOOL },
	[0x04] = { .type = MP_BIN, .follow = 1 },
	[0x05] = { .type = MP_BIN, .follow = 2 },
	[0x06] = { .type = MP_BIN, .follow = 4 },
	[0x07] = { .refused = true }, /* ext */
	[0x08] = { .refused = true },
	[0x09] = { .refused = true },
	[0x0a] = { .type = MP_FLOAT, .follow = 4 },
	[0x0b] = { .type = MP_FLOAT, .follow = 8 },
	[0x0c] = { .type = MP_UINT, .follow = 1 },
	[0x0d] = { .type = MP_UINT, .follow = 2 },
	[0x0e] = { .type = MP_UINT, .follow = 4 },
	[0x0f] = { .type = MP_UINT, .follow = 8 },
	[0x10] = { .type = MP_UINT, .follow = 1, .is_signed = true },
	[0x11] = { .type = MP_UINT, .follow = 2, .is_signed = true },
	[0x12] = { .type = MP_UINT, .follow = 4, .is_signed = true },
	[0x13] = { .type = MP_UINT, .follow = 8, .is_signed = true },
	[0x14] = { .refused = true }, /* fixext */
	[0x15] = { .refused = true },
	[0x16] = { .refused = true },
	[0x17] = { .refused = true },
	[0x18] = { .refused = true },
	[0x19] = { .type = MP_STR, .follow = 1 },
	[0x1a] = { .type = MP_STR, .follow = 2 },
	[0x1b] = { .type = MP_STR, .follow = 4 },
	[0x1c] = { .type = MP_ARRAY, .follow = 2 },
	[0x1d] = { .type = MP_ARRAY, .follow = 4 },
	[0x1e] = { .type = MP_MAP, .follow = 2 },
	[0x1f] = { .type = MP_MAP, .follow = 4 },
};

static const char *const type_names[] = {
	[MP_NIL] = "nil",       [MP_BOOL] = "a boolean",        [MP_UINT] = "a number",
	[MP_FLOAT] = "a float", [MP_INT] = "a negative number", [MP_STR] = "a string",
	[MP_BIN] = "bytes",     [MP_ARRAY] = "an array",        [MP_MAP] = "a map",
};
static_assert(ARRAY_LEN(type_names) == MP_NTYPES, "a name for each type");

const char *mp_type_name(enum mp_type type)
{
	return type_names[type];
}

static int malformed(struct mp_cursor *c, const char *why)
{
	c->why = why;
	return -EPROTO;
}

static size_t remaining(const struct mp_cursor *c)
{
	return (size_t)(c->end - c->at);
}

static uint64_t take_be(struct mp_cursor *c, uint8_t bytes)
{
	const uint8_t *const p = c->at;
	uint64_t v = 0;

	c->at += bytes;
	if (bytes == 1)
		return p[0];
	/* Left-aligned in 8 bytes, swapped once, shifted back. */
	memcpy(&v, p, bytes);
	return bytes ? be64toh(v) >> (64 - 8U * bytes) : 0;
}

static void set_signed(struct mp_head *h, uint64_t raw, uint8_t bytes)
{
	const unsigned shift = 64 - 8U * bytes;

	h->i = (int64_t)(raw << shift) >> shift;
	h->type = h->i < 0 ? MP_INT : MP_UINT;
}

/* What the head announces must be there: the bytes of a str or bin, which are taken, or at least
 * one byte for each element. */
static int take_content(struct mp_cursor *c, struct mp_head *h)
{
	if (h->type == MP_STR || h->type == MP_BIN) {
		if (h->len > remaining(c))
			return malformed(c, "ends early");
		h->data = c->at;
		c->at += h->len;
	} else if (h->type == MP_ARRAY || h->type == MP_MAP) {
		const size_t least = h->type == MP_MAP ? 2 : 1;

		if (h->len > remaining(c) / least)
			return malformed(c, "announces more elements than it holds");
	}
	return 0;
}

static int read_format(struct mp_cursor *c, uint8_t first, struct mp_head *h)
{
	const struct format *f = &formats[first - 0xc0];

	if (f->refused)
		return malformed(c, first == 0xc1 ? "holds the unused byte 0xc1"
						  : "holds an ext type");
	if (f->follow > remaining(c))
		return malformed(c, "ends early");
	const uint64_t v = take_be(c, f->follow);
	h->type = f->type;
	h->len = 0;
	h->u = first & 1; /* of a bool */
	if (f->is_signed)
		set_signed(h, v, f->follow);
	else if (f->type == MP_UINT)
		h->u = v;
	else if (f->type != MP_FLOAT)
		h->len = (uint32_t)v; /* at most 4 bytes followed */
	return take_content(c, h);
}

int mp_read(struct mp_cursor *c, struct mp_head *h)
{
	if (c->at == c->end)
		return malformed(c, "ends early");
	const uint8_t first = *c->at++;
	if (first >= 0xa0 && first <= 0xbf) { /* first, being every field's name */
		h->type = MP_STR;
		h->len = first & 0x1f;
		return take_content(c, h);
	}
	if (first <= 0x7f) {
		h->type = MP_UINT;
		h->u = first;
		return 0;
	}
	if (first >= 0xe0) {
		set_signed(h, first, 1);
		return 0;
	}
	if (first >= 0xc0)
		return read_format(c, first, h);
	h->type = first >= 0x90 ? MP_ARRAY : MP_MAP;
	h->len = first & 0x0f;
	return take_content(c, h);
}

int mp_skip(struct mp_cursor *c, uint32_t *elements)
{
	uint64_t left[FRAME_DEPTH_MAX]; /* values still to come, per open container */
	uint32_t depth = 0;

	for (;;) {
		struct mp_head h;
		const int rc = mp_read(c, &h);

		if (rc < 0)
			return rc;
		if (h.type == MP_ARRAY || h.type == MP_MAP) {
			if (depth == FRAME_DEPTH_MAX)
				return malformed(c, "is nested too deeply");
			if (h.len > *elements)
				return malformed(c, "has too many elements");
			*elements -= h.len;
			left[depth++] = (uint64_t)h.len * (h.type == MP_MAP ? 2 : 1);
		}
		while (depth > 0 && left[depth - 1] == 0)
			depth--;
		if (depth == 0)
			return 0;
		left[depth - 1]--;
	}
}
