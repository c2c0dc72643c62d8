#include "net/fence.h"

/* Where things are in an Ethernet frame (IEEE 802.3), an IPv4 header (RFC 791), a UDP or TCP one.
 */
enum {
	ETHER_TYPE = 12,
	ETHER_HEAD = 14,
	TYPE_IPV4 = 0x0800,
	TYPE_ARP = 0x0806,
	IP_HEAD_MIN = 20,
	IP_FRAGMENT = 6, /* flags and offset */
	IP_PROTOCOL = 9,
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
};

#define BROADCAST UINT32_C(0xffffffff)

struct packet {
	uint32_t to;
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

static bool is_host_itself(uint32_t address)
{
	return address >> 24 == 127 || address >> 24 == 0;
}

static bool is_dhcp(const struct packet *p)
{
	return p->protocol == UDP && p->port == PORT_DHCP && !p->fragment;
}

/* Without a way to the host's loopback: what it says of connections that came from there, through a
 * published port, it may say. */
static bool gateway_hears(const struct packet *p)
{
	if (p->fragment)
		return false;
	return is_dhcp(p) || p->protocol == ICMP || (p->protocol == TCP && !p->opens);
}

bool fence_passes(const struct fence *f, const uint8_t *frame, size_t len)
{
	struct packet p;

	if (len < ETHER_HEAD)
		return false;
	if (be16(frame + ETHER_TYPE) == TYPE_ARP)
		return true;
	if (be16(frame + ETHER_TYPE) != TYPE_IPV4 ||
	    !packet_read(frame + ETHER_HEAD, len - ETHER_HEAD, &p))
		return false;
	if (is_host_itself(p.to))
		return false;
	if (p.to == BROADCAST)
		return is_dhcp(&p);
	if (p.to == f->dns)
		return p.port == PORT_DNS && !p.fragment;
	if (p.to == f->gateway && !f->host_loopback)
		return gateway_hears(&p);
	return true;
}
