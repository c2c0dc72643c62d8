/* bus.c
 *
 * #syscalls socket:AF_UNIX connect sendmsg recvmsg getsockopt setsockopt getsockname newfstatat close
 * #syscalls getpid futex ppoll? getrandom? brk? mmap? munmap? clock_gettime?
 */
#include "helper/resolver/bus.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "base/assert.h"

#define LIBRARY "libsystemd.so.0"
#define ADDRESS "unix:path=/run/dbus/system_bus_socket"
#define PLACE                                                                                      \
	"org.freedesktop.resolve1", "/org/freedesktop/resolve1", "org.freedesktop.resolve1.Manager"

enum {
	CALL_TIMEOUT_US = 5 * 1000 * 1000,
};

/* What is used of the library, with the types of its own header. */
#define FUNCTIONS(F)                                                                               \
	F(sd_bus_new)                                                                              \
	F(sd_bus_set_address)                                                                      \
	F(sd_bus_set_bus_client)                                                                   \
	F(sd_bus_set_method_call_timeout)                                                          \
	F(sd_bus_start)                                                                            \
	F(sd_bus_call_method)                                                                      \
	F(sd_bus_error_free)                                                                       \
	F(sd_bus_flush_close_unref)

static struct {
#define MEMBER(name) __typeof__(&(name)) name;
	FUNCTIONS(MEMBER)
#undef MEMBER
} lib;

struct bus; /* a sd_bus */

int bus_load(struct err *e)
{
	void *const handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		return err_num(e, ERR_RESOLVER, ENOENT, "%s: %s", LIBRARY,
			       dlerror()); /* NOLINT(concurrency-mt-unsafe) */
#define LOAD(name)                                                                                 \
	*(void **)&lib.name = dlsym(handle, #name);                                                \
	if (!lib.name)                                                                             \
		return err_num(e, ERR_RESOLVER, ENOENT, "%s: no %s", LIBRARY, #name);
	FUNCTIONS(LOAD)
#undef LOAD
	return 0;
}

int bus_open(struct bus **ret_bus, struct err *e)
{
	sd_bus *bus = NULL;
	int rc;

	if (!lib.sd_bus_new)
		return err_num(e, ERR_RESOLVER, ENOENT, "%s is not installed", LIBRARY);
	rc = lib.sd_bus_new(&bus);
	if (rc >= 0)
		rc = lib.sd_bus_set_address(bus, ADDRESS);
	if (rc >= 0)
		rc = lib.sd_bus_set_bus_client(bus, true);
	if (rc >= 0)
		rc = lib.sd_bus_set_method_call_timeout(bus, CALL_TIMEOUT_US);
	if (rc >= 0)
		rc = lib.sd_bus_start(bus);
	if (rc < 0) {
		(void)err_num(e, ERR_RESOLVER, rc, "the system bus");
		bus_close((struct bus *)bus);
		return rc == -ENOENT || rc == -ECONNREFUSED ? -ESRCH : rc;
	}
	*ret_bus = (struct bus *)bus;
	return 0;
}

void bus_close(struct bus *bus)
{
	if (bus)
		(void)lib.sd_bus_flush_close_unref((sd_bus *)bus);
}

static bool is_nobody(const char *name)
{
	static const char *const names[] = {
		"org.freedesktop.DBus.Error.ServiceUnknown",
		"org.freedesktop.DBus.Error.NameHasNoOwner",
		"org.freedesktop.systemd1.NoSuchUnit",
	};

	for (size_t i = 0; name && i < ARRAY_LEN(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* What the call said, in our words; frees its error. */
static int tell(int rc, const char *method, sd_bus_error *error, struct err *e)
{
	const bool nobody = is_nobody(error->name);

	if (rc >= 0)
		return 0;
	rc = err_num(e, ERR_RESOLVER, rc, "systemd-resolved: %s: %s", method,
		     error->message ? error->message : "no answer");
	lib.sd_bus_error_free(error);
	return nobody ? -ESRCH : rc;
}

#define CALL(bus, method, e, ...)                                                                  \
	({                                                                                         \
		sd_bus_error error_ = SD_BUS_ERROR_NULL;                                           \
		const int rc_ = lib.sd_bus_call_method((sd_bus *)(bus), PLACE, method, &error_,    \
						       NULL, __VA_ARGS__);                         \
		tell(rc_, method, &error_, e);                                                     \
	})

int bus_set_dns(struct bus *bus, int ifindex, const struct resolver_target *t, struct err *e)
{
	const uint8_t *const b = t->address.v6.s6_addr; /* the v4 address is its first four bytes */
	const unsigned port = t->port;

	if (t->family == AF_INET)
		return CALL(bus, "SetLinkDNSEx", e, "ia(iayqs)", ifindex, 1, AF_INET, 4, b[0], b[1],
			    b[2], b[3], port, "");
	return CALL(bus, "SetLinkDNSEx", e, "ia(iayqs)", ifindex, 1, AF_INET6, 16, b[0], b[1], b[2],
		    b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		    b[15], port, "");
}

int bus_set_domain(struct bus *bus, int ifindex, const char *domain, struct err *e)
{
	return CALL(bus, "SetLinkDomains", e, "ia(sb)", ifindex, 1, domain, true);
}

int bus_set_default_route(struct bus *bus, int ifindex, int on, struct err *e)
{
	return CALL(bus, "SetLinkDefaultRoute", e, "ib", ifindex, on);
}

int bus_set_dnssec(struct bus *bus, int ifindex, const char *mode, struct err *e)
{
	return CALL(bus, "SetLinkDNSSEC", e, "is", ifindex, mode);
}

int bus_set_llmnr(struct bus *bus, int ifindex, const char *mode, struct err *e)
{
	return CALL(bus, "SetLinkLLMNR", e, "is", ifindex, mode);
}

int bus_set_mdns(struct bus *bus, int ifindex, const char *mode, struct err *e)
{
	return CALL(bus, "SetLinkMulticastDNS", e, "is", ifindex, mode);
}

int bus_revert(struct bus *bus, int ifindex, struct err *e)
{
	return CALL(bus, "RevertLink", e, "i", ifindex);
}
