#include "helper/net/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv4.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "helper/net/nft_rule.h"

#define TABLE "banger"

enum {
	/* nft's own numbers of data types, for whoever lists the sets. */
	TYPE_IPADDR = 7,
	TYPE_IFNAME = 41,
	TYPE_CONCAT_BITS = 6,
	TYPE_IFNAME_IPADDR = TYPE_IFNAME << TYPE_CONCAT_BITS | TYPE_IPADDR,
	PRIORITY_FIRST = -300, /* bridge: before anything else looks at a frame */
	PRIORITY_FILTER = 0,
	PRIORITY_SRCNAT = 100,
};

enum nft_family {
	IP = NFPROTO_IPV4,
	BRIDGE = NFPROTO_BRIDGE,
};

struct set {
	enum nft_family family;
	const char *name;
	uint32_t type;
	uint32_t key_bytes;
};

/* What nft itself notes of a set, so that it shows names as names: "the key is in host order". */
static const uint8_t host_order[] = { 0, 4, 1, 0, 0, 0 };

static const struct set set_bridges = { IP, NFT_SET_BRIDGES, TYPE_IFNAME, IFNAMSIZ };
static const struct set set_guests = { IP, NFT_SET_NAT, TYPE_IPADDR, 4 };
static const struct set set_addresses = { BRIDGE, NFT_SET_ADDRESSES, TYPE_IPADDR, 4 };
static const struct set set_taps = { BRIDGE, NFT_SET_NAT, TYPE_IFNAME_IPADDR, IFNAMSIZ + 4 };
static const struct set *const sets[] = { &set_bridges, &set_guests, &set_addresses, &set_taps };

struct chain {
	enum nft_family family;
	const char *name;
	const char *type;
	uint32_t hook;
	int32_t priority;
};

static const struct chain chains[] = {
	{ IP, "forward", "filter", NF_INET_FORWARD, PRIORITY_FILTER },
	{ IP, "postrouting", "nat", NF_INET_POST_ROUTING, PRIORITY_SRCNAT },
	{ BRIDGE, "prerouting", "filter", NF_BR_PRE_ROUTING, PRIORITY_FIRST },
};

struct rule {
	enum nft_family family;
	const char *chain;
	nft_part *parts[NFT_PARTS_MAX];
};

static const struct rule rules[] = {
	{ IP, "forward", { nft_from_ours, nft_source_has_nat, nft_not_to_ours, nft_accept } },
	{ IP, "forward", { nft_to_ours, nft_not_from_ours, nft_is_answer, nft_accept } },
	{ IP, "forward", { nft_from_ours, nft_drop } },
	{ IP, "forward", { nft_to_ours, nft_drop } },
	{ IP, "postrouting", { nft_source_has_nat, nft_not_to_ours, nft_masquerade } },
	{ BRIDGE, "prerouting", { nft_from_tap, nft_is_not_ip, nft_is_not_arp, nft_drop } },
	{ BRIDGE,
	  "prerouting",
	  { nft_from_tap, nft_is_ip, nft_address_is_known, nft_address_of_other_tap, nft_drop } },
	{ BRIDGE,
	  "prerouting",
	  { nft_from_tap, nft_is_arp, nft_sender_is_known, nft_sender_of_other_tap, nft_drop } },
};

/* ---- messages ---- */

static void put_head(struct nlmsghdr *m, uint8_t family, uint16_t res_id)
{
	struct nfgenmsg *const head = mnl_nlmsg_put_extra_header(m, sizeof(*head));

	*head = (struct nfgenmsg){ .nfgen_family = family,
				   .version = NFNETLINK_V0,
				   .res_id = htons(res_id) };
}

static struct nlmsghdr *nft_msg(struct nl *nl, uint16_t type, uint16_t flags,
				enum nft_family family, const char *what)
{
	struct nlmsghdr *const m = nl_msg(nl, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags,
					  what);

	put_head(m, (uint8_t)family, 0);
	return m;
}

static void transaction_begin(struct nl *nl)
{
	nl_begin(nl);
	put_head(nl_bracket(nl, NFNL_MSG_BATCH_BEGIN, "commit"), AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
}

static int transaction_end(struct nl *nl, const char *subject, struct err *e)
{
	put_head(nl_bracket(nl, NFNL_MSG_BATCH_END, "end"), AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	return nl_run(nl, subject, e);
}

/* ---- tables, sets, chains, rules ---- */

static void table(struct nl *nl, uint16_t type, enum nft_family family)
{
	struct nlmsghdr *const m = nft_msg(nl, type, type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0,
					   family, "table");

	mnl_attr_put_strz(m, NFTA_TABLE_NAME, TABLE);
}

static void add_set(struct nl *nl, const struct set *s, uint32_t id)
{
	struct nlmsghdr *const m = nft_msg(nl, NFT_MSG_NEWSET, NLM_F_CREATE, s->family, "set");

	mnl_attr_put_strz(m, NFTA_SET_TABLE, TABLE);
	mnl_attr_put_strz(m, NFTA_SET_NAME, s->name);
	mnl_attr_put_u32(m, NFTA_SET_ID, htonl(id));
	mnl_attr_put_u32(m, NFTA_SET_KEY_TYPE, htonl(s->type));
	mnl_attr_put_u32(m, NFTA_SET_KEY_LEN, htonl(s->key_bytes));
	if (s->type == TYPE_IFNAME)
		mnl_attr_put(m, NFTA_SET_USERDATA, sizeof(host_order), host_order);
}

static void add_chain(struct nl *nl, const struct chain *c)
{
	struct nlmsghdr *const m = nft_msg(nl, NFT_MSG_NEWCHAIN, NLM_F_CREATE, c->family, "chain");

	mnl_attr_put_strz(m, NFTA_CHAIN_TABLE, TABLE);
	mnl_attr_put_strz(m, NFTA_CHAIN_NAME, c->name);
	mnl_attr_put_strz(m, NFTA_CHAIN_TYPE, c->type);
	mnl_attr_put_u32(m, NFTA_CHAIN_POLICY, htonl(NF_ACCEPT));
	struct nlattr *const hook = mnl_attr_nest_start(m, NFTA_CHAIN_HOOK);
	mnl_attr_put_u32(m, NFTA_HOOK_HOOKNUM, htonl(c->hook));
	mnl_attr_put_u32(m, NFTA_HOOK_PRIORITY, htonl((uint32_t)c->priority));
	mnl_attr_nest_end(m, hook);
}

static void flush_chain(struct nl *nl, const struct chain *c)
{
	struct nlmsghdr *const m = nft_msg(nl, NFT_MSG_DELRULE, 0, c->family, "old rules");

	mnl_attr_put_strz(m, NFTA_RULE_TABLE, TABLE);
	mnl_attr_put_strz(m, NFTA_RULE_CHAIN, c->name);
}

static void add_rule(struct nl *nl, const struct rule *r)
{
	struct nlmsghdr *const m = nft_msg(nl, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND,
					   r->family, "rule");

	mnl_attr_put_strz(m, NFTA_RULE_TABLE, TABLE);
	mnl_attr_put_strz(m, NFTA_RULE_CHAIN, r->chain);
	struct nlattr *const parts = mnl_attr_nest_start(m, NFTA_RULE_EXPRESSIONS);
	for (size_t i = 0; i < NFT_PARTS_MAX && r->parts[i]; i++)
		r->parts[i](m);
	mnl_attr_nest_end(m, parts);
}

static void put_firewall(struct nl *nl)
{
	table(nl, NFT_MSG_NEWTABLE, IP);
	table(nl, NFT_MSG_NEWTABLE, BRIDGE);
	for (uint32_t i = 0; i < ARRAY_LEN(sets); i++)
		add_set(nl, sets[i], i + 1);
	for (size_t i = 0; i < ARRAY_LEN(chains); i++) {
		add_chain(nl, &chains[i]);
		flush_chain(nl, &chains[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		add_rule(nl, &rules[i]);
}

/* ---- elements ---- */

struct key {
	uint8_t bytes[IFNAMSIZ + 4];
	size_t len;
};

static struct key key_name(const char *name)
{
	struct key k = { .len = IFNAMSIZ };

	memcpy(k.bytes, name, strnlen(name, IFNAMSIZ - 1));
	return k;
}

static struct key key_address(struct in_addr address)
{
	struct key k = { .len = sizeof(address) };

	memcpy(k.bytes, &address, sizeof(address));
	return k;
}

static struct key key_tap(const char *tap, struct in_addr address)
{
	struct key k = key_name(tap);

	memcpy(k.bytes + IFNAMSIZ, &address, sizeof(address));
	k.len += sizeof(address);
	return k;
}

static void element(struct nl *nl, uint16_t type, const struct set *s, struct key k)
{
	struct nlmsghdr *const m = nft_msg(nl, type, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0,
					   s->family, "element");

	ASSERT(k.len == s->key_bytes);
	mnl_attr_put_strz(m, NFTA_SET_ELEM_LIST_TABLE, TABLE);
	mnl_attr_put_strz(m, NFTA_SET_ELEM_LIST_SET, s->name);
	struct nlattr *const list = mnl_attr_nest_start(m, NFTA_SET_ELEM_LIST_ELEMENTS);
	struct nlattr *const item = mnl_attr_nest_start(m, NFTA_LIST_ELEM);
	struct nlattr *const key = mnl_attr_nest_start(m, NFTA_SET_ELEM_KEY);
	mnl_attr_put(m, NFTA_DATA_VALUE, k.len, k.bytes);
	mnl_attr_nest_end(m, key);
	mnl_attr_nest_end(m, item);
	mnl_attr_nest_end(m, list);
}

/* Deleting what is absent fails, adding what is there does not: add, then delete. */
static void element_gone(struct nl *nl, const struct set *s, struct key k)
{
	element(nl, NFT_MSG_NEWSETELEM, s, k);
	element(nl, NFT_MSG_DELSETELEM, s, k);
}

/* Where there is no table there is no element either. */
static int gone(int rc)
{
	return rc == -ENOENT ? 0 : rc;
}

/* ---- what net does ---- */

int nft_protect(struct nl *nl, const char *bridge, struct err *e)
{
	transaction_begin(nl);
	put_firewall(nl);
	element(nl, NFT_MSG_NEWSETELEM, &set_bridges, key_name(bridge));
	return transaction_end(nl, "firewall", e);
}

int nft_unprotect(struct nl *nl, const char *bridge, struct err *e)
{
	transaction_begin(nl);
	element_gone(nl, &set_bridges, key_name(bridge));
	return gone(transaction_end(nl, "firewall", e));
}

int nft_remove(struct nl *nl, struct err *e)
{
	static const enum nft_family families[] = { IP, BRIDGE };

	transaction_begin(nl);
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		table(nl, NFT_MSG_NEWTABLE, families[i]);
		table(nl, NFT_MSG_DELTABLE, families[i]);
	}
	return transaction_end(nl, "firewall", e);
}

int nft_add_nat(struct nl *nl, const char *tap, struct in_addr address, struct err *e)
{
	transaction_begin(nl);
	element(nl, NFT_MSG_NEWSETELEM, &set_guests, key_address(address));
	element(nl, NFT_MSG_NEWSETELEM, &set_addresses, key_address(address));
	element(nl, NFT_MSG_NEWSETELEM, &set_taps, key_tap(tap, address));
	return transaction_end(nl, tap, e);
}

int nft_remove_nat(struct nl *nl, const char *tap, struct in_addr address, struct err *e)
{
	transaction_begin(nl);
	element_gone(nl, &set_guests, key_address(address));
	element_gone(nl, &set_addresses, key_address(address));
	element_gone(nl, &set_taps, key_tap(tap, address));
	return gone(transaction_end(nl, tap, e));
}

/* ---- listing ---- */

struct listing {
	nft_each *each;
	void *arg;
};

static const struct nlattr *find(const struct nlattr *nest, uint16_t type)
{
	nl_for_each_nested (a, nest) {
		if (mnl_attr_get_type(a) == type)
			return a;
	}
	return NULL;
}

static void take_element(const struct nlattr *item, const struct listing *to)
{
	const struct nlattr *const key = find(item, NFTA_SET_ELEM_KEY);
	const struct nlattr *const value = key ? find(key, NFTA_DATA_VALUE) : NULL;
	struct in_addr address;
	name_if tap = "";

	if (!value || mnl_attr_get_payload_len(value) != set_taps.key_bytes)
		return;
	memcpy(tap, mnl_attr_get_payload(value), sizeof(tap) - 1);
	memcpy(&address, (const uint8_t *)mnl_attr_get_payload(value) + IFNAMSIZ, sizeof(address));
	to->each(tap, address, to->arg);
}

static int take_elements(const struct nlmsghdr *m, void *arg)
{
	nl_for_each (a, m, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(a) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		nl_for_each_nested (item, a) {
			take_element(item, arg);
		}
	}
	return 0;
}

int nft_list_nat(struct nl *nl, nft_each *each, void *arg, struct err *e)
{
	struct listing to = { each, arg };
	struct nlmsghdr *m;

	nl_begin(nl);
	m = nft_msg(nl, NFT_MSG_GETSETELEM, NLM_F_DUMP, BRIDGE, "list");
	mnl_attr_put_strz(m, NFTA_SET_ELEM_LIST_TABLE, TABLE);
	mnl_attr_put_strz(m, NFTA_SET_ELEM_LIST_SET, set_taps.name);
	const int rc = gone(nl_ask(nl, take_elements, &to));
	return rc < 0 ? err_num(e, ERR_NET_FAILED, rc, "NAT: list") : 0;
}
