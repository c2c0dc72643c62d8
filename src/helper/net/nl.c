/* nl.c
 *
 * #syscalls sendto recvfrom
 */
#include "helper/net/nl.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "helper/fault.h"

int nl_open(struct nl *nl, int protocol, struct err *e)
{
	const struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	const int on = 1;
	CLEANUP_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	nl->fd = -EBADF;
	if (fd < 0)
		return err_sys(e, ERR_NET_FAILED, "netlink %d: socket", protocol);
	if (setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on)) < 0)
		return err_sys(e, ERR_NET_FAILED, "netlink %d: setsockopt", protocol);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return err_sys(e, ERR_NET_FAILED, "netlink %d: bind", protocol);
	nl->fd = take_fd(&fd);
	return 0;
}

void nl_begin(struct nl *nl)
{
	nl->n = 0;
	nl->acks = 0;
	nl->used = 0;
	nl->first = nl->seq + 1;
	nl->last = NULL;
}

/* The last message has grown since it was begun. */
static void close_last(struct nl *nl)
{
	if (nl->last)
		nl->used += NLMSG_ALIGN(nl->last->nlmsg_len);
	nl->last = NULL;
	ASSERT(nl->used <= sizeof(nl->out));
}

struct nlmsghdr *nl_bracket(struct nl *nl, uint16_t type, const char *what)
{
	close_last(nl);
	ASSERT(nl->n < NL_BATCH_MAX);
	ASSERT(sizeof(nl->out) - nl->used >= NL_MSG_ROOM);
	struct nlmsghdr *const m = mnl_nlmsg_put_header(nl->out.bytes + nl->used);
	m->nlmsg_type = type;
	m->nlmsg_flags = NLM_F_REQUEST;
	m->nlmsg_seq = ++nl->seq;
	nl->what[nl->n++] = what;
	nl->last = m;
	return m;
}

struct nlmsghdr *nl_msg(struct nl *nl, uint16_t type, uint16_t flags, const char *what)
{
	struct nlmsghdr *const m = nl_bracket(nl, type, what);

	m->nlmsg_flags = (uint16_t)(m->nlmsg_flags | NLM_F_ACK | flags);
	nl->acks++;
	return m;
}

/* ---- answers ---- */

/* What was asked before and not read to its end must not be taken for an answer to this. */
static void forget(struct nl *nl)
{
	while (recv(nl->fd, nl->in.bytes, sizeof(nl->in), MSG_DONTWAIT) >= 0 || errno == ENOBUFS) {
	}
}

static int send_all(struct nl *nl)
{
	ssize_t n;

	close_last(nl);
	forget(nl);
	do
		n = send(nl->fd, nl->out.bytes, nl->used, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static ssize_t receive(struct nl *nl)
{
	ssize_t n;

	do
		n = recv(nl->fd, nl->in.bytes, sizeof(nl->in), MSG_TRUNC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n > sizeof(nl->in) ? -EMSGSIZE : n;
}

static int error_of(const struct nlmsghdr *m)
{
	int error;

	if (m->nlmsg_len < mnl_nlmsg_size(sizeof(error)))
		return -EPROTO;
	memcpy(&error, mnl_nlmsg_get_payload(m), sizeof(error));
	return error;
}

/* Counts acknowledgements; remembers the first failure, in the order of the messages. */
struct acks {
	uint32_t got;
	uint32_t failed; /* index of the message */
	int rc;
};

static void take_acks(const struct nl *nl, ssize_t len, struct acks *a)
{
	int left = (int)len;

	for (const struct nlmsghdr *m = &nl->in.head; mnl_nlmsg_ok(m, left);
	     m = mnl_nlmsg_next(m, &left)) {
		const uint32_t i = m->nlmsg_seq - nl->first;

		if (m->nlmsg_type != NLMSG_ERROR || i >= nl->n)
			continue;
		const int rc = error_of(m);
		if (rc < 0 && (a->rc == 0 || i < a->failed)) {
			a->rc = rc;
			a->failed = i;
		}
		a->got++;
	}
}

int nl_run(struct nl *nl, const char *subject, struct err *e)
{
	struct acks a = { .got = 0 };
	int rc = fault_point(nl->what[0], e);

	if (rc < 0)
		return rc;
	rc = send_all(nl);
	if (rc < 0)
		return err_num(e, ERR_NET_FAILED, rc, "%s: %s", subject, nl->what[0]);
	while (a.got < nl->acks) {
		const ssize_t n = receive(nl);

		/* A batch of nftables that fails as a whole is answered once, for its first
		 * message. */
		if (n == -EAGAIN && a.rc < 0)
			break;
		if (n < 0)
			return err_num(e, ERR_NET_FAILED, (int)n, "%s: %s", subject, nl->what[0]);
		take_acks(nl, n, &a);
	}
	if (a.rc < 0)
		return err_num(e, ERR_NET_FAILED, a.rc, "%s: %s", subject, nl->what[a.failed]);
	return fault_point(nl->what[nl->n - 1], e);
}

/* 1: there is more to come; 0: that was all. */
static int hand_over(const struct nl *nl, ssize_t len, nl_each *each, void *arg)
{
	int left = (int)len;

	for (const struct nlmsghdr *m = &nl->in.head; mnl_nlmsg_ok(m, left);
	     m = mnl_nlmsg_next(m, &left)) {
		int rc;

		if (m->nlmsg_seq != nl->first)
			continue;
		if (m->nlmsg_type == NLMSG_DONE || m->nlmsg_type == NLMSG_ERROR)
			return error_of(m); /* both begin with it; 0 is the good end */
		rc = each(m, arg);
		if (rc < 0)
			return rc;
	}
	return 1;
}

int nl_ask(struct nl *nl, nl_each *each, void *arg)
{
	int rc;

	ASSERT(nl->n == 1);
	rc = send_all(nl);
	if (rc < 0)
		return rc;
	do {
		const ssize_t n = receive(nl);

		if (n < 0)
			return (int)n;
		rc = hand_over(nl, n, each, arg);
	} while (rc == 1);
	return rc;
}
