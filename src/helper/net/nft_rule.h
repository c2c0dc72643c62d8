/* nft_rule.h - the parts of which the firewall's rules are made: each appends its expressions. */
#pragma once

#include <libmnl/libmnl.h>

#define NFT_SET_BRIDGES   "bridges"
#define NFT_SET_NAT       "nat"
#define NFT_SET_ADDRESSES "addresses"

enum {
	NFT_PARTS_MAX = 6,
};

typedef void nft_part(struct nlmsghdr *m);

/* Interfaces: ours are the bridges of the set. */
nft_part nft_from_ours, nft_not_from_ours, nft_to_ours, nft_not_to_ours;
nft_part nft_from_tap; /* "bg-*" */

/* Addresses. */
nft_part nft_source_has_nat; /* ip: in @nat */
nft_part nft_is_ip, nft_is_not_ip, nft_is_arp, nft_is_not_arp;
nft_part nft_address_is_known, nft_address_of_other_tap; /* bridge: of an IP packet */
nft_part nft_sender_is_known, nft_sender_of_other_tap;   /* bridge: of an ARP packet */

nft_part nft_is_answer; /* of a connection that is known */
nft_part nft_accept, nft_drop, nft_masquerade;
