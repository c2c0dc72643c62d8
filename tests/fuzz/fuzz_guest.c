/* fuzz_guest.c - a stream from a guest: the search for its marker, then frames as they come. */
#include <string.h>

#include "base/assert.h"
#include "proto/frame.h"
#include "proto/guest.h"
#include "proto/sync.h"
#include "tests/fuzz/fuzz.h"

enum {
	CUT = 7, /* bytes that a read brings: the marker is split across reads */
};

/* Where the stream goes on after the first marker; agrees with a plain search. */
static size_t after_marker(const uint8_t *data, size_t size)
{
	const uint8_t *const expected = memmem(data, size, GUEST_SYNC, GUEST_SYNC_BYTES);
	struct sync_scan scan = { 0 };
	bool found = false;
	size_t at = 0;

	while (at < size && !found)
		at += sync_feed(&scan, data + at, size - at < CUT ? size - at : CUT, &found);
	ASSERT(found == (expected != NULL));
	ASSERT(!found || data + at == expected + GUEST_SYNC_BYTES);
	return found ? at : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = after_marker(data, size);

	for (;;) {
		const uint8_t *payload;
		const int len = wire_next(data + at, size - at, GUEST_REQUEST_MAX, &payload, NULL);

		if (len <= 0)
			return 0;
		fuzz_payload(guest_methods, GUEST_METHOD_NMETHODS, payload, (size_t)len);
		at += FRAME_HEAD + (size_t)len;
	}
}
