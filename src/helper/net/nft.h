/* nft.h - the firewall: two static tables named "banger" whose sets are all that ever changes.
 *
 *   table ip banger         set bridges { type ifname }        ours
 *                           set nat { type ipv4_addr }         guests that may go out
 *     forward               from ours by @nat to elsewhere: accepted, masqueraded (postrouting)
 *                           answers to ours: accepted; all else from or to ours: dropped
 *   table bridge banger     set nat { type ifname . ipv4_addr }  which tap an address of @nat is of
 *     prerouting            what is neither IPv4 nor ARP: dropped.  A guest's router advertisement
 * would become the host's route, and within stacked VLAN tags nobody sees it an address of @nat
 * that comes from another tap, also by ARP: dropped
 *
 * `nft list ruleset` shows them.  Rules are made anew each time a bridge is ensured, within one
 * transaction that leaves the sets alone, so an upgrade of the helper or a flushed chain is
 * repaired without cutting anybody off.
 */
#pragma once

#include <netinet/in.h>

#include "helper/name.h"
#include "helper/net/nl.h"

/* Puts the tables in place and the bridge among ours. */
int nft_protect(struct nl *nl, const char *bridge, struct err *e) MUST_CHECK;
int nft_unprotect(struct nl *nl, const char *bridge,
		  struct err *e) MUST_CHECK;             /* absent is success */
int nft_remove(struct nl *nl, struct err *e) MUST_CHECK; /* both tables */

/* One transaction each: the address may go out from this tap alone. */
int nft_add_nat(struct nl *nl, const char *tap, struct in_addr address, struct err *e) MUST_CHECK;
int nft_remove_nat(struct nl *nl, const char *tap, struct in_addr address,
		   struct err *e) MUST_CHECK;

typedef void nft_each(const char *tap, struct in_addr address, void *arg);
int nft_list_nat(struct nl *nl, nft_each *each, void *arg, struct err *e) MUST_CHECK;
