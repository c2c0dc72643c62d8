#include "guest/init/network.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/route.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "guest/common/uevent.h"

#define LOOPBACK "lo"
#define ETHERNET "eth0"

enum {
	ETHERNET_WAIT_MS = 10000,
};

static struct sockaddr_in inet(struct in_addr addr)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = addr };
}

static struct ifreq request(const char *name)
{
	struct ifreq r = { 0 };

	memcpy(r.ifr_name, name, strlen(name) + 1);
	return r;
}

static int interface_up(int sock, const char *name, struct err *e)
{
	struct ifreq r = request(name);

	if (ioctl(sock, SIOCGIFFLAGS, &r) < 0)
		return err_sys(e, ERR_GUEST_BOOT, "%s: SIOCGIFFLAGS", name);
	r.ifr_flags = (short)(r.ifr_flags | IFF_UP);
	if (ioctl(sock, SIOCSIFFLAGS, &r) < 0)
		return err_sys(e, ERR_GUEST_BOOT, "%s: SIOCSIFFLAGS", name);
	return 0;
}

static int address_set(int sock, const char *name, const struct options *o, struct err *e)
{
	const struct sockaddr_in address = inet(o->address);
	const struct sockaddr_in netmask = inet(o->netmask);
	struct ifreq r = request(name);

	memcpy(&r.ifr_addr, &address, sizeof(address));
	if (ioctl(sock, SIOCSIFADDR, &r) < 0)
		return err_sys(e, ERR_GUEST_BOOT, "%s: SIOCSIFADDR", name);
	memcpy(&r.ifr_netmask, &netmask, sizeof(netmask));
	if (ioctl(sock, SIOCSIFNETMASK, &r) < 0)
		return err_sys(e, ERR_GUEST_BOOT, "%s: SIOCSIFNETMASK", name);
	return 0;
}

static int mtu_set(int sock, const char *name, uint32_t mtu, struct err *e)
{
	struct ifreq r = request(name);

	r.ifr_mtu = (int)mtu;
	return ioctl(sock, SIOCSIFMTU, &r) < 0
		       ? err_sys(e, ERR_GUEST_BOOT, "%s: SIOCSIFMTU %u", name, mtu)
		       : 0;
}

/* It stays when we close it, with its address and routes; the agent takes it up (agent/net.h). */
static int tap_make(const char *name, struct err *e)
{
	CLEANUP_FD int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct ifreq r = request(name);

	if (fd < 0)
		return err_sys(e, ERR_GUEST_BOOT, "open /dev/net/tun");
	r.ifr_flags = IFF_TAP | IFF_NO_PI;
	if (ioctl(fd, TUNSETIFF, &r) < 0 || ioctl(fd, TUNSETPERSIST, 1) < 0)
		return err_sys(e, ERR_GUEST_BOOT, "tap %s", name);
	return 0;
}

static int gateway_add(int sock, struct in_addr via, struct err *e)
{
	const struct sockaddr_in gateway = inet(via);
	const struct sockaddr_in any = inet((struct in_addr){ INADDR_ANY });
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };

	memcpy(&route.rt_dst, &any, sizeof(any));
	memcpy(&route.rt_genmask, &any, sizeof(any));
	memcpy(&route.rt_gateway, &gateway, sizeof(gateway));
	if (ioctl(sock, SIOCADDRT, &route) < 0 && errno != EEXIST)
		return err_sys(e, ERR_GUEST_BOOT, "default route: SIOCADDRT");
	return 0;
}

static bool ethernet_found(void *arg)
{
	(void)arg;
	return if_nametoindex(ETHERNET) != 0;
}

int network_up(const struct options *o, int uevent_fd, struct err *e)
{
	CLEANUP_FD int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc;

	if (sock < 0)
		return err_sys(e, ERR_GUEST_BOOT, "network: socket");
	rc = interface_up(sock, LOOPBACK, e);
	if (rc < 0 || o->address.s_addr == INADDR_ANY)
		return rc;
	if (o->net_vsock)
		rc = tap_make(ETHERNET, e);
	if (rc == 0)
		rc = uevent_wait(uevent_fd, ethernet_found, NULL, ETHERNET, ETHERNET_WAIT_MS, e);
	if (rc == 0 && o->mtu)
		rc = mtu_set(sock, ETHERNET, o->mtu, e);
	if (rc == 0)
		rc = address_set(sock, ETHERNET, o, e);
	if (rc == 0)
		rc = interface_up(sock, ETHERNET, e);
	if (rc == 0 && o->gateway.s_addr != INADDR_ANY)
		rc = gateway_add(sock, o->gateway, e);
	return rc;
}
