#include "net/stack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <slirp/libslirp.h>
#include <time.h>

enum {
	CONFIG_VERSION = 1, /* the first that has disable_host_loopback */
};

/* ---- what the library calls ---- */

static ssize_t send_packet(const void *frame, size_t len, void *arg)
{
	const struct stack *s = arg;

	(void)stream_put(s->wire, frame, len); /* lost: TCP sends it again */
	return (ssize_t)len;
}

/* Nobody reads what a guest is guilty of. */
static void guest_error(const char *text, void *arg)
{
	(void)text;
	(void)arg;
}

static int64_t clock_get_ns(void *arg)
{
	struct timespec t;

	(void)arg;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The only timer is that of IPv6's router advertisements, which nobody gets. */
static void *timer_new(SlirpTimerCb call, void *call_arg, void *arg)
{
	(void)call;
	(void)call_arg;
	return arg;
}

static void timer_free(void *timer, void *arg)
{
	(void)timer;
	(void)arg;
}

static void timer_mod(void *timer, int64_t at_ms, void *arg)
{
	(void)timer;
	(void)at_ms;
	(void)arg;
}

/* All descriptors are asked for before each wait. */
static void fd_noted(int fd, void *arg)
{
	(void)fd;
	(void)arg;
}

static void notify(void *arg)
{
	(void)arg;
}

static const SlirpCb calls = {
	.send_packet = send_packet,
	.guest_error = guest_error,
	.clock_get_ns = clock_get_ns,
	.timer_new = timer_new,
	.timer_free = timer_free,
	.timer_mod = timer_mod,
	.register_poll_fd = fd_noted,
	.unregister_poll_fd = fd_noted,
	.notify = notify,
};

/* ---- it is set up ---- */

static struct in_addr address(uint32_t host_order)
{
	return (struct in_addr){ htonl(host_order) };
}

int stack_init(struct stack *s, struct stream *wire, bool host_loopback, struct err *e)
{
	const SlirpConfig config = {
		.version = CONFIG_VERSION,
		.in_enabled = true,
		.vnetwork = address(NET_NETWORK),
		.vnetmask = address(NET_MASK),
		.vhost = address(NET_GATEWAY),
		.vdhcp_start = address(NET_GUEST),
		.vnameserver = address(NET_DNS),
		.if_mtu = NET_MTU,
		.if_mru = NET_MTU,
		.disable_host_loopback = !host_loopback,
	};

	s->wire = wire;
	s->fence = (struct fence){ NET_GATEWAY, NET_DNS, host_loopback };
	stack_rest(s);
	s->slirp = slirp_new(&config, &calls, s);
	return s->slirp ? 0
			: err_set(e, ERR_NETWORK, "libslirp %s does not start",
				  slirp_version_string());
}

int stack_publish(struct stack *s, struct publish p, struct err *e)
{
	const struct in_addr host = address(INADDR_LOOPBACK), guest = address(NET_GUEST);

	if (slirp_add_hostfwd(s->slirp, false, host, p.host, guest, p.guest) == 0)
		return 0;
	return err_sys(e, errno == EADDRINUSE ? ERR_PORT_BUSY : ERR_NETWORK,
		       "Failed to bind 127.0.0.1:%u", p.host);
}

/* ---- its turns ---- */

void stack_take(void *stack, const uint8_t *frame, size_t len)
{
	struct stack *s = stack;

	if (fence_passes(&s->fence, frame, len))
		slirp_input(s->slirp, frame, (int)len);
}

/* Pairs of the library's words for events and poll(2)'s. */
static const struct {
	int slirp;
	short poll;
} events[] = {
	{ SLIRP_POLL_IN, POLLIN },   { SLIRP_POLL_OUT, POLLOUT }, { SLIRP_POLL_PRI, POLLPRI },
	{ SLIRP_POLL_ERR, POLLERR }, { SLIRP_POLL_HUP, POLLHUP },
};

static int fd_add(int fd, int wanted, void *arg)
{
	struct stack *s = arg;
	struct pollfd *p = &s->fds[s->nfds];

	if (s->nfds == ARRAY_LEN(s->fds))
		return -1; /* no descriptor of ours has such a number */
	*p = (struct pollfd){ .fd = fd };
	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		if ((wanted & events[i].slirp) != 0)
			p->events = (short)(p->events | events[i].poll);
	return (int)s->nfds++;
}

static int fd_came(int index, void *arg)
{
	const struct stack *s = arg;
	int came = 0;

	for (size_t i = 0; index >= 0 && i < ARRAY_LEN(events); i++)
		if ((s->fds[index].revents & events[i].poll) != 0)
			came |= events[i].slirp;
	return came;
}

void stack_rest(struct stack *s)
{
	s->nfds = STACK_FDS_FIRST;
}

void stack_wait(struct stack *s, uint32_t *timeout_ms)
{
	slirp_pollfds_fill(s->slirp, timeout_ms, fd_add, s);
}

void stack_turn(struct stack *s, bool failed)
{
	slirp_pollfds_poll(s->slirp, failed, fd_came, s);
}
