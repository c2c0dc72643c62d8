#include "net/fence.h"

/* Where things are in an Ethernet frame (IEEE 802.3), an IPv4 header (RFC 791), a UDP or TCP one.
 */
enum {
	ETHER_TYPE = 12,
	ETHER_HEAD = 14,
	TYPE_IPV4 = 0x0800,
	TYPE_ARP = 0x0806,
	ARP_BYTES = 28, /* RFC 826, of IPv4 over Ethernet */
	ARP_SENDER = 14,
	IP_HEAD_MIN = 20,
	IP_FRAGMENT = 6, /* flags and offset */
	IP_PROTOCOL = 9,
	IP_SOURCE = 12,
	IP_DESTINATION = 16,
	FRAGMENT_MASK = 0x3fff, /* more to come, or not the first */
	PORTS = 4,              /* bytes of both ports */
	TCP_FLAGS = 13,
	TCP_SYN = 0x02,
	TCP_ACK = 0x10,
	ICMP = 1,
	TCP = 6,
	UDP = 17,
	PORT_DNS = 53,
	PORT_DHCP = 67,
	UDP_HEAD = 8,
	BOOTP_CLIENT = 28,           /* RFC 2131: chaddr */
	LINK_LOCAL = 169 << 8 | 254, /* the first 16 bits */
};

#define BROADCAST UINT32_C(0xffffffff)

struct packet {
	uint32_t from, to;
	uint8_t protocol;
	bool fragment;
	uint16_t port; /* of the destination; 0: has none */
	bool opens;    /* TCP: it asks for a connection */
};

static uint16_t be16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t be32(const uint8_t *at)
{
	return (uint32_t)be16(at) << 16 | be16(at + 2);
}

static bool packet_read(const uint8_t *ip, size_t len, struct packet *p)
{
	if (len < IP_HEAD_MIN || ip[0] >> 4 != 4)
		return false;
	const size_t head = (size_t)(ip[0] & 0xf) * 4;

	if (head < IP_HEAD_MIN || head > len)
		return false;
	*p = (struct packet){
		.from = be32(ip + IP_SOURCE),
		.to = be32(ip + IP_DESTINATION),
		.protocol = ip[IP_PROTOCOL],
		.fragment = (be16(ip + IP_FRAGMENT) & FRAGMENT_MASK) != 0,
	};
	if ((p->protocol == TCP || p->protocol == UDP) && len - head >= PORTS)
		p->port = be16(ip + head + 2);
	if (p->protocol == TCP)
		p->opens = len - head <= TCP_FLAGS ||
			   (ip[head + TCP_FLAGS] & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	return true;
}

/* The host itself, or what is on a link of its. */
static bool is_the_hosts(uint32_t address)
{
	return address >> 24 == 127 || address >> 24 == 0 || address >> 16 == LINK_LOCAL;
}

static bool is_dhcp(const struct packet *p)
{
	return p->protocol == UDP && p->port == PORT_DHCP;
}

static bool is_a_guests(const struct fence *f, uint32_t address)
{
	return address - f->guest < f->nguests;
}

/* Who asks whether an address is free has none yet, as who asks for a lease. */
static bool arp_passes(const struct fence *f, const uint8_t *arp, size_t len)
{
	if (len < ARP_BYTES)
		return false;
	const uint32_t sender = be32(arp + ARP_SENDER);

	return sender == 0 || is_a_guests(f, sender);
}

/* Without a way to the host's loopback: what it says of connections that came from there, through a
 * published port, it may say. */
static bool gateway_hears(const struct packet *p)
{
	return is_dhcp(p) || p->protocol == ICMP || (p->protocol == TCP && !p->opens);
}

bool fence_passes(const struct fence *f, const uint8_t *frame, size_t len)
{
	struct packet p;

	if (len < ETHER_HEAD)
		return false;
	if (be16(frame + ETHER_TYPE) == TYPE_ARP)
		return arp_passes(f, frame + ETHER_HEAD, len - ETHER_HEAD);
	if (be16(frame + ETHER_TYPE) != TYPE_IPV4 ||
	    !packet_read(frame + ETHER_HEAD, len - ETHER_HEAD, &p) || p.fragment)
		return false;
	if (!is_a_guests(f, p.from) && !(p.from == 0 && p.to == BROADCAST))
		return false;
	if (is_the_hosts(p.to))
		return false;
	if (p.to == BROADCAST)
		return is_dhcp(&p);
	if (p.to == f->dns)
		return p.port == PORT_DNS;
	if (p.to == f->gateway && !f->host_loopback)
		return gateway_hears(&p);
	return true;
}

uint32_t fence_source(const uint8_t *frame)
{
	const bool arp = be16(frame + ETHER_TYPE) == TYPE_ARP;

	return be32(frame + ETHER_HEAD + (arp ? ARP_SENDER : IP_SOURCE));
}

const uint8_t *fence_lease(const uint8_t *frame, size_t len)
{
	const size_t head = ETHER_HEAD + (size_t)(frame[ETHER_HEAD] & 0xf) * 4;
	const size_t client = head + UDP_HEAD + BOOTP_CLIENT;
	struct packet p;

	if (be16(frame + ETHER_TYPE) != TYPE_IPV4 || len < client + FENCE_MAC_BYTES)
		return NULL;
	return packet_read(frame + ETHER_HEAD, len - ETHER_HEAD, &p) && is_dhcp(&p) ? frame + client
										    : NULL;
}
