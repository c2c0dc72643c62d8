/* cursor.h - reads msgpack heads from bytes that nobody vouches for.  Private to proto/.
 *
 * Every read is bounded by the cursor's end and by what remains: a str or bin must be there whole,
 * an array or map must have at least one byte per element left.  Nothing is allocated and nothing
 * recurses, so any bytes are safe.  Facts: the msgpack specification,
 * github.com/msgpack/msgpack/blob/master/spec.md.
 *
 * Why not msgpack-c's unpacker: its tree (48 bytes per map entry) keeps no spans, so a request's
 * body would be unpacked with the envelope and then again by itself; and 4.0.0 reserves memory for
 * announced elements before it has seen them, so the walk of frame_check() is needed anyway.
 * Measured on a vm.create request of 209 bytes, -O2, msgpack-c with a zone that is kept: its two
 * trees take 0.50 + 0.38 us before a field has been looked at; here frame_check() takes 0.35 us,
 * the envelope's struct 0.64 us, the arguments' struct 1.3 us with all that it allocates.  Packing
 * is msgpack-c's, and the tests hold its unpacker against this cursor.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

enum mp_type {
	MP_NIL,
	MP_BOOL,
	MP_UINT, /* also positive values of the signed formats */
	MP_INT,  /* negative */
	MP_FLOAT,
	MP_STR,
	MP_BIN,
	MP_ARRAY,
	MP_MAP,
	MP_NTYPES,
};

struct mp_head {
	enum mp_type type;
	uint32_t len; /* str, bin: bytes; array: elements; map: pairs */
	union {
		uint64_t u;          /* bool, uint */
		int64_t i;           /* int */
		const uint8_t *data; /* str, bin: borrowed from the cursor's bytes */
	};
};

struct mp_cursor {
	const uint8_t *at;
	const uint8_t *end;
	const char *why; /* after a failure: what was wrong */
};

/* The next head; of a str or bin the bytes too.  -EPROTO with c->why; *h is then undefined. */
int mp_read(struct mp_cursor *c, struct mp_head *h) MUST_CHECK;

/* Passes over one whole value.  *elements is what its arrays and maps may announce in all, and is
 * reduced by what they did. */
int mp_skip(struct mp_cursor *c, uint32_t *elements) MUST_CHECK;

const char *mp_type_name(enum mp_type type); /* "a string" */
