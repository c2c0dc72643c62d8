/* frame.h - length-prefixed frames, and the check that makes their bytes safe to unpack.
 *
 * Frame = 4-byte big-endian length, then exactly one msgpack map of that many bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
	FRAME_HEAD = 4,
	FRAME_MAX = 1 << 20,        /* bytes of one map */
	FRAME_DEPTH_MAX = 16,       /* nesting */
	FRAME_ELEMENTS_MAX = 65536, /* announced elements in all of a frame's maps and arrays */
};

/* The payload length that the 4 bytes announce; -errno with ERR_FRAME_TOO_BIG over `max`. */
int frame_length(const uint8_t head[FRAME_HEAD], size_t max, struct err *e);

/* Walks the payload without allocating: exactly one map, each announced element present, depth and
 * count bounded, no ext types, nothing left over.  0, or -errno with ERR_BAD_FRAME. */
int frame_check(const uint8_t *payload, size_t len, struct err *e);

/* Elements announced in one encoded map of ours: what it takes of a frame's FRAME_ELEMENTS_MAX. */
uint32_t frame_elements(const uint8_t *map, size_t len);
