/* limits.h - the agent's bounds: memory in bytes, time in ms. */
#pragma once

#include "proto/guest.h"
#include "proto/wire.h"

#define NET_INTERFACE "eth0"

enum {
	FRAME_ROOM = 1024, /* of a frame besides its payload; a reply with an error fits too */
	IN_BYTES_MAX = GUEST_REQUEST_MAX + 32 * 1024,
	HELLO_BYTES_MAX = 512, /* of a daemon's hello */

	/* Frames are made only while less than OUT_HIGH waits to be written, one at a time. */
	OUT_HIGH = 128 * 1024,
	OUT_BYTES_MAX = OUT_HIGH + WIRE_CHUNK_MAX + FRAME_ROOM,

	STDIN_CREDIT_STEP = WIRE_STREAM_WINDOW / 4, /* given back in pieces of no less */

	CANCEL_GRACE_MS = 500, /* between SIGHUP and SIGKILL */
	DRAIN_GRACE_MS = 200,  /* for output of what a command left behind, after its end */
	FLUSH_GRACE_MS = 1000, /* for the answer to "poweroff" to leave */
	PORT_WAIT_MS = 60000,  /* for the way to the daemon to appear */

	NET_FRAME_MAX = 65535 + 18,       /* bytes: an Ethernet frame with the largest IP packet */
	NET_QUEUE_BYTES = 4 * (64 << 10), /* of frames that wait, each way */
	NET_REDIAL_MS = 500,              /* between two attempts to reach the host */
	NET_RESTART_MS = 1000,            /* between two starts of the process that carries them */
	NET_CMDLINE_MAX = 4096, /* bytes of the kernel's command line that are looked at */

	VSOCK_RING_MS = 2000, /* between two attempts to have the daemon call */
	VSOCK_BACKLOG = 4,    /* connections of the host that may wait */

	SOCKET_LINKS_MAX = 65536, /* descriptors looked at to find the processes behind ports */

	EVENTS_MAX = 64, /* taken from epoll at once */
};
