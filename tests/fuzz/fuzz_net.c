/* fuzz_net.c - a guest that lies to its network: what it writes on its wire, in whatever pieces,
 * through the frames' reader, the fence and libslirp, with a world of pretended sockets behind
 * (net_world.h).
 *
 * An input is a list of acts, a byte each and what that reads.  Some write frames as they are
 * given, some make them fit, as TCP wants it: right sums, numbers that follow on what was heard.
 * Held against: what may be reached; bounds of memory, of descriptors and of the queue; that
 * whole frames come out; and that it comes to rest: a wait that finds something ready again and
 * again, where nobody says anything, is a processor lost.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "net/loop.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/net_world.h"

enum {
	HEAD = 4,
	ETHER = 14,
	IP = 20,
	TCP_HEAD = 20,
	UDP_HEAD = 8,
	BOOTP_HEAD = 240, /* its magic included */
	CONNS = 8,
	PORT_FIRST = 4000,
	PUBLISHED = 80,
	TURNS_MAX = 64,        /* until a write is taken */
	REST_TURNS_MAX = 4000, /* until nothing is ready */
	FLOOD_MAX = 500,
	MEMORY_MAX = 256 << 20, /* bytes that an input may have it keep */
	SYN = 2,
	ACK = 16,
};

/* By gcc's or clang's AddressSanitizer, where there is one. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

/* ---- the input ---- */

struct input {
	const uint8_t *at, *end;
};

static uint32_t take(struct input *in, unsigned bytes)
{
	uint32_t n = 0;

	while (bytes-- > 0)
		n = n << 8 | (in->at < in->end ? *in->at++ : 0);
	return n;
}

static int take_signed(struct input *in)
{
	return (int)(take(in, 1) ^ 0x80) - 0x80;
}

static const uint8_t *take_bytes(struct input *in, size_t *len)
{
	const uint8_t *at = in->at;

	if (*len > (size_t)(in->end - in->at))
		*len = (size_t)(in->end - in->at);
	in->at += *len;
	return at;
}

/* ---- the guest ---- */

struct conn {
	uint32_t seq, heard;      /* the next of ours, and of theirs */
	uint16_t port, ours_port; /* published ports have theirs from the first SYN */
};

struct guest {
	struct net net;
	struct sockaddr_un name;
	socklen_t name_len;
	int fd; /* its end of the wire */
	bool deaf;
	struct buf heard;
	struct conn conns[CONNS];
	size_t memory_first;
};

static struct guest g; /* large, and there is one */

static void put(uint8_t *at, uint32_t n, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (uint8_t)(n >> 8 * (bytes - 1 - i));
}

static uint32_t get(const uint8_t *at, unsigned bytes)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < bytes; i++)
		n = n << 8 | at[i];
	return n;
}

/* Those who came before and have left again are let in first. */
static void dial(void)
{
	int turns = 0;

	g.fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ASSERT(g.fd >= 0);
	while (syscall(SYS_connect, g.fd, &g.name, g.name_len) < 0) {
		ASSERT(errno == EAGAIN && turns++ < TURNS_MAX);
		ASSERT(net_turn(&g.net) == 0);
	}
}

/* What TCP says to a connection of ours, or a published port's. */
static void hear_tcp(const uint8_t *tcp, size_t len, size_t bytes)
{
	if (len < TCP_HEAD)
		return;
	const unsigned port = get(tcp + 2, 2);
	struct conn *c = port == PUBLISHED ? &g.conns[0] : &g.conns[(port - PORT_FIRST) % CONNS];

	if (port == PUBLISHED && (tcp[13] & (SYN | ACK)) == SYN) {
		c->ours_port = PUBLISHED;
		c->port = (uint16_t)get(tcp, 2);
	}
	c->heard = get(tcp + 4, 4) + (uint32_t)bytes + ((tcp[13] & 3) != 0);
	if ((tcp[13] & ACK) != 0)
		c->seq = get(tcp + 8, 4);
}

static void hear_frame(const uint8_t *f, size_t len)
{
	ASSERT(len >= ETHER && len <= NET_FRAME_MAX);
	if (get(f + 12, 2) != 0x0800 || len < ETHER + IP)
		return;
	const size_t head = (size_t)(f[ETHER] & 15) * 4, whole = get(f + ETHER + 2, 2);

	ASSERT(f[ETHER] >> 4 == 4 && head >= IP && whole >= head && whole <= len - ETHER);
	if (f[ETHER + 9] == 6 && whole >= head + TCP_HEAD) {
		const uint8_t *tcp = f + ETHER + head;
		const size_t tcp_head = (size_t)(tcp[12] >> 4) * 4;

		if (tcp_head <= whole - head)
			hear_tcp(tcp, whole - head, whole - head - tcp_head);
	}
}

static void hear(void)
{
	uint8_t *at;

	for (;;) {
		ASSERT(buf_reserve(&g.heard, 65536, &at) == 0);
		const ssize_t n = syscall(SYS_recvfrom, g.fd, at, 65536, MSG_DONTWAIT, NULL, NULL);

		if (n <= 0)
			return;
		buf_commit(&g.heard, (size_t)n);
		while (buf_len(&g.heard) >= HEAD) {
			const size_t len = get(buf_data(&g.heard), HEAD);

			ASSERT(len > 0 && len <= NET_FRAME_MAX);
			if (buf_len(&g.heard) < HEAD + len)
				break;
			hear_frame(buf_data(&g.heard) + HEAD, len);
			buf_consume(&g.heard, HEAD + len);
		}
	}
}

static void one_turn(void)
{
	const int rc = net_turn(&g.net);

	ASSERT(rc == 0); /* it listens: no guest ends it */
	ASSERT(buf_len(&g.net.wire.out) <= NET_OUT_BYTES);
	ASSERT(g.net.stack.nfds <= WORLD_SOCKETS_MAX + STACK_FDS_FIRST);
	if (__sanitizer_get_current_allocated_bytes)
		ASSERT(__sanitizer_get_current_allocated_bytes() < g.memory_first + MEMORY_MAX);
	if (!g.deaf)
		hear();
}

static void hang_up(void)
{
	(void)syscall(SYS_close, g.fd);
	buf_consume(&g.heard, buf_len(&g.heard));
	for (int i = 0; i < TURNS_MAX && g.net.wire.fd >= 0; i++)
		IGNORE(net_turn(&g.net) < 0);
	ASSERT(g.net.wire.fd < 0);
	dial();
}

/* As one cut; who sent what is no frame is hung up on, and comes again. */
static void say(const uint8_t *data, size_t len)
{
	for (int i = 0; i < TURNS_MAX; i++) {
		const ssize_t n = syscall(SYS_sendto, g.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL,
					  NULL, 0);

		if (n < 0 && errno != EAGAIN) {
			hang_up();
			return;
		}
		data += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
		if (len == 0)
			break;
		one_turn();
	}
	one_turn();
}

static uint32_t sum(const uint8_t *at, size_t len, uint32_t n)
{
	for (size_t i = 0; i < len; i++)
		n += (uint32_t)at[i] << (i % 2 ? 0 : 8);
	while (n >> 16)
		n = (n & 0xffff) + (n >> 16);
	return n;
}

/* Right sums and lengths for whatever is in it. */
static void frame_mend(uint8_t *f, size_t len)
{
	uint8_t *ip = f + ETHER;

	if (len < ETHER + IP || get(f + 12, 2) != 0x0800)
		return;
	const size_t head = (size_t)(ip[0] & 15) * 4;
	uint8_t *l4 = ip + head;

	if (head < IP || head + ETHER > len)
		return;
	len -= ETHER + head;
	put(ip + 10, 0, 2);
	put(ip + 10, ~sum(ip, head, 0), 2);
	const unsigned at = ip[9] == 6 ? 16 : ip[9] == 17 ? 6 : 2;

	if (len < at + 2)
		return;
	put(l4 + at, 0, 2);
	put(l4 + at, ~sum(l4, len, ip[9] == 1 ? 0 : sum(ip + 12, 8, ip[9] + (uint32_t)len)), 2);
}

static void frame_say(uint8_t *f, size_t len)
{
	static uint8_t wire[HEAD + NET_FRAME_MAX];

	put(wire, (uint32_t)len, HEAD);
	memcpy(wire + HEAD, f, len);
	say(wire, HEAD + len);
}

static const uint32_t places[] = {
	0xc0000202, 0x0a000202, 0x0a000203, 0x7f000001, 0,          0xa9fea9fe, 0xffffffff,
	0x0a0002ff, 0xe0000001, 0x7f000035, 0xc0000203, 0x0a00020f, 0xac100001, 0x08080808,
};
static const uint16_t ports[] = { 80, 53, 67, 69, 7, 22, 21, 6667, 113, 513 };

/* Ethernet and IPv4 to a place, with so many bytes behind; returns where they go. */
static uint8_t *ip_make(uint8_t *f, uint8_t protocol, uint32_t place, uint32_t from, size_t len)
{
	uint8_t *ip = f + ETHER;

	put(f, 0x52550a00, 4);
	put(f + 4, 0x0202, 2);
	put(f + 6, 0x52540012, 4);
	put(f + 10, from, 2);
	put(f + 12, 0x0800, 2);
	memset(ip, 0, IP);
	ip[0] = 0x45;
	put(ip + 2, (uint32_t)(IP + len), 2);
	ip[8] = 64;
	ip[9] = protocol;
	put(ip + 12, NET_GUEST + from, 4);
	put(ip + 16, places[place % ARRAY_LEN(places)], 4);
	return ip + IP;
}

/* ---- acts ---- */

static uint8_t frame[NET_FRAME_MAX];

static void say_raw(struct input *in)
{
	size_t len = take(in, 2);
	const uint8_t *data = take_bytes(in, &len);

	say(data, len);
}

static void say_frame(struct input *in, bool mended)
{
	size_t len = take(in, 2);
	const uint8_t *data = take_bytes(in, &len);

	if (len == 0)
		return;
	memcpy(frame, data, len);
	if (mended)
		frame_mend(frame, len);
	frame_say(frame, len);
}

static void act_frame(struct input *in)
{
	say_frame(in, false);
}

static void act_mended(struct input *in)
{
	say_frame(in, true);
}

/* A head alone: the frame is as long as that says, or never comes. */
static void act_head(struct input *in)
{
	uint8_t head[HEAD];

	put(head, take(in, 4), HEAD);
	say(head, sizeof(head));
}

static void act_tcp(struct input *in)
{
	const uint32_t which = take(in, 1), flags = take(in, 1), place = take(in, 1);
	struct conn *c = &g.conns[which % CONNS];
	const int seq = take_signed(in), ack = take_signed(in);
	const uint32_t window = take(in, 2), len = take(in, 1) * (which & 8 ? 255 : 1);
	const uint32_t options = take(in, 1) % 11 * 4, urgent = (flags & 32) ? take(in, 2) : 0;
	const size_t head = TCP_HEAD + options;
	uint8_t *tcp = ip_make(frame, 6, place, 0, head + len);

	memset(tcp, (int)which, head + len);
	put(tcp, c->ours_port, 2);
	put(tcp + 2, (which & 16) ? c->port : ports[place % ARRAY_LEN(ports)], 2);
	put(tcp + 4, c->seq + (uint32_t)(seq * (which & 32 ? 257 : 1)), 4);
	put(tcp + 8, c->heard + (uint32_t)(ack * (which & 32 ? 257 : 1)), 4);
	tcp[12] = (uint8_t)(head / 4 << 4);
	tcp[13] = (uint8_t)flags;
	put(tcp + 14, window, 2);
	put(tcp + 18, urgent, 2);
	for (uint32_t i = 0; i < options; i++)
		tcp[TCP_HEAD + i] = (uint8_t)take(in, 1);
	frame_mend(frame, ETHER + IP + head + len);
	frame_say(frame, ETHER + IP + head + len);
	c->seq += seq == 0 ? len + ((flags & 3) != 0) : 0;
}

static void act_udp(struct input *in)
{
	const uint32_t from = take(in, 1), place = take(in, 1), port = take(in, 1);
	uint32_t len = take(in, 2);
	uint8_t *udp;

	len = len > 60000 ? 60000 : len;
	udp = ip_make(frame, 17, place, from & 31, UDP_HEAD + len);
	memset(udp, 0, UDP_HEAD + len);
	put(udp, PORT_FIRST + from, 2);
	put(udp + 2, ports[port % ARRAY_LEN(ports)], 2);
	put(udp + 4, UDP_HEAD + len, 2);
	frame_mend(frame, ETHER + IP + UDP_HEAD + len);
	frame_say(frame, ETHER + IP + UDP_HEAD + len);
}

static void act_icmp(struct input *in)
{
	const uint32_t type = take(in, 1), place = take(in, 1), ttl = take(in, 1),
		       len = take(in, 1);
	uint8_t *icmp = ip_make(frame, 1, place, 0, 8 + len);

	memset(icmp, 0, 8 + len);
	icmp[0] = (uint8_t)type;
	frame[ETHER + 8] = (uint8_t)ttl;
	frame_mend(frame, ETHER + IP + 8 + len);
	frame_say(frame, ETHER + IP + 8 + len);
}

static void act_arp(struct input *in)
{
	static const uint8_t head[] = { 0, 1, 8, 0, 6, 4, 0 };
	const uint32_t op = take(in, 1), sender = take(in, 1), target = take(in, 1);

	memset(frame, 0xff, 6);
	put(frame + 6, 0x52540012, 4);
	put(frame + 10, sender, 2);
	put(frame + 12, 0x0806, 2);
	memcpy(frame + 14, head, sizeof(head));
	frame[21] = (uint8_t)op;
	memcpy(frame + 22, frame + 6, 6);
	put(frame + 28, sender < 32 ? NET_GUEST + sender : places[sender % ARRAY_LEN(places)], 4);
	put(frame + 38, places[target % ARRAY_LEN(places)], 4);
	frame_say(frame, 42);
}

static void act_dhcp(struct input *in)
{
	const uint32_t mac = take(in, 1), broadcast = take(in, 1);
	size_t len = take(in, 1);
	const uint8_t *options = take_bytes(in, &len);
	const size_t whole = UDP_HEAD + BOOTP_HEAD + len;
	uint8_t *udp = ip_make(frame, 17, broadcast ? 6 : 1, 0, whole);
	uint8_t *bootp = udp + UDP_HEAD;

	if (broadcast)
		put(frame + ETHER + 12, 0, 4);
	memset(udp, 0, whole);
	put(udp, 68, 2);
	put(udp + 2, 67, 2);
	put(udp + 4, (uint32_t)whole, 2);
	put(bootp, 0x01010600, 4);
	put(bootp + 28, 0x52540012, 4);
	put(bootp + 32, mac, 2);
	put(bootp + 236, 0x63825363, 4);
	memcpy(bootp + BOOTP_HEAD, options, len);
	frame_mend(frame, ETHER + IP + whole);
	frame_say(frame, ETHER + IP + whole);
}

/* So many of one kind, each from another port. */
static void act_flood(struct input *in)
{
	const uint32_t protocol = take(in, 1), place = take(in, 1), n = take(in, 2) % FLOOD_MAX;
	const bool tcp = protocol % 3 == 0, udp = protocol % 3 == 1;
	const size_t len = tcp ? TCP_HEAD : UDP_HEAD;

	for (uint32_t i = 0; i < n; i++) {
		uint8_t *l4 = ip_make(frame, tcp ? 6 : udp ? 17 : 1, place, 0, len);

		memset(l4, 0, len);
		if (tcp || udp)
			put(l4, 10000 + i, 2);
		else
			put(l4, 0x0800, 2);
		if (tcp || udp)
			put(l4 + 2, 80, 2);
		if (udp)
			put(l4 + 4, UDP_HEAD, 2);
		if (tcp)
			put(l4 + 12, 0x5002, 2);
		if (!tcp && !udp)
			put(l4 + 4, i, 2);
		frame_mend(frame, ETHER + IP + len);
		frame_say(frame, ETHER + IP + len);
	}
}

static void act_world(struct input *in)
{
	const uint32_t what = take(in, 1) % WORLD_NEVENTS, which = take(in, 1), bytes = take(in, 2);

	world_event((enum world_event)what, which, bytes);
	one_turn();
}

static void act_time(struct input *in)
{
	world_pass(take(in, 2) * 8);
	one_turn();
}

static void act_deaf(struct input *in)
{
	g.deaf = take(in, 1) & 1;
}

static void act_hang_up(struct input *in)
{
	(void)in;
	hang_up();
}

static void act_fault(struct input *in)
{
	static const int errors[] = { EMFILE, ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EAGAIN,
				      EINTR,  ECONNRESET,   EPIPE,        ENOBUFS,     EPERM };
	const uint32_t which = take(in, 1);

	world_fault(errors[which % ARRAY_LEN(errors)], 1 + which / 16);
}

static void act_turns(struct input *in)
{
	for (uint32_t n = 1 + take(in, 1) % TURNS_MAX; n > 0; n--)
		one_turn();
}

static void (*const acts[])(struct input *in) = {
	say_raw,  act_frame, act_mended, act_head, act_tcp,  act_udp,     act_icmp,  act_arp,
	act_dhcp, act_flood, act_world,  act_time, act_deaf, act_hang_up, act_fault, act_turns,
};

/* ---- a life ---- */

static void begin(bool host_loopback, unsigned sockets)
{
	struct sockaddr_un any = { .sun_family = AF_UNIX };
	struct err e = { 0 };
	const int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	/* A name that the kernel chooses, of no file. */
	ASSERT(listening >= 0 &&
	       bind(listening, (struct sockaddr *)&any, sizeof(sa_family_t)) == 0);
	ASSERT(listen(listening, 4) == 0);
	g.name_len = sizeof(g.name);
	ASSERT(getsockname(listening, (struct sockaddr *)&g.name, &g.name_len) == 0);
	buf_init(&g.heard, 2 * NET_FRAME_MAX + 65536);
	for (unsigned i = 0; i < CONNS; i++)
		g.conns[i] = (struct conn){ .seq = i << 28,
					    .ours_port = (uint16_t)(PORT_FIRST + i) };
	g.deaf = false;
	if (__sanitizer_get_current_allocated_bytes)
		g.memory_first = __sanitizer_get_current_allocated_bytes();
	world_begin(host_loopback, sockets);
	ASSERT(net_init(&g.net, -EBADF, listening, host_loopback, &e) == 0);
	ASSERT(stack_publish(&g.net.stack, (struct net_publish){ 8080, PUBLISHED }, &e) == 0);
	dial();
	one_turn();
}

/* Nobody says anything more, and everything that is for the guest is heard. */
static void rest(void)
{
	int turns = 0;

	g.deaf = false;
	do {
		one_turn();
		turns++;
	} while ((world_was_ready() || buf_len(&g.net.wire.out) > 0) && turns < REST_TURNS_MAX);
	ASSERT(turns < REST_TURNS_MAX);
}

static void end(void)
{
	const int listening = g.net.listen_fd;

	(void)syscall(SYS_close, g.fd);
	net_fini(&g.net);
	world_end();
	(void)close(listening);
	buf_fini(&g.heard);
}

static void live(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	const uint32_t how = take(&in, 1);

	begin(how & 1, 24 + (how >> 1) * 4);
	while (in.at < in.end)
		acts[take(&in, 1) % ARRAY_LEN(acts)](&in);
	rest();
	end();
}

/* That what libslirp calls is ours: else nothing is held against anything, and leaves the process.
 */
static void prove(void)
{
	static const uint8_t dials[] = { 255, 4, 0, SYN };
	static bool proved;
	const unsigned long before = world_reached();

	if (proved)
		return;
	(void)signal(SIGPIPE, SIG_IGN);
	live(dials, sizeof(dials));
	ASSERT(world_reached() > before);
	proved = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	prove();
	live(data, size);
	return 0;
}
