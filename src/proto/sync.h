/* sync.h - finds GUEST_SYNC in a stream of bytes, wherever the reads cut it.
 *
 *   struct sync_scan s = { 0 };
 *   used = sync_feed(&s, bytes, len, &found);   drop `used` bytes; frames follow once found
 *
 * Pure; the state is how much of the marker the stream's end holds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sync_scan {
	uint32_t matched; /* bytes of GUEST_SYNC seen last */
};

/* How many bytes are done with: all of them, or up to and with the marker's last one.  *ret_found
 * says which; the scan then begins afresh. */
size_t sync_feed(struct sync_scan *s, const uint8_t *data, size_t len, bool *ret_found);
