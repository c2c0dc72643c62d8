/* fence.h - which of a guest's frames may leave it.  Pure.
 *
 * The guest decides what it writes on its wire, and the stack behind us would connect wherever an
 * address leads from this host: 127.0.0.1 as well, and 0.0.0.0, which Linux takes for the same
 * (ip(7)); its name server's address leads to the host's resolver, which may be on the loopback,
 * at whatever port.  So what the fence passes is: ARP; IPv4 to where no address of the host's
 * loopback is meant; to the name server, DNS alone; to the gateway, unless the user wants it to be
 * the host's loopback, DHCP, echo, and its side of connections that came through published ports.
 * What is in fragments to those two is not passed: ports could hide in it.  There is no IPv6.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fence {
	uint32_t gateway, dns; /* host byte order */
	bool host_loopback;    /* by the gateway's address */
};

/* `frame`: Ethernet, from its destination's address on. */
bool fence_passes(const struct fence *f, const uint8_t *frame, size_t len);
