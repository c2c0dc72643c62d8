/* test_firecracker.c - Firecracker's command line, configuration, API and versions. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "vmm/vmm.h"

static struct vmm_machine linux_machine(void)
{
	return (struct vmm_machine){
		.binary = "/usr/bin/firecracker",
		.id = 1,
		.home = "sknk084sn02q",
		.name = "web-1",
		.guest = VMM_GUEST_LINUX,
		.accel = VMM_ACCEL_KVM,
		.vcpu = 2,
		.memory_bytes = UINT64_C(256) << 20,
		.kernel = "/k/vmlinux",
		.initrd = "/k/initrd",
		.base = "/i/root.ext4",
		.disk = "/v/disk.ext4",
		.disk_format = "raw",
		.net = VMM_NET_TAP,
		.tap = "bg-000000000001",
		.address = "10.9.0.2/16",
		.gateway = "10.9.0.1",
		.dns = "10.9.0.1",
		.tsc_khz = 2445435,
		.sandbox = true,
		.control = "/r/control.sock",
		.vsock = "/r/vsock",
		.config = "/r/vmm.json",
		.log = "/r/vmm.log",
	};
}

static struct vmm_machine probe_machine(void)
{
	return (struct vmm_machine){
		.binary = "/usr/bin/firecracker",
		.id = 1,
		.name = "probe",
		.guest = VMM_GUEST_PROBE,
		.accel = VMM_ACCEL_KVM,
		.vcpu = 1,
		.memory_bytes = UINT64_C(16) << 20,
		.kernel = "/k/probe.elf",
		.control = "/r/control.sock",
		.config = "/r/vmm.json",
		.log = "/r/vmm.log",
	};
}

/* ---- command line ---- */

static void expect_argv(const struct vmm_machine *m, const char *const *golden)
{
	struct strv argv = { 0 };
	struct err e = { 0 };
	uint32_t i = 0;

	cr_assert_eq(vmm_firecracker.argv(m, &argv, &e), 0, "%s", e.text);
	for (; i < argv.n && golden[i]; i++)
		cr_expect_str_eq(argv.v[i], golden[i]);
	cr_expect_null(golden[i], "missing: %s", golden[i]);
	cr_expect_eq(i, argv.n, "too much: %s", argv.v[i]);
	strv_fini(&argv);
}

/* clang-format off */
#define COMMON "--api-sock", "/r/control.sock", "--config-file", "/r/vmm.json", \
	       "--log-path", "/r/vmm.log", "--level", "Error"
/* clang-format on */

Test(firecracker, is_started_by_a_configuration_file)
{
	static const char *const golden[] = { "/usr/bin/firecracker",
					      "--id",
					      "000000000001",
					      COMMON,
					      "--",
					      "process=bg-000000000001.sknk084sn02q",
					      NULL };
	const struct vmm_machine m = linux_machine();

	expect_argv(&m, golden);
}

Test(firecracker, keeps_its_filter_unless_told)
{
	static const char *const golden[] = {
		"/usr/bin/firecracker",    "--id", "000000000001", COMMON, "--no-seccomp", "--",
		"process=bg-000000000001", NULL
	};
	const struct vmm_machine m = probe_machine();

	expect_argv(&m, golden);
}

/* ---- configuration ---- */

static int config(const struct vmm_machine *m, size_t max, char *out, size_t size, struct err *e)
{
	struct buf b;

	buf_init(&b, max);
	const int rc = vmm_firecracker.config(m, &b, e);
	(void)snprintf(out, size, "%.*s", (int)buf_len(&b), (const char *)buf_data(&b));
	buf_fini(&b);
	return rc;
}

static void expect_config(const struct vmm_machine *m, const char *golden)
{
	char got[4096];
	struct err e = { 0 };

	cr_assert_eq(config(m, VMM_CONFIG_MAX, got, sizeof(got), &e), 0, "%s", e.text);
	cr_expect_str_eq(got, golden);
}

#define WORDS                                                                                      \
	"console=ttyS0 quiet loglevel=3 reboot=k panic=-1 pci=off banger.off=reset "               \
	"i8042.noaux i8042.nomux i8042.nopnp i8042.dumbkbd"

Test(firecracker, gives_linux_all_that_it_has)
{
	const struct vmm_machine m = linux_machine();

	expect_config(&m,
		      "{\"machine-config\":{\"vcpu_count\":2,\"mem_size_mib\":256,\"smt\":false},"
		      "\"boot-source\":{\"kernel_image_path\":\"/k/vmlinux\","
		      "\"initrd_path\":\"/k/initrd\",\"boot_args\":\"" WORDS
		      " tsc_early_khz=2445435 banger.hostname=web-1 banger.ip=10.9.0.2/16 "
		      "banger.gw=10.9.0.1 banger.dns=10.9.0.1 banger.root=/dev/vda "
		      "banger.upper=/dev/vdb\"},"
		      "\"drives\":[{\"drive_id\":\"base\",\"path_on_host\":\"/i/root.ext4\","
		      "\"is_root_device\":false,\"is_read_only\":true,\"cache_type\":\"Unsafe\","
		      "\"io_engine\":\"Sync\"},"
		      "{\"drive_id\":\"root\",\"path_on_host\":\"/v/disk.ext4\","
		      "\"is_root_device\":false,\"is_read_only\":false,"
		      "\"cache_type\":\"Writeback\",\"io_engine\":\"Sync\"}],"
		      "\"entropy\":{},"
		      "\"balloon\":{\"amount_mib\":0,\"deflate_on_oom\":true,"
		      "\"stats_polling_interval_s\":5},"
		      "\"network-interfaces\":[{\"iface_id\":\"eth0\","
		      "\"host_dev_name\":\"bg-000000000001\",\"guest_mac\":\"02:00:00:00:00:01\"}],"
		      "\"vsock\":{\"guest_cid\":3,\"uds_path\":\"/r/vsock\"}}");
}

Test(firecracker, limits_what_it_moves)
{
	struct vmm_machine m = linux_machine();
	static char got[VMM_CONFIG_MAX];
	struct err e = { 0 };

	m.limits.disk_rate = UINT64_C(100) << 20;
	m.limits.disk_iops = 2000;
	m.limits.net_rate = UINT64_C(10) << 20;
	cr_assert_eq(config(&m, VMM_CONFIG_MAX, got, sizeof(got), &e), 0, "%s", e.text);
	const char *first = strstr(
		got, "\"rate_limiter\":{\"bandwidth\":{\"size\":104857600,\"refill_time\":1000},"
		     "\"ops\":{\"size\":2000,\"refill_time\":1000}}}");
	cr_assert_not_null(first, "%s", got);
	cr_expect_not_null(strstr(first + 1, "\"rate_limiter\""), "both drives");
	for (int i = 0; i < 2; i++)
		cr_expect_not_null(strstr(got, i ? "\"rx_rate_limiter\":{\"bandwidth\":{\"size\":"
						   "10485760,\"refill_time\":1000}}"
						 : "\"tx_rate_limiter\":{\"bandwidth\":{\"size\":"
						   "10485760,\"refill_time\":1000}}"));
	m.limits.disk_rate = 0;
	cr_assert_eq(config(&m, VMM_CONFIG_MAX, got, sizeof(got), &e), 0, "%s", e.text);
	cr_expect_not_null(
		strstr(got, "\"rate_limiter\":{\"ops\":{\"size\":2000,\"refill_time\":1000}}"));
}

Test(firecracker, gives_linux_nothing_that_it_was_not_given)
{
	struct vmm_machine m = linux_machine();

	m.initrd = NULL;
	m.base = NULL;
	m.net = VMM_NET_NONE;
	m.vsock = NULL;
	m.tsc_khz = 0;
	expect_config(&m,
		      "{\"machine-config\":{\"vcpu_count\":2,\"mem_size_mib\":256,\"smt\":false},"
		      "\"boot-source\":{\"kernel_image_path\":\"/k/vmlinux\",\"boot_args\":\"" WORDS
		      " banger.hostname=web-1 banger.root=/dev/vda\"},"
		      "\"drives\":[{\"drive_id\":\"root\",\"path_on_host\":\"/v/disk.ext4\","
		      "\"is_root_device\":false,\"is_read_only\":false,"
		      "\"cache_type\":\"Writeback\",\"io_engine\":\"Sync\"}],"
		      "\"entropy\":{},"
		      "\"balloon\":{\"amount_mib\":0,\"deflate_on_oom\":true,"
		      "\"stats_polling_interval_s\":5}}");
}

Test(firecracker, gives_a_probe_no_devices)
{
	struct vmm_machine m = probe_machine();

	m.append = VMM_PROBE_BENCH;
	expect_config(&m,
		      "{\"machine-config\":{\"vcpu_count\":1,\"mem_size_mib\":16,\"smt\":false},"
		      "\"boot-source\":{\"kernel_image_path\":\"/k/probe.elf\","
		      "\"boot_args\":\"bench\"},\"drives\":[]}");
}

Test(firecracker, quotes_what_json_would_trip_over)
{
	struct vmm_machine m = probe_machine();
	char got[1024];

	m.kernel = "/k/a\"b\\c";
	cr_assert_eq(config(&m, VMM_CONFIG_MAX, got, sizeof(got), NULL), 0);
	cr_expect_not_null(strstr(got, "\"/k/a\\\"b\\\\c\""));
	m.kernel = "/k/\xff";
	cr_expect_eq(config(&m, VMM_CONFIG_MAX, got, sizeof(got), NULL), -EINVAL);
	m.kernel = "/k/probe.elf";
	cr_expect_eq(config(&m, 16, got, sizeof(got), NULL), -EINVAL, "no room");
}

/* A unix socket's path has 107 bytes, and Firecracker appends the port's number to that of vsock.
 */
Test(firecracker, refuses_paths_that_no_socket_can_have)
{
	static const struct {
		int control, vsock; /* bytes */
		bool fits;
	} rows[] = { { 107, 102, true }, { 108, 102, false }, { 107, 103, false } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct vmm_machine m = linux_machine();
		struct err e = { 0 };
		char control[128] = "/";
		char vsock[128] = "/";
		struct buf out;

		buf_init(&out, VMM_CONFIG_MAX);
		memset(control + 1, 'c', (size_t)rows[i].control - 1);
		memset(vsock + 1, 'v', (size_t)rows[i].vsock - 1);
		m.control = control;
		m.vsock = vsock;
		cr_expect_eq(vmm_firecracker.config(&m, &out, &e) == 0, rows[i].fits, "%zu: %s", i,
			     e.text);
		cr_expect_eq(e.code, rows[i].fits ? ERR_NONE : ERR_BAD_REQUEST);
		buf_fini(&out);
	}
}

Test(firecracker, refuses_what_it_cannot_run)
{
	const struct {
		enum vmm_accel accel;
		uint32_t vcpu;
		uint64_t memory_bytes;
		enum vmm_net net;
		enum err_code code;
	} rows[] = {
		{ VMM_ACCEL_TCG, 1, UINT64_C(1) << 20, VMM_NET_NONE, ERR_VMM_NO_KVM },
		{ VMM_ACCEL_KVM, 0, UINT64_C(1) << 20, VMM_NET_NONE, ERR_VM_SIZE },
		{ VMM_ACCEL_KVM, 33, UINT64_C(1) << 20, VMM_NET_NONE, ERR_VM_SIZE },
		{ VMM_ACCEL_KVM, 1, 0, VMM_NET_NONE, ERR_VM_SIZE },
		{ VMM_ACCEL_KVM, 1, 4096, VMM_NET_NONE, ERR_VM_SIZE },
		{ VMM_ACCEL_KVM, 1, UINT64_C(1) << 20, VMM_NET_USER, ERR_BAD_REQUEST },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct vmm_machine m = linux_machine();
		struct strv argv = { 0 };
		struct err e = { 0 };
		char got[16];

		m.accel = rows[i].accel;
		m.vcpu = rows[i].vcpu;
		m.memory_bytes = rows[i].memory_bytes;
		m.net = rows[i].net;
		cr_expect_lt(vmm_firecracker.argv(&m, &argv, &e), 0, "row %zu", i);
		cr_expect_eq(e.code, rows[i].code, "row %zu", i);
		cr_expect_eq(argv.n, 0);
		e = (struct err){ 0 };
		cr_expect_lt(config(&m, VMM_CONFIG_MAX, got, sizeof(got), &e), 0, "row %zu", i);
		cr_expect_eq(e.code, rows[i].code, "row %zu", i);
	}
}

/* ---- API ---- */

/* As 1.16.1 says it. */
#define HEAD(status) "HTTP/1.1 " status " \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
#define BODY(len)    "Content-Type: application/json\r\nContent-Length: " len "\r\n\r\n"

static const char transcript[] = HEAD("200")
	BODY("81") "{\"id\":\"bg-1-x\",\"state\":\"Running\",\"vmm_version\":\"1.16.1\","
		   "\"app_name\":\"Firecracker\"}" HEAD("204") "\r\n" HEAD("400")
			   BODY("56") "{\"fault_message\":\"The requested operation is not so: "
				      "\t\"}" HEAD("400")
					      BODY("15") "{ \"error\":\"x\" }" HEAD("500") BODY("0")
						      HEAD("400") BODY("2") "[]";

static const struct vmm_answer expected[] = {
	{ .event = VMM_EVENT_REPLY, .ok = true, .text = "Running" },
	{ .event = VMM_EVENT_REPLY, .ok = true },
	{ .event = VMM_EVENT_REPLY, .text = "HTTP status 400" }, /* a tab is no JSON */
	{ .event = VMM_EVENT_REPLY, .text = "x" },
	{ .event = VMM_EVENT_REPLY, .text = "HTTP status 500" },
	{ .event = VMM_EVENT_REPLY, .text = "HTTP status 400" },
};

static void feed(size_t step)
{
	size_t seen = 0;
	size_t answers = 0;
	struct buf b;

	buf_init(&b, sizeof(transcript));
	while (seen < sizeof(transcript) - 1) {
		const size_t left = sizeof(transcript) - 1 - seen;
		const size_t n = left < step ? left : step;
		struct vmm_answer a = { 0 };
		struct err e = { 0 };
		int rc;

		cr_assert_eq(buf_append(&b, transcript + seen, n), 0);
		seen += n;
		while ((rc = vmm_firecracker.parse(buf_data(&b), buf_len(&b), &a, &e)) > 0) {
			cr_assert_lt(answers, ARRAY_LEN(expected));
			cr_expect_eq(a.event, expected[answers].event, "answer %zu", answers);
			cr_expect_eq(a.ok, expected[answers].ok, "answer %zu", answers);
			cr_expect_str_eq(a.text, expected[answers].text);
			answers++;
			buf_consume(&b, (size_t)rc);
		}
		cr_assert_eq(rc, 0, "%s", e.text);
	}
	cr_expect_eq(answers, ARRAY_LEN(expected), "cut every %zu bytes", step);
	cr_expect_eq(buf_len(&b), 0);
	buf_fini(&b);
}

Test(firecracker_api, understands_a_conversation_however_it_is_cut)
{
	for (size_t step = 1; step <= sizeof(transcript); step++)
		feed(step);
}

Test(firecracker_api, asks_in_requests)
{
	struct buf b;

	buf_init(&b, 4096);
	cr_assert_eq(vmm_firecracker.greet(&b), 0);
	cr_assert_eq(vmm_firecracker.call(VMM_CALL_STATUS, 1, &b), 0);
	cr_assert_eq(vmm_firecracker.call(VMM_CALL_POWERDOWN, 2, &b), 0);
	cr_assert_eq(vmm_firecracker.call(VMM_CALL_QUIT, 3, &b), -EOPNOTSUPP);
	cr_assert_eq(vmm_firecracker.call(VMM_CALL_PAUSE, 4, &b), 0);
	cr_assert_eq(vmm_firecracker.call(VMM_CALL_RESUME, 5, &b), 0);
	cr_assert_eq(buf_append(&b, "", 1), 0);
#define JSON(len)                                                                                  \
	"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: " len "\r\n\r\n"
	cr_expect_str_eq((const char *)buf_data(&b),
			 "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
			 "PUT /actions HTTP/1.1\r\n" JSON(
				 "32") "{\"action_type\":\"SendCtrlAltDel\"}"
				       "PATCH /vm HTTP/1.1\r\n" JSON(
					       "18") "{\"state\":\"Paused\"}"
						     "PATCH /vm HTTP/1.1\r\n" JSON(
							     "19") "{\"state\":\"Resumed\"}");
	buf_fini(&b);
	buf_init(&b, 8);
	cr_expect_eq(vmm_firecracker.call(VMM_CALL_STATUS, 1, &b), -ENOBUFS);
	cr_expect_eq(buf_len(&b), 0);
	buf_fini(&b);
}

Test(firecracker_api, says_what_each_device_may_move)
{
	static const struct vmm_limits l = { .disk_rate = UINT64_MAX, .disk_iops = 300 };
	struct buf b;

	buf_init(&b, 4096);
	cr_assert_eq(vmm_firecracker.call(VMM_CALL_LIMIT, 1, &b), -EOPNOTSUPP);
	cr_assert_eq(vmm_firecracker.limit(VMM_LIMITED_BASE, &l, 1, &b), 0);
	cr_assert_eq(vmm_firecracker.limit(VMM_LIMITED_DISK, &l, 2, &b), 0);
	cr_assert_eq(vmm_firecracker.limit(VMM_LIMITED_NET, &l, 3, &b), 0);
	cr_assert_eq(buf_append(&b, "", 1), 0);
	cr_expect_str_eq(
		(const char *)buf_data(&b),
		"PATCH /drives/base HTTP/1.1\r\n" JSON(
			"135") "{\"drive_id\":\"base\",\"rate_limiter\":{\"bandwidth\":{\"size\":"
			       "18446744073709551615,\"refill_time\":1000},\"ops\":{\"size\":300,"
			       "\"refill_time\":1000}}}"
			       "PATCH /drives/root HTTP/1.1\r\n" JSON(
				       "135") "{\"drive_id\":\"root\",\"rate_limiter\":{"
					      "\"bandwidth\":{\"size\":"
					      "18446744073709551615,\"refill_time\":1000},\"ops\":{"
					      "\"size\":300,\"refill_time\":1000}}}"
					      "PATCH /network-interfaces/eth0 HTTP/1.1\r\n" JSON(
						      "143") "{\"iface_id\":\"eth0\",\"rx_rate_"
							     "limiter\":{\"bandwidth\":{\"size\":0,"
							     "\"refill_time\":1000}},\"tx_rate_"
							     "limiter\":{\"bandwidth\":{\"size\":0,"
							     "\"refill_time\":1000}}}");
	buf_fini(&b);
}

/* As 1.16.1 answers, of a guest whose kernel tells no number of huge pages; and one that lies. */
Test(firecracker_api, asks_what_the_guests_balloon_has_said)
{
#define MEMORY(len, text) HEAD("200") BODY(len) text
	static const struct {
		const char *said;
		uint32_t known;
		uint64_t total, free, minor_faults;
	} rows[] = {
		{ MEMORY("218",
			 "{\"target_pages\":0,\"actual_pages\":0,\"target_mib\":0,\"actual_mib\":0,"
			 "\"swap_in\":0,\"swap_out\":8192,\"major_faults\":313,\"minor_faults\":"
			 "54321,"
			 "\"free_memory\":1024,\"total_memory\":254615552,"
			 "\"available_memory\":4096,\"disk_caches\":77}"),
		  (1U << VMM_NMEMORY) - 1, 254615552, 1024, 54321 },
		{ MEMORY("65", "{\"target_pages\":0,\"actual_pages\":0,\"target_mib\":0,\"actual_"
			       "mib\":0}"),
		  0, 0, 0, 0 },
		{ MEMORY("68", "{\"total_memory\":18446744073709551615,\"free_memory\":-1,\"swap_"
			       "in\":\"x\"}"),
		  0, 0, 0, 0 },
	};
	struct buf b;

	buf_init(&b, 4096);
	cr_assert_eq(vmm_firecracker.call(VMM_CALL_MEMORY, 1, &b), 0);
	cr_assert_eq(buf_append(&b, "", 1), 0);
	cr_expect_str_eq((const char *)buf_data(&b),
			 "GET /balloon/statistics HTTP/1.1\r\nHost: localhost\r\n\r\n");
	buf_fini(&b);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const size_t len = strlen(rows[i].said);
		struct vmm_answer a = { 0 };
		const int rc = vmm_firecracker.parse((const uint8_t *)rows[i].said, len, &a, NULL);

		cr_expect_eq(rc, (int)len, "row %zu: %d of %zu", i, rc, len);
		cr_expect(a.ok);
		cr_expect_eq(a.memory.known, rows[i].known, "row %zu: %x", i, a.memory.known);
		cr_expect_eq(a.memory.parts[VMM_MEMORY_TOTAL], rows[i].total);
		cr_expect_eq(a.memory.parts[VMM_MEMORY_FREE], rows[i].free);
		cr_expect_eq(a.memory.parts[VMM_MEMORY_MINOR_FAULTS], rows[i].minor_faults);
	}
}

Test(firecracker_api, refuses_what_it_may_not_say)
{
	static const char *const texts[] = {
		"hello\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"HTTP/9\r\n",
		"HTTP/1.1 abc \r\n\r\n",
		"HTTP/1.1 200 \r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 \r\nContent-Length: 99999999999999999999\r\n\r\n",
		"HTTP/1.1 200 \r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
		"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"HTTP/1.1 101 \r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct vmm_answer a = { .id = 42 };
		struct err e = { 0 };
		const uint8_t *text = (const uint8_t *)texts[i];

		cr_expect_eq(vmm_firecracker.parse(text, strlen(texts[i]), &a, &e), -EPROTO, "%s",
			     texts[i]);
		cr_expect_eq(e.code, ERR_VMM_PROTOCOL);
		cr_expect_eq(a.id, 42, "untouched on failure");
	}
}

Test(firecracker_api, bounds_an_answer)
{
	static const char head[] = "HTTP/1.1 200 \r\nContent-Length: 70000\r\n\r\n";
	CLEANUP_FREE uint8_t *data = malloc(VMM_ANSWER_MAX + 1);
	struct vmm_answer a = { 0 };

	memset(data, '[', VMM_ANSWER_MAX + 1);
	memcpy(data, head, strlen(head));
	cr_expect_eq(vmm_firecracker.parse(data, 0, &a, NULL), 0);
	cr_expect_eq(vmm_firecracker.parse(data, VMM_ANSWER_MAX - 1, &a, NULL), 0);
	cr_expect_eq(vmm_firecracker.parse(data, VMM_ANSWER_MAX, &a, NULL), -EPROTO);
	cr_expect_eq(vmm_firecracker.parse(data, VMM_ANSWER_MAX + 1, &a, NULL), -EPROTO);
}

/* ---- last words ---- */

#define AT "2026-11-24T11:54:38.356271276 [000000000001:main] "

Test(firecracker, the_cause_is_told_from_what_follows_it)
{
	static const char *const rows[][2] = {
		{ "", "" },
		{ "error while loading shared libraries: libc.so.6", NULL },
		{ AT
		  "RunWithApiError error: Failed to build MicroVM from Json: Configuration for VMM "
		  "from one single json failed: Boot source error: no kernel\n" AT
		  "Firecracker exiting with error. exit_code=1",
		  "Boot source error: no kernel" },
		{ AT "a guest's doing\n" AT "RunWithApiError error: MicroVMStopped\n" AT
		     "Firecracker exiting with error. exit_code=148",
		  "MicroVMStopped" },
		{ AT
		  "RunWithApiError error: Failed to build MicroVM from Json: Configuration for VMM "
		  "from one single json failed: Block device error: Unable to create the virtio "
		  "block device: Virtio backend error: Error manipulating the backing file: No "
		  "such file or directory (os error 2) /disk\n" AT
		  "Firecracker exiting with error. exit_code=1",
		  "Error manipulating the backing file: No such file or directory (os error 2) "
		  "/disk" },
		{ AT "RunWithApiError error: no kernel\n" AT
		     "Firecracker exiting with error. exit_code=1\n)))",
		  "no kernel" },
		{ AT "just this", "just this" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char tail[512];

		(void)snprintf(tail, sizeof(tail), "%s", rows[i][0]);
		cr_expect_str_eq(vmm_firecracker.blame(tail), rows[i][1] ? rows[i][1] : rows[i][0]);
	}
}

/* ---- versions ---- */

Test(firecracker, versions_that_do_not_work_are_refused_by_name)
{
	static const struct {
		const char *said;
		const char *version; /* NULL: refused */
		const char *why;
	} rows[] = {
		{ "Firecracker v1.16.1\n\n2026 [main] exiting successfully.\n", "1.16.1", NULL },
		{ "Firecracker v1.5.0\n", "1.5.0", NULL },
		{ "Firecracker v1.10.0-dev\n", "1.10.0-dev", NULL },
		{ "Firecracker v1.4.1\n", NULL, "firecracker 1.4.1 is none of those that work" },
		{ "Firecracker v0.25.2\n", NULL, "firecracker 0.25.2 is none of those that work" },
		{ "Firecracker v1.17.0\n", NULL, "firecracker 1.17.0 is none of those that work" },
		{ "Firecracker v2.0.0\n", NULL, "firecracker 2.0.0 is none of those that work" },
		{ "Firecracker v1.16.0\n", NULL, "firecracker 1.16.0 is known to be bad" },
		{ "Firecracker v1.\n", NULL, "--version says nothing" },
		{ "QEMU emulator version 7.2\n", NULL, "--version says nothing" },
		{ "", NULL, "--version says nothing" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char version[VMM_VERSION_MAX] = "";
		struct err e = { 0 };
		const int rc = vmm_firecracker.version(rows[i].said, version, &e);

		cr_expect_eq(rc, rows[i].version ? 0 : -ENOTSUP, "%s", rows[i].said);
		cr_expect_str_eq(version, rows[i].version ? rows[i].version : "");
		if (rows[i].why)
			cr_expect_not_null(strstr(e.text, rows[i].why), "%s", e.text);
	}
}
