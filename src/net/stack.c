#include "net/stack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <slirp/libslirp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	CONFIG_VERSION = 1, /* the first that has disable_host_loopback */
	CROWD = 16,         /* connections: with fewer there is room for one more, unasked */
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

/* All descriptors are asked for before each wait.  Only how many there are is of use. */
static void fd_noted(int fd, void *arg)
{
	struct stack *s = arg;

	s->nopen += fd >= 0;
}

static void fd_forgotten(int fd, void *arg)
{
	struct stack *s = arg;

	s->nopen -= fd >= 0 && s->nopen > 0;
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
	.unregister_poll_fd = fd_forgotten,
	.notify = notify,
};

/* ---- descriptors ---- */

/* What the next socket will be, or -errno. */
static int fd_next(void)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	IGNORE(close(fd) < 0);
	return fd;
}

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
	s->fence = (struct fence){
		.gateway = NET_GATEWAY,
		.dns = NET_DNS,
		.guest = NET_GUEST,
		.nguests = NET_GUESTS_MAX,
		.host_loopback = host_loopback,
	};
	s->listeners_end = 0;
	s->nopen = 0;
	memset(s->guests, 0, sizeof(s->guests));
	s->is_leased = false;
	stack_rest(s);
	s->slirp = slirp_new(&config, &calls, s);
	return s->slirp ? 0
			: err_set(e, ERR_NETWORK, "libslirp %s does not start",
				  slirp_version_string());
}

void stack_fini(struct stack *s)
{
	slirp_cleanup(s->slirp);
	s->slirp = NULL;
}

int stack_publish(struct stack *s, struct net_publish p, struct err *e)
{
	const struct in_addr host = address(INADDR_LOOPBACK), guest = address(NET_GUEST);

	if (slirp_add_hostfwd(s->slirp, false, host, p.host, guest, p.guest) == 0) {
		s->listeners_end = fd_next();
		return 0;
	}
	return err_sys(e, errno == EADDRINUSE ? ERR_PORT_BUSY : ERR_NETWORK,
		       "Failed to bind 127.0.0.1:%u", p.host);
}

/* ---- its turns ---- */

/* The library keeps what it has for a guest whose Ethernet address it does not know, and asks for
 * that.  One that lets itself be asked has it keep ever more: so it is told by what comes. */
static void neighbour_learn(struct stack *s, const uint8_t *frame)
{
	static const uint8_t head[] = { 0, 1, 8, 0, 6, 4, 0, 2 }; /* a reply: RFC 826 */
	const uint32_t i = fence_source(frame) - s->fence.guest;
	const uint8_t *mac = frame + FENCE_MAC_BYTES;
	uint8_t arp[42] = { [12] = 0x08, [13] = 0x06 };
	uint32_t from;

	if (i >= NET_GUESTS_MAX ||
	    (s->guests[i].known && memcmp(s->guests[i].mac, mac, FENCE_MAC_BYTES) == 0))
		return;
	s->guests[i].known = true;
	from = htonl(s->fence.guest + i);
	memcpy(s->guests[i].mac, mac, FENCE_MAC_BYTES);
	memcpy(arp + 14, head, sizeof(head));
	memcpy(arp + 22, mac, FENCE_MAC_BYTES);
	memcpy(arp + 28, &from, sizeof(from));
	slirp_input(s->slirp, arp, sizeof(arp));
}

/* Where all 16 addresses are leased the library (4.7.0, bootp_reply()) drops the question and keeps
 * the 60 KiB that its answer was to be in, each time.  One Ethernet address always gets one. */
static bool lease_passes(struct stack *s, const uint8_t *frame, size_t len)
{
	const uint8_t *client = fence_lease(frame, len);

	if (!client)
		return true;
	if (!s->is_leased)
		memcpy(s->leased, client, FENCE_MAC_BYTES);
	s->is_leased = true;
	return memcmp(s->leased, client, FENCE_MAC_BYTES) == 0;
}

void stack_take(void *stack, const uint8_t *frame, size_t len)
{
	struct stack *s = stack;

	if (!fence_passes(&s->fence, frame, len) || !lease_passes(s, frame, len))
		return;
	neighbour_learn(s, frame);
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
	if (fd < s->listeners_end && !s->has_room)
		return -1;
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

/* A guest may have used up all descriptors: then whoever comes by a published port waits, or he
 * would be seen coming, and not let in, again and again. */
void stack_wait(struct stack *s, uint32_t *timeout_ms)
{
	s->has_room = s->listeners_end == 0 || s->nopen < CROWD || fd_next() >= 0;
	slirp_pollfds_fill(s->slirp, timeout_ms, fd_add, s);
}

void stack_turn(struct stack *s, bool failed)
{
	slirp_pollfds_poll(s->slirp, failed, fd_came, s);
}
