/* client.c - the tables of client.h: one row per field, one row per method. */
#include "proto/client.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* clang-format off */
const struct schema none_schema = { .name = "none", .size = sizeof(struct none) };

static const struct field publish_fields[] = {
	FIELD(struct publish, host,  FIELD_U32, true, 1, UINT16_MAX, "TCP port of 127.0.0.1 on the host"),
	FIELD(struct publish, guest, FIELD_U32, true, 1, UINT16_MAX, "TCP port in the guest"),
};
const struct schema publish_schema = SCHEMA("publish", struct publish, publish_fields);

static const struct field vm_spec_fields[] = {
	FIELD(struct vm_spec, name,         FIELD_STR,   false, 0, 0, "a DNS label; absent: generated"),
	FIELD(struct vm_spec, image,        FIELD_STR,   false, 0, 0, "absent: the default image"),
	FIELD(struct vm_spec, kernel,       FIELD_STR,   false, 0, 0, "absent: the image's, else the newest"),
	FIELD(struct vm_spec, vmm,          FIELD_STR,   false, 0, 0, "\"firecracker\", \"qemu\" or \"null\"; absent: chosen by the host"),
	FIELD(struct vm_spec, vcpu,         FIELD_U32,   false, 1, VCPU_MAX, "virtual processors; absent: the default"),
	FIELD(struct vm_spec, memory_bytes, FIELD_U64,   false, MEMORY_MIN_BYTES, MEMORY_MAX_BYTES, "absent: the default"),
	FIELD(struct vm_spec, disk_bytes,   FIELD_U64,   false, DISK_MIN_BYTES, DISK_MAX_BYTES, "absent: the default; never smaller than the image"),
	FIELD(struct vm_spec, disk_rate,    FIELD_U64,   false, RATE_MIN_BYTES, RATE_MAX_BYTES, "bytes a second that its disk may read and write; absent: no limit"),
	FIELD(struct vm_spec, disk_iops,    FIELD_U32,   false, 1, IOPS_MAX, "requests a second to its disk; absent: no limit"),
	FIELD(struct vm_spec, net_rate,     FIELD_U64,   false, RATE_MIN_BYTES, RATE_MAX_BYTES, "bytes a second that its network interface may send, and receive (Firecracker in system mode); absent: no limit"),
	FIELD(struct vm_spec, nat,          FIELD_BOOL,  false, 0, 0, "reaches out through the host's address (system mode)"),
	FIELD(struct vm_spec, labels,       FIELD_PAIRS, false, 0, LABELS_MAX, "the owner's; at most 16384 bytes in all"),
	FIELD(struct vm_spec, env,          FIELD_PAIRS, false, 0, ENV_MAX, "of every command run in the guest; at most 65536 bytes in all"),
	FIELD_SUB(struct vm_spec, publish,  FIELD_LIST,  false, 0, PUBLISH_MAX, &publish_schema, "ports of the host that reach the guest"),
};
const struct schema vm_spec_schema = SCHEMA("vm_spec", struct vm_spec, vm_spec_fields);

static const struct field create_args_fields[] = {
	FIELD_SUB(struct create_args, spec, FIELD_STRUCT, false, 0, 0, &vm_spec_schema, "what is wanted; absent: all defaults"),
	FIELD(struct create_args, count,    FIELD_U32,  false, 1, COUNT_MAX, "VMs; with more than one, names get \"-1\" to \"-N\""),
	FIELD(struct create_args, no_start, FIELD_BOOL, false, 0, 0, "only creates"),
	FIELD(struct create_args, lease,    FIELD_BOOL, false, 0, 0, "deletes the VMs when this connection closes"),
	FIELD(struct create_args, boot_deadline_ms, FIELD_U32, false, 1, DEADLINE_MS_MAX, "for the guest to come up; absent: the default"),
};
const struct schema create_args_schema = SCHEMA("create_args", struct create_args, create_args_fields);

static const struct field vm_change_fields[] = {
	FIELD(struct vm_change, vcpu,         FIELD_U32,   false, 1, VCPU_MAX, "virtual processors"),
	FIELD(struct vm_change, memory_bytes, FIELD_U64,   false, MEMORY_MIN_BYTES, MEMORY_MAX_BYTES, "a number of MiB"),
	FIELD(struct vm_change, disk_bytes,   FIELD_U64,   false, DISK_MIN_BYTES, DISK_MAX_BYTES, "not less than it has; the guest's root file system grows at its next start"),
	FIELD(struct vm_change, disk_rate,    FIELD_U64,   false, RATE_MIN_BYTES, RATE_MAX_BYTES, "bytes a second that its disk may read and write, at once where it runs"),
	FIELD(struct vm_change, disk_iops,    FIELD_U32,   false, 1, IOPS_MAX, "requests a second to its disk, likewise"),
	FIELD(struct vm_change, net_rate,     FIELD_U64,   false, RATE_MIN_BYTES, RATE_MAX_BYTES, "bytes a second that its network interface may send, and receive, likewise (Firecracker in system mode)"),
	FIELD(struct vm_change, drop_limits,  FIELD_STRV,  false, 0, LIMITS_MAX, "limits not to have any more: \"disk_rate\", \"disk_iops\", \"net_rate\""),
	FIELD(struct vm_change, labels,       FIELD_PAIRS, false, 0, LABELS_MAX, "to have, whatever they were before"),
	FIELD(struct vm_change, drop_labels,  FIELD_STRV,  false, 0, LABELS_MAX, "keys of labels not to have any more; one that is not there is none"),
	FIELD(struct vm_change, nat,          FIELD_STR,   false, 0, 0, "\"on\" or \"off\": a way out through the host's address (system mode), at once where it runs"),
};
const struct schema vm_change_schema = SCHEMA("vm_change", struct vm_change, vm_change_fields);

static const struct field targets_args_fields[] = {
	FIELD(struct targets_args, refs,        FIELD_STRV,  false, 0, TARGETS_MAX, "names, ids or unique beginnings of ids"),
	FIELD(struct targets_args, labels,      FIELD_PAIRS, false, 0, LABELS_MAX, "every VM that has them all"),
	FIELD(struct targets_args, all,         FIELD_BOOL,  false, 0, 0, "every VM"),
	FIELD(struct targets_args, force,       FIELD_BOOL,  false, 0, 0, "stop, delete: kills at once"),
	FIELD(struct targets_args, stopped_only, FIELD_BOOL, false, 0, 0, "delete: refuses VMs that run or are starting"),
	FIELD(struct targets_args, signo,       FIELD_U32,   false, 1, WIRE_SIGNO_MAX, "kill: the signal; absent: SIGKILL"),
	FIELD(struct targets_args, deadline_ms, FIELD_U32,   false, 1, DEADLINE_MS_MAX, "stop: before the kill; start: for the boot; wait: gives up"),
	FIELD(struct targets_args, state,       FIELD_STR,   false, 0, 0, "wait: for this state; absent: stopped or gone"),
	FIELD_SUB(struct targets_args, set,     FIELD_STRUCT, false, 0, 0, &vm_change_schema, "set: what is to change; the sizes of VMs that do not run"),
};
const struct schema targets_args_schema = SCHEMA("targets_args", struct targets_args, targets_args_fields);

static const struct field target_result_fields[] = {
	FIELD(struct target_result, ref,         FIELD_STR,   false, 0, 0, "as asked, or the name"),
	FIELD(struct target_result, id,          FIELD_VM_ID, false, 0, 0, "absent where none was found or made"),
	FIELD(struct target_result, name,        FIELD_STR,   false, 0, 0, "of the VM"),
	FIELD(struct target_result, state,       FIELD_STR,   false, 0, 0, "at the end"),
	FIELD(struct target_result, code,        FIELD_STR,   false, 0, 0, "a row of docs/errors.md; absent: success"),
	FIELD(struct target_result, message,     FIELD_TEXT,  false, 0, 0, "what went wrong"),
	FIELD(struct target_result, step,        FIELD_STR,   false, 0, 0, "of the plan, that failed"),
	FIELD(struct target_result, duration_us, FIELD_U64,   false, 0, 0, "from admission to the end"),
	FIELD(struct target_result, ready_us,    FIELD_U64,   false, 0, 0, "create, start: from the VMM's begin to the guest's word that it is up"),
};
const struct schema target_result_schema = SCHEMA_OPEN("target_result", struct target_result, target_result_fields);

static const struct field targets_result_fields[] = {
	FIELD_SUB(struct targets_result, targets, FIELD_LIST, false, 0, TARGETS_MAX, &target_result_schema, "in the order asked"),
	FIELD(struct targets_result, failed, FIELD_U32, false, 0, UINT32_MAX, "how many failed"),
	FIELD(struct targets_result, omitted, FIELD_U32, false, 0, UINT32_MAX, "how many have no row, because more would not fit into the reply; those that failed have one first"),
};
const struct schema targets_result_schema = SCHEMA_OPEN("targets_result", struct targets_result, targets_result_fields);

static const struct field progress_event_fields[] = {
	FIELD(struct progress_event, id,      FIELD_VM_ID, false, 0, 0, "of the VM; absent: about the whole request"),
	FIELD(struct progress_event, name,    FIELD_STR,   false, 0, 0, "of the VM"),
	FIELD(struct progress_event, stage,   FIELD_STR,   false, 0, 0, "a plan's step, \"ready\", \"failed\", or a job's stage"),
	FIELD(struct progress_event, message, FIELD_TEXT,  false, 0, 0, "for people"),
	FIELD(struct progress_event, done,    FIELD_U64,   false, 0, 0, "of total: bytes or VMs"),
	FIELD(struct progress_event, total,   FIELD_U64,   false, 0, 0, "absent: not known"),
	FIELD(struct progress_event, failed,  FIELD_U32,   false, 0, 0, "VMs, so far"),
};
const struct schema progress_event_schema = SCHEMA_OPEN("progress_event", struct progress_event, progress_event_fields);

static const struct field lost_event_fields[] = {
	FIELD(struct lost_event, events, FIELD_U64, true, 0, 0, "that came before this one and were not sent"),
};
const struct schema lost_event_schema = SCHEMA_OPEN("lost_event", struct lost_event, lost_event_fields);

static const struct field vm_event_fields[] = {
	FIELD(struct vm_event, id,      FIELD_VM_ID, true,  0, 0, "of the VM"),
	FIELD(struct vm_event, name,    FIELD_STR,   true,  1, 0, "of the VM"),
	FIELD(struct vm_event, state,   FIELD_STR,   true,  1, 0, "its new state; \"gone\" when it is deleted"),
	FIELD(struct vm_event, op_id,   FIELD_OP_ID, false, 0, 0, "of the operation at work; absent: it happened by itself"),
	FIELD(struct vm_event, wall_ms, FIELD_U64,   false, 0, 0, "Unix time"),
};
const struct schema vm_event_schema = SCHEMA_OPEN("vm_event", struct vm_event, vm_event_fields);

static const struct field op_event_fields[] = {
	FIELD(struct op_event, op_id,       FIELD_OP_ID, true,  0, 0, "of the operation"),
	FIELD(struct op_event, method,      FIELD_STR,   true,  1, 0, "what was asked"),
	FIELD(struct op_event, state,       FIELD_STR,   true,  1, 0, "running: it has begun; done, failed or cancelled: it has ended"),
	FIELD(struct op_event, vm,          FIELD_VM_ID, false, 0, 0, "absent unless it is about one VM"),
	FIELD(struct op_event, vms,         FIELD_U32,   false, 0, 0, "that it is about"),
	FIELD(struct op_event, failed,      FIELD_U32,   false, 0, 0, "of them"),
	FIELD(struct op_event, duration_us, FIELD_U64,   false, 0, 0, "absent while it runs"),
	FIELD(struct op_event, code,        FIELD_STR,   false, 0, 0, "a row of docs/errors.md, where it failed"),
	FIELD(struct op_event, message,     FIELD_TEXT,  false, 0, 0, "what went wrong"),
	FIELD(struct op_event, wall_ms,     FIELD_U64,   false, 0, 0, "Unix time"),
};
const struct schema op_event_schema = SCHEMA_OPEN("op_event", struct op_event, op_event_fields);

static const struct field object_event_fields[] = {
	FIELD(struct object_event, name,    FIELD_STR,   true,  1, 0, "of the image or kernel"),
	FIELD(struct object_event, action,  FIELD_STR,   true,  1, 0, "\"added\", also where it replaced one; \"removed\""),
	FIELD(struct object_event, op_id,   FIELD_OP_ID, true,  0, 0, "of the operation"),
	FIELD(struct object_event, wall_ms, FIELD_U64,   false, 0, 0, "Unix time"),
};
const struct schema object_event_schema = SCHEMA_OPEN("object_event", struct object_event, object_event_fields);

static const struct field watch_args_fields[] = {
	FIELD(struct watch_args, types,  FIELD_STRV,  false, 0, WATCH_TYPES_MAX, "vm, op, image, kernel; absent: all, or with labels vm"),
	FIELD(struct watch_args, labels, FIELD_PAIRS, false, 0, LABELS_MAX, "only VMs that have them all"),
};
const struct schema watch_args_schema = SCHEMA("watch_args", struct watch_args, watch_args_fields);

static const struct field ref_args_fields[] = {
	FIELD(struct ref_args, ref, FIELD_STR, true, 1, 0, "a name, an id or its unique beginning"),
};
const struct schema ref_args_schema = SCHEMA("ref_args", struct ref_args, ref_args_fields);

static const struct field list_args_fields[] = {
	FIELD(struct list_args, all,    FIELD_BOOL,  false, 0, 0, "also those that do not run"),
	FIELD(struct list_args, labels, FIELD_PAIRS, false, 0, LABELS_MAX, "only VMs that have them all"),
	FIELD(struct list_args, after,  FIELD_STR,   false, 0, 0, "`next` of the page before"),
	FIELD(struct list_args, limit,  FIELD_U32,   false, 1, LIST_PAGE_MAX, "rows; a page may have fewer"),
};
const struct schema list_args_schema = SCHEMA("list_args", struct list_args, list_args_fields);

static const struct field vm_view_fields[] = {
	FIELD(struct vm_view, id,          FIELD_VM_ID, true,  0, 0, "of the VM"),
	FIELD(struct vm_view, state,       FIELD_STR,   true,  1, 0, "created, starting, running, stopping, stopped, failed or deleting"),
	FIELD_SUB(struct vm_view, spec,    FIELD_STRUCT, true, 0, 0, &vm_spec_schema, "as resolved: defaults filled in"),
	FIELD(struct vm_view, created_ms,  FIELD_U64,   false, 0, 0, "Unix time"),
	FIELD(struct vm_view, started_ms,  FIELD_U64,   false, 0, 0, "Unix time; absent unless it runs"),
	FIELD(struct vm_view, boot_id,     FIELD_STR,   false, 0, 0, "of the guest; absent unless known"),
	FIELD(struct vm_view, address,     FIELD_STR,   false, 0, 0, "of the guest; absent in user networking"),
	FIELD(struct vm_view, pid,         FIELD_U32,   false, 0, INT32_MAX, "of the VMM; absent unless it runs"),
	FIELD(struct vm_view, vmm,         FIELD_STR,   false, 0, 0, "that runs it"),
	FIELD(struct vm_view, accel,       FIELD_STR,   false, 0, 0, "\"kvm\" or \"tcg\""),
	FIELD(struct vm_view, console_log, FIELD_STR,   false, 0, 0, "path of the console's log"),
	FIELD(struct vm_view, vmm_log,     FIELD_STR,   false, 0, 0, "path of what the VMM said"),
	FIELD(struct vm_view, failure,     FIELD_TEXT,  false, 0, 0, "why the last start or run failed"),
	FIELD(struct vm_view, exit_status, FIELD_I32,   false, 0, 0, "of the last VMM, as a shell shows it; -1: not known"),
};
const struct schema vm_view_schema = SCHEMA_OPEN("vm_view", struct vm_view, vm_view_fields);

static const struct field list_result_fields[] = {
	FIELD_SUB(struct list_result, vms, FIELD_LIST, false, 0, LIST_PAGE_MAX, &vm_view_schema, "the page"),
	FIELD(struct list_result, next,  FIELD_STR, false, 0, 0, "`after` for the next page; absent on the last one"),
	FIELD(struct list_result, total, FIELD_U64, false, 0, 0, "VMs in all"),
};
const struct schema list_result_schema = SCHEMA_OPEN("list_result", struct list_result, list_result_fields);

static const struct field exec_args_fields[] = {
	FIELD(struct exec_args, ref,        FIELD_STR,   true,  1, 0, "a name, an id or its unique beginning"),
	FIELD(struct exec_args, argv,       FIELD_STRV,  false, 0, ARGV_MAX, "the command; absent: a login shell"),
	FIELD(struct exec_args, env,        FIELD_PAIRS, false, 0, ENV_MAX, "besides the VM's"),
	FIELD(struct exec_args, cwd,        FIELD_STR,   false, 0, 0, "absent: /root, or / where there is none"),
	FIELD(struct exec_args, tty,        FIELD_BOOL,  false, 0, 0, "in a terminal of its own; stderr comes as stdout"),
	FIELD(struct exec_args, stdin_open, FIELD_BOOL,  false, 0, 0, "data of stream 0 will follow"),
	FIELD(struct exec_args, rows,       FIELD_U32,   false, 1, TTY_CELLS_MAX, "with tty"),
	FIELD(struct exec_args, cols,       FIELD_U32,   false, 1, TTY_CELLS_MAX, "with tty"),
	FIELD(struct exec_args, window,     FIELD_U32,   false, 1, WIRE_CREDIT_MAX, "first credit of stdout and stderr each, bytes; absent: 262144"),
};
const struct schema exec_args_schema = SCHEMA("exec_args", struct exec_args, exec_args_fields);
static_assert(WIRE_STREAM_WINDOW == 262144, "as the field's text says");

static const struct field exec_result_fields[] = {
	FIELD(struct exec_result, status, FIELD_I32, true,  0, UINT8_MAX, "exit status; 128 + n for signal n; 126, 127 as a shell"),
	FIELD(struct exec_result, signo,  FIELD_U32, false, 0, WIRE_SIGNO_MAX, "the signal that ended it"),
};
const struct schema exec_result_schema = SCHEMA_OPEN("exec_result", struct exec_result, exec_result_fields);

static const struct field copy_in_args_fields[] = {
	FIELD(struct copy_in_args, ref,      FIELD_STR,   true,  1, 0, "a name, an id or its unique beginning"),
	FIELD(struct copy_in_args, path,     FIELD_BYTES, true,  0, PATH_BYTES_MAX, "in the guest, from its root; any bytes"),
	FIELD(struct copy_in_args, as,       FIELD_BOOL,  false, 0, 0, "where there is no directory at the path, what comes first in the archive gets its name; without this there must be one"),
	FIELD(struct copy_in_args, no_owner, FIELD_BOOL,  false, 0, 0, "files are root's, not those of whom the archive says"),
	FIELD(struct copy_in_args, window,   FIELD_U32,   false, 1, WIRE_CREDIT_MAX, "first credit of stderr, bytes; absent: 262144"),
};
const struct schema copy_in_args_schema = SCHEMA("copy_in_args", struct copy_in_args, copy_in_args_fields);

static const struct field copy_out_args_fields[] = {
	FIELD(struct copy_out_args, ref,    FIELD_STR,   true,  1, 0, "a name, an id or its unique beginning"),
	FIELD(struct copy_out_args, path,   FIELD_BYTES, true,  0, PATH_BYTES_MAX, "in the guest, from its root; any bytes"),
	FIELD(struct copy_out_args, follow, FIELD_BOOL,  false, 0, 0, "the path itself may be a symbolic link to what is meant"),
	FIELD(struct copy_out_args, window, FIELD_U32,   false, 1, WIRE_CREDIT_MAX, "first credit of stdout and stderr each, bytes; absent: 262144"),
};
const struct schema copy_out_args_schema = SCHEMA("copy_out_args", struct copy_out_args, copy_out_args_fields);

static const struct field copy_result_fields[] = {
	FIELD(struct copy_result, entries, FIELD_U64, false, 0, 0, "of the archive"),
	FIELD(struct copy_result, bytes,   FIELD_U64, false, 0, 0, "of files, holes included"),
};
const struct schema copy_result_schema = SCHEMA_OPEN("copy_result", struct copy_result, copy_result_fields);
static const struct field guest_ask_args_fields[] = {
	FIELD(struct guest_ask_args, ref,         FIELD_STR, true,  1, 0, "a name, an id or its unique beginning"),
	FIELD(struct guest_ask_args, deadline_ms, FIELD_U32, false, 1, DEADLINE_MS_MAX, "gives up with `timeout`; absent: 5000"),
};
const struct schema guest_ask_args_schema = SCHEMA("guest_ask_args", struct guest_ask_args, guest_ask_args_fields);

static const struct field ping_result_fields[] = {
	FIELD(struct ping_result, id,            FIELD_VM_ID, true,  0, 0, "of the VM"),
	FIELD(struct ping_result, name,          FIELD_STR,   true,  1, 0, "of the VM"),
	FIELD(struct ping_result, agent,         FIELD_STR,   false, 0, 0, "version of the agent"),
	FIELD(struct ping_result, round_trip_us, FIELD_U64,   false, 0, 0, "from the daemon to the agent and back"),
};
const struct schema ping_result_schema = SCHEMA_OPEN("ping_result", struct ping_result, ping_result_fields);

static const struct field guest_stats_fields[] = {
	FIELD(struct guest_stats, uptime_ms,              FIELD_U64,  false, 0, 0, "since the guest's boot"),
	FIELD(struct guest_stats, load_milli,             FIELD_U64,  false, 0, 0, "thousandths of runnable processes, over the last minute"),
	FIELD(struct guest_stats, processes,              FIELD_U32,  false, 0, 0, "threads, as the kernel counts them"),
	FIELD(struct guest_stats, memory_bytes,           FIELD_U64,  false, 0, 0, "that the kernel manages"),
	FIELD(struct guest_stats, memory_available_bytes, FIELD_U64,  false, 0, 0, "of that, for new processes"),
	FIELD(struct guest_stats, disk_bytes,             FIELD_U64,  false, 0, 0, "of the root file system"),
	FIELD(struct guest_stats, disk_available_bytes,   FIELD_U64,  false, 0, 0, "of that, free"),
	FIELD(struct guest_stats, disk_read_only,         FIELD_BOOL, false, 0, 0, "it cannot be written"),
	FIELD(struct guest_stats, rx_bytes,               FIELD_U64,  false, 0, 0, "received by its network interfaces since its boot"),
	FIELD(struct guest_stats, tx_bytes,               FIELD_U64,  false, 0, 0, "sent by them"),
};
const struct schema guest_stats_schema = SCHEMA_OPEN("guest_stats", struct guest_stats, guest_stats_fields);

static const struct field vm_health_fields[] = {
	FIELD(struct vm_health, id,            FIELD_VM_ID, true,  0, 0, "of the VM"),
	FIELD(struct vm_health, name,          FIELD_STR,   true,  1, 0, "of the VM"),
	FIELD(struct vm_health, state,         FIELD_STR,   true,  1, 0, "healthy or degraded"),
	FIELD(struct vm_health, problems,      FIELD_TEXT,  false, 0, 0, "why it is degraded"),
	FIELD(struct vm_health, boot_id,       FIELD_STR,   false, 0, 0, "of the guest"),
	FIELD(struct vm_health, kernel,        FIELD_TEXT,  false, 0, 0, "as uname -r says it"),
	FIELD(struct vm_health, os,            FIELD_TEXT,  false, 0, 0, "PRETTY_NAME of os-release"),
	FIELD(struct vm_health, round_trip_us, FIELD_U64,   false, 0, 0, "from the daemon to the agent and back"),
	FIELD_SUB(struct vm_health, guest,     FIELD_STRUCT, true, 0, 0, &guest_stats_schema, "as the guest says"),
};
const struct schema vm_health_schema = SCHEMA_OPEN("vm_health", struct vm_health, vm_health_fields);

static const struct field vm_balloon_fields[] = {
	FIELD(struct vm_balloon, memory_bytes,      FIELD_U64, false, 0, 0, "that the guest's kernel manages"),
	FIELD(struct vm_balloon, free_bytes,        FIELD_U64, false, 0, 0, "of that, used for nothing"),
	FIELD(struct vm_balloon, available_bytes,   FIELD_U64, false, 0, 0, "of that, for new processes"),
	FIELD(struct vm_balloon, cache_bytes,       FIELD_U64, false, 0, 0, "of that, copies of what is on its disks"),
	FIELD(struct vm_balloon, swapped_in_bytes,  FIELD_U64, false, 0, 0, "since the guest's boot"),
	FIELD(struct vm_balloon, swapped_out_bytes, FIELD_U64, false, 0, 0, "likewise"),
	FIELD(struct vm_balloon, major_faults,      FIELD_U64, false, 0, 0, "that had to wait for a disk, since the guest's boot"),
	FIELD(struct vm_balloon, minor_faults,      FIELD_U64, false, 0, 0, "that had not"),
};
const struct schema vm_balloon_schema = SCHEMA_OPEN("vm_balloon", struct vm_balloon, vm_balloon_fields);

static const struct field vm_stats_fields[] = {
	FIELD(struct vm_stats, id,              FIELD_VM_ID, true,  0, 0, "of the VM"),
	FIELD(struct vm_stats, name,            FIELD_STR,   true,  1, 0, "of the VM"),
	FIELD(struct vm_stats, pid,             FIELD_U32,   false, 0, 0, "of the VMM; absent where it has none"),
	FIELD(struct vm_stats, started_ms,      FIELD_U64,   false, 0, 0, "Unix time of its start"),
	FIELD(struct vm_stats, sampled_us,      FIELD_U64,   true,  0, 0, "clock of the sample: what two samples' times differ by has passed"),
	FIELD(struct vm_stats, vcpu,            FIELD_U32,   false, 0, 0, "given"),
	FIELD(struct vm_stats, memory_bytes,    FIELD_U64,   false, 0, 0, "given"),
	FIELD(struct vm_stats, disk_bytes,      FIELD_U64,   false, 0, 0, "given"),
	FIELD(struct vm_stats, cpu_us,          FIELD_U64,   false, 0, 0, "CPU time of the VMM, vCPUs included, since its start"),
	FIELD(struct vm_stats, rss_bytes,       FIELD_U64,   false, 0, 0, "of the host's memory, with what it shares"),
	FIELD(struct vm_stats, pss_bytes,       FIELD_U64,   false, 0, 0, "the same, with its share of what it shares"),
	FIELD(struct vm_stats, read_bytes,      FIELD_U64,   false, 0, 0, "read from the host's storage since its start"),
	FIELD(struct vm_stats, write_bytes,     FIELD_U64,   false, 0, 0, "written to it"),
	FIELD(struct vm_stats, disk_used_bytes, FIELD_U64,   false, 0, 0, "that its disk takes of the host's"),
	FIELD(struct vm_stats, guest_known,     FIELD_BOOL,  false, 0, 0, "the guest has answered in time"),
	FIELD(struct vm_stats, guest_error,     FIELD_TEXT,  false, 0, 0, "why it has not"),
	FIELD_SUB(struct vm_stats, guest,       FIELD_STRUCT, true, 0, 0, &guest_stats_schema, "as the guest says; empty unless it has answered"),
	FIELD(struct vm_stats, balloon_known,   FIELD_BOOL,  false, 0, 0, "the driver of the guest's balloon has told the VMM of its memory"),
	FIELD(struct vm_stats, balloon_error,   FIELD_TEXT,  false, 0, 0, "why it has not"),
	FIELD_SUB(struct vm_stats, balloon,     FIELD_STRUCT, false, 0, 0, &vm_balloon_schema, "what it has told some seconds ago; absent unless it has"),
};
const struct schema vm_stats_schema = SCHEMA_OPEN("vm_stats", struct vm_stats, vm_stats_fields);

static const struct field vm_port_fields[] = {
	FIELD(struct vm_port, proto,    FIELD_STR,  true,  1, 0, "tcp or udp"),
	FIELD(struct vm_port, address,  FIELD_STR,  true,  1, 0, "in the guest"),
	FIELD(struct vm_port, port,     FIELD_U32,  true,  1, UINT16_MAX, "in the guest"),
	FIELD(struct vm_port, pid,      FIELD_U32,  false, 0, 0, "in the guest; absent where no process was found"),
	FIELD(struct vm_port, process,  FIELD_TEXT, false, 0, 0, "its name"),
	FIELD(struct vm_port, endpoint, FIELD_STR,  false, 0, 0, "address and port of the host that reach it; absent unless it is published"),
};
const struct schema vm_port_schema = SCHEMA_OPEN("vm_port", struct vm_port, vm_port_fields);

static const struct field vm_ports_fields[] = {
	FIELD(struct vm_ports, id,        FIELD_VM_ID, true,  0, 0, "of the VM"),
	FIELD(struct vm_ports, name,      FIELD_STR,   true,  1, 0, "of the VM"),
	FIELD_SUB(struct vm_ports, ports, FIELD_LIST,  false, 0, GUEST_PORTS_MAX, &vm_port_schema, "by protocol and port"),
	FIELD(struct vm_ports, omitted,   FIELD_U32,   false, 0, 0, "that were too many to be told"),
};
const struct schema vm_ports_schema = SCHEMA_OPEN("vm_ports", struct vm_ports, vm_ports_fields);

static const struct field op_args_fields[] = {
	FIELD(struct op_args, op_id, FIELD_OP_ID, true, 0, 0, "of the operation"),
};
const struct schema op_args_schema = SCHEMA("op_args", struct op_args, op_args_fields);

static const struct field op_wait_args_fields[] = {
	FIELD(struct op_wait_args, op_id,       FIELD_OP_ID, true,  0, 0, "of the operation"),
	FIELD(struct op_wait_args, deadline_ms, FIELD_U32,   false, 1, DEADLINE_MS_MAX, "gives up with `timeout`; absent: never"),
};
const struct schema op_wait_args_schema = SCHEMA("op_wait_args", struct op_wait_args, op_wait_args_fields);

static const struct field op_step_fields[] = {
	FIELD(struct op_step, name,        FIELD_STR,  true,  1, 0, "of the plan's step; \"queue\": waited for what the VM did before"),
	FIELD(struct op_step, vm,          FIELD_VM_ID, false, 0, 0, "of the VM; absent: of the whole operation"),
	FIELD(struct op_step, begin_us,    FIELD_U64,  false, 0, 0, "since the operation's admission"),
	FIELD(struct op_step, duration_us, FIELD_U64,  false, 0, 0, "of the step"),
	FIELD(struct op_step, result,      FIELD_I32,  false, 0, 0, "0 or a negative errno"),
	FIELD(struct op_step, undo,        FIELD_BOOL, false, 0, 0, "the step was undone"),
	FIELD(struct op_step, running,     FIELD_BOOL, false, 0, 0, "it is not over yet: duration so far"),
};
const struct schema op_step_schema = SCHEMA_OPEN("op_step", struct op_step, op_step_fields);

static const struct field op_view_fields[] = {
	FIELD(struct op_view, op_id,       FIELD_OP_ID, true,  0, 0, "of the operation"),
	FIELD(struct op_view, method,      FIELD_STR,   true,  1, 0, "what was asked"),
	FIELD(struct op_view, state,       FIELD_STR,   true,  1, 0, "running, done, failed, cancelled, or interrupted: the daemon ended in its middle; sent again it goes on"),
	FIELD(struct op_view, vm,          FIELD_VM_ID, false, 0, 0, "absent unless it is about one VM"),
	FIELD(struct op_view, vms,         FIELD_U32,   false, 0, 0, "that it is about"),
	FIELD(struct op_view, failed,      FIELD_U32,   false, 0, 0, "of them"),
	FIELD(struct op_view, wall_ms,     FIELD_U64,   false, 0, 0, "Unix time of its admission"),
	FIELD(struct op_view, duration_us, FIELD_U64,   false, 0, 0, "so far, or in all"),
	FIELD(struct op_view, commit_us,   FIELD_U64,   false, 0, 0, "after that, until its result was durable; absent: not known any more"),
	FIELD(struct op_view, code,        FIELD_STR,   false, 0, 0, "a row of docs/errors.md, where it failed"),
	FIELD(struct op_view, message,     FIELD_TEXT,  false, 0, 0, "what went wrong"),
	FIELD_SUB(struct op_view, steps,   FIELD_LIST,  false, 0, OP_STEPS_MAX, &op_step_schema, "in the order in which they began; absent in op.list"),
	FIELD(struct op_view, steps_lost,  FIELD_U32,   false, 0, 0, "steps that were too many to be kept"),
	FIELD_SUB(struct op_view, targets, FIELD_LIST,  false, 0, OP_TARGETS_MAX, &target_result_schema, "the first VMs that it is about; absent in op.list"),
};
const struct schema op_view_schema = SCHEMA_OPEN("op_view", struct op_view, op_view_fields);

static const struct field op_list_result_fields[] = {
	FIELD_SUB(struct op_list_result, ops, FIELD_LIST, false, 0, OP_LIST_MAX, &op_view_schema, "newest first"),
};
const struct schema op_list_result_schema = SCHEMA_OPEN("op_list_result", struct op_list_result, op_list_result_fields);

static const struct field name_args_fields[] = {
	FIELD(struct name_args, name, FIELD_STR, true, 1, 0, "of the image or kernel"),
};
const struct schema name_args_schema = SCHEMA("name_args", struct name_args, name_args_fields);

static const struct field image_import_args_fields[] = {
	FIELD(struct image_import_args, name,       FIELD_STR,  true,  1, 0, "of the image"),
	FIELD(struct image_import_args, path,       FIELD_STR,  true,  1, 0, "absolute; read by the daemon, with its owner's rights"),
	FIELD(struct image_import_args, disk_bytes, FIELD_U64,  false, DISK_MIN_BYTES, DISK_MAX_BYTES, "of the file system made; absent: what it needs and some room"),
	FIELD(struct image_import_args, kernel,     FIELD_STR,  false, 0, 0, "default kernel of VMs of this image"),
	FIELD(struct image_import_args, force,      FIELD_BOOL, false, 0, 0, "replaces one of the same name"),
};
const struct schema image_import_args_schema = SCHEMA("image_import_args", struct image_import_args, image_import_args_fields);

static const struct field image_build_args_fields[] = {
	FIELD(struct image_build_args, name,       FIELD_STR,  false, 0, 0, "absent: as the source"),
	FIELD(struct image_build_args, source,     FIELD_STR,  true,  1, 0, "\"debian:bookworm\""),
	FIELD(struct image_build_args, packages,   FIELD_STRV, false, 0, PACKAGES_MAX, "besides the minimal set"),
	FIELD(struct image_build_args, disk_bytes, FIELD_U64,  false, DISK_MIN_BYTES, DISK_MAX_BYTES, "of the file system made; absent: what it needs and some room"),
	FIELD(struct image_build_args, force,      FIELD_BOOL, false, 0, 0, "replaces one of the same name"),
};
const struct schema image_build_args_schema = SCHEMA("image_build_args", struct image_build_args, image_build_args_fields);

static const struct field image_view_fields[] = {
	FIELD(struct image_view, name,       FIELD_STR, true,  1, 0, "of the image"),
	FIELD(struct image_view, kind,       FIELD_STR, true,  1, 0, "\"disk\", \"probe\" or \"null\""),
	FIELD(struct image_view, source,     FIELD_STR, false, 0, 0, "what it was made from"),
	FIELD(struct image_view, path,       FIELD_STR, false, 0, 0, "of the file system"),
	FIELD(struct image_view, kernel,     FIELD_STR, false, 0, 0, "default kernel of its VMs"),
	FIELD(struct image_view, sha256,     FIELD_STR, false, 0, 0, "of what was imported; absent when built in"),
	FIELD(struct image_view, bytes,      FIELD_U64, false, 0, 0, "of the file system"),
	FIELD(struct image_view, created_ms, FIELD_U64, false, 0, 0, "Unix time"),
};
const struct schema image_view_schema = SCHEMA_OPEN("image_view", struct image_view, image_view_fields);

static const struct field image_list_result_fields[] = {
	FIELD_SUB(struct image_list_result, images, FIELD_LIST, false, 0, OBJECT_LIST_MAX, &image_view_schema, "all of them"),
};
const struct schema image_list_result_schema = SCHEMA_OPEN("image_list_result", struct image_list_result, image_list_result_fields);

static const struct field kernel_import_args_fields[] = {
	FIELD(struct kernel_import_args, name,    FIELD_STR,  false, 0, 0, "absent: from the package or file name"),
	FIELD(struct kernel_import_args, path,    FIELD_STR,  false, 0, 0, "a .deb, vmlinuz or vmlinux; absent: Debian's cloud kernel package"),
	FIELD(struct kernel_import_args, initrd,  FIELD_STR,  false, 0, 0, "for a bare vmlinuz"),
	FIELD(struct kernel_import_args, modules, FIELD_STR,  false, 0, 0, "directory lib/modules/VERSION"),
	FIELD(struct kernel_import_args, force,   FIELD_BOOL, false, 0, 0, "replaces one of the same name"),
};
const struct schema kernel_import_args_schema = SCHEMA("kernel_import_args", struct kernel_import_args, kernel_import_args_fields);

static const struct field kernel_view_fields[] = {
	FIELD(struct kernel_view, name,       FIELD_STR, true,  1, 0, "of the kernel"),
	FIELD(struct kernel_view, version,    FIELD_STR, false, 0, 0, "as uname -r says it"),
	FIELD(struct kernel_view, path,       FIELD_STR, false, 0, 0, "what a VMM boots"),
	FIELD(struct kernel_view, initrd,     FIELD_STR, false, 0, 0, "path"),
	FIELD(struct kernel_view, sha256,     FIELD_STR, false, 0, 0, "of what was imported"),
	FIELD(struct kernel_view, bytes,      FIELD_U64, false, 0, 0, "of what is booted"),
	FIELD(struct kernel_view, created_ms, FIELD_U64, false, 0, 0, "Unix time"),
};
const struct schema kernel_view_schema = SCHEMA_OPEN("kernel_view", struct kernel_view, kernel_view_fields);

static const struct field kernel_list_result_fields[] = {
	FIELD_SUB(struct kernel_list_result, kernels, FIELD_LIST, false, 0, OBJECT_LIST_MAX, &kernel_view_schema, "all of them"),
};
const struct schema kernel_list_result_schema = SCHEMA_OPEN("kernel_list_result", struct kernel_list_result, kernel_list_result_fields);

static const struct field info_args_fields[] = {
	FIELD(struct info_args, measure, FIELD_BOOL, false, 0, 0, "times a probe guest under each accelerator, unless that is known, and answers then"),
};
const struct schema info_args_schema = SCHEMA("info_args", struct info_args, info_args_fields);

static const struct field info_result_fields[] = {
	FIELD(struct info_result, version,         FIELD_STR,  true,  1, 0, "of the daemon"),
	FIELD(struct info_result, started_ms,      FIELD_U64,  false, 0, 0, "Unix time"),
	FIELD(struct info_result, pid,             FIELD_U32,  false, 0, INT32_MAX, "of the daemon"),
	FIELD(struct info_result, state_dir,       FIELD_STR,  false, 0, 0, "where records and disks are"),
	FIELD(struct info_result, runtime_dir,     FIELD_STR,  false, 0, 0, "where sockets are"),
	FIELD(struct info_result, vmm,             FIELD_STR,  false, 0, 0, "that a new VM with an operating system gets"),
	FIELD(struct info_result, vmm_reason,      FIELD_TEXT, false, 0, 0, "why"),
	FIELD(struct info_result, accel,           FIELD_STR,  false, 0, 0, "\"kvm\" or \"tcg\", of guests with an operating system; absent: not measured yet"),
	FIELD(struct info_result, probe_accel,     FIELD_STR,  false, 0, 0, "\"kvm\" or \"tcg\", of probes"),
	FIELD(struct info_result, accel_reason,    FIELD_TEXT, false, 0, 0, "why"),
	FIELD(struct info_result, vms,             FIELD_U32,  false, 0, 0, "in all"),
	FIELD(struct info_result, running,         FIELD_U32,  false, 0, 0, "of them"),
	FIELD(struct info_result, images,          FIELD_U32,  false, 0, 0, "in all"),
	FIELD(struct info_result, kernels,         FIELD_U32,  false, 0, 0, "in all"),
	FIELD(struct info_result, cpus,            FIELD_U32,  false, 0, 0, "of the host"),
	FIELD(struct info_result, memory_bytes,    FIELD_U64,  false, 0, 0, "of the host"),
	FIELD(struct info_result, starts_max,      FIELD_U32,  false, 0, 0, "VMs that may be starting at once"),
	FIELD(struct info_result, starting,        FIELD_U32,  false, 0, 0, "VMs that are"),
	FIELD(struct info_result, waiting,         FIELD_U32,  false, 0, 0, "VMs that wait to start"),
	FIELD(struct info_result, vcpu,            FIELD_U32,  false, 0, 0, "default of a new VM"),
	FIELD(struct info_result, vm_memory_bytes, FIELD_U64,  false, 0, 0, "default of a new VM"),
	FIELD(struct info_result, vm_disk_bytes,   FIELD_U64,  false, 0, 0, "default of a new VM"),
	FIELD(struct info_result, image,           FIELD_STR,  false, 0, 0, "default of a new VM; absent: the newest"),
	FIELD(struct info_result, kernel,          FIELD_STR,  false, 0, 0, "default of a new VM; absent: the image's, else the newest"),
	FIELD(struct info_result, leaks,           FIELD_U64,  false, 0, 0, "undo steps that failed and are being retried"),
	FIELD(struct info_result, limits,          FIELD_TEXT, false, 0, 0, "cgroup limits: what is enforced"),
	FIELD(struct info_result, helper,          FIELD_TEXT, false, 0, 0, "what the root helper has given, or why it has not; absent in session mode"),
	FIELD(struct info_result, helper_up,       FIELD_BOOL, false, 0, 0, "it has"),
};
const struct schema info_result_schema = SCHEMA_OPEN("info_result", struct info_result, info_result_fields);

static const struct field config_key_fields[] = {
	FIELD(struct config_key, key,    FIELD_STR,  true,  1, 0, "section and name, as \"defaults.memory\""),
	FIELD(struct config_key, value,  FIELD_TEXT, true,  0, 0, "in force, as a file would say it"),
	FIELD(struct config_key, source, FIELD_STR,  true,  1, 0, "\"built in\", \"host\", \"file\", \"environment\" or \"option\""),
	FIELD(struct config_key, where,  FIELD_TEXT, false, 0, 0, "file and line, the variable, or how it is found"),
	FIELD(struct config_key, next,   FIELD_TEXT, false, 0, 0, "what it will be once the daemon starts again; absent: the same"),
	FIELD(struct config_key, live,   FIELD_BOOL, false, 0, 0, "config.reload takes it over at once"),
};
const struct schema config_key_schema = SCHEMA_OPEN("config_key", struct config_key, config_key_fields);

static const struct field config_problem_fields[] = {
	FIELD(struct config_problem, where,   FIELD_TEXT, true,  0, 0, "file and line, or a variable"),
	FIELD(struct config_problem, message, FIELD_TEXT, true,  0, 0, "what is wrong"),
	FIELD(struct config_problem, fatal,   FIELD_BOOL, false, 0, 0, "a value cannot be used; otherwise it is ignored"),
};
const struct schema config_problem_schema = SCHEMA_OPEN("config_problem", struct config_problem, config_problem_fields);

static const struct field config_result_fields[] = {
	FIELD_SUB(struct config_result, keys, FIELD_LIST, false, 0, CONFIG_KEYS_MAX, &config_key_schema, "by section"),
	FIELD(struct config_result, files,    FIELD_STRV, false, 0, CONFIG_FILES_MAX, "that were read; later ones win"),
	FIELD_SUB(struct config_result, problems, FIELD_LIST, false, 0, CONFIG_PROBLEMS_MAX, &config_problem_schema, "that were found in them"),
};
const struct schema config_result_schema = SCHEMA_OPEN("config_result", struct config_result, config_result_fields);

static const struct field config_reload_result_fields[] = {
	FIELD(struct config_reload_result, changed, FIELD_STRV, false, 0, CONFIG_KEYS_MAX, "keys that have a new value"),
	FIELD(struct config_reload_result, restart, FIELD_STRV, false, 0, CONFIG_KEYS_MAX, "keys whose new value waits for the daemon's next start"),
	FIELD_SUB(struct config_reload_result, problems, FIELD_LIST, false, 0, CONFIG_PROBLEMS_MAX, &config_problem_schema, "that were found and ignored"),
};
const struct schema config_reload_result_schema = SCHEMA_OPEN("config_reload_result", struct config_reload_result, config_reload_result_fields);

const struct client_method_row client_methods[METHOD_NMETHODS] = {
#define METHOD(sym, name, args, result, doc) [METHOD_##sym] = { name, &args, &result, doc },
	CLIENT_METHODS(METHOD)
#undef METHOD
};

const struct client_event_row client_events[EVENT_NEVENTS] = {
#define EVENT(sym, name, body, doc) [EVENT_##sym] = { name, &body, doc },
	CLIENT_EVENTS(EVENT)
#undef EVENT
};
/* clang-format on */

int method_find(const struct client_method_row *rows, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(rows[i].name, name) == 0)
			return (int)i;
	return -ENOSYS;
}

int client_method_find(const char *name, enum client_method *ret_method)
{
	const int i = method_find(client_methods, METHOD_NMETHODS, name);

	if (i < 0)
		return i;
	*ret_method = (enum client_method)i;
	return 0;
}

int client_event_find(const char *name, enum client_event *ret_event)
{
	for (int i = 0; i < EVENT_NEVENTS; i++)
		if (strcmp(client_events[i].name, name) == 0) {
			*ret_event = (enum client_event)i;
			return 0;
		}
	return -ENOENT;
}
