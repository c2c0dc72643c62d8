/* limits.h - bounds of one guest's network. */
#pragma once

enum {
	NET_FRAME_MAX = 65536 + 18,       /* bytes: an IP packet, its Ethernet head, a VLAN's tag */
	NET_MTU = 60000,                  /* bytes: the guest's, and so ours */
	NET_IN_BYTES = 2 * NET_FRAME_MAX, /* from the guest: a frame may come in pieces */
	NET_OUT_BYTES = 4 * 1024 *
			1024, /* to the guest: what does not fit is lost, as on any wire */
	NET_OUT_HIGH_BYTES = 1024 *
			     1024, /* from here on nothing is read from sockets for the guest */
	NET_SOCKETS_MAX = 1024,    /* descriptors of the process: connections of the guest's */
	NET_GUESTS_MAX = 16,       /* addresses, as many as the stack leases and remembers */
	NET_PUBLISH_MAX = 64,      /* ports of the host's that lead to the guest's */
	NET_LOG_BYTES = 64 * 1024, /* of complaints about a guest, in its whole life */
	NET_MEMORY_BYTES = 512 * 1024 *
			   1024, /* of data: the stack keeps at most 256 KiB a connection */
};
