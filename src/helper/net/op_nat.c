/* op_nat.c - a guest may go out through the host's address: elements of the firewall's sets.
 *
 * #syscalls pwrite64
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "helper/fault.h"
#include "helper/net/link.h"
#include "helper/net/net.h"
#include "helper/net/nft.h"

int nat_validate(const struct helper_conf *conf, const void *args, struct op_target *ret_target,
		 struct err *e)
{
	const struct helper_nat_args *const a = args;
	const struct conf_bridge *const b = net_bridge(conf, a->bridge, e);
	struct nat_target t = { .address.s_addr = 0 };
	uid_t uid;
	int rc;

	if (!b)
		return err_errno(e);
	rc = name_slot_uid(conf, a->slot, &uid, e);
	if (rc < 0)
		return rc;
	if (inet_pton(AF_INET, a->address, &t.address) != 1)
		return err_set(e, ERR_HELPER_REFUSED, "address: \"%s\" is no IPv4 address",
			       a->address);
	if (!name_is_guest_address(b, ntohl(t.address.s_addr)))
		return err_set(e, ERR_HELPER_REFUSED,
			       "address: %s is no guest's in the subnet of %s", a->address,
			       b->name);
	if (t.address.s_addr == b->address.s_addr)
		return err_set(e, ERR_HELPER_REFUSED, "address: %s is the host's own on %s",
			       a->address, b->name);
	name_tap(a->vm, a->slot, t.tap);
	memcpy(t.bridge, b->name, sizeof(t.bridge));
	ret_target->vm = a->vm;
	ret_target->nat = t;
	return 0;
}

/* The tap that the address is let out of is there, and a port of the bridge that was meant. */
static int check_port(struct nl *nl, const struct nat_target *t, struct err *e)
{
	struct link bridge = { .index = 0 };
	struct link tap = { .index = 0 };
	int rc = link_get(nl, t->bridge, &bridge, e);

	if (rc == 0)
		rc = link_get(nl, t->tap, &tap, e);
	if (rc == -ENODEV)
		return err_set(e, ERR_HELPER_REFUSED, "tap: %s or its bridge %s is not there",
			       t->tap, t->bridge);
	if (rc < 0)
		return rc;
	if (bridge.kind != LINK_BRIDGE || tap.kind != LINK_TAP || tap.master != bridge.index)
		return err_set(e, ERR_HELPER_REFUSED, "tap: %s is no port of %s", t->tap,
			       t->bridge);
	return 0;
}

/* Left on afterwards: others may have come to rely on it, and the firewall lets nobody else out. */
static int forward_on(int fd, struct err *e)
{
	int rc = fault_point("ip_forward", e);

	if (rc < 0)
		return rc;
	if (pwrite(fd, "1\n", 2, 0) != 2)
		return err_sys(e, ERR_NET_FAILED, "ip_forward");
	return fault_point("ip_forward", e);
}

int nat_act(struct op_call *c, struct err *e)
{
	struct net_env *const env = c->env;
	const struct nat_target *const t = &c->target.nat;
	int rc;

	rc = check_port(&env->route, t, e);
	if (rc == 0)
		rc = forward_on(env->ip_forward, e);
	if (rc == 0)
		rc = nft_add_nat(&env->filter, t->tap, t->address, e);
	if (rc == -ENOENT &&
	    nft_protect(&env->filter, t->bridge, e) == 0) /* somebody flushed everything */
		rc = nft_add_nat(&env->filter, t->tap, t->address, e);
	return rc;
}

int nat_undo(struct op_call *c, struct err *e)
{
	struct net_env *const env = c->env;
	const struct nat_target *const t = &c->target.nat;

	return nft_remove_nat(&env->filter, t->tap, t->address, e);
}
