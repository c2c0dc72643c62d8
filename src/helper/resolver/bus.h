/* bus.h - calls to systemd-resolved over D-Bus, by sd-bus.
 *
 * The library is loaded by the worker that needs it, when it is forked, and by no other process of
 * the helper: it brings a dozen more with it, and none of them has business in a process that has
 * capabilities.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "helper/resolver/target.h"

struct bus;

/* -ENOENT with ERR_RESOLVER where the library is not installed; the worker then says so to each
 * request. */
int bus_load(struct err *e) MUST_CHECK;

/* A connection lasts as long as one operation. */
int bus_open(struct bus **ret_bus, struct err *e) MUST_CHECK;
void bus_close(struct bus *bus);

/* Each is one method of org.freedesktop.resolve1(5).Manager.  -ESRCH: nobody is there to be told.
 */
int bus_set_dns(struct bus *bus, int ifindex, const struct resolver_target *t,
		struct err *e) MUST_CHECK;
int bus_set_domain(struct bus *bus, int ifindex, const char *domain, struct err *e) MUST_CHECK;
int bus_set_default_route(struct bus *bus, int ifindex, int on, struct err *e) MUST_CHECK;
int bus_set_dnssec(struct bus *bus, int ifindex, const char *mode, struct err *e) MUST_CHECK;
int bus_set_llmnr(struct bus *bus, int ifindex, const char *mode, struct err *e) MUST_CHECK;
int bus_set_mdns(struct bus *bus, int ifindex, const char *mode, struct err *e) MUST_CHECK;
int bus_revert(struct bus *bus, int ifindex, struct err *e) MUST_CHECK;
