/* target.h - what the network operations act on, made by their validate(). */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "helper/conf.h"
#include "helper/name.h"

struct bridge_target {
	const struct helper_conf *conf;   /* borrowed: the others, whose firewall is the same */
	const struct conf_bridge *bridge; /* borrowed from conf */
};

struct tap_target {
	name_if name;
	name_if bridge;
	uid_t uid;
	bool descriptor; /* return it opened */
};

struct nat_target {
	name_if tap;
	name_if bridge;
	struct in_addr address;
};

struct taps_target {
	name_if bridge;
	uint32_t first;
	uint32_t count;
	uid_t uid; /* of the first */
};
