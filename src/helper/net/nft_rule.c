#include "helper/net/nft_rule.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <net/if.h>
#include <stdbool.h>
#include <string.h>

#include "helper/name.h"

enum {
	IP_SOURCE = 12, /* offset of the source address, RFC 791 */
	ARP_SENDER =
		14, /* offset of the sender's protocol address, RFC 826 with Ethernet and IPv4 */
	/* The first register and the one after an interface's name in it. */
	REG_KEY = NFT_REG_1,
	REG_BEHIND_NAME = NFT_REG_2,
};

/* ---- expressions ---- */

struct part {
	struct nlattr *item;
	struct nlattr *data;
};

static struct part begin(struct nlmsghdr *m, const char *name)
{
	struct part p;

	p.item = mnl_attr_nest_start(m, NFTA_LIST_ELEM);
	mnl_attr_put_strz(m, NFTA_EXPR_NAME, name);
	p.data = mnl_attr_nest_start(m, NFTA_EXPR_DATA);
	return p;
}

static void end(struct nlmsghdr *m, struct part p)
{
	mnl_attr_nest_end(m, p.data);
	mnl_attr_nest_end(m, p.item);
}

static void put_number(struct nlmsghdr *m, uint16_t type, uint32_t n)
{
	mnl_attr_put_u32(m, type, htonl(n));
}

static void put_value(struct nlmsghdr *m, uint16_t type, const void *value, size_t len)
{
	struct nlattr *const nest = mnl_attr_nest_start(m, type);

	mnl_attr_put(m, NFTA_DATA_VALUE, len, value);
	mnl_attr_nest_end(m, nest);
}

static void load_meta(struct nlmsghdr *m, uint32_t key)
{
	const struct part p = begin(m, "meta");

	put_number(m, NFTA_META_KEY, key);
	put_number(m, NFTA_META_DREG, REG_KEY);
	end(m, p);
}

static void load_network(struct nlmsghdr *m, uint32_t offset, uint32_t reg)
{
	const struct part p = begin(m, "payload");

	put_number(m, NFTA_PAYLOAD_DREG, reg);
	put_number(m, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
	put_number(m, NFTA_PAYLOAD_OFFSET, offset);
	put_number(m, NFTA_PAYLOAD_LEN, sizeof(struct in_addr));
	end(m, p);
}

static void look_up(struct nlmsghdr *m, const char *set, bool absent)
{
	const struct part p = begin(m, "lookup");

	mnl_attr_put_strz(m, NFTA_LOOKUP_SET, set);
	put_number(m, NFTA_LOOKUP_SREG, REG_KEY);
	if (absent)
		put_number(m, NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	end(m, p);
}

static void compare(struct nlmsghdr *m, uint32_t op, const void *value, size_t len)
{
	const struct part p = begin(m, "cmp");

	put_number(m, NFTA_CMP_SREG, REG_KEY);
	put_number(m, NFTA_CMP_OP, op);
	put_value(m, NFTA_CMP_DATA, value, len);
	end(m, p);
}

static void verdict(struct nlmsghdr *m, uint32_t code)
{
	const struct part p = begin(m, "immediate");

	put_number(m, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	struct nlattr *const data = mnl_attr_nest_start(m, NFTA_IMMEDIATE_DATA);
	struct nlattr *const nest = mnl_attr_nest_start(m, NFTA_DATA_VERDICT);
	put_number(m, NFTA_VERDICT_CODE, code);
	mnl_attr_nest_end(m, nest);
	mnl_attr_nest_end(m, data);
	end(m, p);
}

/* ---- interfaces ---- */

static void is_ours(struct nlmsghdr *m, uint32_t key, bool absent)
{
	load_meta(m, key);
	look_up(m, NFT_SET_BRIDGES, absent);
}

void nft_from_ours(struct nlmsghdr *m)
{
	is_ours(m, NFT_META_IIFNAME, false);
}

void nft_not_from_ours(struct nlmsghdr *m)
{
	is_ours(m, NFT_META_IIFNAME, true);
}

void nft_to_ours(struct nlmsghdr *m)
{
	is_ours(m, NFT_META_OIFNAME, false);
}

void nft_not_to_ours(struct nlmsghdr *m)
{
	is_ours(m, NFT_META_OIFNAME, true);
}

/* Comparing fewer bytes than a name has is how "bg-*" is said. */
void nft_from_tap(struct nlmsghdr *m)
{
	load_meta(m, NFT_META_IIFNAME);
	compare(m, NFT_CMP_EQ, NAME_TAP_PREFIX, strlen(NAME_TAP_PREFIX));
}

/* ---- addresses ---- */

void nft_source_has_nat(struct nlmsghdr *m)
{
	load_network(m, IP_SOURCE, REG_KEY);
	look_up(m, NFT_SET_NAT, false);
}

static void protocol(struct nlmsghdr *m, uint32_t op, uint16_t number)
{
	const uint16_t wire = htons(number);

	load_meta(m, NFT_META_PROTOCOL);
	compare(m, op, &wire, sizeof(wire));
}

void nft_is_ip(struct nlmsghdr *m)
{
	protocol(m, NFT_CMP_EQ, ETH_P_IP);
}

void nft_is_not_ip(struct nlmsghdr *m)
{
	protocol(m, NFT_CMP_NEQ, ETH_P_IP);
}

void nft_is_arp(struct nlmsghdr *m)
{
	protocol(m, NFT_CMP_EQ, ETH_P_ARP);
}

void nft_is_not_arp(struct nlmsghdr *m)
{
	protocol(m, NFT_CMP_NEQ, ETH_P_ARP);
}

static void is_known(struct nlmsghdr *m, uint32_t offset)
{
	load_network(m, offset, REG_KEY);
	look_up(m, NFT_SET_ADDRESSES, false);
}

static void of_other_tap(struct nlmsghdr *m, uint32_t offset)
{
	load_meta(m, NFT_META_IIFNAME);
	load_network(m, offset, REG_BEHIND_NAME);
	look_up(m, NFT_SET_NAT, true);
}

void nft_address_is_known(struct nlmsghdr *m)
{
	is_known(m, IP_SOURCE);
}

void nft_address_of_other_tap(struct nlmsghdr *m)
{
	of_other_tap(m, IP_SOURCE);
}

void nft_sender_is_known(struct nlmsghdr *m)
{
	is_known(m, ARP_SENDER);
}

void nft_sender_of_other_tap(struct nlmsghdr *m)
{
	of_other_tap(m, ARP_SENDER);
}

/* ---- connections, verdicts ---- */

void nft_is_answer(struct nlmsghdr *m)
{
	const uint32_t mask = NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED);
	const uint32_t none = 0;
	struct part p = begin(m, "ct");

	put_number(m, NFTA_CT_KEY, NFT_CT_STATE);
	put_number(m, NFTA_CT_DREG, REG_KEY);
	end(m, p);
	p = begin(m, "bitwise");
	put_number(m, NFTA_BITWISE_SREG, REG_KEY);
	put_number(m, NFTA_BITWISE_DREG, REG_KEY);
	put_number(m, NFTA_BITWISE_LEN, sizeof(mask));
	put_value(m, NFTA_BITWISE_MASK, &mask, sizeof(mask));
	put_value(m, NFTA_BITWISE_XOR, &none, sizeof(none));
	end(m, p);
	compare(m, NFT_CMP_NEQ, &none, sizeof(none));
}

void nft_accept(struct nlmsghdr *m)
{
	verdict(m, NF_ACCEPT);
}

void nft_drop(struct nlmsghdr *m)
{
	verdict(m, NF_DROP);
}

void nft_masquerade(struct nlmsghdr *m)
{
	end(m, begin(m, "masq"));
}
