/* helper.c - what the root helper does, against the same done by executing ip(8) and nft(8), or
 * losetup(8) and dmsetup(8).
 *
 * One of ours, one of theirs, in turns: both see the same machine.  A row's tools are what a
 * programme would execute for the same state of the host, each word of a line an argument.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "bench/bench.h"
#include "bench/report.h"
#include "helper/ask.h"

enum {
	WORDS_MAX = 64,
	LINE_BYTES = 512,
	RESULT_BYTES = 4096,
	ROWS_MAX = 8,
	BENCH_VM = 1,
};

#define BENCH_VM_TEXT "000000000001" /* as BENCH_VM is printed */

#define TOOL_TAP "bg-bench"
#define TAP_UP(tap)                                                                                \
	"ip tuntap add dev " tap " mode tap vnet_hdr user 200001\n"                                \
	"ip link set dev " tap " master br-fc\n"                                                   \
	"ip link set dev " tap " type bridge_slave isolated on\n"                                  \
	"ip link set dev " tap " addrgenmode none up\n"
#define SLOT_UP(n)   TAP_UP("bg-bench" n)
#define SLOT_DOWN(n) "ip link del dev bg-bench" n "\n"

struct row {
	const char *name;
	enum helper_method method;
	const void *args;
	const char *tools; /* one process per line */
};

static const struct helper_bridge_args bridge = { .bridge = "br-fc" };
static const struct helper_tap_args tap = { .bridge = "br-fc", .slot = 1 };
static const struct helper_nat_args nat = { .bridge = "br-fc", .slot = 1, .address = "10.97.0.9" };

static const struct helper_slots_args slots = { .bridge = "br-fc", .first = 100, .count = 8 };

/* In this order they are a VM's life; then slots made ahead of demand, eight at once. */
static const struct row net_rows[] = {
	{ "tap_up", HELPER_CREATE_TAP, &tap, TAP_UP(TOOL_TAP) },
	{ "nat_up", HELPER_ENSURE_NAT, &nat,
	  "nft add element ip banger nat { 10.97.0.10 } ; add element bridge banger addresses { "
	  "10.97.0.10 } ;"
	  " add element bridge banger nat { " TOOL_TAP " . 10.97.0.10 }\n" },
	{ "nat_down", HELPER_REMOVE_NAT, &nat,
	  "nft delete element ip banger nat { 10.97.0.10 } ; delete element bridge banger "
	  "addresses { 10.97.0.10 } ;"
	  " delete element bridge banger nat { " TOOL_TAP " . 10.97.0.10 }\n" },
	{ "tap_down", HELPER_DELETE_TAP, &tap, "ip link del dev " TOOL_TAP "\n" },
	{ "slots_up", HELPER_PREPARE_TAPS, &slots,
	  SLOT_UP("0") SLOT_UP("1") SLOT_UP("2") SLOT_UP("3") SLOT_UP("4") SLOT_UP("5") SLOT_UP("6")
		  SLOT_UP("7") },
	{ "slots_down", HELPER_RELEASE_TAPS, &slots,
	  SLOT_DOWN("0") SLOT_DOWN("1") SLOT_DOWN("2") SLOT_DOWN("3") SLOT_DOWN("4") SLOT_DOWN("5")
		  SLOT_DOWN("6") SLOT_DOWN("7") },
};

/* A VM's root disk; the tools do it in the directory that they are run in. */
static const struct helper_snapshot_args snapshot = { .vm = BENCH_VM, .base = "base" };
static const struct helper_device_args device = { .device = "fc-rootfs-" BENCH_VM_TEXT };

static const struct row block_rows[] = {
	{ "dm_up", HELPER_CREATE_SNAPSHOT, &snapshot,
	  "losetup --read-only /dev/loop6 state/images/base\n"
	  "losetup /dev/loop7 cow\n"
	  "dmsetup create fc-bench table\n" },
	{ "dm_down", HELPER_REMOVE_SNAPSHOT, &device,
	  "dmsetup remove fc-bench\n"
	  "losetup --detach /dev/loop7\n"
	  "losetup --detach /dev/loop6\n" },
};

static const struct row bridge_up = { .method = HELPER_ENSURE_BRIDGE, .args = &bridge };
static const struct row report = { .method = HELPER_REPORT_NET };
static const struct row bridge_down = { .method = HELPER_REMOVE_BRIDGE, .args = &bridge };

/* A life, over and over, and what stands around all of them. */
struct load {
	const char *name;
	const struct row *rows;
	size_t nrows;
	const struct row *up; /* NULL: nothing */
	const struct row *down;
	const struct row
		*settle; /* what ours has put off is done when this is answered; not timed */
};

static const struct load net_load = { "helper",   net_rows,     ARRAY_LEN(net_rows),
				      &bridge_up, &bridge_down, &report };
static const struct load block_load = {
	"block", block_rows, ARRAY_LEN(block_rows), NULL, NULL, NULL
};

struct pair {
	struct samples ours;
	struct samples theirs;
};

/* ---- theirs ---- */

static int execute(const char *line, size_t len, struct err *e)
{
	char text[LINE_BYTES];
	char *words[WORDS_MAX + 1] = { NULL };
	size_t n = 0;
	char *at = text;
	int status = 0;
	pid_t pid;

	(void)snprintf(text, sizeof(text), "%.*s", (int)len, line);
	for (char *word; (word = strsep(&at, " ")) != NULL && n < WORDS_MAX;)
		if (*word != '\0')
			words[n++] = word;
	ASSERT(n > 0);
	const int rc = posix_spawnp(&pid, words[0], NULL, NULL, words, environ);
	if (rc != 0)
		return err_num(e, ERR_HOST_IO, rc, "%s", words[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	return status == 0 ? 0 : err_set(e, ERR_HOST_IO, "\"%.*s\" failed", (int)len, line);
}

static int theirs(const struct row *r, struct err *e)
{
	for (const char *line = r->tools; *line; line = strchr(line, '\n') + 1) {
		const int rc = execute(line, strcspn(line, "\n"), e);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- ours ---- */

static int ours(struct ask *a, const struct row *r, struct err *e)
{
	static max_align_t result[RESULT_BYTES / sizeof(max_align_t)];
	const struct schema *const s = helper_methods[r->method].result;
	int rc;

	ASSERT(s->size <= sizeof(result));
	rc = ask_helper(a, r->method, r->args, result, e);
	if (rc == 0)
		schema_fini(s, result);
	return rc;
}

/* ---- in turns ---- */

static int one_life(const struct load *l, struct ask *a, struct pair *pairs, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < l->nrows; i++) {
		const uint64_t begin = now_ns();

		rc = ours(a, &l->rows[i], e);
		samples_add(&pairs[i].ours, now_ns() - begin);
	}
	if (rc == 0 && l->settle)
		rc = ours(a, l->settle, e);
	for (size_t i = 0; rc == 0 && i < l->nrows; i++) {
		const uint64_t begin = now_ns();

		rc = theirs(&l->rows[i], e);
		samples_add(&pairs[i].theirs, now_ns() - begin);
	}
	return rc;
}

static void report_row(struct report *r, const char *name, struct pair *p)
{
	char key[64];
	const double times = (double)samples_percentile(&p->theirs, 50) /
			     (double)samples_percentile(&p->ours, 50);

	(void)snprintf(key, sizeof(key), "%s_us", name);
	report_samples(r, key, &p->ours, NS_PER_US);
	(void)snprintf(key, sizeof(key), "%s_tools_us", name);
	report_samples(r, key, &p->theirs, NS_PER_US);
	(void)snprintf(key, sizeof(key), "%s_times", name);
	report_real(r, key, times);
}

static int measure(const struct bench_args *args, const struct load *l, struct ask *a,
		   struct pair *pairs, struct err *e)
{
	struct report r;
	int rc = l->up ? ours(a, l->up, e) : 0;

	for (uint32_t i = 0; rc == 0 && i < args->count; i++)
		rc = one_life(l, a, pairs, e);
	if (rc == 0 && l->down)
		rc = ours(a, l->down, e);
	if (rc < 0)
		return rc;
	report_init(&r, l->name, args->json);
	report_uint(&r, "n", args->count);
	for (size_t i = 0; i < l->nrows; i++)
		report_row(&r, l->rows[i].name, &pairs[i]);
	return report_print(&r);
}

static int run(const struct bench_args *args, const struct load *l, struct err *e)
{
	struct pair pairs[ROWS_MAX] = { 0 };
	struct ask a;
	int rc = ask_open(&a, args->socket, e);

	if (rc < 0)
		return rc;
	ASSERT(l->nrows <= ROWS_MAX);
	for (size_t i = 0; rc == 0 && i < l->nrows; i++)
		if (samples_init(&pairs[i].ours, args->count) < 0 ||
		    samples_init(&pairs[i].theirs, args->count) < 0)
			rc = err_set(e, ERR_HOST_MEMORY, "no memory for %u samples", args->count);
	if (rc == 0)
		rc = measure(args, l, &a, pairs, e);
	for (size_t i = 0; i < l->nrows; i++) {
		samples_fini(&pairs[i].ours);
		samples_fini(&pairs[i].theirs);
	}
	ask_close(&a);
	return rc;
}

int bench_helper(const struct bench_args *args, struct err *e)
{
	return run(args, &net_load, e);
}

int bench_block(const struct bench_args *args, struct err *e)
{
	return run(args, &block_load, e);
}
