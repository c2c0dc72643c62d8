/* stream.h - the guest's wire: frames on a stream socket, each after its length in 4 bytes,
 * big-endian (QEMU's -netdev stream; the agent's over vsock).  The descriptor is the caller's. */
#pragma once

#include "base/buf.h"

struct stream {
	int fd;         /* non-blocking; -EBADF: nobody is there */
	struct buf in;  /* from the guest, the last frame perhaps not whole */
	struct buf out; /* to the guest */
};

typedef void stream_frame(void *arg, const uint8_t *frame, size_t len);

/* Both buffers once, for the life of the process. */
void stream_init(struct stream *s);
/* Somebody is there, who has sent and heard nothing yet; -EBADF: nobody. */
void stream_reset(struct stream *s, int fd);

/* Reads what is there, once, and gives each frame that is whole.  -EPIPE: the other side is gone;
 * -EPROTO: a length that no frame has; or the socket's error. */
int stream_read(struct stream *s, stream_frame *take, void *arg) MUST_CHECK;

/* Queues a frame.  False where it is lost, for want of room or as longer than any. */
bool stream_put(struct stream *s, const uint8_t *frame, size_t len);

/* Writes as much of the queue as the socket takes. */
int stream_write(struct stream *s) MUST_CHECK;
