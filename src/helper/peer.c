/* peer.c
 *
 * #syscalls(supervisor) accept4 getsockopt recvfrom sendto sendmsg close
 */
#include "helper/peer.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/log.h"

static const struct log_ctx log_ctx = { .actor = "helper" };

/* ---- slots ---- */

const uint8_t *slot_payload(const struct slot *s)
{
	return s->bytes + FRAME_HEAD;
}

size_t slot_payload_len(const struct slot *s)
{
	return s->len - FRAME_HEAD;
}

static struct slot *slot_take(struct peer *p)
{
	struct list_node *const n = list_pop(&p->free);
	struct slot *s;

	if (!n)
		return NULL;
	s = list_entry(n, struct slot, link);
	s->op_id = (struct op_id){ { 0 } };
	s->id = 0;
	s->at = 0;
	s->len = 0;
	s->nfds = 0;
	p->busy++;
	return s;
}

void slot_free(struct slot *s)
{
	struct peer *const p = s->peer;

	ASSERT(p->busy > 0);
	list_remove(&s->link);
	for (uint32_t i = 0; i < s->nfds; i++)
		close_fd(&s->fds[i]);
	s->nfds = 0;
	p->busy--;
	list_append(&p->free, &s->link);
}

void slot_reply(struct slot *s)
{
	struct peer *const p = s->peer;

	list_remove(&s->link);
	if (p->fd < 0) {
		slot_free(s);
		return;
	}
	s->at = 0;
	list_append(&p->replies, &s->link);
	peer_write(p);
}

static void slot_encode(struct slot *s, const struct wire *w)
{
	struct buf b;

	buf_init_fixed(&b, s->bytes, sizeof(s->bytes));
	const int rc = wire_encode(w, &b);
	ASSERT(rc == 0); /* small, and made by us */
	s->len = buf_len(&b);
}

void slot_refuse(struct slot *s, const struct err *e)
{
	struct wire w = { .type = WIRE_REPLY, .id = s->id, .op_id = s->op_id };

	wire_error_set(&w, e, "");
	slot_encode(s, &w);
	slot_reply(s);
}

/* ---- a connection's life ---- */

void peers_init(struct peers *ps)
{
	for (int i = 0; i < PEERS_MAX; i++) {
		struct peer *const p = &ps->all[i];

		p->fd = -EBADF;
		list_init(&p->free);
		list_init(&p->replies);
		for (int k = 0; k < PEER_SLOTS; k++) {
			p->slots[k].peer = p;
			list_append(&p->free, &p->slots[k].link);
		}
	}
}

void peers_close(struct peers *ps)
{
	for (int i = 0; i < PEERS_MAX; i++)
		peer_hangup(&ps->all[i]);
}

void peer_hangup(struct peer *p)
{
	struct list_node *n;

	close_fd(&p->fd);
	while ((n = list_first(&p->replies)) != NULL)
		slot_free(list_entry(n, struct slot, link));
	if (p->reading)
		slot_free(p->reading);
	p->reading = NULL;
}

static void end_if_done(struct peer *p)
{
	if (p->fd >= 0 && p->closing && p->busy == 0)
		peer_hangup(p);
}

void peer_close_when_told(struct peer *p)
{
	p->closing = true;
	if (p->reading)
		slot_free(p->reading);
	p->reading = NULL;
	end_if_done(p);
}

static struct peer *unused_peer(struct peers *ps, const struct ucred *who)
{
	struct peer *found = NULL;
	uint32_t same = 0;

	for (int i = 0; i < PEERS_MAX; i++) {
		struct peer *const p = &ps->all[i];

		if (p->fd < 0 && p->busy == 0)
			found = p;
		if (p->fd >= 0 && p->uid == who->uid)
			same++;
	}
	return who->uid != 0 && same >= PEERS_OWNER_MAX ? NULL : found;
}

/* Somebody who is not to be served learns why, if the socket takes it at once. */
static void turn_away(int fd, const struct ucred *who, const struct err *e)
{
	static uint8_t bytes[WIRE_NAME_MAX * 16];
	struct wire w = { .type = WIRE_REPLY, .id = 0 };
	struct buf b;

	LOG_WARN(&log_ctx, NULL, "peer.refused", K("uid", who->uid), K("pid", who->pid),
		 K("error", e->text));
	wire_error_set(&w, e, "");
	buf_init_fixed(&b, bytes, sizeof(bytes));
	if (wire_encode(&w, &b) == 0)
		IGNORE(send(fd, buf_data(&b), buf_len(&b), MSG_NOSIGNAL | MSG_DONTWAIT));
}

static void greet(struct peer *p)
{
	struct slot *const s = slot_take(p);

	ASSERT(s != NULL);
	slot_encode(s, &(struct wire){ .type = WIRE_HELLO,
				       .name = "bangerd-root " BANGER_VERSION,
				       .version = WIRE_VERSION,
				       .version_min = WIRE_VERSION_MIN,
				       .frame_max = HELPER_FRAME_MAX });
	slot_reply(s);
}

int peers_accept(struct peers *ps, int listener, const struct helper_conf *conf)
{
	CLEANUP_FD int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred who = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(who);
	struct err e = { 0 };
	struct peer *p;

	if (fd < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return -errno;
	if (who.uid != 0 && who.uid != conf->owner) {
		(void)err_set(&e, ERR_HELPER_REFUSED, "uid %u is neither root nor the owner",
			      who.uid);
		turn_away(fd, &who, &e);
		return 0;
	}
	p = unused_peer(ps, &who);
	if (!p) {
		(void)err_set(&e, ERR_BUSY, "too many connections");
		turn_away(fd, &who, &e);
		return 0;
	}
	p->fd = take_fd(&fd);
	p->uid = who.uid;
	p->greeted = false;
	p->closing = false;
	greet(p);
	return 0;
}

short peer_events(const struct peer *p)
{
	int events = 0;

	if (p->fd < 0)
		return 0;
	if (!p->closing && (p->reading || !list_empty(&p->free)))
		events |= POLLIN;
	if (!list_empty(&p->replies))
		events |= POLLOUT;
	return (short)events;
}

/* ---- bytes ---- */

/* Reads up to `want` bytes of the frame in all: 1 when they are there, 0 when more must come. */
static int read_up_to(struct peer *p, struct slot *s, size_t want)
{
	while (s->at < want) {
		const ssize_t n = recv(p->fd, s->bytes + s->at, want - s->at, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0)
			return -EPIPE;
		s->at += (size_t)n;
	}
	return 1;
}

void peer_bad_frame(struct peer *p, struct slot *s, const struct err *e)
{
	LOG_WARN(&log_ctx, NULL, "peer.bad_frame", K("uid", p->uid), K("error", e->text));
	p->reading = NULL;
	s->id = 0;
	slot_refuse(s, e);
	peer_close_when_told(p);
}

struct slot *peer_read(struct peer *p)
{
	struct err e = { 0 };
	struct slot *s;
	int rc;

	if (p->fd < 0 || p->closing)
		return NULL;
	if (!p->reading)
		p->reading = slot_take(p);
	s = p->reading;
	if (!s)
		return NULL;
	rc = read_up_to(p, s, FRAME_HEAD);
	if (rc == 1 && s->len == 0) {
		const int len = frame_length(s->bytes, HELPER_FRAME_MAX, &e);

		if (len < 0) {
			peer_bad_frame(p, s, &e);
			return NULL;
		}
		s->len = FRAME_HEAD + (size_t)len;
	}
	if (rc == 1)
		rc = read_up_to(p, s, s->len);
	if (rc < 0)
		peer_hangup(p);
	if (rc != 1)
		return NULL;
	p->reading = NULL;
	return s;
}

/* The descriptors go with the frame's first byte, and are then the peer's. */
static ssize_t write_some(struct peer *p, struct slot *s)
{
	const struct iovec rest = { s->bytes + s->at, s->len - s->at };
	ssize_t n;

	if (s->at > 0 || s->nfds == 0) {
		n = send(p->fd, rest.iov_base, rest.iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
		return n < 0 ? -errno : n;
	}
	n = link_send(p->fd, &rest, 1, s->fds, s->nfds);
	for (uint32_t i = 0; n > 0 && i < s->nfds; i++)
		close_fd(&s->fds[i]);
	if (n > 0)
		s->nfds = 0;
	return n;
}

void peer_write(struct peer *p)
{
	struct list_node *node;

	while (p->fd >= 0 && (node = list_first(&p->replies)) != NULL) {
		struct slot *const s = list_entry(node, struct slot, link);
		const ssize_t n = write_some(p, s);

		if (n == -EAGAIN)
			return;
		if (n < 0) {
			peer_hangup(p);
			return;
		}
		s->at += (size_t)n;
		if (s->at == s->len)
			slot_free(s);
	}
	end_if_done(p);
}
