#include "guest/agent/channel.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "proto/frame.h"

#define AGENT_NAME "banger-agent/" BANGER_VERSION

static_assert(WIRE_CHUNK_MAX + FRAME_ROOM <= GUEST_FRAME_MAX, "what we send, the daemon takes");

void channel_init(struct channel *c, int epoll, bool ends)
{
	*c = (struct channel){ .epoll = epoll, .ends = ends, .port.fd = -EBADF };
	buf_init(&c->in, IN_BYTES_MAX);
	buf_init(&c->out, OUT_BYTES_MAX);
}

int channel_attach(struct channel *c, int fd)
{
	channel_detach(c);
	/* Whoever talked to an agent before us learns that it is no more. */
	const int rc = buf_append(&c->out, GUEST_SYNC, GUEST_SYNC_BYTES);

	if (rc < 0) {
		close_fd(&fd);
		return rc;
	}
	c->writable = true;
	return watch_add(c->epoll, &c->port, fd, EPOLLIN | EPOLLOUT);
}

void channel_detach(struct channel *c)
{
	watch_close(c->epoll, &c->port);
	buf_clear(&c->in);
	buf_clear(&c->out);
	c->closed = false;
	c->writable = false;
	c->scanned = 0;
	c->sync_at = 0;
	c->scan = (struct sync_scan){ 0 };
}

void channel_fini(struct channel *c)
{
	channel_detach(c);
	buf_fini(&c->in);
	buf_fini(&c->out);
}

bool channel_fill(struct channel *c)
{
	const size_t room = IN_BYTES_MAX - buf_len(&c->in);
	uint8_t *at;
	ssize_t n;

	if (!c->port.ready)
		return false;
	c->writable = true; /* the event may have meant either */
	if (room == 0 || c->closed)
		return false;
	if (buf_reserve(&c->in, room < WIRE_CHUNK_MAX ? room : WIRE_CHUNK_MAX, &at) < 0)
		return false; /* no memory: what is here must go first */
	n = read(c->port.fd, at, room < WIRE_CHUNK_MAX ? room : WIRE_CHUNK_MAX);
	if (n > 0) {
		buf_commit(&c->in, (size_t)n);
		return true;
	}
	if (n < 0 && errno == EINTR)
		return true;
	/* 0 from a virtio port: nobody has the host's end open.  The next event says otherwise. */
	c->port.ready = false;
	c->closed = c->ends && (n == 0 || errno != EAGAIN);
	return false;
}

bool channel_flush(struct channel *c)
{
	bool wrote = false;

	while (c->writable && !c->closed && buf_len(&c->out) > 0) {
		const ssize_t n = write(c->port.fd, buf_data(&c->out), buf_len(&c->out));

		if (n > 0) {
			buf_consume(&c->out, (size_t)n);
			wrote = true;
		} else if (n < 0 && errno != EINTR) {
			c->writable = false;
			c->closed = c->ends && errno != EAGAIN;
		}
	}
	return wrote;
}

void channel_took(struct channel *c, size_t len)
{
	buf_consume(&c->in, len);
	c->scanned = c->scanned > len ? c->scanned - len : 0;
	c->sync_at = c->sync_at > len ? c->sync_at - len : 0;
}

/* Is there a hello at `data`?  1 yes, with its length; 0 cannot be told yet; -1 no. */
static int hello_at(const uint8_t *data, size_t len, struct wire *ret_wire, size_t *ret_len)
{
	enum {
		FIXMAP = 0x80,
		FIXMAP_MASK = 0xf0,
	};
	const uint8_t *payload;
	int rc;

	if (len < FRAME_HEAD + 1) {
		for (size_t i = 0; i < len && i < 2; i++)
			if (data[i] != 0)
				return -1;
		return 0;
	}
	if ((data[FRAME_HEAD] & FIXMAP_MASK) != FIXMAP)
		return -1;
	rc = wire_next(data, len, HELLO_BYTES_MAX, &payload, NULL);
	if (rc <= 0)
		return rc;
	*ret_len = FRAME_HEAD + (size_t)rc;
	if (wire_decode(payload, (size_t)rc, ret_wire, NULL) < 0)
		return -1;
	return ret_wire->type == WIRE_HELLO && ret_wire->session != 0 ? 1 : -1;
}

/* Looks for the beginning of a conversation in what was not searched yet.  As hello_at(), with
 * everything up to and with the hello counted in *ret_len; -1: there is none. */
static int find_hello(struct channel *c, struct wire *ret_wire, size_t *ret_len)
{
	for (;;) {
		if (c->sync_at > 0) {
			const int rc = hello_at(buf_data(&c->in) + c->sync_at,
						buf_len(&c->in) - c->sync_at, ret_wire, ret_len);

			if (rc > 0)
				*ret_len += c->sync_at;
			if (rc >= 0)
				return rc;
			c->sync_at = 0;
		}
		if (c->scanned >= buf_len(&c->in))
			return -1;

		bool found;
		const size_t used = sync_feed(&c->scan, buf_data(&c->in) + c->scanned,
					      buf_len(&c->in) - c->scanned, &found);

		c->scanned += used;
		if (found)
			c->sync_at = c->scanned;
	}
}

int channel_next(struct channel *c, bool open, struct wire *ret_wire, size_t *ret_len,
		 struct err *e)
{
	const uint8_t *payload;
	size_t limit = SIZE_MAX; /* of frames that a hello under way does not make void */
	size_t len = 0;
	int rc;

	rc = find_hello(c, ret_wire, &len);
	if (rc > 0) {
		*ret_len = len;
		return CHANNEL_HELLO;
	}
	if (!open) {
		/* What a GUEST_SYNC cut in two began is kept in c->scan. */
		channel_took(c, rc == 0 ? c->sync_at - 1 : buf_len(&c->in));
		return CHANNEL_MORE;
	}
	if (rc == 0 && c->sync_at > GUEST_SYNC_BYTES)
		limit = c->sync_at - GUEST_SYNC_BYTES;
	else if (rc == 0)
		limit = 0;
	rc = wire_next(buf_data(&c->in), buf_len(&c->in), GUEST_REQUEST_MAX, &payload, e);
	if (rc <= 0)
		return rc < 0 ? rc : CHANNEL_MORE;
	if (FRAME_HEAD + (size_t)rc > limit)
		return CHANNEL_MORE;
	len = FRAME_HEAD + (size_t)rc;
	rc = wire_decode(payload, (size_t)rc, ret_wire, e);
	if (rc < 0)
		return rc;
	*ret_len = len;
	return CHANNEL_FRAME;
}

bool channel_room(const struct channel *c)
{
	return buf_len(&c->out) < OUT_HIGH;
}

void channel_send(struct channel *c, const struct wire *w)
{
	ASSERT(channel_room(c));
	/* It fits; only memory can be wanting, and then the daemon sees a gap in a conversation
	 * that is not worth more than the guest. */
	if (wire_encode(w, &c->out) < 0)
		(void)fprintf(stderr, "banger-agent: no memory for a frame\n");
}

void channel_greet(struct channel *c, uint64_t session)
{
	struct wire hello = { .type = WIRE_HELLO,
			      .name = AGENT_NAME,
			      .version = WIRE_VERSION,
			      .version_min = WIRE_VERSION_MIN,
			      .frame_max = GUEST_REQUEST_MAX,
			      .session = session };

	buf_clear(&c->out); /* the rest of an older conversation */
	if (buf_append(&c->out, GUEST_SYNC, GUEST_SYNC_BYTES) == 0)
		channel_send(c, &hello);
}
