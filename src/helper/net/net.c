/* net.c
 *
 * #caps CAP_NET_ADMIN
 */
#include "helper/net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>

#include "base/cleanup.h"

int net_open(const struct helper_conf *conf, void **ret_env, struct err *e)
{
	static struct net_env env; /* one per process; its buffers are the worker's only memory */
	int rc;

	env.conf = conf;
	env.ip_forward = open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC);
	if (env.ip_forward < 0)
		return err_sys(e, ERR_NET_FAILED, "/proc/sys/net/ipv4/ip_forward");
	rc = nl_open(&env.route, NETLINK_ROUTE, e);
	if (rc == 0)
		rc = nl_open(&env.filter, NETLINK_NETFILTER, e);
	if (rc == 0)
		*ret_env = &env;
	return rc;
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
