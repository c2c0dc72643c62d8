/* helper.h - what the daemon and the root helper say to each other.
 *
 * The same frames and envelopes as the client's conversation (wire.h), each side saying hello
 * first. A request only selects: a VM by its id, a slot by its number, a bridge by its configured
 * name. Every path, device, interface and uid is rebuilt by the helper from these and from its own
 * root-owned configuration.
 *
 * Operations come in pairs, "make present" and "ensure absent", whose arguments are the same, so
 * that a plan's step and its undo are one struct.  Both may be repeated.
 *
 * Descriptors in a result travel as SCM_RIGHTS with the reply's first byte; the reply's field `fds`
 * says how many.  None may be sent to the helper.
 *
 * No field here owns memory: the helper decodes without a heap.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/client.h"
#include "proto/schema.h"

#define HELPER_SOCKET     "/run/banger-root/bangerd-root.sock"
#define HELPER_DNS_DOMAIN "vm" /* what the resolver is told to send to the daemon's DNS server */

enum {
	HELPER_FRAME_MAX = 128 * 1024, /* bytes of one map, either way */
	HELPER_PENDING_MAX = 32,       /* requests under way on a connection; more are read later */
	HELPER_FDS_MAX = 6,            /* descriptors of one reply */
	HELPER_IFNAME_MAX = 15,        /* IFNAMSIZ less its NUL */
	HELPER_SLOT_MAX = 65535,       /* highest number of a slot */
	HELPER_SLOTS_MAX = 64,         /* slots prepared or released by one request */
	HELPER_REPORT_MAX = 2048,      /* rows of each list of a report */
	HELPER_VMM_ARGS_MAX = 32 * 1024,   /* bytes of a VMM's words */
	HELPER_CPU_MAX = 100000,           /* percent of one processor */
	HELPER_WORD_MAX = 63,              /* bytes of a selector that is a name */
	HELPER_PATH_MAX = 255,             /* bytes of a path below the managed root */
	HELPER_NAME_MAX = 255,             /* bytes of one name of a path: ext4's */
	HELPER_HANDLE_MAX = 47,            /* bytes of a block device's name, "/dev/mapper/..." */
	HELPER_EXT4_FILES_MAX = 16,        /* files of one request */
	HELPER_EXT4_BYTES_MAX = 64 * 1024, /* bytes of one file; all of a request fit in a frame */
	HELPER_EXT4_MODE_MAX = 07777,
	HELPER_TEXT_MAX = 1023,         /* bytes of what a tool has said */
	HELPER_BLOCK_REPORT_MAX = 1024, /* rows of each list of block's report: they are longer */
};

/* clang-format off */
#define HELPER_METHODS(METHOD)                                                                                               \
	METHOD(ENSURE_BRIDGE,  "ensure_bridge",          helper_bridge_args_schema,   helper_bridge_view_schema, "bridge, address, up") \
	METHOD(REMOVE_BRIDGE,  "remove_bridge",          helper_bridge_args_schema,   none_schema,               "ensures absent; refused while it has ports") \
	METHOD(CREATE_TAP,     "create_tap",             helper_tap_args_schema,      helper_tap_view_schema,    "tap of the slot's uid: isolated port of the bridge, up") \
	METHOD(DELETE_TAP,     "delete_tap",             helper_tap_args_schema,      none_schema,               "ensures absent; deleted behind the answer, at the latest by `host_report.net`") \
	METHOD(ENSURE_NAT,     "ensure_nat",             helper_nat_args_schema,      none_schema,               "lets the VM's address out") \
	METHOD(REMOVE_NAT,     "remove_nat",             helper_nat_args_schema,      none_schema,               "ensures absent") \
	METHOD(PREPARE_TAPS,   "prepare_slots.net",      helper_slots_args_schema,    none_schema,               "taps ahead of demand") \
	METHOD(RELEASE_TAPS,   "release_slots.net",      helper_slots_args_schema,    none_schema,               "ensures absent") \
	METHOD(SYNC_RESOLVER,  "sync_resolver_routing",  helper_resolver_args_schema, none_schema,               "systemd-resolved asks `server` for `.vm`") \
	METHOD(CLEAR_RESOLVER, "clear_resolver_routing", helper_resolver_args_schema, none_schema,               "ensures absent") \
	METHOD(CREATE_SNAPSHOT, "create_dm_snapshot",    helper_snapshot_args_schema, helper_snapshot_view_schema, "the VM's root disk: an image's, and what differs from it") \
	METHOD(CLEANUP_SNAPSHOT, "cleanup_dm_snapshot",  helper_cleanup_args_schema,  none_schema,               "ensures absent what the handles name") \
	METHOD(REMOVE_SNAPSHOT, "remove_dm_snapshot",    helper_device_args_schema,   none_schema,               "ensures absent; its loop devices go with it") \
	METHOD(FSCK_SNAPSHOT,  "fsck_snapshot",          helper_device_args_schema,   helper_fsck_view_schema,   "e2fsck, which corrects what it can") \
	METHOD(READ_EXT4,      "read_ext4_file",         helper_ext4_read_args_schema, helper_ext4_file_schema,  "a file's contents, mode and owner") \
	METHOD(WRITE_EXT4,     "write_ext4_files",       helper_ext4_write_args_schema, none_schema,             "makes or replaces files, and the directories above them") \
	METHOD(REPORT_BLOCK,   "host_report.block",      none_schema,                 helper_block_report_schema, "what is on the host: snapshots, loop devices") \
	METHOD(PREPARE_JAILS,  "prepare_slots.jail",     helper_jails_args_schema,    none_schema,               "jails ahead of demand: `launch_vmm` of the slot takes the one that there is") \
	METHOD(RELEASE_JAILS,  "release_slots.jail",     helper_jails_args_schema,    none_schema,               "ensures absent; those that VMs have taken stay") \
	METHOD(LAUNCH_VMM,     "launch_vmm",             helper_vmm_args_schema,      helper_vmm_view_schema,    "a VMM in a jail of its own; its pidfd and connected sockets are returned") \
	METHOD(KILL_VMM,       "kill_vmm",               helper_jail_args_schema,     helper_end_view_schema,    "ensures that nothing runs in the VM's cgroup; how its VMM has ended, by this or before") \
	METHOD(CLEANUP_JAIL,   "cleanup_jail",           helper_jail_args_schema,     none_schema,               "ensures absent: jail, cgroup and slot; refused while the VMM lives") \
	METHOD(SIGNAL_VMM,     "signal_vmm",             helper_signal_args_schema,   none_schema,               "a signal to the VM's VMM") \
	METHOD(FIND_VMM,       "find_vmm",               helper_find_args_schema,     helper_vmm_view_schema,    "pidfd of the VM's live VMM, and the listener; pid 0 and none where there is none") \
	METHOD(ENSURE_SOCKET,  "ensure_socket_access",   helper_socket_args_schema,   none_schema,               "a socket that the VMM has made is the owner's; a connection to it is returned") \
	METHOD(TRIM_LOGS,      "trim_logs",              helper_trim_args_schema,     none_schema,               "gives the beginning of what a VM has printed back to the file system; the lengths stay") \
	METHOD(REPORT_JAIL,    "host_report.jail",       none_schema,                 helper_jail_report_schema, "what is on the host: jails, slots, cgroups") \
	METHOD(REPORT_NET,     "host_report.net",        none_schema,                 helper_net_report_schema,  "what is on the host: bridges, taps, NAT")
/* clang-format on */

enum helper_method {
#define METHOD(sym, name, args, result, doc) HELPER_##sym,
	HELPER_METHODS(METHOD)
#undef METHOD
		HELPER_NMETHODS,
};

extern const struct client_method_row helper_methods[HELPER_NMETHODS];
int helper_method_find(const char *name, enum helper_method *ret_method); /* -ENOSYS */

/* ---- arguments ---- */

/* Names are as long as any word here, so that the gate, not the decoder, says why one is refused.
 */
struct helper_bridge_args {
	char bridge[HELPER_WORD_MAX + 1];
};
extern const struct schema helper_bridge_args_schema;

/* Named after the VM where one is given, else after the slot.  The slot chooses the uid. */
struct helper_tap_args {
	char bridge[HELPER_WORD_MAX + 1];
	uint32_t slot;
	vm_id vm;        /* 0: a tap of the slot, made ahead of demand */
	bool descriptor; /* create_tap: return it opened, for a VMM that takes one */
};
extern const struct schema helper_tap_args_schema;

struct helper_nat_args {
	char bridge[HELPER_WORD_MAX + 1];
	uint32_t slot;
	vm_id vm;                          /* as of its tap */
	char address[HELPER_WORD_MAX + 1]; /* IPv4, in the bridge's subnet */
};
extern const struct schema helper_nat_args_schema;

struct helper_slots_args {
	char bridge[HELPER_WORD_MAX + 1];
	uint32_t first;
	uint32_t count;
};
extern const struct schema helper_slots_args_schema;

struct helper_resolver_args {
	char bridge[HELPER_WORD_MAX + 1];
	char server[HELPER_WORD_MAX + 1]; /* loopback "IP" or "IP:port", "[IPv6]:port" */
};
extern const struct schema helper_resolver_args_schema;

/* The root disk of a VM.  What differs from the image is in vms/ID/rootfs.cow. */
struct helper_snapshot_args {
	vm_id vm;
	char base[HELPER_PATH_MAX + 1]; /* the image's disk: a path below images/ */
};
extern const struct schema helper_snapshot_args_schema;

/* As create_dm_snapshot has told them; each may be absent. */
struct helper_cleanup_args {
	char name[HELPER_WORD_MAX + 1];
	char device[HELPER_WORD_MAX + 1];
	char base_loop[HELPER_WORD_MAX + 1];
	char cow_loop[HELPER_WORD_MAX + 1];
};
extern const struct schema helper_cleanup_args_schema;

struct helper_device_args {
	char device[HELPER_WORD_MAX + 1]; /* "fc-rootfs-ID" or "/dev/mapper/fc-rootfs-ID" */
};
extern const struct schema helper_device_args_schema;

/* A file of a disk, by the path that its guest would use. */
struct helper_ext4_file {
	char path[HELPER_PATH_MAX + 1];
	uint32_t mode; /* permissions */
	uint32_t uid;
	uint32_t gid;
	struct wire_span data;
};
extern const struct schema helper_ext4_file_schema;

/* Which disk: "/dev/mapper/fc-rootfs-ID", or a path below the state directory. */
struct helper_ext4_read_args {
	char image[HELPER_PATH_MAX + 1];
	char path[HELPER_PATH_MAX + 1];
};
extern const struct schema helper_ext4_read_args_schema;

struct helper_ext4_write_args {
	char image[HELPER_PATH_MAX + 1];
	ROWS_OF(struct helper_ext4_file, HELPER_EXT4_FILES_MAX) files;
};
extern const struct schema helper_ext4_write_args_schema;

/* A jail is named after the VM; the slot chooses the uid. */
struct helper_jail_args {
	vm_id vm;
	uint32_t slot;
};
extern const struct schema helper_jail_args_schema;

/* What of a jail does not depend on its VM.  The parts are those of launch_vmm. */
struct helper_jails_args {
	uint32_t first;
	uint32_t count;
	bool run;
	bool console_stdio;
};
extern const struct schema helper_jails_args_schema;

struct helper_find_args {
	vm_id vm;
	uint32_t slot;
	char listener[HELPER_WORD_MAX + 1]; /* as of launch_vmm, again */
};
extern const struct schema helper_find_args_schema;

struct helper_signal_args {
	vm_id vm;
	uint32_t slot;
	uint32_t signal;
};
extern const struct schema helper_signal_args_schema;

struct helper_socket_args {
	vm_id vm;
	uint32_t slot;
	char socket[HELPER_WORD_MAX + 1]; /* its name in run/ */
};
extern const struct schema helper_socket_args_schema;

/* Of a log that takes more than twice as much; 0: it is left alone. */
struct helper_trim_args {
	vm_id vm;
	uint32_t slot;
	uint64_t console_keep; /* bytes of its end */
	uint64_t log_keep;     /* likewise, of vmm.log */
};
extern const struct schema helper_trim_args_schema;

/* The VMM sees its files as /vm/kernel, /vm/initrd, /vm/config, /vm/base, /vm/disk, /vm/console;
 * its sockets are descriptors 3 and on, in the order of the fields, listening, with one connection
 * queued each.  Returned, in this order and as asked for: pidfd, control, agent, console (a socket,
 * or what its standard input reads), the listener.  Where it runs already the same comes again, but
 * for a console that is its output: of that there is one, and the second has ended.
 */
struct helper_vmm_args {
	vm_id vm;
	uint32_t slot;
	char vmm[HELPER_WORD_MAX + 1]; /* a configured one */
	struct wire_span args;         /* words after its name, each with its NUL */
	bool control_socket;
	bool agent_socket;
	bool console_socket;
	/* Its output goes to `console`, its input is written by who asks; or, with console_socket,
	 * its output is a socket, whose other end is returned, and nobody types. */
	bool console_stdio;
	bool run;                           /* it makes sockets itself, in /vm/run */
	char listener[HELPER_WORD_MAX + 1]; /* one in run/ that it may connect to */
	/* Paths below the state directory; "": none. */
	char kernel[HELPER_PATH_MAX + 1];
	char initrd[HELPER_PATH_MAX + 1];
	char config[HELPER_PATH_MAX + 1];
	char base[HELPER_PATH_MAX + 1];    /* a disk to read */
	char disk[HELPER_PATH_MAX + 1];    /* a disk to write: the slot's while the jail is there */
	bool snapshot;                     /* instead of `disk`: the VM's of create_dm_snapshot */
	char console[HELPER_PATH_MAX + 1]; /* a file to write, as disk */
	uint64_t memory_max;               /* bytes; 0: no limit */
	uint32_t cpu_max;                  /* percent of one processor; 0: no limit */
};
extern const struct schema helper_vmm_args_schema;

/* ---- results ---- */

struct helper_bridge_view {
	char bridge[HELPER_IFNAME_MAX + 1];
	char address[16]; /* of the host on it */
	uint32_t prefix;
	uint32_t slots; /* that have a uid: 0 .. slots-1 */
};
extern const struct schema helper_bridge_view_schema;

struct helper_tap_view {
	char tap[HELPER_IFNAME_MAX + 1];
	uint32_t uid; /* that may open it */
};
extern const struct schema helper_tap_view_schema;

/* Only what bears our names; empty lists: nothing is left. */
struct helper_net_report {
	struct strv bridges;
	struct strv taps;
	struct strv nat; /* "TAP ADDRESS" */
	bool partial;    /* there are more than HELPER_REPORT_MAX of some */
};
extern const struct schema helper_net_report_schema;

struct helper_snapshot_view {
	char name[HELPER_HANDLE_MAX + 1];      /* "fc-rootfs-ID" */
	char device[HELPER_HANDLE_MAX + 1];    /* "/dev/mapper/fc-rootfs-ID" */
	char base_loop[HELPER_HANDLE_MAX + 1]; /* "/dev/loopN" */
	char cow_loop[HELPER_HANDLE_MAX + 1];
	uint64_t bytes; /* of the disk */
};
extern const struct schema helper_snapshot_view_schema;

struct helper_block_report {
	struct strv snapshots; /* "fc-rootfs-ID" */
	struct strv loops;     /* "/dev/loopN PATH" */
	bool partial;          /* there are more than HELPER_BLOCK_REPORT_MAX of some */
	bool device_mapper;    /* this kernel has it: snapshots can be made */
};
extern const struct schema helper_block_report_schema;

struct helper_fsck_view {
	bool corrected;                 /* it found something, and mended it */
	char text[HELPER_TEXT_MAX + 1]; /* its last words */
};
extern const struct schema helper_fsck_view_schema;

struct helper_vmm_view {
	uint32_t pid; /* 0: there is none */
	uint32_t uid; /* that it runs under */
};
extern const struct schema helper_vmm_view_schema;

/* As its parent has learnt it, which is the helper that has launched it. */
struct helper_end_view {
	bool ended; /* it is known, by what follows */
	uint32_t exit_status;
	uint32_t signal; /* 0: it has exited by itself */
};
extern const struct schema helper_end_view_schema;

struct helper_jail_report {
	struct strv jails;   /* ids */
	struct strv slots;   /* "slot-N ID"; "slot-N": it has a jail that no VM has taken yet */
	struct strv cgroups; /* ids */
	bool partial;        /* there are more than HELPER_REPORT_MAX of some */
	uint64_t state_dev;  /* the state directory that it works on, as stat(2) tells; 0: none */
	uint64_t state_ino;
};
extern const struct schema helper_jail_report_schema;
