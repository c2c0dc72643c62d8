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
#include "base/log.h"
#include "helper/fault.h"
#include "helper/net/link.h"

enum {
	ASIDE_MAX = HELPER_SLOTS_MAX, /* taps that wait to be deleted, at most */
	ASIDE_WAIT_MS = 20,           /* without a request, until they are */
	ASIDE_WAIT_MAX_MS = 5000,     /* where they do not go: doubled up to here */
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

static const struct log_ctx log_ctx = { .actor = "helper/net" };

/* Each time the pause doubles, not each time that it fails. */
static void log_late(const struct net_env *env, const struct err *e)
{
	if ((env->failures & (env->failures - 1)) == 0)
		LOG_WARN(&log_ctx, NULL, "taps.late", K("failures", env->failures),
			 K("error", e->text));
}

void net_tidy(struct net_env *env)
{
	struct err e = { 0 };
	int rc;

	if (env->aside == 0)
		return;
	fault_arm(FAULT_BEHIND, true);
	rc = link_delete_aside(&env->route, &e);
	fault_arm(FAULT_BEHIND, false);
	if (rc < 0) {
		env->failures++;
		log_late(env, &e);
		return;
	}
	if (env->failures > 0)
		LOG_INFO(&log_ctx, NULL, "taps.gone", K("failures", env->failures));
	env->aside = 0;
	env->failures = 0;
}

static int pause_ms(const struct net_env *env)
{
	int ms = ASIDE_WAIT_MS;

	if (env->failures == 0)
		return env->aside < ASIDE_MAX ? ms : 0;
	for (uint32_t i = 0; i < env->failures && ms < ASIDE_WAIT_MAX_MS; i++)
		ms *= 2;
	return ms < ASIDE_WAIT_MAX_MS ? ms : ASIDE_WAIT_MAX_MS;
}

void net_rest(void *arg, int link)
{
	struct net_env *const env = arg;
	struct pollfd request = { .fd = link, .events = POLLIN };

	while (env->aside > 0) {
		const int ms = link < 0 ? 0 : pause_ms(env);

		if (ms > 0 && poll(&request, 1, ms) != 0)
			return;
		net_tidy(env);
		if (link < 0)
			return; /* the next helper finds what is left */
	}
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
