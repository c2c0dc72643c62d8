#include "guest/agent/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "guest/agent/limits.h"
#include "guest/agent/vsock.h"
#include "proto/guest.h"

enum {
	HEAD = 4, /* bytes of a frame's length */
};

/* Bytes on their way in one direction; what is taken is taken off the front. */
struct queue {
	uint8_t bytes[NET_QUEUE_BYTES];
	size_t from, to;
};

struct net {
	int tap;
	int sock;         /* -EBADF: none */
	bool dialing;     /* connect(2) is under way */
	struct queue out; /* to the host: frames with their heads */
	struct queue in;  /* from the host: the same, the last one perhaps not whole */
};

static size_t queue_len(const struct queue *q)
{
	return q->to - q->from;
}

/* Moves what is there to the front, where it leaves less than `want` behind it. */
static size_t queue_room(struct queue *q, size_t want)
{
	if (q->from == q->to) {
		q->from = q->to = 0;
	} else if (sizeof(q->bytes) - q->to < want) {
		memmove(q->bytes, q->bytes + q->from, queue_len(q));
		q->to -= q->from;
		q->from = 0;
	}
	return sizeof(q->bytes) - q->to;
}

/* ---- the tap ---- */

static int tap_open(const char *name, struct err *e)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	CLEANUP_FD int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, ERR_GUEST_BOOT, "network: /dev/net/tun");
	(void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &r) < 0)
		return err_sys(e, ERR_GUEST_BOOT, "network: TUNSETIFF %s", name);
	return take_fd(&fd);
}

/* As many frames as are there and find room: what does not waits in the tap, which drops what is
 * too much. */
static void tap_read(struct net *n)
{
	while (queue_room(&n->out, HEAD + NET_FRAME_MAX) >= HEAD + NET_FRAME_MAX) {
		uint8_t *at = n->out.bytes + n->out.to;
		const ssize_t len = read(n->tap, at + HEAD, NET_FRAME_MAX);

		if (len <= 0)
			return;
		const uint32_t head = htonl((uint32_t)len);

		memcpy(at, &head, HEAD);
		n->out.to += HEAD + (size_t)len;
	}
}

/* Hands over each frame that is whole.  -EPROTO: a length that none has. */
static int tap_write(struct net *n)
{
	struct queue *q = &n->in;

	while (queue_len(q) >= HEAD) {
		uint32_t len;

		memcpy(&len, q->bytes + q->from, HEAD);
		len = ntohl(len);
		if (len == 0 || len > NET_FRAME_MAX)
			return -EPROTO;
		if (queue_len(q) < HEAD + len)
			break;
		/* One that the tap does not take is lost, as on any wire. */
		IGNORE(write(n->tap, q->bytes + q->from + HEAD, len) < 0);
		q->from += HEAD + len;
	}
	return 0;
}

/* ---- the way to the host ---- */

static void sock_close(struct net *n)
{
	close_fd(&n->sock);
	n->dialing = false;
	n->in.from = n->in.to = 0;
	n->out.from = n->out.to = 0; /* the rest of a frame is of no use to the next one */
}

static int sock_write(struct net *n)
{
	struct queue *q = &n->out;

	while (queue_len(q) > 0) {
		const ssize_t len = write(n->sock, q->bytes + q->from, queue_len(q));

		if (len < 0)
			return errno == EAGAIN ? 0 : errno == EINTR ? 0 : -errno;
		q->from += (size_t)len;
	}
	return 0;
}

static int sock_read(struct net *n)
{
	struct queue *q = &n->in;
	const size_t room = queue_room(q, sizeof(q->bytes) / 2);

	ASSERT(room > 0); /* a frame that fills the queue is refused by its length */
	const ssize_t len = read(n->sock, q->bytes + q->to, room);

	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (len == 0)
		return -EPIPE;
	q->to += (size_t)len;
	return tap_write(n);
}

static int sock_dialed(struct net *n)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(n->sock, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	n->dialing = false;
	return -error;
}

/* ---- the loop ---- */

/* Something happens on the tap or the socket; -errno: the socket is of no use any more. */
static int turn(struct net *n)
{
	struct pollfd fds[] = { { .fd = n->sock }, { .fd = n->tap } };
	int rc = 0;

	fds[0].events = n->dialing || queue_len(&n->out) > 0 ? POLLOUT | POLLIN : POLLIN;
	if (!n->dialing && queue_room(&n->out, HEAD + NET_FRAME_MAX) >= HEAD + NET_FRAME_MAX)
		fds[1].events = POLLIN;
	if (poll(fds, ARRAY_LEN(fds), -1) < 0)
		return errno == EINTR ? 0 : -errno;
	if (n->dialing)
		return fds[0].revents ? sock_dialed(n) : 0;
	if (fds[1].revents & POLLIN)
		tap_read(n);
	if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
		rc = sock_read(n);
	return rc < 0 ? rc : sock_write(n);
}

static int dial(struct net *n, struct err *e)
{
	bool done = false;
	const int fd = vsock_connect(GUEST_VSOCK_HOST, GUEST_VSOCK_NET_PORT, &done, e);

	if (fd < 0)
		return fd;
	n->sock = fd;
	n->dialing = !done;
	return 0;
}

int net_run(const char *tap, int sock_fd, struct err *e)
{
	static struct net n; /* large, and there is one */
	int rc = 0;

	n.sock = sock_fd;
	n.tap = tap_open(tap, e);
	if (n.tap < 0)
		return n.tap;
	for (;;) {
		if (n.sock < 0)
			rc = dial(&n, e);
		while (rc == 0)
			rc = turn(&n);
		sock_close(&n);
		if (sock_fd >= 0)
			return 0;
		rc = 0;
		(void)poll(NULL, 0, NET_REDIAL_MS);
	}
}
