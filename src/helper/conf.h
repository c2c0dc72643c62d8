/* conf.h - helper.conf(5): what root has decided, so that requests need only select.
 *
 *   [helper]                    [bridge br-fc]
 *   owner = banger              address = 10.97.0.1/16
 *   uid_first = 200000
 *   uid_count = 4096
 *   state_dir = /var/lib/banger   [vmm qemu]
 *                                 binary = /usr/bin/qemu-system-x86_64
 *                                 libraries = /usr
 *                                 jailer = /usr/bin/jailer
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
#define CONF_LIBRARIES   "/usr" /* of the host: what programs that are not static are linked to */
#define HELPER_CGROUP    "/sys/fs/cgroup/banger.slice/banger-vms.service"

enum {
	CONF_BRIDGES_MAX = 16,
	CONF_VMMS_MAX = 4,
	CONF_NAME_MAX = 15,
	CONF_PREFIX_MIN = 8,
	CONF_PREFIX_MAX = 30,
	CONF_PATH_MAX = 160, /* bytes of a path: inih reads lines of 199 */
};

struct conf_bridge {
	char name[HELPER_IFNAME_MAX + 1]; /* "br-fc" or "br-fc-..." */
	struct in_addr address;           /* of the host on it */
	uint32_t prefix;                  /* CONF_PREFIX_MIN..CONF_PREFIX_MAX */
};

/* A program that `jail` may execute. */
struct conf_vmm {
	char name[CONF_NAME_MAX + 1];
	char binary[CONF_PATH_MAX + 1];    /* root's own, by its one true path */
	char libraries[CONF_PATH_MAX + 1]; /* "/usr": its jail shows it, read-only; "": static */
	char jailer[CONF_PATH_MAX + 1];    /* Firecracker's, that launches it; "": we do */
};

struct helper_conf {
	uid_t owner;     /* may connect, besides root */
	uid_t uid_first; /* of slot 0: each slot has a uid of its own */
	uint32_t uid_count;
	gid_t owner_gid;                   /* his group; as his uid where he has no account */
	char state_dir[CONF_PATH_MAX + 1]; /* the daemon's: images/ and vms/ are below it */
	struct conf_bridge bridges[CONF_BRIDGES_MAX];
	uint32_t nbridges;
	char cgroup[CONF_PATH_MAX + 1]; /* where VMs have theirs */
	struct conf_vmm vmms[CONF_VMMS_MAX];
	uint32_t nvmms;
};

/* ERR_HELPER_CONF names file, line and key. */
int helper_conf_load(const char *path, struct helper_conf *ret_conf, struct err *e) MUST_CHECK;

/* The uid after those of the slots, under which disks are read. */
uid_t helper_conf_tools_uid(const struct helper_conf *conf);

/* NULL: not configured. */
const struct conf_bridge *helper_conf_bridge(const struct helper_conf *conf, const char *name);
