/* samples.c - one frame per envelope type, and one per method's arguments and result.
 *
 * A row here is a row of the protocol: changing what its vector holds is changing the protocol.
 */
#include "tests/vectors/samples.h"

#include "proto/client.h"
#include "proto/frame.h"
#include "proto/guest.h"
#include "proto/helper.h"

/* struct strv owns writable strings; nothing writes to these. */
#define STRV(...)                                                                                  \
	{                                                                                          \
		.v = (char *[]){ __VA_ARGS__, NULL },                                              \
		.n = sizeof((char *[]){ __VA_ARGS__ }) / sizeof(char *)                            \
	}
#define SEQ(array)                                                                                 \
	{                                                                                          \
		.items = (array), .n = ARRAY_LEN(array)                                            \
	}

#define OP                                                                                         \
	{                                                                                          \
		{                                                                                  \
			0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15,    \
				0x16, 0x17, 0x18, 0x19                                             \
		}                                                                                  \
	}
#define SHA256 "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

enum {
	VM_WEB = 0x123456,
	VM_DB = 0x654321,
};

static char web_1[] = "web-1";
static char db[] = "0000000";
static char team[] = "team=blue";
static char net_rate[] = "net_rate";
static char tier[] = "tier=";
static char lang[] = "LANG=C.UTF-8";
static char equals[] = "OPTS=a=b";
static char echo[] = "echo";
static char accent[] = "h\xc3\xa9llo";
static char empty[] = "";
static char curl[] = "curl";
static char git[] = "git";
static char vm_type[] = "vm";

static struct publish ports[] = { { 8080, 80 }, { 65535, 443 } };

static const struct create_args create = {
	.spec = {
		.name = "web",
		.image = "debian:bookworm",
		.kernel = "cloud-6.1",
		.vmm = "qemu",
		.vcpu = 2,
		.memory_bytes = UINT64_C(1) << 30,
		.disk_bytes = UINT64_C(8) << 30,
		.disk_rate = UINT64_C(100) << 20,
		.disk_iops = 2000,
		.net_rate = UINT64_C(10) << 20,
		.nat = true,
		.labels = STRV(team, tier),
		.env = STRV(lang, equals),
		.publish = SEQ(ports),
	},
	.count = 3,
	.no_start = true,
	.lease = true,
	.boot_deadline_ms = 60000,
};

static struct target_result two_targets[] = {
	{ .ref = "web-1",
	  .id = VM_WEB,
	  .name = "web-1",
	  .state = "running",
	  .duration_us = 812345,
	  .ready_us = 700000 },
	{ .ref = "db",
	  .code = "vm.not_found",
	  .message = "vm db: not found",
	  .step = "lease",
	  .duration_us = 5 },
};
static const struct targets_result targets_done = { .targets = SEQ(two_targets), .failed = 1 };
static const struct targets_result targets_many = { .targets = SEQ(two_targets),
						    .failed = 1,
						    .omitted = 9998 };
static const struct targets_args targets_all = { .all = true };
static const struct targets_args targets_refs = { .refs = STRV(web_1, db), .deadline_ms = 10000 };
static const struct targets_args targets_force = { .refs = STRV(web_1), .force = true };
static const struct targets_args targets_kill = { .refs = STRV(web_1), .signo = 9 };
static const struct targets_args targets_labels = {
	.labels = STRV(team),
	.force = true,
	.stopped_only = true,
};
static const struct targets_args targets_set = {
	.refs = STRV(web_1),
	.set = { .nat = "off",
		 .vcpu = 4,
		 .memory_bytes = UINT64_C(4) << 30,
		 .disk_bytes = UINT64_C(20) << 30,
		 .disk_rate = UINT64_C(50) << 20,
		 .disk_iops = 300,
		 .net_rate = UINT64_C(5) << 20,
		 .drop_limits = STRV(net_rate),
		 .labels = STRV(team),
		 .drop_labels = STRV(git) },
};
static const struct targets_args targets_wait = {
	.refs = STRV(web_1),
	.deadline_ms = 86400000,
	.state = "running",
};

static struct vm_view two_vms[] = {
	{
		.id = VM_WEB,
		.state = "running",
		.spec = { .name = "web-1",
			  .image = "debian:bookworm",
			  .kernel = "cloud-6.1",
			  .vmm = "qemu",
			  .vcpu = 2,
			  .memory_bytes = UINT64_C(1) << 30,
			  .disk_bytes = UINT64_C(8) << 30,
			  .labels = STRV(team, tier),
			  .publish = SEQ(ports) },
		.created_ms = UINT64_C(1700000000000),
		.started_ms = UINT64_C(1700000001000),
		.boot_id = "b2f1c9a0-7c1e-4f2b-9a57-0d7b5a6c1e11",
		.address = "10.97.0.2",
		.pid = 4242,
		.vmm = "qemu",
		.accel = "kvm",
		.console_log = "/var/lib/banger/vms/00000014d2jp/console.log",
		.vmm_log = "/var/lib/banger/vms/00000014d2jp/vmm.log",
		.exit_status = -1,
	},
	{
		.id = VM_DB,
		.state = "failed",
		.spec = { .name = "db", .image = "debian:bookworm", .vcpu = 1 },
		.created_ms = UINT64_C(1700000000000),
		.failure = "the VMM exited with status 1",
		.exit_status = 1,
	},
};
static const struct list_args list = {
	.all = true,
	.labels = STRV(team),
	.after = "00000014d2jp",
	.limit = 100,
};
static const struct list_result listed = { .vms = SEQ(two_vms),
					   .next = "0000006as1h1",
					   .total = 7 };
static const struct ref_args ref_web = { .ref = "web-1" };
static const struct watch_args watch = { .types = STRV(vm_type), .labels = STRV(team) };

static const struct exec_args exec = {
	.ref = "web-1",
	.argv = STRV(echo, accent, empty),
	.env = STRV(lang),
	.cwd = "/srv",
	.tty = true,
	.stdin_open = true,
	.rows = 24,
	.cols = 80,
	.window = 65536,
};
static const struct exec_result exec_done = { .status = 143, .signo = 15 };
static const struct exec_result exec_zero = { .status = 0 };

static uint8_t odd_path[] = "/srv/\xff\n";
static const struct copy_in_args copy_in = {
	.ref = "web-1",
	.path = { odd_path, sizeof(odd_path) - 1 },
	.as = true,
	.no_owner = true,
	.window = 4096,
};
static const struct copy_out_args copy_out = {
	.ref = "web-1",
	.path = { odd_path, sizeof(odd_path) - 1 },
	.follow = true,
	.window = 65536,
};
static const struct guest_copy_in_args guest_copy_in = {
	.path = { odd_path, sizeof(odd_path) - 1 },
	.as = true,
	.no_owner = true,
	.window = 4096,
};
static const struct guest_copy_out_args guest_copy_out = {
	.path = { odd_path, sizeof(odd_path) - 1 },
	.follow = true,
	.window = 65536,
};
static const struct copy_result copied = { .entries = 5003, .bytes = UINT64_C(1) << 33 };
static const struct guest_ask_args ask_web = { .ref = "web-1", .deadline_ms = 1000 };
static const struct ping_result pong = {
	.id = VM_WEB,
	.name = "web-1",
	.agent = "0.1.0",
	.round_trip_us = 412,
};
#define STATS                                                                                      \
	{                                                                                          \
		.uptime_ms = 5000, .load_milli = 1250, .processes = 93,                            \
		.memory_bytes = UINT64_C(1) << 30, .memory_available_bytes = 51 << 20,             \
		.disk_bytes = UINT64_C(8) << 30, .disk_available_bytes = UINT64_C(6) << 30,        \
		.disk_read_only = true, .rx_bytes = 123456, .tx_bytes = 65432                      \
	}
static const struct guest_stats guest_stats = STATS;
static const struct vm_health health = {
	.id = VM_WEB,
	.name = "web-1",
	.state = "degraded",
	.problems = "disk: cannot be written; memory: 4% is available",
	.boot_id = "b2f1c9a0-7c1e-4f2b-9a57-0d7b5a6c1e11",
	.kernel = "6.1.0-18-cloud-amd64",
	.os = "Debian GNU/Linux 12 (bookworm)",
	.round_trip_us = 800,
	.guest = STATS,
};
static const struct vm_stats web_uses = {
	.id = VM_WEB,
	.name = "web-1",
	.pid = 4711,
	.started_ms = UINT64_C(1735689600000),
	.sampled_us = UINT64_C(86400000000),
	.vcpu = 2,
	.memory_bytes = UINT64_C(1) << 30,
	.disk_bytes = UINT64_C(8) << 30,
	.cpu_us = 1234567,
	.rss_bytes = 190 << 20,
	.pss_bytes = 150 << 20,
	.read_bytes = 4096,
	.write_bytes = 8192,
	.disk_used_bytes = 3 << 20,
	.guest_known = true,
	.guest_error = "no error at all",
	.guest = STATS,
	.balloon_known = true,
	.balloon_error = "no error either",
	.balloon = {
		.memory_bytes = 994 << 20,
		.free_bytes = 512 << 20,
		.available_bytes = 713 << 20,
		.cache_bytes = 181 << 20,
		.swapped_in_bytes = 4096,
		.swapped_out_bytes = 12288,
		.major_faults = 313,
		.minor_faults = 54321,
	},
};
static struct vm_port web_ports[] = {
	{ .proto = "tcp",
	  .address = "::",
	  .port = 80,
	  .pid = 412,
	  .process = "nginx",
	  .endpoint = "127.0.0.1:8080" },
	{ .proto = "udp", .address = "127.0.0.1", .port = 323 },
};
static const struct vm_ports web_listens = {
	.id = VM_WEB,
	.name = "web-1",
	.ports = SEQ(web_ports),
	.omitted = 3,
};
static struct guest_port guest_port_rows[] = {
	{ .proto = "tcp", .address = "::", .port = 80, .pid = 412, .process = "nginx" },
	{ .proto = "udp", .address = "127.0.0.1", .port = 323 },
};
static const struct guest_ports guest_ports = { .ports = SEQ(guest_port_rows), .omitted = 3 };

static const struct op_args op = { .op_id = OP };
static const struct op_wait_args op_wait = { .op_id = OP, .deadline_ms = 30000 };
static struct op_step steps[] = {
	{ .name = "queue", .vm = VM_WEB, .duration_us = 12 },
	{ .name = "vmm", .vm = VM_WEB, .begin_us = 12, .duration_us = 900, .result = -2 },
	{ .name = "admit", .vm = VM_WEB, .begin_us = 912, .duration_us = 3, .undo = true },
	{ .name = "files", .vm = VM_DB, .begin_us = 4, .duration_us = 911, .running = true },
};
static struct op_view failed_op[] = { {
	.op_id = OP,
	.method = "vm.start",
	.state = "failed",
	.vm = VM_WEB,
	.vms = 2,
	.failed = 1,
	.wall_ms = UINT64_C(1700000000000),
	.duration_us = 915,
	.commit_us = 410,
	.code = "vmm.missing",
	.message = "vmm: qemu-system-x86_64: No such file or directory",
	.steps = SEQ(steps),
	.steps_lost = 7,
	.targets = SEQ(two_targets),
} };
static const struct op_list_result ops = { .ops = SEQ(failed_op) };

static const struct name_args image_name = { .name = "debian:bookworm" };
static const struct name_args kernel_name = { .name = "cloud-6.1" };
static const struct image_import_args image_import = {
	.name = "mine",
	.path = "/home/me/root.tar",
	.disk_bytes = UINT64_C(2) << 30,
	.kernel = "cloud-6.1",
	.force = true,
};
static const struct image_build_args image_build = {
	.name = "mine",
	.source = "debian:bookworm",
	.packages = STRV(curl, git),
	.disk_bytes = UINT64_C(2) << 30,
	.force = true,
};
static struct image_view images[] = { {
	.name = "mine",
	.kind = "disk",
	.source = "/home/me/root.tar",
	.path = "/var/lib/banger/images/mine.ext4",
	.kernel = "cloud-6.1",
	.sha256 = SHA256,
	.bytes = UINT64_C(2) << 30,
	.created_ms = UINT64_C(1700000000000),
} };
static const struct image_list_result image_list = { .images = SEQ(images) };
static const struct kernel_import_args kernel_import = {
	.name = "cloud-6.1",
	.path = "/home/me/vmlinuz",
	.initrd = "/home/me/initrd.img",
	.modules = "/home/me/lib/modules/6.1.0",
	.force = true,
};
static struct kernel_view kernels[] = { {
	.name = "cloud-6.1",
	.version = "6.1.0-18-cloud-amd64",
	.path = "/var/lib/banger/kernels/cloud-6.1/vmlinux",
	.initrd = "/var/lib/banger/kernels/cloud-6.1/initrd",
	.sha256 = SHA256,
	.bytes = 40000000,
	.created_ms = UINT64_C(1700000000000),
} };
static const struct kernel_list_result kernel_list = { .kernels = SEQ(kernels) };

static const struct info_args info_measure = { .measure = true };
static const struct info_result info = {
	.version = "0.1.0",
	.started_ms = UINT64_C(1700000000000),
	.pid = 4000,
	.state_dir = "/var/lib/banger",
	.runtime_dir = "/run/banger",
	.vmm = "qemu",
	.vmm_reason = "firecracker is not installed",
	.accel = "tcg",
	.probe_accel = "kvm",
	.accel_reason = "/dev/kvm: Permission denied",
	.vms = 7,
	.running = 3,
	.images = 2,
	.kernels = 1,
	.cpus = 8,
	.memory_bytes = UINT64_C(32) << 30,
	.starts_max = 8,
	.starting = 1,
	.waiting = 2,
	.vcpu = 1,
	.vm_memory_bytes = UINT64_C(512) << 20,
	.vm_disk_bytes = UINT64_C(4) << 30,
	.image = "debian:bookworm",
	.kernel = "cloud-6.1",
	.leaks = 1,
	.limits = "memory, pids",
	.helper = "bridge br-fc 10.97.0.1/16, 4096 slots",
	.helper_up = true,
};

static char conf_file[] = "/etc/banger/banger.conf";
static char memory_key[] = "defaults.memory";
static char accel_key[] = "vmm.accel";
static struct config_key two_keys[] = {
	{ .key = "defaults.memory",
	  .value = "4GiB",
	  .source = "file",
	  .where = "/etc/banger/banger.conf:3",
	  .live = true },
	{ .key = "vmm.accel",
	  .value = "auto",
	  .source = "built in",
	  .where = "auto",
	  .next = "kvm" },
};
static struct config_problem one_problem[] = {
	{ .where = "/etc/banger/banger.conf:4",
	  .message = "unknown key \"vcpus\" in [defaults]; did you mean \"vcpu\"?" },
};
static const struct config_result config = {
	.keys = SEQ(two_keys),
	.files = STRV(conf_file),
	.problems = SEQ(one_problem),
};
static const struct config_reload_result reloaded = {
	.changed = STRV(memory_key),
	.restart = STRV(accel_key),
	.problems = SEQ(one_problem),
};

static const struct progress_event progress = {
	.id = VM_WEB,
	.name = "web-1",
	.stage = "boot",
	.message = "waits for the guest",
	.done = 1,
	.total = 3,
	.failed = 1,
};
static const struct vm_event vm_changed = {
	.id = VM_WEB,
	.name = "web-1",
	.state = "running",
	.op_id = OP,
	.wall_ms = UINT64_C(1700000000000),
};
static const struct op_event op_over = {
	.op_id = OP,
	.method = "vm.start",
	.state = "failed",
	.vm = VM_WEB,
	.vms = 1,
	.failed = 1,
	.duration_us = 915,
	.code = "vmm.missing",
	.message = "vmm: qemu-system-x86_64: No such file or directory",
	.wall_ms = UINT64_C(1700000000000),
};
static const struct object_event image_added = {
	.name = "debian:bookworm",
	.action = "added",
	.op_id = OP,
	.wall_ms = UINT64_C(1700000000000),
};
static const struct lost_event events_lost = { .events = 42 };

static const struct guest_exec_args guest_exec = {
	.argv = STRV(echo, accent),
	.env = STRV(lang, equals),
	.cwd = "/srv",
	.tty = true,
	.stdin_open = true,
	.rows = 24,
	.cols = 80,
	.window = 65536,
};
static const struct guest_status guest_status = {
	.boot_id = "b2f1c9a0-7c1e-4f2b-9a57-0d7b5a6c1e11",
	.hostname = "web-1",
	.kernel = "6.1.0-18-cloud-amd64",
	.os = "Debian GNU/Linux 12 (bookworm)",
	.agent = "0.1.0",
	.uptime_ms = 5000,
};

static const struct helper_bridge_args helper_bridge = { .bridge = "br-fc" };
static const struct helper_bridge_view helper_bridge_view = {
	.bridge = "br-fc", .address = "10.97.0.1", .prefix = 16, .slots = 4096
};
/* clang-format off */
static const struct helper_tap_args helper_tap = { .bridge = "br-fc", .slot = 7, .vm = VM_WEB, .descriptor = true, };
static const struct helper_tap_args helper_tap_gone = { .bridge = "br-fc", .slot = 0 };
static const struct helper_tap_view helper_tap_view = { .tap = "bg-00000014d2jp", .uid = 200007 };
static const struct helper_nat_args helper_nat = { .bridge = "br-fc", .slot = 7, .vm = VM_WEB, .address = "10.97.0.9", };
/* clang-format on */
static const struct helper_slots_args helper_slots = { .bridge = "br-fc", .first = 0, .count = 8 };
static const struct helper_resolver_args helper_resolver = {
	.bridge = "br-fc",
	.server = "127.0.0.1:42069",
};
static const struct helper_resolver_args helper_resolver_gone = { .bridge = "br-fc" };
static char br_fc[] = "br-fc";
static char tap_web[] = "bg-00000014d2jp";
static char tap_slot[] = "bg-s0";
static char snapshot_web[] = "fc-rootfs-00000014d2jp";
static char loop_web[] = "/dev/loop7 vms/00000014d2jp/rootfs.cow";
static char nat_web[] = "bg-00000014d2jp 10.97.0.9";
static const struct helper_snapshot_args helper_snapshot = { .vm = VM_WEB,
							     .base = "debian/disk.ext4" };
/* clang-format off */
static const struct helper_snapshot_view helper_snapshot_view = {
	.name = "fc-rootfs-00000014d2jp", .device = "/dev/mapper/fc-rootfs-00000014d2jp", .base_loop = "/dev/loop0", .cow_loop = "/dev/loop7", .bytes = UINT64_C(8) << 30,
};
/* clang-format on */
static const struct helper_cleanup_args helper_cleanup = {
	.name = "fc-rootfs-00000014d2jp",
	.device = "/dev/mapper/fc-rootfs-00000014d2jp",
	.base_loop = "/dev/loop0",
	.cow_loop = "/dev/loop7",
};
static const struct helper_device_args helper_device = { .device = "fc-rootfs-00000014d2jp" };
static const struct helper_device_args helper_fsck = {
	.device = "/dev/mapper/fc-rootfs-00000014d2jp"
};
static const struct helper_fsck_view helper_fsck_view = { .corrected = true,
							  .text = "Pass 1: Checking inodes" };
static const struct helper_ext4_read_args helper_read = { .image = "vms/00000014d2jp/disk.ext4",
							  .path = "/etc/hostname" };
static const struct helper_ext4_file helper_file = {
	.path = "/etc/hostname",
	.mode = 0640,
	.uid = 1000,
	.gid = 100000,
	.data = { (const uint8_t *)"web-1\n", 6 },
};
static const struct helper_ext4_write_args helper_write = {
	.image = "/dev/mapper/fc-rootfs-00000014d2jp",
	.files = { .n = 2,
		   .items = { { .path = "/etc/hostname",
				.mode = 0644,
				.data = { (const uint8_t *)"web-1\n", 6 } },
			      { .path = "/empty" } } },
};
static const struct helper_block_report helper_block_report = {
	.snapshots = STRV(snapshot_web),
	.loops = STRV(loop_web),
	.partial = true,
};
/* clang-format off */
static const uint8_t vmm_words[] = "-M\0microvm";
static const struct helper_vmm_args helper_vmm = {
	.vm = VM_WEB, .slot = 7, .vmm = "qemu", .args = { vmm_words, sizeof(vmm_words) }, .control_socket = true,
	.agent_socket = true, .kernel = "kernels/debian/vmlinuz", .initrd = "kernels/debian/initrd",
	.base = "images/debian/disk", .disk = "vms/00000014d2jp/disk.qcow2", .console = "vms/00000014d2jp/console.log",
	.memory_max = 1 << 30, .cpu_max = 200,
};
static const struct helper_vmm_args helper_vmm_stdio = {
	.vm = VM_WEB, .slot = 7, .vmm = "firecracker", .args = { vmm_words, sizeof(vmm_words) }, .console_stdio = true, .run = true,
	.listener = "vsock.sock_1024", .kernel = "kernels/debian/vmlinux", .config = "vms/00000014d2jp/config.json", .snapshot = true,
	.console = "vms/00000014d2jp/console.log",
};
static const struct helper_vmm_args helper_vmm_snapshot = {
	.vm = VM_WEB, .slot = 7, .vmm = "qemu", .control_socket = true, .kernel = "kernels/debian/vmlinuz", .snapshot = true,
};
static const struct helper_vmm_view helper_vmm_view = { .pid = 4021, .uid = 200007 };
static const struct helper_end_view helper_end_view = { .ended = true, .signal = 9 };
static const struct helper_jail_args helper_jail = { .vm = VM_WEB, .slot = 7 };
static const struct helper_jails_args helper_jails = { .first = 8, .count = 4, .run = true, .console_stdio = true };
static const struct helper_find_args helper_find = { .vm = VM_WEB, .slot = 7, .listener = "vsock_1024" };
static const struct helper_signal_args helper_signal = { .vm = VM_WEB, .slot = 7, .signal = 15 };
static const struct helper_trim_args helper_trim = { .vm = VM_WEB, .slot = 7, .console_keep = 4 << 20, .log_keep = 64 << 10 };
static const struct helper_socket_args helper_socket = { .vm = VM_WEB, .slot = 7, .socket = "api.sock" };
static char id_web[] = "00000014d2jp";
static char slot_web[] = "slot-7 00000014d2jp", slot_ahead[] = "slot-8";
static const struct helper_jail_report helper_jail_report = {
	.jails = STRV(id_web), .slots = STRV(slot_web, slot_ahead), .cgroups = STRV(id_web), .partial = true,
	.state_dev = 64769, .state_ino = 131074,
};
/* clang-format on */
static const struct helper_net_report helper_net_report = {
	.bridges = STRV(br_fc),
	.taps = STRV(tap_web, tap_slot),
	.nat = STRV(nat_web),
	.partial = true,
};

#define ENVELOPE(file_, ...)                                                                       \
	{                                                                                          \
		.file = (file_), .wire = { __VA_ARGS__ }                                           \
	}
#define REQUEST(side, method, schema_, obj)                                                        \
	{                                                                                          \
		.file = side "/request-" method,                                                   \
		.wire = { .type = WIRE_REQUEST, .id = 1, .name = method, .op_id = OP },            \
		.schema = &(schema_), .body = (obj)                                                \
	}
#define REPLY(side, method, schema_, obj)                                                          \
	{                                                                                          \
		.file = side "/reply-" method,                                                     \
		.wire = { .type = WIRE_REPLY, .id = 1, .op_id = OP }, .schema = &(schema_),        \
		.body = (obj)                                                                      \
	}
#define EVENT(file_, event, schema_, obj)                                                          \
	{                                                                                          \
		.file = (file_), .wire = { .type = WIRE_EVENT, .id = 1, .name = (event) },         \
		.schema = &(schema_), .body = (obj)                                                \
	}
#define DATA(text)                                                                                 \
	{                                                                                          \
		(const uint8_t *)(text), sizeof(text) - 1                                          \
	}
#define STREAM_FRAMES(side)                                                                        \
	ENVELOPE(side "/cancel", .type = WIRE_CANCEL, .id = 1),                                    \
		ENVELOPE(side "/data", .type = WIRE_DATA, .id = 1, .stream = WIRE_STDOUT,          \
			 .bytes = DATA("hi\n\0\xff")),                                             \
		ENVELOPE(side "/data-end", .type = WIRE_DATA, .id = 1, .stream = WIRE_STDIN),      \
		ENVELOPE(side "/credit", .type = WIRE_CREDIT, .id = 1, .stream = WIRE_STDERR,      \
			 .credit = 32768),                                                         \
		ENVELOPE(side "/signal", .type = WIRE_SIGNAL, .id = 1, .signo = 15),               \
		ENVELOPE(side "/resize", .type = WIRE_RESIZE, .id = 1, .rows = 50, .cols = 132)

/* clang-format off */
const struct sample samples[] = {
	ENVELOPE("client/hello-client", .type = WIRE_HELLO, .name = "banger 0.1.0", .version = 1, .version_min = 1),
	ENVELOPE("client/hello-daemon", .type = WIRE_HELLO, .name = "bangerd 0.1.0", .version = 1, .version_min = 1, .frame_max = FRAME_MAX),
	STREAM_FRAMES("client"),
	EVENT("client/event-progress", "progress", progress_event_schema, &progress),
	EVENT("client/event-vm", "vm", vm_event_schema, &vm_changed),
	EVENT("client/event-op", "op", op_event_schema, &op_over),
	EVENT("client/event-image", "image", object_event_schema, &image_added),
	EVENT("client/event-lost", "lost", lost_event_schema, &events_lost),
	ENVELOPE("client/request-detached", .type = WIRE_REQUEST, .id = UINT32_MAX, .name = "ping", .detach = true),
	ENVELOPE("client/reply-error", .type = WIRE_REPLY, .id = 1, .op_id = OP, .failed = true,
		.error = { .code = "port.busy", .message = "port 80: Address already in use", .step = "ports",
			   .hint = "Choose another host port.", .retryable = true, .sys = 98 }),
	ENVELOPE("client/reply-connection-error", .type = WIRE_REPLY, .id = 0, .failed = true,
		.error = { .code = "frame.bad", .message = "frame: holds an ext type" }),

	REQUEST("client", "ping", none_schema, NULL),
	REPLY("client", "ping", none_schema, NULL),
	REQUEST("client", "info", info_args_schema, &info_measure),
	REPLY("client", "info", info_result_schema, &info),
	REQUEST("client", "daemon.stop", none_schema, NULL),
	REPLY("client", "daemon.stop", none_schema, NULL),
	REQUEST("client", "config.show", none_schema, NULL),
	REPLY("client", "config.show", config_result_schema, &config),
	REQUEST("client", "config.reload", none_schema, NULL),
	REPLY("client", "config.reload", config_reload_result_schema, &reloaded),
	REQUEST("client", "watch", watch_args_schema, &watch),
	REPLY("client", "watch", none_schema, NULL),
	REQUEST("client", "vm.create", create_args_schema, &create),
	REPLY("client", "vm.create", targets_result_schema, &targets_done),
	REQUEST("client", "vm.resolve", create_args_schema, &create),
	REPLY("client", "vm.resolve", vm_spec_schema, &create.spec),
	REQUEST("client", "vm.start", targets_args_schema, &targets_all),
	REPLY("client", "vm.start", targets_result_schema, &targets_done),
	REQUEST("client", "vm.stop", targets_args_schema, &targets_refs),
	REPLY("client", "vm.stop", targets_result_schema, &targets_done),
	REQUEST("client", "vm.restart", targets_args_schema, &targets_force),
	REPLY("client", "vm.restart", targets_result_schema, &targets_done),
	REQUEST("client", "vm.kill", targets_args_schema, &targets_kill),
	REPLY("client", "vm.kill", targets_result_schema, &targets_done),
	REQUEST("client", "vm.delete", targets_args_schema, &targets_labels),
	REPLY("client", "vm.delete", targets_result_schema, &targets_many),
	REQUEST("client", "vm.set", targets_args_schema, &targets_set),
	REPLY("client", "vm.set", targets_result_schema, &targets_done),
	REQUEST("client", "vm.wait", targets_args_schema, &targets_wait),
	REPLY("client", "vm.wait", targets_result_schema, &targets_done),
	REQUEST("client", "vm.list", list_args_schema, &list),
	REPLY("client", "vm.list", list_result_schema, &listed),
	REQUEST("client", "vm.show", ref_args_schema, &ref_web),
	REPLY("client", "vm.show", vm_view_schema, &two_vms[0]),
	REQUEST("client", "vm.exec", exec_args_schema, &exec),
	REPLY("client", "vm.exec", exec_result_schema, &exec_done),
	REQUEST("client", "vm.console", ref_args_schema, &ref_web),
	REPLY("client", "vm.console", none_schema, NULL),
	REQUEST("client", "vm.copy_in", copy_in_args_schema, &copy_in),
	REPLY("client", "vm.copy_in", copy_result_schema, &copied),
	REQUEST("client", "vm.copy_out", copy_out_args_schema, &copy_out),
	REPLY("client", "vm.copy_out", copy_result_schema, &copied),
	REQUEST("client", "vm.ping", guest_ask_args_schema, &ask_web),
	REPLY("client", "vm.ping", ping_result_schema, &pong),
	REQUEST("client", "vm.health", guest_ask_args_schema, &ask_web),
	REPLY("client", "vm.health", vm_health_schema, &health),
	REQUEST("client", "vm.ports", guest_ask_args_schema, &ask_web),
	REPLY("client", "vm.ports", vm_ports_schema, &web_listens),
	REQUEST("client", "vm.stats", guest_ask_args_schema, &ask_web),
	REPLY("client", "vm.stats", vm_stats_schema, &web_uses),
	REQUEST("client", "op.show", op_args_schema, &op),
	REPLY("client", "op.show", op_view_schema, &failed_op[0]),
	REQUEST("client", "op.wait", op_wait_args_schema, &op_wait),
	REPLY("client", "op.wait", op_view_schema, &failed_op[0]),
	REQUEST("client", "op.list", none_schema, NULL),
	REPLY("client", "op.list", op_list_result_schema, &ops),
	REQUEST("client", "op.cancel", op_args_schema, &op),
	REPLY("client", "op.cancel", none_schema, NULL),
	REQUEST("client", "image.import", image_import_args_schema, &image_import),
	REPLY("client", "image.import", image_view_schema, &images[0]),
	REQUEST("client", "image.build", image_build_args_schema, &image_build),
	REPLY("client", "image.build", image_view_schema, &images[0]),
	REQUEST("client", "image.list", none_schema, NULL),
	REPLY("client", "image.list", image_list_result_schema, &image_list),
	REQUEST("client", "image.show", name_args_schema, &image_name),
	REPLY("client", "image.show", image_view_schema, &images[0]),
	REQUEST("client", "image.rm", name_args_schema, &image_name),
	REPLY("client", "image.rm", none_schema, NULL),
	REQUEST("client", "kernel.import", kernel_import_args_schema, &kernel_import),
	REPLY("client", "kernel.import", kernel_view_schema, &kernels[0]),
	REQUEST("client", "kernel.list", none_schema, NULL),
	REPLY("client", "kernel.list", kernel_list_result_schema, &kernel_list),
	REQUEST("client", "kernel.show", name_args_schema, &kernel_name),
	REPLY("client", "kernel.show", kernel_view_schema, &kernels[0]),
	REQUEST("client", "kernel.rm", name_args_schema, &kernel_name),
	REPLY("client", "kernel.rm", none_schema, NULL),

	ENVELOPE("guest/hello-daemon", .type = WIRE_HELLO, .name = "bangerd 0.1.0", .version = 1, .version_min = 1,
		.frame_max = GUEST_FRAME_MAX, .session = UINT64_C(0x0123456789abcdef)),
	ENVELOPE("guest/hello-agent", .type = WIRE_HELLO, .name = "banger-agent 0.1.0", .version = 1, .version_min = 1,
		.frame_max = GUEST_REQUEST_MAX, .session = UINT64_C(0x0123456789abcdef)),
	STREAM_FRAMES("guest"),
	ENVELOPE("guest/reply-error", .type = WIRE_REPLY, .id = 1, .failed = true,
		.error = { .code = "exec.not_found", .message = "exec: nope: No such file or directory", .sys = 2 }),
	REQUEST("guest", "status", none_schema, NULL),
	REPLY("guest", "status", guest_status_schema, &guest_status),
	REQUEST("guest", "stats", none_schema, NULL),
	REPLY("guest", "stats", guest_stats_schema, &guest_stats),
	REQUEST("guest", "ports", none_schema, NULL),
	REPLY("guest", "ports", guest_ports_schema, &guest_ports),
	REQUEST("guest", "exec", guest_exec_args_schema, &guest_exec),
	REPLY("guest", "exec", exec_result_schema, &exec_zero),
	REQUEST("guest", "copy_in", guest_copy_in_args_schema, &guest_copy_in),
	REPLY("guest", "copy_in", copy_result_schema, &copied),
	REQUEST("guest", "copy_out", guest_copy_out_args_schema, &guest_copy_out),
	REPLY("guest", "copy_out", copy_result_schema, &copied),
	REQUEST("guest", "sync", none_schema, NULL),
	REPLY("guest", "sync", none_schema, NULL),
	REQUEST("guest", "poweroff", none_schema, NULL),
	REPLY("guest", "poweroff", none_schema, NULL),

	ENVELOPE("helper/hello-daemon", .type = WIRE_HELLO, .name = "bangerd 0.1.0", .version = 1, .version_min = 1,
		.frame_max = HELPER_FRAME_MAX),
	ENVELOPE("helper/hello-helper", .type = WIRE_HELLO, .name = "bangerd-root 0.1.0", .version = 1, .version_min = 1,
		.frame_max = HELPER_FRAME_MAX),
	ENVELOPE("helper/reply-refused", .type = WIRE_REPLY, .id = 1, .op_id = OP, .failed = true,
		.error = { .code = "helper.refused", .message = "bridge: \"eth0\" is not configured" }),
	REQUEST("helper", "ensure_bridge", helper_bridge_args_schema, &helper_bridge),
	REPLY("helper", "ensure_bridge", helper_bridge_view_schema, &helper_bridge_view),
	REQUEST("helper", "remove_bridge", helper_bridge_args_schema, &helper_bridge),
	REPLY("helper", "remove_bridge", none_schema, NULL),
	REQUEST("helper", "create_tap", helper_tap_args_schema, &helper_tap),
	{ .file = "helper/reply-create_tap", .wire = { .type = WIRE_REPLY, .id = 1, .op_id = OP, .fds = 1 },
	  .schema = &helper_tap_view_schema, .body = &helper_tap_view },
	REQUEST("helper", "delete_tap", helper_tap_args_schema, &helper_tap_gone),
	REPLY("helper", "delete_tap", none_schema, NULL),
	REQUEST("helper", "ensure_nat", helper_nat_args_schema, &helper_nat),
	REPLY("helper", "ensure_nat", none_schema, NULL),
	REQUEST("helper", "remove_nat", helper_nat_args_schema, &helper_nat),
	REPLY("helper", "remove_nat", none_schema, NULL),
	REQUEST("helper", "prepare_slots.net", helper_slots_args_schema, &helper_slots),
	REPLY("helper", "prepare_slots.net", none_schema, NULL),
	REQUEST("helper", "release_slots.net", helper_slots_args_schema, &helper_slots),
	REPLY("helper", "release_slots.net", none_schema, NULL),
	REQUEST("helper", "sync_resolver_routing", helper_resolver_args_schema, &helper_resolver),
	REPLY("helper", "sync_resolver_routing", none_schema, NULL),
	REQUEST("helper", "clear_resolver_routing", helper_resolver_args_schema, &helper_resolver_gone),
	REPLY("helper", "clear_resolver_routing", none_schema, NULL),
	REQUEST("helper", "create_dm_snapshot", helper_snapshot_args_schema, &helper_snapshot),
	REPLY("helper", "create_dm_snapshot", helper_snapshot_view_schema, &helper_snapshot_view),
	REQUEST("helper", "cleanup_dm_snapshot", helper_cleanup_args_schema, &helper_cleanup),
	REPLY("helper", "cleanup_dm_snapshot", none_schema, NULL),
	REQUEST("helper", "remove_dm_snapshot", helper_device_args_schema, &helper_device),
	REPLY("helper", "remove_dm_snapshot", none_schema, NULL),
	REQUEST("helper", "fsck_snapshot", helper_device_args_schema, &helper_fsck),
	REPLY("helper", "fsck_snapshot", helper_fsck_view_schema, &helper_fsck_view),
	REQUEST("helper", "read_ext4_file", helper_ext4_read_args_schema, &helper_read),
	REPLY("helper", "read_ext4_file", helper_ext4_file_schema, &helper_file),
	REQUEST("helper", "write_ext4_files", helper_ext4_write_args_schema, &helper_write),
	REPLY("helper", "write_ext4_files", none_schema, NULL),
	REQUEST("helper", "host_report.block", none_schema, NULL),
	REPLY("helper", "host_report.block", helper_block_report_schema, &helper_block_report),
	REQUEST("helper", "prepare_slots.jail", helper_jails_args_schema, &helper_jails),
	REPLY("helper", "prepare_slots.jail", none_schema, NULL),
	REQUEST("helper", "release_slots.jail", helper_jails_args_schema, &helper_jails),
	REPLY("helper", "release_slots.jail", none_schema, NULL),
	REQUEST("helper", "launch_vmm", helper_vmm_args_schema, &helper_vmm),
	{ .file = "helper/request-launch_vmm-snapshot",
	  .wire = { .type = WIRE_REQUEST, .id = 1, .name = "launch_vmm", .op_id = OP },
	  .schema = &helper_vmm_args_schema, .body = &helper_vmm_snapshot },
	{ .file = "helper/request-launch_vmm-stdio",
	  .wire = { .type = WIRE_REQUEST, .id = 1, .name = "launch_vmm", .op_id = OP },
	  .schema = &helper_vmm_args_schema, .body = &helper_vmm_stdio },
	{ .file = "helper/reply-launch_vmm", .wire = { .type = WIRE_REPLY, .id = 1, .op_id = OP, .fds = 3 },
	  .schema = &helper_vmm_view_schema, .body = &helper_vmm_view },
	REQUEST("helper", "kill_vmm", helper_jail_args_schema, &helper_jail),
	REPLY("helper", "kill_vmm", helper_end_view_schema, &helper_end_view),
	REQUEST("helper", "cleanup_jail", helper_jail_args_schema, &helper_jail),
	REPLY("helper", "cleanup_jail", none_schema, NULL),
	REQUEST("helper", "signal_vmm", helper_signal_args_schema, &helper_signal),
	REPLY("helper", "signal_vmm", none_schema, NULL),
	REQUEST("helper", "find_vmm", helper_find_args_schema, &helper_find),
	{ .file = "helper/reply-find_vmm", .wire = { .type = WIRE_REPLY, .id = 1, .op_id = OP, .fds = 2 },
	  .schema = &helper_vmm_view_schema, .body = &helper_vmm_view },
	REQUEST("helper", "ensure_socket_access", helper_socket_args_schema, &helper_socket),
	{ .file = "helper/reply-ensure_socket_access", .wire = { .type = WIRE_REPLY, .id = 1, .op_id = OP, .fds = 1 },
	  .schema = &none_schema, .body = NULL },
	REQUEST("helper", "trim_logs", helper_trim_args_schema, &helper_trim),
	REPLY("helper", "trim_logs", none_schema, NULL),
	REQUEST("helper", "host_report.jail", none_schema, NULL),
	REPLY("helper", "host_report.jail", helper_jail_report_schema, &helper_jail_report),
	REQUEST("helper", "host_report.net", none_schema, NULL),
	REPLY("helper", "host_report.net", helper_net_report_schema, &helper_net_report),
};
const size_t nsamples = ARRAY_LEN(samples);
/* clang-format on */
