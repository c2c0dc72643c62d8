/* net.c
 *
 * #caps CAP_NET_ADMIN
 * #syscalls poll
 */
#include "helper/net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>

#include "base/cleanup.h"
#include "helper/net/link.h"

enum {
	ASIDE_MAX = HELPER_SLOTS_MAX, /* taps that wait to be deleted, at most */
	ASIDE_WAIT_MS = 20,           /* without a request, until they are */
};

int net_open(const struct helper_conf *conf, void **ret_env, struct err *e)
{
	static struct net_env env; /* one per process; its buffers are the worker's only memory */
	int rc;

	env.conf = conf;
	env.ip_forward = open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC);
	if (env.ip_forward < 0)
		return err_sys(e, ERR_NET_FAILED, "/proc/sys/net/ipv4/ip_forward");
	env.aside = 1; /* a worker that died may have left some */
	rc = nl_open(&env.route, NETLINK_ROUTE, e);
	if (rc == 0)
		rc = nl_open(&env.filter, NETLINK_NETFILTER, e);
	if (rc == 0)
		*ret_env = &env;
	return rc;
}

int net_tidy(struct net_env *env, struct err *e)
{
	const int rc = env->aside > 0 ? link_delete_aside(&env->route, e) : 0;

	if (rc == 0)
		env->aside = 0;
	return rc;
}

void net_rest(void *arg, int link)
{
	struct net_env *const env = arg;
	struct pollfd request = { .fd = link, .events = POLLIN };
	struct err e = { 0 };

	if (env->aside == 0)
		return;
	if (link >= 0 && env->aside < ASIDE_MAX && poll(&request, 1, ASIDE_WAIT_MS) != 0)
		return;
	/* What could not go is tried again after the next request, and seen by host_report. */
	IGNORE(net_tidy(env, &e) < 0);
}

const struct conf_bridge *net_bridge(const struct helper_conf *conf, const char *name,
				     struct err *e)
{
	const struct conf_bridge *b;

	if (name_bridge_check(name, e) < 0)
		return NULL;
	b = helper_conf_bridge(conf, name);
	if (!b)
		(void)err_set(e, ERR_HELPER_REFUSED, "bridge: \"%s\" is not configured", name);
	return b;
}
