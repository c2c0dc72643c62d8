#include "helper/net/link.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

enum {
	GROUP_GOING = 0x62616e67, /* links that are about to be deleted together: "bang" */
};

/* ---- reading ---- */

static bool has_text(const struct nlattr *a, const char *text)
{
	return mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0 &&
	       strcmp(mnl_attr_get_str(a), text) == 0;
}

static uint32_t number(const struct nlattr *a)
{
	return mnl_attr_validate(a, MNL_TYPE_U32) == 0 ? mnl_attr_get_u32(a) : 0;
}

static void read_tun(const struct nlattr *data, struct link *l)
{
	nl_for_each_nested (a, data) {
		const uint16_t type = mnl_attr_get_type(a);

		if (type == IFLA_TUN_OWNER)
			l->owner = number(a);
		else if (type == IFLA_TUN_PERSIST && mnl_attr_validate(a, MNL_TYPE_U8) == 0)
			l->persistent = mnl_attr_get_u8(a) != 0;
		else if (type == IFLA_TUN_TYPE && mnl_attr_validate(a, MNL_TYPE_U8) == 0 &&
			 mnl_attr_get_u8(a) != IFF_TAP)
			l->kind = LINK_OTHER;
	}
}

static void read_info(const struct nlattr *info, struct link *l)
{
	/* The kind comes before its data. */
	nl_for_each_nested (a, info) {
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND && has_text(a, "bridge"))
			l->kind = LINK_BRIDGE;
		else if (mnl_attr_get_type(a) == IFLA_INFO_KIND && has_text(a, "tun"))
			l->kind = LINK_TAP;
		else if (mnl_attr_get_type(a) == IFLA_INFO_DATA && l->kind == LINK_TAP)
			read_tun(a, l);
	}
}

static int read_link(const struct nlmsghdr *m, struct link *ret_link)
{
	const struct ifinfomsg *const info = mnl_nlmsg_get_payload(m);

	if (m->nlmsg_type != RTM_NEWLINK || m->nlmsg_len < mnl_nlmsg_size(sizeof(*info)))
		return -EPROTO;
	*ret_link = (struct link){ .index = info->ifi_index, .owner = (uid_t)-1 };
	nl_for_each (a, m, sizeof(*info)) {
		const uint16_t type = mnl_attr_get_type(a);

		if (type == IFLA_IFNAME && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
			(void)snprintf(ret_link->name, sizeof(ret_link->name), "%s",
				       mnl_attr_get_str(a));
		else if (type == IFLA_MASTER)
			ret_link->master = (int)number(a);
		else if (type == IFLA_GROUP)
			ret_link->group = number(a);
		else if (type == IFLA_LINKINFO)
			read_info(a, ret_link);
	}
	return 0;
}

static struct ifinfomsg *link_msg(struct nl *nl, uint16_t type, uint16_t flags, const char *what,
				  int index, struct nlmsghdr **ret_msg)
{
	struct nlmsghdr *const m = nl_msg(nl, type, flags, what);
	struct ifinfomsg *const info = mnl_nlmsg_put_extra_header(m, sizeof(*info));

	*info = (struct ifinfomsg){ .ifi_family = AF_UNSPEC, .ifi_index = index };
	*ret_msg = m;
	return info;
}

static int take_one(const struct nlmsghdr *m, void *arg)
{
	return read_link(m, arg);
}

int link_get(struct nl *nl, const char *name, struct link *ret_link, struct err *e)
{
	struct link l = { .index = 0 };
	struct nlmsghdr *m;
	int rc;

	nl_begin(nl);
	(void)link_msg(nl, RTM_GETLINK, 0, "look up", 0, &m);
	mnl_attr_put_strz(m, IFLA_IFNAME, name);
	mnl_attr_put_u32(m, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	rc = nl_ask(nl, take_one, &l);
	if (rc == -ENODEV)
		return rc;
	if (rc == 0 && l.index == 0)
		rc = -EPROTO;
	if (rc < 0)
		return err_num(e, ERR_NET_FAILED, rc, "%s: look up", name);
	*ret_link = l;
	return 0;
}

struct listing {
	link_each *each;
	void *arg;
};

static int take_each(const struct nlmsghdr *m, void *arg)
{
	const struct listing *const to = arg;
	struct link l;
	const int rc = read_link(m, &l);

	if (rc == 0)
		to->each(&l, to->arg);
	return rc;
}

int link_list(struct nl *nl, int master, link_each *each, void *arg, struct err *e)
{
	struct listing to = { each, arg };
	struct nlmsghdr *m;
	int rc;

	nl_begin(nl);
	(void)link_msg(nl, RTM_GETLINK, NLM_F_DUMP, "list", 0, &m);
	mnl_attr_put_u32(m, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (master)
		mnl_attr_put_u32(m, IFLA_MASTER, (uint32_t)master);
	rc = nl_ask(nl, take_each, &to);
	return rc < 0 ? err_num(e, ERR_NET_FAILED, rc, "interfaces: list") : 0;
}

/* ---- changing ---- */

static void put_no_ipv6(struct nlmsghdr *m)
{
	struct nlattr *const spec = mnl_attr_nest_start(m, IFLA_AF_SPEC);
	struct nlattr *const inet6 = mnl_attr_nest_start(m, AF_INET6);

	mnl_attr_put_u8(m, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(m, inet6);
	mnl_attr_nest_end(m, spec);
}

int link_add_bridge(struct nl *nl, const char *name, const uint8_t mac[6], struct err *e)
{
	struct nlmsghdr *m;

	nl_begin(nl);
	(void)link_msg(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "create", 0, &m);
	mnl_attr_put_strz(m, IFLA_IFNAME, name);
	mnl_attr_put(m, IFLA_ADDRESS, 6, mac);
	struct nlattr *const info = mnl_attr_nest_start(m, IFLA_LINKINFO);
	mnl_attr_put_strz(m, IFLA_INFO_KIND, "bridge");
	mnl_attr_nest_end(m, info);
	return nl_run(nl, name, e);
}

int link_add_address(struct nl *nl, const struct link *l, const struct conf_bridge *b,
		     struct err *e)
{
	struct nlmsghdr *m;
	struct ifaddrmsg *address;

	nl_begin(nl);
	m = nl_msg(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, "address");
	address = mnl_nlmsg_put_extra_header(m, sizeof(*address));
	*address = (struct ifaddrmsg){ .ifa_family = AF_INET,
				       .ifa_prefixlen = (uint8_t)b->prefix,
				       .ifa_index = (uint32_t)l->index };
	mnl_attr_put_u32(m, IFA_LOCAL, b->address.s_addr);
	mnl_attr_put_u32(m, IFA_ADDRESS, b->address.s_addr);
	return nl_run(nl, l->name, e);
}

int link_enslave(struct nl *nl, const struct link *port, const struct link *bridge, struct err *e)
{
	struct nlmsghdr *m;

	nl_begin(nl);
	(void)link_msg(nl, RTM_NEWLINK, 0, "make it a port", port->index, &m);
	mnl_attr_put_u32(m, IFLA_MASTER, (uint32_t)bridge->index);
	(void)link_msg(nl, RTM_NEWLINK, 0, "isolate", port->index, &m);
	struct nlattr *const info = mnl_attr_nest_start(m, IFLA_LINKINFO);
	mnl_attr_put_strz(m, IFLA_INFO_SLAVE_KIND, "bridge");
	struct nlattr *const data = mnl_attr_nest_start(m, IFLA_INFO_SLAVE_DATA);
	mnl_attr_put_u8(m, IFLA_BRPORT_ISOLATED, 1);
	mnl_attr_nest_end(m, data);
	mnl_attr_nest_end(m, info);
	return nl_run(nl, port->name, e);
}

int link_no_ipv6(struct nl *nl, const struct link *l, struct err *e)
{
	struct nlmsghdr *m;
	int rc;

	nl_begin(nl);
	(void)link_msg(nl, RTM_NEWLINK, 0, "no IPv6 address", l->index, &m);
	put_no_ipv6(m);
	rc = nl_run(nl, l->name, e);
	return rc == -EAFNOSUPPORT ? 0 : rc; /* a kernel without IPv6 makes none up */
}

int link_up(struct nl *nl, const struct link *l, struct err *e)
{
	struct ifinfomsg *info;
	struct nlmsghdr *m;

	nl_begin(nl);
	info = link_msg(nl, RTM_NEWLINK, 0, "up", l->index, &m);
	info->ifi_flags = IFF_UP;
	info->ifi_change = IFF_UP;
	return nl_run(nl, l->name, e);
}

int link_delete(struct nl *nl, const struct link *l, struct err *e)
{
	struct nlmsghdr *m;
	int rc;

	nl_begin(nl);
	(void)link_msg(nl, RTM_DELLINK, 0, "delete", l->index, &m);
	rc = nl_run(nl, l->name, e);
	return rc == -ENODEV ? 0 : rc; /* somebody was quicker */
}

int link_set_aside(struct nl *nl, const struct link *l, struct err *e)
{
	struct ifinfomsg *info;
	struct nlmsghdr *m;
	name_if name;

	name_tap_aside((uint32_t)l->index, name);
	nl_begin(nl);
	info = link_msg(nl, RTM_NEWLINK, 0, "set aside", l->index, &m);
	info->ifi_change = IFF_UP;
	mnl_attr_put_u32(m, IFLA_MASTER, 0);
	mnl_attr_put_u32(m, IFLA_GROUP, GROUP_GOING);
	(void)link_msg(nl, RTM_NEWLINK, 0, "rename", l->index, &m);
	mnl_attr_put_strz(m, IFLA_IFNAME, name);
	const int rc = nl_run(nl, l->name, e);
	return rc == -ENODEV ? 0 : rc; /* somebody was quicker */
}

bool link_is_going(const struct link *l)
{
	return l->group == GROUP_GOING;
}

/* What bears our mark: ours by their names too, and others'. */
static struct {
	struct link ours[HELPER_SLOTS_MAX];
	uint32_t nours; /* may be more than there is room for */
	bool others;
} marked; /* too large for the stack */

static void see_marked(const struct link *l, void *arg)
{
	(void)arg;
	if (!link_is_going(l))
		return;
	if (l->kind != LINK_TAP || !name_is_tap(l->name))
		marked.others = true;
	else if (marked.nours++ < HELPER_SLOTS_MAX)
		marked.ours[marked.nours - 1] = *l;
}

static int look_for_marked(struct nl *nl, struct err *e)
{
	marked.nours = 0;
	marked.others = false;
	return link_list(nl, 0, see_marked, NULL, e);
}

static int delete_group(struct nl *nl, struct err *e)
{
	struct nlmsghdr *m;
	int rc;

	nl_begin(nl);
	(void)link_msg(nl, RTM_DELLINK, 0, "delete", 0, &m);
	mnl_attr_put_u32(m, IFLA_GROUP, GROUP_GOING);
	rc = nl_run(nl, "group of taps", e);
	return rc == -ENODEV ? 0 : rc;
}

int link_delete_aside(struct nl *nl, struct err *e)
{
	int rc = look_for_marked(nl, e);

	if (rc < 0 || marked.nours == 0)
		return rc;
	if (!marked.others)
		return delete_group(nl, e);
	while (rc == 0 && marked.nours > 0) {
		for (uint32_t i = 0; rc == 0 && i < marked.nours && i < HELPER_SLOTS_MAX; i++)
			rc = link_delete(nl, &marked.ours[i], e);
		if (rc == 0)
			rc = look_for_marked(nl, e); /* there may be more than there was room for */
	}
	return rc;
}

/* Marks them, as many as one call takes, and deletes what is marked. */
static int delete_some(struct nl *nl, const struct link *links, uint32_t n, struct err *e)
{
	int rc;

	ASSERT(n > 0);
	nl_begin(nl);
	for (uint32_t i = 0; i < n; i++) {
		struct nlmsghdr *m;

		(void)link_msg(nl, RTM_NEWLINK, 0, "mark", links[i].index, &m);
		mnl_attr_put_u32(m, IFLA_GROUP, GROUP_GOING);
	}
	rc = nl_run(nl, links[0].name, e);
	return rc < 0 && rc != -ENODEV ? rc : delete_group(nl, e);
}

int link_delete_all(struct nl *nl, const struct link *links, uint32_t n, struct err *e)
{
	int rc = look_for_marked(nl, e);
	const bool taken = rc == 0 && marked.others;

	/* Somebody else's links bear our mark; ours, which are set aside, go along. */
	for (uint32_t i = 0; rc == 0 && taken && i < n; i++)
		rc = link_delete(nl, &links[i], e);
	if (rc < 0 || taken)
		return rc;
	for (uint32_t at = 0; rc == 0 && at < n; at += NL_BATCH_MAX)
		rc = delete_some(nl, links + at, n - at < NL_BATCH_MAX ? n - at : NL_BATCH_MAX, e);
	return rc;
}
