/* talker.c - a probe that can be talked to: the agent's conversation over virtio-vsock, without an
 * operating system.
 *
 * For hosts whose KVM runs no Linux (PVM and the like): there the daemon's way to an agent can
 * still be measured. No interrupts, no allocation, no libc: one loop looks at the device's used
 * rings.  It rings at the host's port until it is called at its own, as the agent does, and
 * answers: each command ends at once with status 0, "poweroff" resets the machine.  What the host
 * sends is trusted: this is a test's guest.
 *
 * 32-bit code in an ELF64 (probe.S says why): the compiler's assembly is assembled after ".code32".
 * Facts: virtio 1.2, sections 2.7 (split rings), 4.2.2 (MMIO), 5.10 (socket device);
 * docs/protocol.md, section 11.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

enum {
	QUEUE_SIZE = 16,
	BUFFERS = QUEUE_SIZE / 2, /* of a queue: each is a head and its payload */
	PAYLOAD = 4096,
	IN_MAX = 65536, /* bytes that the daemon may have under way */
	OUT_MAX = 512,
	DEVICES_MAX = 16, /* pages of a window that are looked at */
	RING_TURNS = 1 << 20,
	NESTING_MAX = 8, /* of what a frame holds */

	SERIAL_DATA = 0x3f8,
	KEYBOARD_COMMAND = 0x64,
	KEYBOARD_RESET = 0xfe,

	HOST = 2,
	RING_PORT = 1024, /* of the host */
	OUR_PORT = 1023,
	RINGER_PORT = 5000,
};

/* ---- virtio ---- */

enum { RX, TX, EVENT, NQUEUES };
enum { DESC_NEXT = 1, DESC_WRITE = 2 };
enum { TYPE_STREAM = 1 };
enum {
	OP_REQUEST = 1,
	OP_RESPONSE,
	OP_RST,
	OP_SHUTDOWN,
	OP_RW,
	OP_CREDIT_UPDATE,
	OP_CREDIT_REQUEST
};
enum {
	REG_MAGIC = 0,
	REG_VERSION = 4,
	REG_DEVICE = 8,
	REG_FEATURES = 0x20,
	REG_FEATURES_SEL = 0x24,
	REG_QUEUE = 0x30,
	REG_QUEUE_SIZE = 0x38,
	REG_QUEUE_READY = 0x44,
	REG_NOTIFY = 0x50,
	REG_STATUS = 0x70,
	REG_DESC = 0x80,
	REG_AVAIL = 0x90,
	REG_USED = 0xa0,
	REG_CONFIG = 0x100,
};
enum { MAGIC = 0x74726976, VERSION = 2, DEVICE_VSOCK = 19 };
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };

struct desc {
	u64 addr;
	u32 len;
	u16 flags, next;
};
struct avail {
	u16 flags, idx, ring[QUEUE_SIZE], event;
};
struct used {
	u16 flags, idx;
	struct {
		u32 id, len;
	} ring[QUEUE_SIZE];
	u16 event;
};
struct header {
	u64 src_cid, dst_cid;
	u32 src_port, dst_port, len;
	u16 type, op;
	u32 flags, buf_alloc, fwd_cnt;
} __attribute__((packed));

static struct queue {
	struct desc desc[QUEUE_SIZE] __attribute__((aligned(16)));
	struct avail avail __attribute__((aligned(4)));
	struct used used __attribute__((aligned(4)));
	u16 seen;
	struct header head[BUFFERS];
	u8 payload[BUFFERS][PAYLOAD];
} queues[NQUEUES];

static volatile u8 *device;
static u32 cid, sent;
static u32 caller; /* port of the conversation; 0: none */
static u32 taken;  /* bytes of it so far */

#define BARRIER() __asm__ volatile("" ::: "memory")

/* The compiler calls them by these names. */
void *memcpy(void *to, const void *from, u32 n);
void *memcpy(void *to, const void *from, u32 n)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n)::"memory");
	return to;
}

void *memset(void *to, int c, u32 n);
void *memset(void *to, int c, u32 n)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(c) : "memory");
	return to;
}

static int same(const u8 *a, const u8 *b, u32 n)
{
	while (n > 0 && *a == *b) {
		a++;
		b++;
		n--;
	}
	return n == 0;
}

static u32 length(const char *s)
{
	u32 n = 0;

	while (s[n])
		n++;
	return n;
}

static void outb(u16 port, u8 value)
{
	__asm__ volatile("outb %0, %1" ::"a"(value), "d"(port));
}

static void print(const char *s)
{
	while (*s)
		outb(SERIAL_DATA, (u8)*s++);
}

static u32 get(u32 reg)
{
	return *(volatile u32 *)(device + reg);
}

static void set(u32 reg, u32 value)
{
	*(volatile u32 *)(device + reg) = value;
}

/* Where Firecracker's devices are: since 1.12 or so from 3 GiB on, before that from 3.25. */
static int device_find(void)
{
	static const u32 windows[] = { 0xc0000000, 0xd0000000 };

	for (u32 i = 0; i < 2 * DEVICES_MAX; i++) {
		device = (volatile u8 *)(windows[i / DEVICES_MAX] + i % DEVICES_MAX * 4096);
		if (get(REG_MAGIC) == MAGIC && get(REG_VERSION) == VERSION &&
		    get(REG_DEVICE) == DEVICE_VSOCK)
			return 1;
	}
	return 0;
}

static void offer(u32 q, u32 buffer, u32 len, u16 flags)
{
	struct queue *k = &queues[q];
	const u16 at = (u16)(2 * buffer);

	k->desc[at] = (struct desc){ (u32)&k->head[buffer], sizeof(struct header),
				     len ? flags | DESC_NEXT : flags, at + 1 };
	k->desc[at + 1] = (struct desc){ (u32)k->payload[buffer], len, flags, 0 };
	k->avail.ring[k->avail.idx % QUEUE_SIZE] = at;
	BARRIER();
	*(volatile u16 *)&k->avail.idx = (u16)(k->avail.idx + 1);
	BARRIER();
	set(REG_NOTIFY, q);
}

static void device_up(void)
{
	set(REG_STATUS, 0); /* from here bit by bit, or Firecracker has none of it */
	set(REG_STATUS, ACKNOWLEDGE);
	set(REG_STATUS, ACKNOWLEDGE | DRIVER);
	for (u32 half = 0; half < 2; half++) { /* feature 32 alone: VIRTIO_F_VERSION_1 */
		set(REG_FEATURES_SEL, half);
		set(REG_FEATURES, half);
	}
	set(REG_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	for (u32 q = 0; q < NQUEUES; q++) {
		set(REG_QUEUE, q);
		set(REG_QUEUE_SIZE, QUEUE_SIZE);
		set(REG_DESC, (u32)queues[q].desc);
		set(REG_AVAIL, (u32)&queues[q].avail);
		set(REG_USED, (u32)&queues[q].used);
		set(REG_QUEUE_READY, 1);
	}
	cid = get(REG_CONFIG);
	set(REG_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	for (u32 i = 0; i < BUFFERS; i++)
		offer(RX, i, PAYLOAD, DESC_WRITE);
}

static void send(u32 from, u32 to, u16 op, const u8 *data, u32 len)
{
	struct queue *k = &queues[TX];
	const volatile u16 *done = &k->used.idx;
	const u32 i = sent++ % BUFFERS;

	while ((u16)(k->avail.idx - *done) >= BUFFERS)
		;
	k->head[i] = (struct header){ .src_cid = cid,
				      .dst_cid = HOST,
				      .src_port = from,
				      .dst_port = to,
				      .len = len,
				      .type = TYPE_STREAM,
				      .op = op,
				      .buf_alloc = IN_MAX,
				      .fwd_cnt = taken };
	memcpy(k->payload[i], data, len);
	offer(TX, i, len, 0);
}

/* ---- what is said: frames of MessagePack, as far as it is needed ---- */

static const u8 marker[16] = "\xff\xff\xff\xff"
			     "bangersync\r\n";
static u8 out[OUT_MAX];
static u32 nout;

static void put(u32 byte)
{
	out[nout++] = (u8)byte;
}

static void put_bytes(const u8 *bytes, u32 n)
{
	memcpy(out + nout, bytes, n);
	nout += n;
}

static void put_big(u32 value)
{
	for (u32 i = 0; i < 4; i++)
		put(value >> (24 - 8 * i));
}

static void put_text(const char *s)
{
	const u32 n = length(s);

	put(0xd9);
	put(n);
	put_bytes((const u8 *)s, n);
}

static void put_id(u32 id)
{
	put_text("id");
	put(0xce);
	put_big(id);
}

static u32 frame_begin(u32 members, const char *type)
{
	const u32 at = nout;

	put_big(0);
	put(0x80 | members);
	put_text("type");
	put_text(type);
	return at;
}

static void frame_end(u32 at)
{
	const u32 end = nout;

	nout = at;
	put_big(end - at - 4);
	nout = end;
}

static void flush(void)
{
	send(OUR_PORT, caller, OP_RW, out, nout);
	nout = 0;
}

/* ---- what is heard ---- */

struct span {
	const u8 *at;
	u32 len;
};

static u32 big(const u8 *p, u32 n)
{
	u32 value = 0;

	while (n-- > 0)
		value = value << 8 | *p++;
	return value;
}

/* Bytes of the value's head, and what follows it: bytes, or values. */
static u32 head_of(const u8 *p, u32 *ret_bytes, u32 *ret_values)
{
	const u8 c = *p;
	const u32 wide = c & 3;

	*ret_bytes = *ret_values = 0;
	if (c <= 0x7f || c >= 0xe0)
		return 1;
	if (c <= 0x8f)
		*ret_values = 2u * (c & 15);
	else if (c <= 0x9f)
		*ret_values = c & 15;
	else if (c <= 0xbf)
		*ret_bytes = c & 31;
	else if (c >= 0xcc && c <= 0xd3)
		*ret_bytes = 1u << wide;
	else if (c >= 0xc4 && c <= 0xc6)
		return *ret_bytes = big(p + 1, 1u << wide), 1 + (1u << wide);
	else if (c >= 0xd9 && c <= 0xdb)
		return *ret_bytes = big(p + 1, 1u << (wide - 1)), 1 + (1u << (wide - 1));
	else if (c == 0xdc || c == 0xde)
		return *ret_values = big(p + 1, 2) * (c == 0xde ? 2 : 1), 3;
	return 1;
}

static const u8 *behind(const u8 *p, u32 depth)
{
	u32 bytes, values;

	p += head_of(p, &bytes, &values);
	p += bytes;
	for (; values > 0 && depth > 0; values--)
		p = behind(p, depth - 1);
	return p;
}

static struct span text_at(const u8 *p)
{
	u32 bytes, values;
	const u32 head = head_of(p, &bytes, &values);

	return (struct span){ p + head, bytes };
}

static int is(struct span s, const char *word)
{
	return s.len == length(word) && same(s.at, (const u8 *)word, s.len);
}

/* The value of a member of a frame, as it stands there; of length 0: it has none. */
static struct span member(const u8 *p, const char *name)
{
	u32 n = *p++ & 15;

	for (; n > 0; n--) {
		const struct span key = text_at(p);
		const u8 *value = key.at + key.len;
		const u8 *next = behind(value, NESTING_MAX);

		if (is(key, name))
			return (struct span){ value, (u32)(next - value) };
		p = next;
	}
	return (struct span){ p, 0 };
}

static u32 number_at(struct span s)
{
	return s.len == 1 ? *s.at : big(s.at + 1, s.len - 1);
}

/* ---- the conversation ---- */

static void greet(const u8 *frame)
{
	const struct span session = member(frame, "session");

	put_bytes(marker, sizeof(marker));
	const u32 at = frame_begin(5, "hello");
	put_text("version");
	put(1);
	put_text("version_min");
	put(1);
	put_text("name");
	put_text("banger-talker");
	put_text("session");
	put_bytes(session.at, session.len);
	frame_end(at);
	flush();
}

static void no_output(u32 id, u32 stream)
{
	const u32 at = frame_begin(4, "data");

	put_id(id);
	put_text("stream");
	put(stream);
	put_text("bytes");
	put(0xc4);
	put(0);
	frame_end(at);
}

static void answer(const u8 *frame)
{
	const struct span method = text_at(member(frame, "method").at);
	const u32 id = number_at(member(frame, "id"));

	if (is(method, "exec")) {
		no_output(id, 1);
		no_output(id, 2);
	}
	const u32 at = frame_begin(3, "reply");
	put_id(id);
	put_text("result");
	if (is(method, "status")) {
		put(0x82);
		put_text("boot_id");
		put_text("00000000-0000-4000-8000-000000000000");
		put_text("agent");
		put_text("banger-talker");
	} else if (is(method, "exec")) {
		put(0x81);
		put_text("status");
		put(0);
	} else {
		put(0x80);
	}
	frame_end(at);
	flush();
	if (is(method, "poweroff"))
		outb(KEYBOARD_COMMAND, KEYBOARD_RESET);
}

static u8 in[IN_MAX];
static u32 nin;
static int synced;

static void drop(u32 n)
{
	nin -= n;
	for (u32 i = 0; i < nin; i++)
		in[i] = in[i + n];
}

/* Everything up to and with the marker goes. */
static void look_for_marker(void)
{
	u32 i = 0;

	while (i + sizeof(marker) <= nin && !same(in + i, marker, sizeof(marker)))
		i++;
	synced = i + sizeof(marker) <= nin;
	drop(synced ? i + sizeof(marker) : i);
}

/* One marker or frame; 0: more is needed. */
static int hear_one(void)
{
	if (!synced)
		look_for_marker();
	if (!synced || nin < 4 || (in[0] == marker[0] && nin < sizeof(marker)))
		return 0;
	if (in[0] == marker[0]) {
		synced = 0;
		return 1;
	}
	const u32 len = big(in, 4);
	if (nin < 4 + len)
		return 0;
	const struct span type = text_at(member(in + 4, "type").at);
	if (is(type, "hello"))
		greet(in + 4);
	else if (is(type, "request"))
		answer(in + 4);
	drop(4 + len);
	return 1;
}

static void bytes_came(const struct header *h, const u8 *data)
{
	if (h->src_port != caller || nin + h->len > IN_MAX)
		return;
	memcpy(in + nin, data, h->len);
	nin += h->len;
	taken += h->len;
	while (hear_one())
		;
}

static void called(u32 port)
{
	caller = port;
	taken = nin = 0;
	synced = 0;
	send(OUR_PORT, port, OP_RESPONSE, in, 0);
}

static void packet(const struct header *h, const u8 *data)
{
	const int over = h->op == OP_SHUTDOWN || h->op == OP_RST;

	if (h->dst_port == RINGER_PORT && h->op == OP_RESPONSE)
		send(RINGER_PORT, RING_PORT, OP_RST, in, 0);
	if (h->dst_port != OUR_PORT)
		return;
	if (h->op == OP_REQUEST)
		called(h->src_port);
	else if (h->op == OP_RW)
		bytes_came(h, data);
	else if (h->op == OP_CREDIT_REQUEST)
		send(OUR_PORT, h->src_port, OP_CREDIT_UPDATE, in, 0);
	if (h->op == OP_SHUTDOWN)
		send(OUR_PORT, h->src_port, OP_RST, in, 0);
	if (over && h->src_port == caller)
		caller = 0;
}

static void look(void)
{
	struct queue *k = &queues[RX];
	const volatile u16 *done = &k->used.idx;

	while (k->seen != *done) {
		BARRIER();
		const u32 i = k->used.ring[k->seen++ % QUEUE_SIZE].id / 2;

		packet(&k->head[i], k->payload[i]);
		offer(RX, i, PAYLOAD, DESC_WRITE);
	}
}

void talker(void);
void talker(void)
{
	if (!device_find()) {
		print("banger-talker: no vsock\r\n");
		return;
	}
	device_up();
	print("banger-talker: up\r\n");
	for (u32 turn = 0;; turn++) {
		if (!caller && turn % RING_TURNS == 0)
			send(RINGER_PORT, RING_PORT, OP_REQUEST, in, 0);
		look();
		__asm__ volatile("pause");
	}
}
