/* conf.h - helper.conf(5): what root has decided, so that requests need only select.
 *
 *   [helper]                    [bridge br-fc]
 *   owner = banger              address = 10.97.0.1/16
 *   uid_first = 200000
 *   uid_count = 4096
 *   state_dir = /var/lib/banger
 *
 * The file must be root's own, regular and writable by nobody else; that is checked on the opened
 * file.  Read once, at start.
 */
#pragma once

#include <netinet/in.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/macros.h"
#include "proto/helper.h"

#define HELPER_CONF      "/etc/banger/helper.conf"
#define HELPER_STATE_DIR "/var/lib/banger" /* where none is configured */

enum {
	CONF_BRIDGES_MAX = 16,
	CONF_PREFIX_MIN = 8,
	CONF_PREFIX_MAX = 30,
	CONF_PATH_MAX = 160, /* bytes of a path: inih reads lines of 199 */
};

struct conf_bridge {
	char name[HELPER_IFNAME_MAX + 1]; /* "br-fc" or "br-fc-..." */
	struct in_addr address;           /* of the host on it */
	uint32_t prefix;                  /* CONF_PREFIX_MIN..CONF_PREFIX_MAX */
};

struct helper_conf {
	uid_t owner;     /* may connect, besides root */
	uid_t uid_first; /* of slot 0: each slot has a uid of its own */
	uint32_t uid_count;
	char state_dir[CONF_PATH_MAX + 1]; /* the daemon's: images/ and vms/ are below it */
	struct conf_bridge bridges[CONF_BRIDGES_MAX];
	uint32_t nbridges;
};

/* ERR_HELPER_CONF names file, line and key. */
int helper_conf_load(const char *path, struct helper_conf *ret_conf, struct err *e) MUST_CHECK;

/* The uid after those of the slots, under which disks are read. */
uid_t helper_conf_tools_uid(const struct helper_conf *conf);

/* NULL: not configured. */
const struct conf_bridge *helper_conf_bridge(const struct helper_conf *conf, const char *name);
