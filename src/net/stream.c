#include "net/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/limits.h"

enum {
	HEAD = 4, /* bytes of a frame's length */
};

void stream_init(struct stream *s)
{
	static uint8_t in[NET_IN_BYTES], out[NET_OUT_BYTES];

	s->fd = -EBADF;
	buf_init_fixed(&s->in, in, sizeof(in));
	buf_init_fixed(&s->out, out, sizeof(out));
}

void stream_reset(struct stream *s, int fd)
{
	s->fd = fd;
	buf_consume(&s->in, buf_len(&s->in));
	buf_consume(&s->out, buf_len(&s->out));
}

static int frames_take(struct stream *s, stream_frame *take, void *arg)
{
	while (buf_len(&s->in) >= HEAD) {
		uint32_t len;

		memcpy(&len, buf_data(&s->in), HEAD);
		len = ntohl(len);
		if (len == 0 || len > NET_FRAME_MAX)
			return -EPROTO;
		if (buf_len(&s->in) < HEAD + len)
			return 0;
		take(arg, buf_data(&s->in) + HEAD, len);
		buf_consume(&s->in, HEAD + len);
	}
	return 0;
}

int stream_read(struct stream *s, stream_frame *take, void *arg)
{
	/* What is left is less than a frame, so that another one's worth finds room. */
	const size_t want = NET_IN_BYTES - HEAD - NET_FRAME_MAX;
	uint8_t *at;
	const int rc = buf_reserve(&s->in, want, &at);

	ASSERT(rc == 0);
	const ssize_t n = recv(s->fd, at, want, MSG_DONTWAIT);
	if (n == 0)
		return -EPIPE;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	buf_commit(&s->in, (size_t)n);
	return frames_take(s, take, arg);
}

bool stream_put(struct stream *s, const uint8_t *frame, size_t len)
{
	const uint32_t head = htonl((uint32_t)len);
	uint8_t *at;

	if (s->fd < 0 || len > NET_FRAME_MAX || buf_reserve(&s->out, HEAD + len, &at) < 0)
		return false;
	memcpy(at, &head, HEAD);
	memcpy(at + HEAD, frame, len);
	buf_commit(&s->out, HEAD + len);
	return true;
}

int stream_write(struct stream *s)
{
	while (buf_len(&s->out) > 0) {
		const ssize_t n = send(s->fd, buf_data(&s->out), buf_len(&s->out),
				       MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		buf_consume(&s->out, (size_t)n);
	}
	return 0;
}
