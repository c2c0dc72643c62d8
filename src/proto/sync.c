#include "proto/sync.h"

#include <assert.h>
#include <string.h>

#include "proto/guest.h"

enum {
	RUN = 4, /* bytes of 0xff that the marker begins with; it holds none after them */
};

static_assert(sizeof(GUEST_SYNC) - 1 == GUEST_SYNC_BYTES, "the marker's length");

/* After a mismatch only a run of 0xff can still be the marker's beginning. */
static uint32_t advance(uint32_t matched, uint8_t byte)
{
	static const uint8_t marker[] = GUEST_SYNC;

	if (byte == marker[matched])
		return matched + 1;
	if (byte != 0xff)
		return 0;
	return matched == RUN ? RUN : 1;
}

size_t sync_feed(struct sync_scan *s, const uint8_t *data, size_t len, bool *ret_found)
{
	for (size_t i = 0; i < len; i++) {
		s->matched = advance(s->matched, data[i]);
		if (s->matched == GUEST_SYNC_BYTES) {
			s->matched = 0;
			*ret_found = true;
			return i + 1;
		}
	}
	*ret_found = false;
	return len;
}
