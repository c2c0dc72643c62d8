/* target.h - what the resolver operations act on, made by their validate(). */
#pragma once

#include <netinet/in.h>

#include "helper/name.h"

struct resolver_target {
	name_if bridge;
	int family; /* AF_INET, AF_INET6 */
	union {
		struct in_addr v4;
		struct in6_addr v6;
	} address;
	uint16_t port; /* 0: 53 */
};
