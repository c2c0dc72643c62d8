/* net.h - the worker `net`: bridges, taps, NAT.  It keeps CAP_NET_ADMIN and opens nothing.
 *
 * Everything goes through sockets and one descriptor that are opened before it is confined; taps
 * are made of descriptors that the supervisor sends along.
 */
#pragma once

#include "helper/net/nl.h"
#include "helper/op.h"

struct net_env {
	const struct helper_conf *conf; /* borrowed */
	struct nl route;                /* rtnetlink */
	struct nl filter;               /* nfnetlink */
	int ip_forward;                 /* owned: /proc/sys/net/ipv4/ip_forward */
	uint32_t aside;    /* taps that are still to be deleted, at least where it is not 0 */
	uint32_t failures; /* to delete them, one after the other */
};

int net_open(const struct helper_conf *conf, void **ret_env, struct err *e);

/* Taps that are set aside are deleted together: once nobody has asked for anything for a moment, or
 * there are many, or somebody wants to know what there is.  What does not go is told in the log,
 * and tried again, after a longer and longer pause or at the next of these occasions. */
void net_tidy(struct net_env *env);
void net_rest(void *env, int link); /* between two requests; returns when one waits on the link */

op_validate bridge_validate, tap_validate, taps_validate, nat_validate;
op_step bridge_act, bridge_undo;
op_step tap_act, tap_undo;
op_step taps_act, taps_undo; /* many, for slots */
op_step nat_act, nat_undo;
op_step report_act;

/* The configured bridge of this name; ERR_HELPER_REFUSED. */
const struct conf_bridge *net_bridge(const struct helper_conf *conf, const char *name,
				     struct err *e);
