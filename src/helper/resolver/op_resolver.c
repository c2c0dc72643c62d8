/* op_resolver.c - names below `.vm` are asked of the daemon's DNS server, and of nobody else.
 *
 * On the bridge's link: the server, the routing-only domain "~vm", and no use for other names; no
 * DNSSEC, since the root zone proves that there is no `.vm`; no LLMNR and mDNS, by which a guest
 * could answer what the host asks its neighbours.
 *
 * #ioctls linux/sockios.h: SIOCGIFINDEX
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "helper/fault.h"
#include "helper/net/net.h"
#include "helper/resolver/bus.h"
#include "helper/resolver/resolver.h"

/* ---- validate ---- */

/* "IP", "IP:port", "[IPv6]" or "[IPv6]:port" into its two parts; `address` has room for it all. */
static int split(const char *text, char *address, const char **ret_port)
{
	const bool bracketed = text[0] == '[';
	const char *const from = bracketed ? text + 1 : text;
	const size_t len = strcspn(from, bracketed ? "]" : ":");
	const char *rest = from + len;

	if (!bracketed && strchr(text, ':') != strrchr(text, ':')) { /* a bare IPv6 address */
		memcpy(address, text, strlen(text) + 1);
		*ret_port = NULL;
		return 0;
	}
	if (bracketed && *rest++ != ']')
		return -EINVAL;
	if (*rest != '\0' && *rest != ':')
		return -EINVAL;
	memcpy(address, from, len);
	address[len] = '\0';
	*ret_port = *rest == ':' ? rest + 1 : NULL;
	return 0;
}

static bool is_loopback(const struct resolver_target *t)
{
	if (t->family == AF_INET)
		return ntohl(t->address.v4.s_addr) >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&t->address.v6);
}

static int server_parse(const char *text, struct resolver_target *t, struct err *e)
{
	char address[HELPER_WORD_MAX + 1];
	const char *port = NULL;
	uint64_t n = 0;

	if (split(text, address, &port) < 0)
		return err_set(e, ERR_HELPER_REFUSED,
			       "server: \"%s\" is no IP, IP:port or [IPv6]:port", text);
	if (inet_pton(AF_INET, address, &t->address.v4) == 1)
		t->family = AF_INET;
	else if (inet_pton(AF_INET6, address, &t->address.v6) == 1)
		t->family = AF_INET6;
	else
		return err_set(e, ERR_HELPER_REFUSED, "server: \"%s\" is no IP address", address);
	if (port && number_parse("port", port, 1, UINT16_MAX, &n, NULL) < 0)
		return err_set(e, ERR_HELPER_REFUSED, "server: \"%s\" is no port", port);
	t->port = (uint16_t)n;
	if (!is_loopback(t))
		return err_set(e, ERR_HELPER_REFUSED, "server: %s is no loopback address", address);
	return 0;
}

int resolver_validate(const struct helper_conf *conf, const void *args,
		      struct op_target *ret_target, struct err *e)
{
	const struct helper_resolver_args *const a = args;
	const struct conf_bridge *const b = net_bridge(conf, a->bridge, e);
	struct resolver_target t = { .family = AF_UNSPEC };

	if (!b)
		return err_errno(e);
	memcpy(t.bridge, b->name, sizeof(t.bridge));
	ret_target->resolver = t;
	return 0;
}

int resolver_sync_validate(const struct helper_conf *conf, const void *args,
			   struct op_target *ret_target, struct err *e)
{
	const struct helper_resolver_args *const a = args;
	int rc = resolver_validate(conf, args, ret_target, e);

	if (rc < 0)
		return rc;
	if (a->server[0] == '\0')
		return err_set(e, ERR_HELPER_REFUSED, "server: missing");
	return server_parse(a->server, &ret_target->resolver, e);
}

/* ---- act, undo ---- */

/* -ENODEV: there is none. */
static int index_of(const char *name, int *ret_index, struct err *e)
{
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_ifindex = 0 };

	if (fd < 0)
		return err_sys(e, ERR_HOST_FILES, "socket");
	memcpy(ifr.ifr_name, name, sizeof(ifr.ifr_name));
	if (ioctl(fd, SIOCGIFINDEX, &ifr) < 0)
		return err_sys(e, ERR_RESOLVER, "%s", name);
	*ret_index = ifr.ifr_ifindex;
	return 0;
}

static int route(struct bus *bus, int ifindex, const struct resolver_target *t, struct err *e)
{
	int rc = fault_point("resolver", e);

	if (rc == 0)
		rc = bus_set_dns(bus, ifindex, t, e);
	if (rc == 0)
		rc = fault_point("SetLinkDNSEx", e);
	if (rc == 0)
		rc = bus_set_default_route(bus, ifindex, false, e);
	if (rc == 0)
		rc = bus_set_dnssec(bus, ifindex, "no", e);
	if (rc == 0)
		rc = bus_set_llmnr(bus, ifindex, "no", e);
	if (rc == 0)
		rc = bus_set_mdns(bus, ifindex, "no", e);
	if (rc == 0)
		rc = bus_set_domain(bus, ifindex, HELPER_DNS_DOMAIN, e);
	return rc < 0 ? rc : fault_point("SetLinkDomains", e);
}

int resolver_act(struct op_call *c, struct err *e)
{
	const struct resolver_target *const t = &c->target.resolver;
	struct bus *bus = NULL;
	int ifindex = 0;
	int rc;

	rc = index_of(t->bridge, &ifindex, e);
	if (rc == 0)
		rc = bus_open(&bus, e);
	if (rc == 0)
		rc = route(bus, ifindex, t, e);
	bus_close(bus);
	return rc;
}

/* A link or a resolver that is gone has forgotten what it was told. */
int resolver_undo(struct op_call *c, struct err *e)
{
	const struct resolver_target *const t = &c->target.resolver;
	struct bus *bus = NULL;
	int ifindex = 0;
	int rc;

	rc = index_of(t->bridge, &ifindex, e);
	if (rc == 0)
		rc = bus_open(&bus, e);
	if (rc == 0)
		rc = bus_revert(bus, ifindex, e);
	bus_close(bus);
	return rc == -ENODEV || rc == -ESRCH ? 0 : rc;
}

int resolver_open(const struct helper_conf *conf, void **ret_env, struct err *e)
{
	(void)conf;
	(void)ret_env;
	(void)e;
	/* Without the library each request is told so: a host without systemd-resolved has a
	 * helper. */
	IGNORE(bus_load(NULL));
	return 0;
}
