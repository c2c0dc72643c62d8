/* fence.h - which of a guest's frames may leave it.  Pure.
 *
 * The guest decides what it writes on its wire, and the stack behind us would connect wherever an
 * address leads from this host: 127.0.0.1 as well, and 0.0.0.0, which Linux takes for the same
 * (ip(7)); its name server's address leads to the host's resolver, which may be on the loopback,
 * at whatever port.  So what the fence passes is: ARP; IPv4 to where no address of the host's
 * loopback is meant, nor a link-local one, which no router forwards (RFC 3927) and behind which
 * clouds keep what a host may know; to the name server, DNS alone; to the gateway, unless the user
 * wants it to be the host's loopback, DHCP, echo, and its side of connections that came through
 * published ports.  There is no IPv6.
 *
 * Nor does it pass what would have the stack keep much for little:
 *   - what comes from an address that is no guest's.  The stack keeps each answer, 60 KiB a piece,
 *     for a second while it asks for whoever has that address.
 *   - fragments, of which it keeps as many as come for half a minute, 60 KiB a piece as well.  With
 *     an MTU as ours datagrams need none; passt does not take them either.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	FENCE_MAC_BYTES = 6, /* an Ethernet address */
};

struct fence {
	uint32_t gateway, dns; /* host byte order */
	uint32_t guest;        /* the first of those that a guest may have... */
	uint32_t nguests;      /* ...which are so many */
	bool host_loopback;    /* by the gateway's address */
};

/* `frame`: Ethernet, from its destination's address on. */
bool fence_passes(const struct fence *f, const uint8_t *frame, size_t len);

/* Of a frame that passed: 0, or the guest's address that it comes from. */
uint32_t fence_source(const uint8_t *frame);

/* Of one that asks for a lease: for which Ethernet address; else NULL. */
const uint8_t *fence_lease(const uint8_t *frame, size_t len);
