/* helper.c - the tables of helper.h. */
#include "proto/helper.h"

/* clang-format off */
#define BRIDGE(type) FIELD(type, bridge, FIELD_STR, true, 1, 0, "a configured bridge")
#define SLOT(type)   FIELD(type, slot, FIELD_U32, true, 0, HELPER_SLOT_MAX, "chooses the uid; names the tap where there is no `vm`")
#define VM(type)     FIELD(type, vm, FIELD_VM_ID, false, 0, 0, "names the tap; absent: the slot does")

static const struct field bridge_args_fields[] = {
	BRIDGE(struct helper_bridge_args),
};
const struct schema helper_bridge_args_schema = SCHEMA("helper_bridge_args", struct helper_bridge_args, bridge_args_fields);

static const struct field tap_args_fields[] = {
	BRIDGE(struct helper_tap_args),
	SLOT(struct helper_tap_args),
	VM(struct helper_tap_args),
	FIELD(struct helper_tap_args, descriptor, FIELD_BOOL, false, 0, 0, "create_tap: return it opened (1 descriptor)"),
};
const struct schema helper_tap_args_schema = SCHEMA("helper_tap_args", struct helper_tap_args, tap_args_fields);

static const struct field nat_args_fields[] = {
	BRIDGE(struct helper_nat_args),
	SLOT(struct helper_nat_args),
	VM(struct helper_nat_args),
	FIELD(struct helper_nat_args, address, FIELD_STR, true, 1, 0, "IPv4, of a guest in the bridge's subnet"),
};
const struct schema helper_nat_args_schema = SCHEMA("helper_nat_args", struct helper_nat_args, nat_args_fields);

#define SLOTS(type)                                                                                      \
	FIELD(type, first, FIELD_U32, true, 0, HELPER_SLOT_MAX, "the first slot"),                        \
	FIELD(type, count, FIELD_U32, true, 1, HELPER_SLOTS_MAX, "how many, one after the other")

static const struct field slots_args_fields[] = {
	BRIDGE(struct helper_slots_args),
	SLOTS(struct helper_slots_args),
};
const struct schema helper_slots_args_schema = SCHEMA("helper_slots_args", struct helper_slots_args, slots_args_fields);

static const struct field resolver_args_fields[] = {
	BRIDGE(struct helper_resolver_args),
	FIELD(struct helper_resolver_args, server, FIELD_STR, false, 0, 0, "sync: a loopback `IP`, `IP:port` or `[IPv6]:port`"),
};
const struct schema helper_resolver_args_schema = SCHEMA("helper_resolver_args", struct helper_resolver_args, resolver_args_fields);

static const struct field snapshot_args_fields[] = {
	FIELD(struct helper_snapshot_args, vm,   FIELD_VM_ID, true, 0, 0, "names everything; `vms/ID/rootfs.cow` takes what is written"),
	FIELD(struct helper_snapshot_args, base, FIELD_STR,   true, 1, 0, "the image's disk, a path below `images/`"),
};
const struct schema helper_snapshot_args_schema = SCHEMA("helper_snapshot_args", struct helper_snapshot_args, snapshot_args_fields);

static const struct field cleanup_args_fields[] = {
	FIELD(struct helper_cleanup_args, name,      FIELD_STR, false, 0, 0, "`fc-rootfs-ID`"),
	FIELD(struct helper_cleanup_args, device,    FIELD_STR, false, 0, 0, "`/dev/mapper/fc-rootfs-ID`"),
	FIELD(struct helper_cleanup_args, base_loop, FIELD_STR, false, 0, 0, "`/dev/loopN`; others may still use it"),
	FIELD(struct helper_cleanup_args, cow_loop,  FIELD_STR, false, 0, 0, "`/dev/loopN`"),
};
const struct schema helper_cleanup_args_schema = SCHEMA("helper_cleanup_args", struct helper_cleanup_args, cleanup_args_fields);

static const struct field device_args_fields[] = {
	FIELD(struct helper_device_args, device, FIELD_STR, true, 1, 0, "`fc-rootfs-ID` or `/dev/mapper/fc-rootfs-ID`"),
};
const struct schema helper_device_args_schema = SCHEMA("helper_device_args", struct helper_device_args, device_args_fields);

static const struct field ext4_file_fields[] = {
	FIELD(struct helper_ext4_file, path, FIELD_STR,  true,  2, 0, "absolute, in the guest"),
	FIELD(struct helper_ext4_file, mode, FIELD_U32,  false, 0, HELPER_EXT4_MODE_MAX, "permissions"),
	FIELD(struct helper_ext4_file, uid,  FIELD_U32,  false, 0, 0, "owner"),
	FIELD(struct helper_ext4_file, gid,  FIELD_U32,  false, 0, 0, "group"),
	FIELD(struct helper_ext4_file, data, FIELD_SPAN, false, 0, HELPER_EXT4_BYTES_MAX, "contents"),
};
const struct schema helper_ext4_file_schema = SCHEMA("helper_ext4_file", struct helper_ext4_file, ext4_file_fields);

#define IMAGE(type) FIELD(type, image, FIELD_STR, true, 1, 0, "`/dev/mapper/fc-rootfs-ID`, or a path below the state directory")

static const struct field ext4_read_args_fields[] = {
	IMAGE(struct helper_ext4_read_args),
	FIELD(struct helper_ext4_read_args, path, FIELD_STR, true, 2, 0, "absolute, in the guest"),
};
const struct schema helper_ext4_read_args_schema = SCHEMA("helper_ext4_read_args", struct helper_ext4_read_args, ext4_read_args_fields);

static const struct field ext4_write_args_fields[] = {
	IMAGE(struct helper_ext4_write_args),
	FIELD_SUB(struct helper_ext4_write_args, files, FIELD_ROWS, true, 1, HELPER_EXT4_FILES_MAX, &helper_ext4_file_schema, "in this order"),
};
const struct schema helper_ext4_write_args_schema = SCHEMA("helper_ext4_write_args", struct helper_ext4_write_args, ext4_write_args_fields);

#define JAIL(type)                                                             \
	FIELD(type, vm, FIELD_VM_ID, true, 0, 0, "names jail and cgroup"),      \
	FIELD(type, slot, FIELD_U32, true, 0, HELPER_SLOT_MAX, "chooses the uid")
#define PATH(member, text) FIELD(struct helper_vmm_args, member, FIELD_STR, false, 0, 0, text)

static const struct field jail_args_fields[] = {
	JAIL(struct helper_jail_args),
};
const struct schema helper_jail_args_schema = SCHEMA("helper_jail_args", struct helper_jail_args, jail_args_fields);

static const struct field jails_args_fields[] = {
	SLOTS(struct helper_jails_args),
	FIELD(struct helper_jails_args, run, FIELD_BOOL, false, 0, 0, "for VMMs that have it"),
	FIELD(struct helper_jails_args, console_stdio, FIELD_BOOL, false, 0, 0, "likewise"),
};
const struct schema helper_jails_args_schema = SCHEMA("helper_jails_args", struct helper_jails_args, jails_args_fields);

static const struct field find_args_fields[] = {
	JAIL(struct helper_find_args),
	FIELD(struct helper_find_args, listener, FIELD_STR, false, 0, 0, "as of `launch_vmm`: made again, and returned"),
};
const struct schema helper_find_args_schema = SCHEMA("helper_find_args", struct helper_find_args, find_args_fields);

static const struct field signal_args_fields[] = {
	JAIL(struct helper_signal_args),
	FIELD(struct helper_signal_args, signal, FIELD_U32, true, 1, 64, "HUP, INT, KILL, TERM, CONT or STOP, by number"),
};
const struct schema helper_signal_args_schema = SCHEMA("helper_signal_args", struct helper_signal_args, signal_args_fields);

static const struct field trim_args_fields[] = {
	JAIL(struct helper_trim_args),
	FIELD(struct helper_trim_args, console_keep, FIELD_U64, false, 0, 0, "bytes of the end of `console` that stay, where it takes more than twice as much; 0: all"),
	FIELD(struct helper_trim_args, log_keep, FIELD_U64, false, 0, 0, "likewise of `vmm.log`"),
};
const struct schema helper_trim_args_schema = SCHEMA("helper_trim_args", struct helper_trim_args, trim_args_fields);

static const struct field socket_args_fields[] = {
	JAIL(struct helper_socket_args),
	FIELD(struct helper_socket_args, socket, FIELD_STR, true, 1, 0, "its name in the jail's `run/`"),
};
const struct schema helper_socket_args_schema = SCHEMA("helper_socket_args", struct helper_socket_args, socket_args_fields);

static const struct field vmm_args_fields[] = {
	JAIL(struct helper_vmm_args),
	FIELD(struct helper_vmm_args, vmm, FIELD_STR, true, 1, 0, "a configured VMM"),
	FIELD(struct helper_vmm_args, args, FIELD_SPAN, false, 0, HELPER_VMM_ARGS_MAX, "the words after its name, each with its NUL"),
	FIELD(struct helper_vmm_args, control_socket, FIELD_BOOL, false, 0, 0, "it inherits a listening socket; the other end is returned"),
	FIELD(struct helper_vmm_args, agent_socket,   FIELD_BOOL, false, 0, 0, "likewise"),
	FIELD(struct helper_vmm_args, console_socket, FIELD_BOOL, false, 0, 0, "likewise"),
	FIELD(struct helper_vmm_args, console_stdio,  FIELD_BOOL, false, 0, 0, "its output goes to `console`; what its standard input reads from is returned, to be written. With `console_socket` its output is a socket, and the other end is returned"),
	FIELD(struct helper_vmm_args, run, FIELD_BOOL, false, 0, 0, "it may make sockets itself, in `/vm/run`"),
	FIELD(struct helper_vmm_args, listener, FIELD_STR, false, 0, 0, "name in `/vm/run` of a socket that it may connect to, listening; returned"),
	PATH(kernel, "file below the state directory: `/vm/kernel`, read-only"),
	PATH(initrd, "likewise: `/vm/initrd`"),
	PATH(config, "likewise: `/vm/config`"),
	PATH(base, "likewise: `/vm/base`"),
	PATH(disk, "`/vm/disk`, to be written: the slot's while the jail is there"),
	FIELD(struct helper_vmm_args, snapshot, FIELD_BOOL, false, 0, 0, "`/vm/disk` is instead the VM's block device of `create_dm_snapshot`"),
	PATH(console, "`/vm/console`, as `disk`"),
	FIELD(struct helper_vmm_args, memory_max, FIELD_U64, false, 0, 0, "bytes of its cgroup; 0: no limit"),
	FIELD(struct helper_vmm_args, cpu_max, FIELD_U32, false, 0, HELPER_CPU_MAX, "percent of one processor; 0: no limit"),
};
const struct schema helper_vmm_args_schema = SCHEMA("helper_vmm_args", struct helper_vmm_args, vmm_args_fields);

static const struct field vmm_view_fields[] = {
	FIELD(struct helper_vmm_view, pid, FIELD_U32, false, 0, 0, "its process; absent: there is none"),
	FIELD(struct helper_vmm_view, uid, FIELD_U32, false, 0, 0, "that it runs under"),
};
const struct schema helper_vmm_view_schema = SCHEMA_OPEN("helper_vmm_view", struct helper_vmm_view, vmm_view_fields);

static const struct field end_view_fields[] = {
	FIELD(struct helper_end_view, ended, FIELD_BOOL, false, 0, 0, "it is known how; not so of one that an earlier helper has launched"),
	FIELD(struct helper_end_view, exit_status, FIELD_U32, false, 0, 255, "with which it has exited"),
	FIELD(struct helper_end_view, signal, FIELD_U32, false, 0, 64, "that has killed it; 0: it has exited"),
};
const struct schema helper_end_view_schema = SCHEMA_OPEN("helper_end_view", struct helper_end_view, end_view_fields);

static const struct field jail_report_fields[] = {
	FIELD(struct helper_jail_report, jails,   FIELD_STRV, false, 0, HELPER_REPORT_MAX, "ids of VMs that have one"),
	FIELD(struct helper_jail_report, slots,   FIELD_STRV, false, 0, HELPER_REPORT_MAX, "`slot-N ID`: taken; `slot-N`: there is a jail made ahead"),
	FIELD(struct helper_jail_report, cgroups, FIELD_STRV, false, 0, HELPER_REPORT_MAX, "ids of VMs that have one"),
	FIELD(struct helper_jail_report, partial, FIELD_BOOL, false, 0, 0, "there are more of some"),
	FIELD(struct helper_jail_report, state_dev, FIELD_U64, false, 0, 0, "the state directory that the helper works on: its device"),
	FIELD(struct helper_jail_report, state_ino, FIELD_U64, false, 0, 0, "... and inode"),
};
const struct schema helper_jail_report_schema = SCHEMA_OPEN("helper_jail_report", struct helper_jail_report, jail_report_fields);

static const struct field bridge_view_fields[] = {
	FIELD(struct helper_bridge_view, bridge,  FIELD_STR, true, 1, 0, "its interface"),
	FIELD(struct helper_bridge_view, address, FIELD_STR, true, 1, 0, "of the host on it"),
	FIELD(struct helper_bridge_view, prefix,  FIELD_U32, true, 1, 32, "bits of its subnet"),
	FIELD(struct helper_bridge_view, slots,   FIELD_U32, true, 1, HELPER_SLOT_MAX + 1, "slots that have a uid: 0 to this less 1"),
};
const struct schema helper_bridge_view_schema = SCHEMA_OPEN("helper_bridge_view", struct helper_bridge_view, bridge_view_fields);

static const struct field tap_view_fields[] = {
	FIELD(struct helper_tap_view, tap, FIELD_STR, true, 1, 0, "its interface"),
	FIELD(struct helper_tap_view, uid, FIELD_U32, true, 0, 0, "that may open it"),
};
const struct schema helper_tap_view_schema = SCHEMA_OPEN("helper_tap_view", struct helper_tap_view, tap_view_fields);

static const struct field net_report_fields[] = {
	FIELD(struct helper_net_report, bridges, FIELD_STRV, false, 0, HELPER_REPORT_MAX, "configured ones that exist"),
	FIELD(struct helper_net_report, taps,    FIELD_STRV, false, 0, HELPER_REPORT_MAX, "interfaces with our prefix"),
	FIELD(struct helper_net_report, nat,     FIELD_STRV, false, 0, HELPER_REPORT_MAX, "`TAP ADDRESS` that may go out"),
	FIELD(struct helper_net_report, partial, FIELD_BOOL, false, 0, 0, "there are more of some"),
};
const struct schema helper_net_report_schema = SCHEMA_OPEN("helper_net_report", struct helper_net_report, net_report_fields);

static const struct field snapshot_view_fields[] = {
	FIELD(struct helper_snapshot_view, name,      FIELD_STR, true, 1, 0, "in device-mapper"),
	FIELD(struct helper_snapshot_view, device,    FIELD_STR, true, 1, 0, "its node"),
	FIELD(struct helper_snapshot_view, base_loop, FIELD_STR, true, 1, 0, "of the image's disk"),
	FIELD(struct helper_snapshot_view, cow_loop,  FIELD_STR, true, 1, 0, "of what differs"),
	FIELD(struct helper_snapshot_view, bytes,     FIELD_U64, true, 0, 0, "size of the disk"),
};
const struct schema helper_snapshot_view_schema = SCHEMA_OPEN("helper_snapshot_view", struct helper_snapshot_view, snapshot_view_fields);

static const struct field fsck_view_fields[] = {
	FIELD(struct helper_fsck_view, corrected, FIELD_BOOL, false, 0, 0, "it found something, and mended it"),
	FIELD(struct helper_fsck_view, text,      FIELD_TEXT, false, 0, 0, "its last words"),
};
const struct schema helper_fsck_view_schema = SCHEMA_OPEN("helper_fsck_view", struct helper_fsck_view, fsck_view_fields);

static const struct field block_report_fields[] = {
	FIELD(struct helper_block_report, snapshots, FIELD_STRV, false, 0, HELPER_BLOCK_REPORT_MAX, "device-mapper's with our prefix"),
	FIELD(struct helper_block_report, loops,     FIELD_STRV, false, 0, HELPER_BLOCK_REPORT_MAX, "`/dev/loopN PATH` of files below the state directory"),
	FIELD(struct helper_block_report, partial,   FIELD_BOOL, false, 0, 0, "there are more of some"),
	FIELD(struct helper_block_report, device_mapper, FIELD_BOOL, false, 0, 0, "snapshots can be made: this kernel has it"),
};
const struct schema helper_block_report_schema = SCHEMA_OPEN("helper_block_report", struct helper_block_report, block_report_fields);

const struct client_method_row helper_methods[HELPER_NMETHODS] = {
#define METHOD(sym, name, args, result, doc) [HELPER_##sym] = { name, &args, &result, doc },
	HELPER_METHODS(METHOD)
#undef METHOD
};
/* clang-format on */

int helper_method_find(const char *name, enum helper_method *ret_method)
{
	const int i = method_find(helper_methods, HELPER_NMETHODS, name);

	if (i < 0)
		return i;
	*ret_method = (enum helper_method)i;
	return 0;
}
