#include "net/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

enum {
	WAIT_MS = 60000, /* at most, for nothing in particular */
};

static void place_keep(struct net *n)
{
	n->kept_fd = n->listen_fd < 0 ? -EBADF : fcntl(n->listen_fd, F_DUPFD_CLOEXEC, 0);
}

static void place_give(struct net *n)
{
	if (n->kept_fd >= 0)
		IGNORE(close(take_fd(&n->kept_fd)) < 0);
}

int net_init(struct net *n, int fd, int listen_fd, bool host_loopback, struct err *e)
{
	stream_init(&n->wire);
	stream_reset(&n->wire, fd);
	n->listen_fd = listen_fd;
	place_keep(n);
	return stack_init(&n->stack, &n->wire, host_loopback, e);
}

void net_fini(struct net *n)
{
	if (n->listen_fd >= 0 && n->wire.fd >= 0)
		IGNORE(close(n->wire.fd) < 0);
	stream_reset(&n->wire, -EBADF);
	stack_fini(&n->stack);
	place_give(n);
}

/* The guest's side has hung up, or sent what is no frame: 0, the next one may come. */
static int wire_ended(struct net *n, int why)
{
	if (n->listen_fd < 0)
		return why;
	IGNORE(close(n->wire.fd) < 0);
	stream_reset(&n->wire, -EBADF);
	place_keep(n);
	return 0;
}

static void wire_accept(struct net *n)
{
	place_give(n);
	const int fd = accept4(n->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		stream_reset(&n->wire, fd);
	else
		place_keep(n);
}

static int wire_turn(struct net *n, short came)
{
	int rc = 0;

	if (n->wire.fd < 0) {
		if (came)
			wire_accept(n);
		return 0;
	}
	if ((came & (POLLIN | POLLHUP | POLLERR)) != 0)
		rc = stream_read(&n->wire, stack_take, &n->stack);
	if (rc == 0)
		rc = stream_write(&n->wire);
	return rc < 0 ? wire_ended(n, rc) : 0;
}

/* A guest that does not read has what it asked for wait in the host's sockets. */
static bool guest_lags(const struct net *n)
{
	return buf_len(&n->wire.out) > NET_OUT_HIGH_BYTES;
}

int net_turn(struct net *n)
{
	struct stack *s = &n->stack;
	struct pollfd *wire = &s->fds[0];
	const bool lags = guest_lags(n);
	uint32_t wait_ms = WAIT_MS;

	*wire = (struct pollfd){ n->wire.fd < 0 ? n->listen_fd : n->wire.fd, POLLIN, 0 };
	if (buf_len(&n->wire.out) > 0)
		wire->events |= POLLOUT;
	stack_rest(s);
	if (!lags)
		stack_wait(s, &wait_ms);
	const int got = poll(s->fds, s->nfds, (int)wait_ms);
	if (got < 0 && errno != EINTR)
		return -errno;
	if (!lags)
		stack_turn(s, got < 0);
	return got < 0 ? 0 : wire_turn(n, wire->revents);
}
