/* cursor.h - reads msgpack heads from bytes that nobody vouches for.  Private to proto/.
 *
 * Every read is bounded by the cursor's end and by what remains: a str or bin must be there whole,
 * an array or map must have at least one byte per element left.  Nothing is allocated and nothing
 * recurses, so any bytes are safe.  Facts: the msgpack specification,
 * github.com/msgpack/msgpack/blob/master/spec.md.
 *
 * Why not msgpack-c's unpacker: it builds a tree (48 bytes per map entry) that keeps no spans, so
 * that a request's body would have to be unpacked twice, and 4.0.0 reserves memory for announced
 * elements before it has seen them.  Measured figures are in schema_decode.c.  Packing is
 * msgpack-c's, and the tests hold its unpacker against this one.
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
	uint32_t len;        /* str, bin: bytes; array: elements; map: pairs */
	uint64_t u;          /* bool, uint */
	int64_t i;           /* int */
	const uint8_t *data; /* str, bin: borrowed from the cursor's bytes */
};

struct mp_cursor {
	const uint8_t *at;
	const uint8_t *end;
	const char *why; /* after a failure: what was wrong */
};

/* The next head; of a str or bin the bytes too.  -EPROTO with c->why. */
int mp_read(struct mp_cursor *c, struct mp_head *ret_head) MUST_CHECK;

/* Passes over one whole value.  *elements is what its arrays and maps may announce in all, and is
 * reduced by what they did. */
int mp_skip(struct mp_cursor *c, uint32_t *elements) MUST_CHECK;

const char *mp_type_name(enum mp_type type); /* "a string" */
