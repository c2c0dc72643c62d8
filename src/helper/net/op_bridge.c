/* op_bridge.c - a configured bridge: there, with its address, up, and behind the firewall.
 *
 * The firewall comes first: no frame passes a bridge that it does not know.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "helper/net/link.h"
#include "helper/net/net.h"
#include "helper/net/nft.h"

int bridge_validate(const struct helper_conf *conf, const void *args, struct op_target *ret_target,
		    struct err *e)
{
	const struct helper_bridge_args *const a = args;
	const struct conf_bridge *const b = net_bridge(conf, a->bridge, e);

	if (!b)
		return err_errno(e);
	ret_target->bridge = (struct bridge_target){ .conf = conf, .bridge = b };
	return 0;
}

/* Locally administered, and the same each time: guests may remember it. */
static int add(struct nl *nl, const struct conf_bridge *b, struct err *e)
{
	uint8_t mac[6] = { 0x02, 0xfc };

	memcpy(mac + 2, &b->address.s_addr, 4);
	return link_add_bridge(nl, b->name, mac, e);
}

static int find(struct nl *nl, const char *name, struct link *ret_link, struct err *e)
{
	const int rc = link_get(nl, name, ret_link, e);

	if (rc == 0 && ret_link->kind != LINK_BRIDGE)
		return err_set(e, ERR_HELPER_REFUSED, "%s: is there and is no bridge", name);
	return rc;
}

static int find_or_add(struct nl *nl, const struct conf_bridge *b, struct link *ret_link,
		       struct err *e)
{
	int rc = find(nl, b->name, ret_link, e);

	if (rc != -ENODEV)
		return rc;
	rc = add(nl, b, e);
	if (rc == 0)
		rc = find(nl, b->name, ret_link, e);
	return rc == -ENODEV ? err_num(e, ERR_NET_FAILED, rc, "%s", b->name) : rc;
}

int bridge_act(struct op_call *c, struct err *e)
{
	struct net_env *const env = c->env;
	const struct conf_bridge *const b = c->target.bridge.bridge;
	struct helper_bridge_view *const view = c->result;
	struct link l;
	int rc;

	rc = nft_protect(&env->filter, b->name, e);
	if (rc == 0)
		rc = find_or_add(&env->route, b, &l, e);
	if (rc == 0)
		rc = link_no_ipv6(&env->route, &l, e);
	if (rc == 0)
		rc = link_add_address(&env->route, &l, b, e);
	if (rc == 0)
		rc = link_up(&env->route, &l, e);
	if (rc < 0)
		return rc;
	(void)snprintf(view->bridge, sizeof(view->bridge), "%s", b->name);
	(void)inet_ntop(AF_INET, &b->address, view->address, sizeof(view->address));
	view->prefix = b->prefix;
	view->slots = c->target.bridge.conf->uid_count;
	return 0;
}

static void count_port(const struct link *l, void *arg)
{
	(void)l;
	++*(uint32_t *)arg;
}

static int remove_link(struct nl *nl, const char *name, struct err *e)
{
	uint32_t ports = 0;
	struct link l;
	int rc = find(nl, name, &l, e);

	if (rc == -ENODEV)
		return 0;
	if (rc == 0)
		rc = link_list(nl, l.index, count_port, &ports, e);
	if (rc == 0 && ports > 0)
		return err_set(e, ERR_NET_BUSY, "%s: has %u ports", name, ports);
	return rc < 0 ? rc : link_delete(nl, &l, e);
}

/* In doubt it exists: it then stays behind the firewall. */
static bool exists(struct net_env *env, const struct conf_bridge *b)
{
	struct link l;
	const int rc = link_get(&env->route, b->name, &l, NULL);

	return rc == 0 ? l.kind == LINK_BRIDGE : rc != -ENODEV;
}

/* The firewall is all bridges' together, and goes with the last one. */
static int unprotect(struct net_env *env, const struct bridge_target *t, struct err *e)
{
	bool others = false;

	for (uint32_t i = 0; i < t->conf->nbridges; i++)
		if (&t->conf->bridges[i] != t->bridge && exists(env, &t->conf->bridges[i]))
			others = true;
	return others ? nft_unprotect(&env->filter, t->bridge->name, e)
		      : nft_remove(&env->filter, e);
}

int bridge_undo(struct op_call *c, struct err *e)
{
	struct net_env *const env = c->env;
	const struct bridge_target *const t = &c->target.bridge;
	const int first = remove_link(&env->route, t->bridge->name, e);
	int rc = 0;

	if (!exists(env, t->bridge))
		rc = unprotect(env, t, first < 0 ? NULL : e);
	return first < 0 ? first : rc;
}
