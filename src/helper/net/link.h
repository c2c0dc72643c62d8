/* link.h - interfaces by rtnetlink: bridges, taps, what they are ports of. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "helper/conf.h"
#include "helper/name.h"
#include "helper/net/nl.h"

enum link_kind {
	LINK_OTHER,
	LINK_BRIDGE,
	LINK_TAP,
};

struct link {
	name_if name;
	enum link_kind kind;
	int index;
	int master;      /* index of the bridge that it is a port of; 0: none */
	bool persistent; /* taps */
	uid_t owner;     /* taps; -1: none */
	uint32_t group;  /* number that links may be dealt with by */
};

/* -ENODEV: there is none (and *e is not touched). */
int link_get(struct nl *nl, const char *name, struct link *ret_link, struct err *e) MUST_CHECK;

/* Every interface, or the ports of `master` only. */
typedef void link_each(const struct link *l, void *arg);
int link_list(struct nl *nl, int master, link_each *each, void *arg, struct err *e) MUST_CHECK;

/* A bridge with a MAC of its own, so that it does not change with its ports. */
int link_add_bridge(struct nl *nl, const char *name, const uint8_t mac[6],
		    struct err *e) MUST_CHECK;
int link_add_address(struct nl *nl, const struct link *l, const struct conf_bridge *b,
		     struct err *e) MUST_CHECK;

/* Port of the bridge, isolated from its other ports; in this order, before it is up. */
int link_enslave(struct nl *nl, const struct link *port, const struct link *bridge,
		 struct err *e) MUST_CHECK;

/* No address is to be made up for it: guests do not reach the host by IPv6. */
int link_no_ipv6(struct nl *nl, const struct link *l, struct err *e) MUST_CHECK;
int link_up(struct nl *nl, const struct link *l, struct err *e) MUST_CHECK;
int link_delete(struct nl *nl, const struct link *l, struct err *e) MUST_CHECK;

/* Of no more use to anybody: down, no port, under another name, so that its own is free.  It is
 * marked, and link_delete_aside() deletes what is, whichever worker has marked it. */
int link_set_aside(struct nl *nl, const struct link *l, struct err *e) MUST_CHECK;
/* Whether it bears the mark: it may go at any moment. */
bool link_is_going(const struct link *l);
int link_delete_aside(struct nl *nl, struct err *e) MUST_CHECK;

/* All at once: a deletion is mostly the kernel's wait for others to let go, and many wait together.
 */
int link_delete_all(struct nl *nl, const struct link *links, uint32_t n, struct err *e) MUST_CHECK;
