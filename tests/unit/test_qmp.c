/* test_qmp.c - the conversation with QEMU's control socket. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "vmm/vmm.h"

#define GREETING                                                                                   \
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, "         \
	"\"package\": \"Debian\"}, \"capabilities\": [\"oob\"]}}\r\n"

static const char transcript[] = GREETING
	"{\"return\": {}, \"id\": 0}\r\n"
	"{\"return\": {\"status\": \"running\", \"singlestep\": false, \"running\": true}, "
	"\"id\": 7}\r\n"
	"{\"timestamp\": {\"seconds\": 1, \"microseconds\": 8}, \"event\": \"POWERDOWN\"}\r\n"
	"{\"id\": 8, \"error\": {\"class\": \"CommandNotFound\", \"desc\": \"not \\u001b[1m "
	"found\"}}\r\n"
	"{\"timestamp\": {\"seconds\": 1, \"microseconds\": 8}, \"event\": \"SHUTDOWN\", "
	"\"data\": {\"guest\": true, \"reason\": \"guest-shutdown\"}}\n";

static const struct vmm_answer expected[] = {
	{ VMM_EVENT_NONE },
	{ VMM_EVENT_GREETING, 0, true },
	{ VMM_EVENT_REPLY, 7, true, "running" },
	{ VMM_EVENT_NONE },
	{ VMM_EVENT_REPLY, 8, false, "not ?[1m found" },
	{ VMM_EVENT_SHUTDOWN, .text = "guest-shutdown" },
};

/* Feeds the transcript in pieces of `step` bytes, in memory of just that size. */
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
		while ((rc = vmm_qemu.parse(buf_data(&b), buf_len(&b), &a, &e)) > 0) {
			cr_assert_lt(answers, ARRAY_LEN(expected));
			cr_expect_eq(a.event, expected[answers].event, "answer %zu", answers);
			cr_expect_eq(a.id, expected[answers].id);
			cr_expect_eq(a.ok, expected[answers].ok);
			cr_expect_str_eq(a.text, expected[answers].text);
			answers++;
			buf_consume(&b, (size_t)rc);
		}
		cr_assert_eq(rc, 0, "%s", e.text);
	}
	cr_expect_eq(answers, ARRAY_LEN(expected));
	cr_expect_eq(buf_len(&b), 0);
	buf_fini(&b);
}

Test(qmp, understands_a_conversation_however_it_is_cut)
{
	for (size_t step = 1; step <= sizeof(transcript); step++)
		feed(step);
}

Test(qmp, asks_in_lines)
{
	static const struct vmm_limits most = { .disk_rate = UINT64_MAX, .disk_iops = UINT32_MAX };
	struct buf b;

	buf_init(&b, 1024);
	cr_assert_eq(vmm_qemu.greet(&b), 0);
	cr_assert_eq(vmm_qemu.call(VMM_CALL_STATUS, 1, &b), 0);
	cr_assert_eq(vmm_qemu.call(VMM_CALL_POWERDOWN, 2, &b), 0);
	cr_assert_eq(vmm_qemu.call(VMM_CALL_QUIT, UINT32_MAX, &b), 0);
	cr_assert_eq(vmm_qemu.call(VMM_CALL_MEMORY, 3, &b), 0);
	cr_assert_eq(vmm_qemu.call(VMM_CALL_LIMIT, 4, &b), -EOPNOTSUPP);
	cr_assert_eq(vmm_qemu.limit(VMM_LIMITED_BASE, &most, 4, &b), -EOPNOTSUPP);
	cr_assert_eq(vmm_qemu.limit(VMM_LIMITED_DISK, &most, UINT32_MAX, &b), 0);
	cr_assert_eq(buf_append(&b, "", 1), 0);
	cr_expect_str_eq((const char *)buf_data(&b),
			 "{\"execute\":\"qmp_capabilities\",\"id\":0}\n"
			 "{\"execute\":\"query-status\",\"id\":1}\n"
			 "{\"execute\":\"system_powerdown\",\"id\":2}\n"
			 "{\"execute\":\"quit\",\"id\":4294967295}\n"
			 "{\"execute\":\"qom-get\",\"arguments\":{"
			 "\"path\":\"/machine/peripheral/balloon\","
			 "\"property\":\"guest-stats\"},\"id\":3}\n"
			 "{\"execute\":\"qom-set\",\"arguments\":{"
			 "\"path\":\"/objects/limits\",\"property\":\"limits\",\"value\":{"
			 "\"bps-total\":18446744073709551615,\"iops-total\":4294967295}},"
			 "\"id\":4294967295}\n");
	buf_fini(&b);
}

/* As 7.2 answers: what the guest has not told is -1, and it may tell anything. */
Test(qmp, takes_what_the_guests_balloon_has_said)
{
	static const char said[] =
		"{\"return\": {\"stats\": {\"stat-htlb-pgalloc\": 18446744073709551615, "
		"\"stat-swap-out\": 0, "
		"\"stat-available-memory\": 18446744073709551615, \"stat-free-memory\": 123456789, "
		"\"stat-total-memory\": 1042984960, \"stat-minor-faults\": -1, "
		"\"stat-major-faults\": \"x\"}, "
		"\"last-update\": 1732470000}, \"id\": 9}\r\n";
	struct vmm_answer a = { 0 };

	cr_assert_eq(vmm_qemu.parse((const uint8_t *)said, strlen(said), &a, NULL),
		     (int)strlen(said));
	cr_expect_eq(a.id, 9);
	cr_expect(a.ok);
	cr_expect_eq(a.memory.known,
		     1U << VMM_MEMORY_SWAPPED_OUT | 1U << VMM_MEMORY_FREE | 1U << VMM_MEMORY_TOTAL);
	cr_expect_eq(a.memory.parts[VMM_MEMORY_FREE], 123456789);
	cr_expect_eq(a.memory.parts[VMM_MEMORY_TOTAL], 1042984960);
	cr_expect_eq(a.memory.parts[VMM_MEMORY_AVAILABLE], 0);
}

Test(qmp, says_when_there_is_no_room)
{
	struct buf b;

	buf_init(&b, 8);
	cr_expect_eq(vmm_qemu.greet(&b), -ENOBUFS);
	cr_expect_eq(buf_len(&b), 0);
	buf_fini(&b);
}

Test(qmp, refuses_what_qemu_may_not_say)
{
	static const char *const lines[] = {
		"\n",
		"hello\n",
		"[]\n",
		"{}\n",
		"{\"return\": {}}\n",
		"{\"return\": {}, \"id\": \"1\"}\n",
		"{\"return\": {}, \"id\": -1}\n",
		"{\"return\": {}, \"id\": 4294967296}\n",
		"{\"return\": {}, \"id\": 99999999999999999999}\n",
		"{\"return\": {}, \"id\": 1, \"id\": 2}\n",
		"{\"error\": {\"desc\": \"no\"}, \"id\": 0}\n",
		"{\"error\": {\"desc\": \"no\"}}\n",
		"{\"event\": 1}\n",
		"{\"event\": \"SHUTDOWN\"} {}\n",
		"{\"event\": \"\xff\"}\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct vmm_answer a = { .id = 42 };
		struct err e = { 0 };
		const uint8_t *line = (const uint8_t *)lines[i];

		cr_expect_eq(vmm_qemu.parse(line, strlen(lines[i]), &a, &e), -EPROTO, "%s",
			     lines[i]);
		cr_expect_eq(e.code, ERR_VMM_PROTOCOL);
		cr_expect_eq(a.id, 42, "untouched on failure");
	}
}

Test(qmp, takes_odd_but_lawful_answers)
{
	static const char *const lines[] = {
		"{\"return\": [], \"id\": 1}\n",
		"{\"error\": \"text\", \"id\": 1}\n",
		"{\"return\": {\"status\": 5}, \"id\": 1}\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct vmm_answer a = { 0 };
		const int rc = vmm_qemu.parse((const uint8_t *)lines[i], strlen(lines[i]), &a,
					      NULL);

		cr_expect_eq(rc, (int)strlen(lines[i]));
		cr_expect_str_eq(a.text, "");
	}
}

Test(qmp, bounds_a_line)
{
	CLEANUP_FREE uint8_t *data = malloc(VMM_ANSWER_MAX + 1);
	struct vmm_answer a = { 0 };

	memset(data, '[', VMM_ANSWER_MAX + 1);
	cr_expect_eq(vmm_qemu.parse(data, 0, &a, NULL), 0);
	cr_expect_eq(vmm_qemu.parse(data, VMM_ANSWER_MAX - 1, &a, NULL), 0);
	cr_expect_eq(vmm_qemu.parse(data, VMM_ANSWER_MAX, &a, NULL), -EPROTO);
	data[VMM_ANSWER_MAX] = '\n';
	cr_expect_eq(vmm_qemu.parse(data, VMM_ANSWER_MAX + 1, &a, NULL), -EPROTO);
	data[VMM_ANSWER_MAX - 1] = '\n';
	cr_expect_eq(vmm_qemu.parse(data, VMM_ANSWER_MAX, &a, NULL), -EPROTO, "too deep");
}
