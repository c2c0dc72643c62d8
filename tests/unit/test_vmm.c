/* test_vmm.c - command lines, overlays, and the choice of an accelerator. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vmm/vmm.h"

static struct vmm_machine linux_machine(void)
{
	return (struct vmm_machine){
		.binary = "/usr/bin/qemu-system-x86_64",
		.id = 1,
		.name = "web-1",
		.guest = VMM_GUEST_LINUX,
		.accel = VMM_ACCEL_TCG,
		.vcpu = 2,
		.memory_bytes = UINT64_C(256) << 20,
		.kernel = "/k/vmlinux",
		.initrd = "/k/initrd",
		.disk = "/v/root.qcow2",
		.disk_format = "qcow2",
		.console_log = "/v/console.log",
		.tsc_khz = 2445435,
		.sandbox = true,
		.net = VMM_NET_USER,
		.publish = { { 2222, 22 }, { 8080, 80 } },
		.npublish = 2,
		.socket_fd = { 3, 4, 5 },
	};
}

static struct vmm_machine probe_machine(void)
{
	return (struct vmm_machine){
		.binary = "/usr/bin/qemu-system-x86_64",
		.id = 1,
		.name = "probe",
		.guest = VMM_GUEST_PROBE,
		.accel = VMM_ACCEL_KVM,
		.vcpu = 1,
		.memory_bytes = UINT64_C(16) << 20,
		.kernel = "/k/probe.elf",
		.socket_fd = { 3, -1, 5 },
	};
}

static void expect_argv(const struct vmm_machine *m, const char *const *golden)
{
	struct strv argv = { 0 };
	struct err e = { 0 };
	uint32_t i = 0;

	cr_assert_eq(vmm_qemu.argv(m, &argv, &e), 0, "%s", e.text);
	for (; i < argv.n && golden[i]; i++)
		cr_expect_str_eq(argv.v[i], golden[i]);
	cr_expect_null(golden[i], "missing: %s", golden[i]);
	cr_expect_eq(i, argv.n, "too much: %s", argv.v[i]);
	strv_fini(&argv);
}

#define SANDBOX "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
#define WORDS   "console=ttyS0 quiet loglevel=3 reboot=t panic=-1"
#define NET     "banger.ip=10.0.2.15/24 banger.gw=10.0.2.2 banger.dns=10.0.2.3"

/* clang-format off */
static const char *const linux_tcg[] = {
	"/usr/bin/qemu-system-x86_64",
	"-name", "guest=web-1,process=bg-000000000001",
	"-M", "microvm,x-option-roms=off,pit=off,pic=off,rtc=on,isa-serial=on,acpi=on",
	"-accel", "tcg,tb-size=256",
	"-cpu", "max",
	"-smp", "2",
	"-m", "256M",
	"-nodefaults", "-no-user-config", "-no-reboot",
	"-display", "none",
	"-sandbox", SANDBOX,
	"-kernel", "/k/vmlinux",
	"-initrd", "/k/initrd",
	"-append", WORDS " tsc_early_khz=2445435 banger.hostname=web-1 " NET " banger.root=/dev/vda",
	"-chardev", "socket,id=control,fd=3,server=on,wait=on",
	"-mon", "chardev=control,mode=control",
	"-chardev", "socket,id=console,fd=5,server=on,wait=off,logfile=/v/console.log,logappend=on",
	"-serial", "chardev:console",
	"-device", "virtio-rng-device",
	"-device", "virtio-balloon-device,id=balloon,deflate-on-oom=on,guest-stats-polling-interval=5",
	"-chardev", "socket,id=agent,fd=4,server=on,wait=on",
	"-device", "virtio-serial-device",
	"-device", "virtserialport,chardev=agent,name=banger.agent.0",
	"-blockdev", "driver=qcow2,node-name=unlimited,discard=unmap,file.driver=file,file.filename=/v/root.qcow2",
	"-object", "throttle-group,id=limits,x-bps-total=0,x-iops-total=0",
	"-blockdev", "driver=throttle,node-name=root,throttle-group=limits,file=unlimited",
	"-device", "virtio-blk-device,drive=root",
	"-netdev", "user,id=net,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=tcp:127.0.0.1:8080-:80",
	"-device", "virtio-net-device,netdev=net,mac=02:00:00:00:00:01",
	NULL,
};

static const char *const linux_kvm_bare[] = {
	"/usr/bin/qemu-system-x86_64",
	"-name", "guest=web-1,process=bg-000000000001",
	"-M", "microvm,x-option-roms=off,pit=off,pic=off,rtc=on,isa-serial=on,acpi=on",
	"-accel", "kvm",
	"-cpu", "host",
	"-smp", "2",
	"-m", "256M",
	"-nodefaults", "-no-user-config", "-no-reboot",
	"-display", "none",
	"-kernel", "/k/vmlinux",
	"-append", WORDS " banger.hostname=web-1 " NET,
	"-chardev", "null,id=console,logfile=/v/console.log,logappend=on",
	"-serial", "chardev:console",
	"-device", "virtio-rng-device",
	"-device", "virtio-balloon-device,id=balloon,deflate-on-oom=on,guest-stats-polling-interval=5",
	"-netdev", "user,id=net",
	"-device", "virtio-net-device,netdev=net,mac=02:00:00:00:00:01",
	NULL,
};

#define PROBE(accel)                                                                               \
	"/usr/bin/qemu-system-x86_64",                                                             \
	"-name", "guest=probe,process=bg-000000000001",                                            \
	"-M", "microvm,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=on,"   \
	      "acpi=off,auto-kernel-cmdline=off",                                                  \
	"-accel", accel,                                                                           \
	"-smp", "1",                                                                               \
	"-m", "16M",                                                                               \
	"-nodefaults", "-no-user-config", "-no-reboot",                                            \
	"-display", "none",                                                                        \
	"-kernel", "/k/probe.elf"
#define PROBE_SOCKETS                                                                              \
	"-chardev", "socket,id=control,fd=3,server=on,wait=on",                                    \
	"-mon", "chardev=control,mode=control",                                                    \
	"-chardev", "socket,id=console,fd=5,server=on,wait=on",                                    \
	"-serial", "chardev:console"

static const char *const probe_kvm[] = { PROBE("kvm"), PROBE_SOCKETS, NULL };
static const char *const probe_tcg_bench[] = { PROBE("tcg,tb-size=256"), "-append", "bench", PROBE_SOCKETS, NULL };
/* clang-format on */

Test(qemu, starts_linux_under_tcg_with_all_it_has)
{
	const struct vmm_machine m = linux_machine();

	expect_argv(&m, linux_tcg);
}

Test(qemu, limits_what_a_disk_moves)
{
	static const char *const wanted[] = {
		"driver=qcow2,node-name=unlimited,discard=unmap,file.driver=file,file.filename=/v/"
		"root.qcow2",
		"throttle-group,id=limits,x-bps-total=104857600,x-iops-total=0",
		"driver=throttle,node-name=root,throttle-group=limits,file=unlimited",
		"virtio-blk-device,drive=root",
	};
	struct vmm_machine m = linux_machine();
	struct strv argv = { 0 };
	struct err e = { 0 };
	size_t found = 0;

	m.limits.disk_rate = UINT64_C(100) << 20;
	cr_assert_eq(vmm_qemu.argv(&m, &argv, &e), 0, "%s", e.text);
	for (uint32_t i = 0; i < argv.n && found < ARRAY_LEN(wanted); i++)
		found += strcmp(argv.v[i], wanted[found]) == 0;
	cr_expect_eq(found, ARRAY_LEN(wanted), "in this order; the first missing: %s",
		     found < ARRAY_LEN(wanted) ? wanted[found] : "");
	strv_fini(&argv);
}

/* What a limit of memory is to leave room for: the code that TCG keeps, and some of all there is.
 */
Test(qemu, says_what_it_needs_beside_its_guest)
{
	struct vmm_machine m = linux_machine();
	const uint64_t mib = UINT64_C(1) << 20;

	m.vcpu = 2;
	m.memory_bytes = 1024 * mib;
	m.accel = VMM_ACCEL_TCG;
	cr_expect_eq(vmm_qemu.overhead(&m), (128 + 32 + 256 + 64) * mib);
	m.accel = VMM_ACCEL_KVM;
	cr_expect_eq(vmm_qemu.overhead(&m), (128 + 16 + 16) * mib);
}

Test(qemu, starts_linux_under_kvm_with_nothing_optional)
{
	struct vmm_machine m = linux_machine();

	m.accel = VMM_ACCEL_KVM;
	m.initrd = NULL;
	m.disk = NULL;
	m.sandbox = false;
	m.npublish = 0;
	for (int i = 0; i < VMM_NSOCKETS; i++)
		m.socket_fd[i] = -1;
	expect_argv(&m, linux_kvm_bare);
}

Test(qemu, gives_a_probe_no_devices)
{
	struct vmm_machine m = probe_machine();

	m.socket_fd[VMM_SOCKET_AGENT] = 4;
	m.disk = "/v/root.qcow2";
	m.disk_format = "qcow2";
	expect_argv(&m, probe_kvm);
}

Test(qemu, hands_a_probe_the_word_bench)
{
	struct vmm_machine m = probe_machine();

	m.accel = VMM_ACCEL_TCG;
	m.append = VMM_PROBE_BENCH;
	expect_argv(&m, probe_tcg_bench);
}

static bool has(const struct strv *argv, const char *value)
{
	for (uint32_t i = 0; i < argv->n; i++)
		if (strcmp(argv->v[i], value) == 0)
			return true;
	return false;
}

Test(qemu, doubles_commas_in_option_values_and_nowhere_else)
{
	struct vmm_machine m = linux_machine();
	struct strv argv = { 0 };

	m.name = "a,b";
	m.kernel = "/k,1/vmlinux";
	m.disk = "/v/a,file.locking=off";
	m.console_log = "/v/,,";
	cr_assert_eq(vmm_qemu.argv(&m, &argv, NULL), 0);
	cr_expect(has(&argv, "guest=a,,b,process=bg-000000000001"));
	cr_expect(has(&argv, "/k,1/vmlinux"), "-kernel takes a plain path");
	cr_expect(has(&argv, "driver=qcow2,node-name=unlimited,discard=unmap,file.driver=file,"
			     "file.filename=/v/a,,file.locking=off"));
	cr_expect(has(&argv,
		      "socket,id=console,fd=5,server=on,wait=off,logfile=/v/,,,,,logappend=on"));
	strv_fini(&argv);
}

Test(qemu, takes_a_block_device_as_a_disk)
{
	struct vmm_machine m = linux_machine();
	struct strv argv = { 0 };

	m.disk = "/vm/disk";
	m.disk_format = "raw";
	m.disk_device = true;
	cr_assert_eq(vmm_qemu.argv(&m, &argv, NULL), 0);
	cr_expect(has(&argv, "driver=raw,node-name=unlimited,discard=unmap,file.driver=host_device,"
			     "file.filename=/vm/disk"));
	strv_fini(&argv);
}

Test(qemu, publishes_as_many_ports_as_allowed_and_no_more)
{
	struct vmm_machine m = linux_machine();
	struct strv argv = { 0 };
	struct err e = { 0 };

	for (uint32_t i = 0; i < VMM_PUBLISH_MAX; i++) {
		m.publish[i].host = UINT16_MAX;
		m.publish[i].guest = UINT16_MAX;
	}
	m.npublish = VMM_PUBLISH_MAX;
	cr_expect_eq(vmm_qemu.argv(&m, &argv, &e), 0, "%s", e.text);
	strv_fini(&argv);
	m.npublish++;
	cr_expect_eq(vmm_qemu.argv(&m, &argv, &e), -EINVAL);
	cr_expect_eq(e.code, ERR_BAD_REQUEST);
	cr_expect_eq(argv.n, 0);
}

Test(qemu, refuses_sizes_that_it_cannot_have)
{
	static const struct {
		uint32_t vcpu;
		uint64_t memory_bytes;
	} rows[] = { { 0, 1 << 20 }, { 1, 0 }, { 1, (1 << 20) + 1 } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct vmm_machine m = linux_machine();
		struct strv argv = { 0 };
		struct err e = { 0 };

		m.vcpu = rows[i].vcpu;
		m.memory_bytes = rows[i].memory_bytes;
		cr_expect_eq(vmm_qemu.argv(&m, &argv, &e), -EINVAL, "row %zu", i);
		cr_expect_eq(e.code, ERR_VM_SIZE);
	}
}

Test(cmdline, is_never_cut)
{
	struct vmm_machine m = linux_machine();
	char line[VMM_CMDLINE_MAX];
	struct err e = { 0 };

	cr_assert_eq(vmm_cmdline(&m, WORDS, line, sizeof(line), &e), 0);
	const size_t len = strlen(line);
	cr_expect_eq(vmm_cmdline(&m, WORDS, line, len + 1, &e), 0);
	cr_expect_eq(vmm_cmdline(&m, WORDS, line, len, &e), -E2BIG);
	m.append = "more words";
	cr_expect_eq(vmm_cmdline(&m, WORDS, line, sizeof(line), &e), 0);
	cr_expect_str_eq(line + len, " more words");
}

Test(cmdline, lets_no_name_add_words)
{
	static const char *const names[] = { "", "a init=/bin/sh", "a\n", "a\"b" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct vmm_machine m = linux_machine();
		char line[VMM_CMDLINE_MAX];

		m.name = names[i];
		cr_expect_eq(vmm_cmdline(&m, WORDS, line, sizeof(line), NULL), -EINVAL, "%s",
			     names[i]);
	}
}

Test(vmm, finds_drivers_by_name)
{
	struct strv argv = { 0 };
	const struct vmm_machine m = probe_machine();

	cr_expect_eq(vmm_find("qemu"), &vmm_qemu);
	cr_expect_eq(vmm_find("null"), &vmm_null);
	cr_expect_null(vmm_find("bochs"));
	cr_expect_eq(vmm_null.argv(&m, &argv, NULL), 0);
	cr_expect_eq(argv.n, 0);
	cr_expect_not(vmm_null.has_control);
	cr_expect_null(vmm_null.program);
}

/* ---- overlays ---- */

static void overlay_file(const char *path, const char *backing, uint64_t bytes)
{
	CLEANUP_FILE FILE *f = fopen(path, "we");
	struct err e = { 0 };
	struct buf b;

	buf_init(&b, 1 << 20);
	cr_assert_eq(qcow2_overlay(backing, bytes, &b, &e), 0, "%s", e.text);
	cr_assert_eq(fwrite(buf_data(&b), 1, buf_len(&b), f), buf_len(&b));
	buf_fini(&b);
}

/* What the command prints, or NULL when it fails. */
static const char *output_of(const char *command)
{
	static char text[8192];
	FILE *f = popen(command, "re"); /* NOLINT(cert-env33-c): a test's own fixed command */
	const size_t n = fread(text, 1, sizeof(text) - 1, f);

	text[n] = '\0';
	return pclose(f) == 0 ? text : NULL;
}

Test(qcow2, qemu_finds_no_fault_and_reads_through_to_the_backing_file)
{
	char dir[] = "/tmp/test_vmm.XXXXXX";
	char base[64];
	char path[64];
	char command[1024];

	if (!output_of("command -v qemu-img qemu-io"))
		cr_skip("no qemu-utils");
	cr_assert_not_null(mkdtemp(dir));
	(void)snprintf(base, sizeof(base), "%s/base", dir);
	(void)snprintf(path, sizeof(path), "%s/overlay", dir);
	(void)snprintf(
		command, sizeof(command),
		"qemu-img create -q -f raw %s 700M && qemu-io -f raw -c 'write -P 7 1M 64k' %s",
		base, base);
	cr_assert_not_null(output_of(command));
	overlay_file(path, base, UINT64_C(2) << 30);

	(void)snprintf(command, sizeof(command), "qemu-img check -f qcow2 %s 2>&1", path);
	const char *out = output_of(command);
	cr_expect_not_null(out);
	cr_expect_not_null(strstr(out, "No errors were found"), "%s", out);

	(void)snprintf(command, sizeof(command), "qemu-img info -f qcow2 %s", path);
	out = output_of(command);
	cr_expect_not_null(strstr(out, "virtual size: 2 GiB (2147483648 bytes)"), "%s", out);
	cr_expect_not_null(strstr(out, base), "%s", out);
	cr_expect_not_null(strstr(out, "backing file format: raw"), "%s", out);

	/* Reads the base's bytes and zeros behind its end; writes at three far places, reads back,
	 * and leaves an image without a fault and a base that is unchanged. */
	(void)snprintf(
		command, sizeof(command),
		"qemu-io -f qcow2 -c 'read -P 7 1M 64k' -c 'read -P 0 1G 1M' "
		"-c 'write -P 9 1M 4k' -c 'write -P 8 1000M 64k' -c 'write -P 5 2047M 1M' "
		"-c 'read -P 9 1M 4k' -c 'read -P 7 1028k 60k' -c 'read -P 5 2047M 1M' %s && "
		"qemu-img check -q -f qcow2 %s && qemu-io -f raw -c 'read -P 7 1M 64k' %s",
		path, path, base);
	out = output_of(command);
	cr_expect_not_null(out);
	cr_expect_null(out ? strstr(out, "failed") : NULL, "%s", out);
	(void)unlink(base);
	(void)unlink(path);
	(void)rmdir(dir);
}

static int grow(const char *path, uint64_t bytes, struct err *e)
{
	uint8_t header[QCOW2_HEADER_BYTES];
	struct qcow2_growth g;
	CLEANUP_FD int fd = open(path, O_RDWR | O_CLOEXEC);

	cr_assert_eq(pread(fd, header, sizeof(header), 0), (ssize_t)sizeof(header));
	const int rc = qcow2_grow(header, bytes, &g, e);
	if (rc < 0)
		return rc;
	if (lseek(fd, 0, SEEK_END) < (off_t)g.file_bytes)
		cr_assert_eq(ftruncate(fd, (off_t)g.file_bytes), 0);
	cr_assert_eq(pwrite(fd, g.bytes, sizeof(g.bytes), (off_t)g.at), (ssize_t)sizeof(g.bytes));
	return 0;
}

Test(qcow2, grows_a_disk_that_was_used)
{
	char path[] = "/tmp/test_vmm.XXXXXX";
	char command[512];
	struct err e = { 0 };

	if (!output_of("command -v qemu-img qemu-io"))
		cr_skip("no qemu-utils");
	CLEANUP_FD int fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	overlay_file(path, "/dev/null", UINT64_C(1) << 30);
	cr_assert_eq(grow(path, UINT64_C(2) << 30, &e), 0, "%s", e.text); /* one never used, too */
	(void)snprintf(command, sizeof(command),
		       "qemu-io -f qcow2 -c 'write -P 3 2047M 1M' -c 'write -P 4 0 1M' %s", path);
	cr_assert_not_null(output_of(command));
	cr_assert_eq(grow(path, UINT64_C(4) << 40, &e), 0, "%s", e.text);
	(void)snprintf(
		command, sizeof(command),
		"qemu-io -f qcow2 -c 'read -P 3 2047M 1M' -c 'read -P 4 0 1M' "
		"-c 'read -P 0 3T 1M' -c 'write -P 5 4194303M 1M' -c 'read -P 5 4194303M 1M' %s"
		" && qemu-img check -q -f qcow2 %s",
		path, path);
	const char *out = output_of(command);
	cr_expect_not_null(out);
	cr_expect_null(out ? strstr(out, "failed") : NULL, "%s", out);

	cr_expect_lt(grow(path, UINT64_C(3) << 40, &e), 0);
	cr_expect_eq(e.code, ERR_VM_SIZE);
	cr_expect_not_null(strstr(e.text, "only grows"), "%s", e.text);
	cr_expect_lt(grow(path, (UINT64_C(4) << 40) + 512, &e), 0);
	cr_expect_not_null(strstr(e.text, "at most 4096 GiB"), "%s", e.text);
	(void)unlink(path);
}

Test(qcow2, grows_nothing_that_is_not_its_own)
{
	uint8_t header[QCOW2_HEADER_BYTES] = { 'Q', 'F', 'I', 0xfb };
	struct qcow2_growth g;
	struct err e = { 0 };

	cr_expect_lt(qcow2_grow(header, UINT64_C(1) << 30, &g, &e), 0);
	cr_expect_eq(e.code, ERR_HOST_IO);
}

Test(qcow2, covers_the_largest_disk)
{
	char path[] = "/tmp/test_vmm.XXXXXX";
	char command[256];

	if (!output_of("command -v qemu-img qemu-io"))
		cr_skip("no qemu-utils");
	CLEANUP_FD int fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	overlay_file(path, "/dev/null", UINT64_C(16) << 40);
	(void)snprintf(command, sizeof(command),
		       "qemu-io -f qcow2 -c 'write -P 3 16777215M 1M' -c 'read -P 3 16777215M 1M' "
		       "%s && qemu-img check -q -f qcow2 %s",
		       path, path);
	const char *out = output_of(command);
	cr_expect_not_null(out);
	cr_expect_null(out ? strstr(out, "failed") : NULL, "%s", out);
	(void)unlink(path);
}

Test(qcow2, refuses_odd_sizes_and_names_that_are_no_path)
{
	static const struct {
		const char *backing;
		uint64_t bytes;
	} rows[] = {
		{ "/base", 0 },     { "/base", 513 },    { "/base", (UINT64_C(16) << 40) + 512 },
		{ "", 512 },        { "relative", 512 }, { "nbd:host:1", 512 },
		{ "json:{}", 512 }, { "..:x/y", 512 },
	};
	struct buf b;

	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		cr_expect_eq(qcow2_overlay(rows[i].backing, rows[i].bytes, &b, NULL), -EINVAL,
			     "row %zu", i);
	char name[1025];
	memset(name, '/', sizeof(name) - 1);
	name[1024] = '\0';
	cr_expect_eq(qcow2_overlay(name, 512, &b, NULL), -EINVAL);
	cr_expect_eq(qcow2_overlay(name + 1, 512, &b, NULL), 0);
	buf_fini(&b);
	buf_init(&b, 1 << 20);
	cr_expect_eq(qcow2_overlay("../../images/debian:12/rootfs.ext4", 512, &b, NULL), 0);
	buf_fini(&b);
	buf_init(&b, 1024);
	cr_expect_eq(qcow2_overlay("/base", 512, &b, NULL), -ENOBUFS);
	cr_expect_eq(buf_len(&b), 0);
	buf_fini(&b);
}

/* ---- the choice ---- */

Test(judge, tells_hardware_from_emulation)
{
	static const struct {
		uint64_t kvm_us, tcg_us;
		enum vmm_accel accel;
		enum vmm_reason reason;
	} rows[] = {
		{ 1500, 10000, VMM_ACCEL_KVM, VMM_REASON_KVM_FAST },
		{ 1500, VMM_BENCH_NONE, VMM_ACCEL_KVM, VMM_REASON_KVM_FAST },
		{ 60000, 5000, VMM_ACCEL_KVM, VMM_REASON_KVM_FAST }, /* was scheduled away */
		{ 2600000, 5400, VMM_ACCEL_TCG, VMM_REASON_KVM_EMULATES },
		{ 1000000, 40000, VMM_ACCEL_TCG, VMM_REASON_KVM_EMULATES },
		{ 300000, 100000, VMM_ACCEL_KVM, VMM_REASON_KVM_BEST },
		{ 300000, VMM_BENCH_NONE, VMM_ACCEL_KVM, VMM_REASON_KVM_ALONE },
		{ VMM_BENCH_NONE, 5400, VMM_ACCEL_TCG, VMM_REASON_KVM_ABSENT },
		{ VMM_BENCH_NONE, VMM_BENCH_NONE, VMM_ACCEL_TCG, VMM_REASON_NONE },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct vmm_verdict v = vmm_judge(rows[i].kvm_us, rows[i].tcg_us);

		cr_expect_eq(v.accel, rows[i].accel, "row %zu", i);
		cr_expect_eq(v.reason, rows[i].reason, "row %zu", i);
		cr_expect_gt(strlen(vmm_reason_text(v.reason)), 0);
	}
}

Test(tsc, two_measurements_agree_within_a_thousandth)
{
	uint32_t first = 0;
	uint32_t second = 0;

	if (vmm_tsc_khz(&first) == -EOPNOTSUPP)
		cr_skip("no invariant TSC");
	cr_assert_eq(vmm_tsc_khz(&second), 0);
	cr_expect_gt(first, 100 * 1000, "no x86-64 ticks at less than 100 MHz");
	const uint32_t apart = first > second ? first - second : second - first;
	cr_expect_leq(apart, first / 1000, "%u and %u kHz", first, second);
}

/* ---- process words ---- */

static vm_id found(const char *text, size_t len)
{
	return vmm_process_find(text, len, "sknk084sn02q");
}

Test(process, a_word_is_found_by_its_home_alone)
{
	static const char cmdline[] =
		"qemu\0-name\0guest=a,process=bg-0123456789ab.sknk084sn02q\0-M";
	static const char other[] = "qemu\0-name\0guest=a,process=bg-0123456789ab.sknk084sn02r\0-M";
	static const char homeless[] = "qemu\0-name\0guest=a,process=bg-0123456789ab\0-M";
	char word[VMM_WORD_BYTES];
	vm_id id;

	cr_assert_eq(vm_id_parse("0123456789ab", &id), 0);
	vmm_process_word(id, "sknk084sn02q", word);
	cr_expect_str_eq(word, "process=bg-0123456789ab.sknk084sn02q");
	vmm_process_word(id, NULL, word);
	cr_expect_str_eq(word, "process=bg-0123456789ab");
	cr_expect_eq(found(cmdline, sizeof(cmdline)), id);
	cr_expect_eq(found(other, sizeof(other)), 0);
	cr_expect_eq(found(homeless, sizeof(homeless)), 0);
	for (size_t len = 0; len + sizeof("\0-M") < sizeof(cmdline); len++)
		cr_expect_eq(found(cmdline, len), 0, "%zu bytes of it", len);
}

Test(process, what_only_begins_like_a_word_hides_none)
{
	static const char text[] =
		"process=bg-process=bg-0123456789AB!process=bg-0123456789ab.sknk084sn02q";
	vm_id id;

	cr_assert_eq(vm_id_parse("0123456789ab", &id), 0);
	cr_expect_eq(found(text, sizeof(text)), id);
	cr_expect_eq(found("process=bg-", strlen("process=bg-")), 0);
	cr_expect_eq(found("", 0), 0);
}

Test(qemu, last_words_that_mean_a_busy_port_are_understood)
{
	cr_assert_eq(
		vmm_qemu.explain("qemu-system-x86_64: -netdev user,id=net,hostfwd=tcp:127.0.0.1:"
				 "80-:80: Could not set up host forwarding rule "
				 "'tcp:127.0.0.1:80-:80'"),
		ERR_PORT_BUSY);
	cr_assert_eq(vmm_qemu.explain("qemu-system-x86_64: Killed"), ERR_VMM_EXIT);
	cr_assert_eq(vmm_qemu.explain(""), ERR_VMM_EXIT);
}
