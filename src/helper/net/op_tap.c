/* op_tap.c - a persistent tap per VM or slot: its slot's uid may open it, and no other; it is an
 * isolated port of a configured bridge.
 *
 * A tap that a VMM holds open is left as it is where it is right already: "make present" may be
 * repeated while the VM runs.
 *
 * #syscalls close
 * #ioctls linux/if_tun.h: TUNSETIFF TUNSETOWNER TUNSETPERSIST
 */
#include <errno.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "helper/fault.h"
#include "helper/net/link.h"
#include "helper/net/net.h"

/* ---- validate ---- */

int tap_validate(const struct helper_conf *conf, const void *args, struct op_target *ret_target,
		 struct err *e)
{
	const struct helper_tap_args *const a = args;
	const struct conf_bridge *const b = net_bridge(conf, a->bridge, e);
	struct tap_target t = { .descriptor = a->descriptor };
	int rc;

	if (!b)
		return err_errno(e);
	rc = name_slot_uid(conf, a->slot, &t.uid, e);
	if (rc < 0)
		return rc;
	name_tap(a->vm, a->slot, t.name);
	memcpy(t.bridge, b->name, sizeof(t.bridge));
	ret_target->vm = a->vm;
	ret_target->tap = t;
	return 0;
}

int taps_validate(const struct helper_conf *conf, const void *args, struct op_target *ret_target,
		  struct err *e)
{
	const struct helper_slots_args *const a = args;
	const struct conf_bridge *const b = net_bridge(conf, a->bridge, e);
	struct taps_target t = { .first = a->first, .count = a->count };
	uid_t last;
	int rc;

	if (!b)
		return err_errno(e);
	rc = name_slot_uid(conf, a->first, &t.uid, e);
	if (rc == 0)
		rc = name_slot_uid(conf, a->first + a->count - 1, &last, e);
	if (rc < 0)
		return rc;
	memcpy(t.bridge, b->name, sizeof(t.bridge));
	ret_target->taps = t;
	return 0;
}

/* ---- the device ---- */

static int tun_ioctl(int tun, unsigned long request, void *arg, const char *what, const char *name,
		     struct err *e)
{
	int rc = fault_point(what, e);

	if (rc < 0)
		return rc;
	if (ioctl(tun, request, arg) < 0)
		return err_sys(e, errno == EBUSY ? ERR_NET_BUSY : ERR_NET_FAILED, "%s: %s", name,
			       what);
	return fault_point(what, e);
}

/* Creates the device, or attaches to the one of this name. */
static int attach(int tun, const char *name, struct err *e)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

	memcpy(ifr.ifr_name, name, sizeof(ifr.ifr_name));
	return tun_ioctl(tun, TUNSETIFF, &ifr, "TUNSETIFF", name, e);
}

static int keep(int tun, const struct tap_target *t, struct err *e)
{
	void *const uid = (void *)(uintptr_t)t->uid;
	void *const yes = (void *)(uintptr_t)1;
	const int rc = tun_ioctl(tun, TUNSETOWNER, uid, "TUNSETOWNER", t->name, e);

	return rc < 0 ? rc : tun_ioctl(tun, TUNSETPERSIST, yes, "TUNSETPERSIST", t->name, e);
}

/* -ENODEV: there is none; what else bears the name is somebody else's. */
static int find_tap(struct nl *nl, const char *name, struct link *ret_tap, struct err *e)
{
	const int rc = link_get(nl, name, ret_tap, e);

	if (rc == 0 && ret_tap->kind != LINK_TAP)
		return err_set(e, ERR_HELPER_REFUSED, "%s: is there and is no tap", name);
	return rc;
}

/* One that was to be deleted, and did not come to be set aside: not to be used again. */
static int finish_going(struct nl *nl, const struct link *l, struct err *e)
{
	const int rc = link_delete(nl, l, e);

	return rc < 0 ? rc : -ENODEV;
}

/* Present with the right owner; `tun` is attached to it where that was needed or is wanted. */
static int device_up(struct nl *nl, const struct tap_target *t, int tun, struct link *ret_link,
		     struct err *e)
{
	int rc = find_tap(nl, t->name, ret_link, e);

	if (rc == 0 && link_is_going(ret_link))
		rc = finish_going(nl, ret_link, e);
	if (rc < 0 && rc != -ENODEV)
		return rc;
	const bool right = rc == 0 && ret_link->persistent && ret_link->owner == t->uid;
	if (right && !t->descriptor)
		return 0;
	if (tun < 0)
		return err_set(e, ERR_NET_FAILED, "%s: /dev/net/tun could not be opened", t->name);
	rc = attach(tun, t->name, e);
	if (rc == 0 && !right)
		rc = keep(tun, t, e);
	if (rc == 0)
		rc = link_get(nl, t->name, ret_link, e);
	return rc == -ENODEV ? err_num(e, ERR_NET_FAILED, rc, "%s", t->name) : rc;
}

static int find_bridge(struct nl *nl, const char *name, struct link *ret_link, struct err *e)
{
	const int rc = link_get(nl, name, ret_link, e);

	if (rc == -ENODEV)
		return err_num(e, ERR_NET_FAILED, rc, "bridge: %s: ensure_bridge comes first",
			       name);
	if (rc == 0 && ret_link->kind != LINK_BRIDGE)
		return err_set(e, ERR_HELPER_REFUSED, "bridge: %s is there and is no bridge", name);
	return rc;
}

/* ---- one tap ---- */

static int tap_up(struct nl *nl, const struct tap_target *t, int tun, struct err *e)
{
	struct link bridge;
	struct link tap;
	int rc;

	rc = find_bridge(nl, t->bridge, &bridge, e);
	if (rc == 0)
		rc = device_up(nl, t, tun, &tap, e);
	if (rc == 0)
		rc = link_enslave(nl, &tap, &bridge, e);
	if (rc == 0)
		rc = link_no_ipv6(nl, &tap, e);
	if (rc == 0)
		rc = link_up(nl, &tap, e);
	return rc;
}

/* By index: what was looked at is what goes, whatever is renamed meanwhile.  Deleting is mostly the
 * kernel's wait for others to let go: nobody has to wait for that.  What cannot be set aside, since
 * somebody else has the name, is deleted while it is waited for. */
static int tap_down(struct net_env *env, const char *name, struct err *e)
{
	struct link l;
	int rc = find_tap(&env->route, name, &l, e);

	if (rc == -ENODEV)
		return 0;
	if (rc == 0) {
		env->aside++;
		rc = link_set_aside(&env->route, &l, e);
		if (rc < 0)
			rc = link_delete(&env->route, &l, e);
	}
	return rc;
}

int tap_act(struct op_call *c, struct err *e)
{
	struct net_env *const env = c->env;
	const struct tap_target *const t = &c->target.tap;
	struct helper_tap_view *const view = c->result;
	const int rc = tap_up(&env->route, t, c->ntun > 0 ? c->tun[0] : -EBADF, e);

	if (rc < 0)
		return rc;
	if (t->descriptor)
		c->fds[c->nfds++] = take_fd(&c->tun[0]);
	memcpy(view->tap, t->name, sizeof(view->tap));
	view->uid = t->uid;
	return 0;
}

int tap_undo(struct op_call *c, struct err *e)
{
	struct net_env *const env = c->env;

	return tap_down(env, c->target.tap.name, e);
}

/* ---- many ---- */

int taps_act(struct op_call *c, struct err *e)
{
	struct net_env *const env = c->env;
	const struct taps_target *const all = &c->target.taps;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < all->count; i++) {
		struct tap_target t = { .uid = all->uid + i };

		name_tap(0, all->first + i, t.name);
		memcpy(t.bridge, all->bridge, sizeof(t.bridge));
		rc = tap_up(&env->route, &t, i < c->ntun ? c->tun[i] : -EBADF, e);
		if (i < c->ntun)
			close_fd(&c->tun[i]);
	}
	return rc;
}

/* Never stops half way; tells the first that could not go. */
int taps_undo(struct op_call *c, struct err *e)
{
	struct net_env *const env = c->env;
	const struct taps_target *const all = &c->target.taps;
	struct link links[HELPER_SLOTS_MAX];
	uint32_t n = 0;
	int first = 0;
	int rc;

	for (uint32_t i = 0; i < all->count; i++) {
		name_if name;

		name_tap(0, all->first + i, name);
		rc = find_tap(&env->route, name, &links[n], first < 0 ? NULL : e);
		if (rc == 0)
			n++;
		else if (rc != -ENODEV && first == 0)
			first = rc;
	}
	rc = n > 0 ? link_delete_all(&env->route, links, n, first < 0 ? NULL : e) : 0;
	return first < 0 ? first : rc;
}
