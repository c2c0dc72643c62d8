/* test_net.c - what banger-net lets out of a guest, and how frames travel. */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/fence.h"
#include "net/limits.h"
#include "net/stream.h"

#define GATEWAY   0x0a000202
#define DNS       0x0a000203
#define GUEST     0x0a00020f
#define GUESTS    16
#define WORLD     0xc0000202
#define BROADCAST 0xffffffff

enum {
	ICMP = 1,
	TCP = 6,
	UDP = 17,
	SYN = 0x02,
	ACK = 0x10,
	HEAD = 14,
	IP = 20,
};

struct row {
	const char *what;
	uint32_t to;
	uint8_t protocol;
	uint16_t port;
	uint8_t flags; /* TCP's */
	uint16_t fragment;
	bool passes;
	bool passes_with_loopback;
};

static struct fence fence_of(bool loopback)
{
	return (struct fence){
		.gateway = GATEWAY,
		.dns = DNS,
		.guest = GUEST,
		.nguests = GUESTS,
		.host_loopback = loopback,
	};
}

static const struct row rows[] = {
	{ "a connection to the world", WORLD, TCP, 80, SYN, 0, true, true },
	{ "a datagram to the world", WORLD, UDP, 9, 0, 0, true, true },
	{ "an echo to the world", WORLD, ICMP, 0, 0, 0, true, true },
	{ "a fragment to the world", WORLD, UDP, 9, 0, 0x2000, false, false },
	{ "the last fragment to the world", WORLD, UDP, 9, 0, 0x0001, false, false },
	{ "the loopback by its address", 0x7f000001, TCP, 80, SYN, 0, false, false },
	{ "its far end", 0x7fffffff, UDP, 53, 0, 0, false, false },
	{ "the loopback as no address", 0, TCP, 80, SYN, 0, false, false },
	{ "the same network", 0x00000001, TCP, 80, SYN, 0, false, false },
	{ "a cloud's own address", 0xa9fea9fe, TCP, 80, SYN, 0, false, false },
	{ "a name server of the link's", 0xa9fe0001, UDP, 53, 0, 0, false, false },
	{ "a connection to the gateway", GATEWAY, TCP, 80, SYN, 0, false, true },
	{ "an answer to the gateway", GATEWAY, TCP, 80, SYN | ACK, 0, true, true },
	{ "data to the gateway", GATEWAY, TCP, 80, ACK, 0, true, true },
	{ "a datagram to the gateway", GATEWAY, UDP, 80, 0, 0, false, true },
	{ "a lease asked for again", GATEWAY, UDP, 67, 0, 0, true, true },
	{ "a first fragment to the gateway", GATEWAY, UDP, 67, 0, 0x2000, false, false },
	{ "a last fragment to the gateway", GATEWAY, UDP, 67, 0, 0x0001, false, false },
	{ "an echo to the gateway", GATEWAY, ICMP, 0, 0, 0, true, true },
	{ "a name asked for", DNS, UDP, 53, 0, 0, true, true },
	{ "a name asked for by TCP", DNS, TCP, 53, SYN, 0, true, true },
	{ "another port of the resolver", DNS, TCP, 80, SYN, 0, false, false },
	{ "an echo to the resolver", DNS, ICMP, 0, 0, 0, false, false },
	{ "a name asked for in pieces", DNS, UDP, 53, 0, 0x2000, false, false },
	{ "a lease asked for", BROADCAST, UDP, 67, 0, 0, true, true },
	{ "a shout", BROADCAST, UDP, 9, 0, 0, false, false },
};

static void put(uint8_t *at, uint32_t n, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (uint8_t)(n >> 8 * (bytes - 1 - i));
}

static size_t frame_make(const struct row *r, unsigned options, uint8_t *f)
{
	uint8_t *ip = f + HEAD, *l4 = ip + IP + options;

	memset(f, 0, 128);
	put(f + 12, 0x0800, 2);
	ip[0] = (uint8_t)(4 << 4 | (IP + options) / 4);
	put(ip + 6, r->fragment, 2);
	ip[9] = r->protocol;
	put(ip + 12, GUEST, 4);
	put(ip + 16, r->to, 4);
	put(l4 + 2, r->port, 2);
	l4[13] = r->flags;
	return (size_t)(l4 + 20 - f);
}

Test(net, the_fence)
{
	uint8_t f[128];

	for (int loopback = 0; loopback < 2; loopback++) {
		const struct fence fence = fence_of(loopback);

		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			const struct row *r = &rows[i];
			const bool passes = loopback ? r->passes_with_loopback : r->passes;

			cr_expect_eq(fence_passes(&fence, f, frame_make(r, 0, f)), passes, "%s",
				     r->what);
			cr_expect_eq(fence_passes(&fence, f, frame_make(r, 8, f)), passes,
				     "%s, with options", r->what);
		}
	}
}

/* As its own: those that it can have by DHCP.  It has none yet where it asks for one. */
Test(net, whose_address_a_frame_bears)
{
	static const struct {
		uint32_t from, to;
		bool passes, arp_passes;
	} froms[] = {
		{ GUEST, WORLD, true, true },
		{ GUEST + GUESTS - 1, WORLD, true, true },
		{ GUEST + GUESTS, WORLD, false, false },
		{ GUEST - 1, WORLD, false, false },
		{ GATEWAY, WORLD, false, false },
		{ WORLD, WORLD, false, false },
		{ 0x7f000001, WORLD, false, false },
		{ 0, WORLD, false, true },
		{ 0, BROADCAST, true, true },
		{ 0, GATEWAY, false, true },
	};
	const struct fence fence = fence_of(false);
	uint8_t f[128];

	for (size_t i = 0; i < ARRAY_LEN(froms); i++) {
		const struct row r = { "", froms[i].to, UDP, 67, 0, 0, true, true };
		const size_t len = frame_make(&r, 0, f);

		put(f + HEAD + 12, froms[i].from, 4);
		cr_expect_eq(fence_passes(&fence, f, len), froms[i].passes, "%zu", i);
		cr_expect_eq(fence_source(f), froms[i].from, "%zu", i);
		put(f + 12, 0x0806, 2);
		put(f + HEAD + 14, froms[i].from, 4);
		cr_expect_eq(fence_passes(&fence, f, len), froms[i].arp_passes, "ARP, %zu", i);
		cr_expect_eq(fence_source(f), froms[i].from, "ARP, %zu", i);
		cr_expect_not(fence_passes(&fence, f, HEAD + 27), "ARP that is cut");
	}
}

Test(net, who_asks_for_a_lease)
{
	static const struct row asks = { "", BROADCAST, UDP, 67, 0, 0, true, true },
				says = { "", BROADCAST, UDP, 68, 0, 0, true, true },
				dials = { "", GATEWAY, TCP, 67, SYN, 0, true, true };
	const size_t client = HEAD + IP + 8 + 28;
	uint8_t f[128];

	(void)frame_make(&asks, 0, f);
	cr_expect_eq(fence_lease(f, sizeof(f)), f + client);
	cr_expect_eq(fence_lease(f, client + 6), f + client);
	cr_expect_null(fence_lease(f, client + 5));
	(void)frame_make(&asks, 8, f);
	cr_expect_eq(fence_lease(f, sizeof(f)), f + client + 8);
	(void)frame_make(&says, 0, f);
	cr_expect_null(fence_lease(f, sizeof(f)));
	(void)frame_make(&dials, 0, f);
	cr_expect_null(fence_lease(f, sizeof(f)));
	(void)frame_make(&asks, 0, f);
	put(f + 12, 0x0806, 2);
	cr_expect_null(fence_lease(f, sizeof(f)));
}

/* No more is read than is there, and what is cut off opens nothing. */
Test(net, frames_that_are_cut)
{
	const struct fence fence = fence_of(false);
	uint8_t f[128];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const size_t whole = frame_make(&rows[i], 0, f);

		for (size_t len = 0; len < whole; len++) {
			uint8_t *exact = malloc(len ? len : 1); /* ASan sees its end */

			cr_assert_not_null(exact);
			memcpy(exact, f, len);
			if (fence_passes(&fence, exact, len))
				cr_expect(rows[i].passes, "%s, %zu bytes", rows[i].what, len);
			free(exact);
		}
	}
}

Test(net, only_arp_and_ipv4)
{
	static const struct {
		uint16_t type;
		bool passes;
	} types[] = { { 0x0806, true }, { 0x86dd, false }, { 0x8100, false }, { 0, false } };
	const struct fence fence = fence_of(true);
	uint8_t f[128];
	const size_t len = frame_make(&rows[0], 0, f);

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		put(f + 12, types[i].type, 2);
		if (types[i].type == 0x0806)
			put(f + HEAD + 14, GUEST, 4); /* over what is no address of IPv4's */
		cr_expect_eq(fence_passes(&fence, f, len), types[i].passes, "%04x", types[i].type);
	}
	put(f + 12, 0x0800, 2);
	f[HEAD] = 6 << 4 | 5;
	cr_expect_not(fence_passes(&fence, f, len), "version 6 in a frame of version 4");
	f[HEAD] = 4 << 4 | 4;
	cr_expect_not(fence_passes(&fence, f, len), "a header shorter than a header");
}

/* ---- the wire ---- */

struct seen {
	size_t frames, bytes;
	uint8_t last;
};

static void see(void *arg, const uint8_t *frame, size_t len)
{
	struct seen *s = arg;

	s->frames++;
	s->bytes += len;
	s->last = frame[len - 1];
}

static struct stream wire(int *ret_peer)
{
	struct stream s;
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	stream_init(&s);
	stream_reset(&s, fds[0]);
	*ret_peer = fds[1];
	return s;
}

Test(net, frames_in_pieces)
{
	static const uint8_t two[] = { 0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 1, 9 };
	struct seen seen = { 0 };
	int peer;
	struct stream s = wire(&peer);

	for (size_t i = 0; i < sizeof(two); i++) {
		cr_assert_eq(write(peer, two + i, 1), 1);
		cr_assert_eq(stream_read(&s, see, &seen), 0);
	}
	cr_expect_eq(seen.frames, 2);
	cr_expect_eq(seen.bytes, 4);
	cr_expect_eq(seen.last, 9);
	close(peer);
	cr_expect_eq(stream_read(&s, see, &seen), -EPIPE);
	close(s.fd);
}

Test(net, frames_that_none_is)
{
	static const uint8_t heads[][4] = { { 0 }, { 0, 1, 0, 19 }, { 0xff, 0xff, 0xff, 0xff } };

	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		struct seen seen = { 0 };
		int peer;
		struct stream s = wire(&peer);

		cr_assert_eq(write(peer, heads[i], 4), 4);
		cr_expect_eq(stream_read(&s, see, &seen), -EPROTO, "%zu", i);
		cr_expect_eq(seen.frames, 0);
		close(peer);
		close(s.fd);
	}
}

/* The largest frame after the largest rest of one. */
Test(net, frames_of_the_largest_size)
{
	static uint8_t bytes[3 * (4 + NET_FRAME_MAX)];
	struct seen seen = { 0 };
	size_t at = 0;
	int peer;
	struct stream s = wire(&peer);

	for (size_t i = 0; i < sizeof(bytes); i += 4 + NET_FRAME_MAX)
		put(bytes + i, NET_FRAME_MAX, 4);
	while (seen.frames < 3) {
		const ssize_t n = at < sizeof(bytes)
					  ? send(peer, bytes + at, sizeof(bytes) - at, MSG_DONTWAIT)
					  : 0;

		at += n > 0 ? (size_t)n : 0;
		cr_assert_eq(stream_read(&s, see, &seen), 0);
	}
	cr_expect_eq(seen.bytes, 3 * NET_FRAME_MAX);
	close(peer);
	close(s.fd);
}

/* What the guest does not read is lost once the queue is full, and whole frames only. */
Test(net, a_guest_that_does_not_read)
{
	static uint8_t frame[NET_MTU], got[NET_OUT_BYTES];
	int peer;
	struct stream s = wire(&peer);
	const int fd = s.fd;
	size_t put_in = 0, want;

	while (stream_put(&s, frame, sizeof(frame)))
		put_in++;
	cr_expect_eq(put_in, NET_OUT_BYTES / (4 + NET_MTU));
	want = put_in * (4 + NET_MTU);
	for (size_t have = 0; have < want;) {
		cr_assert_eq(stream_write(&s), 0);
		const ssize_t n = recv(peer, got, sizeof(got), 0);

		cr_assert_gt(n, 0);
		have += (size_t)n;
	}
	cr_expect_eq(buf_len(&s.out), 0);
	cr_expect_not(stream_put(&s, got, NET_FRAME_MAX + 1), "longer than a frame");
	cr_expect(stream_put(&s, frame, sizeof(frame)));
	stream_reset(&s, -EBADF);
	cr_expect_not(stream_put(&s, frame, sizeof(frame)), "nobody is there");
	close(fd);
	close(peer);
}
