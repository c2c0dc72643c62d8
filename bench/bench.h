/* bench.h - the sub-commands of banger-bench and the options that they share.
 *
 * A sub-command is a row of the table in main.c and a file of its own.  It prints one report on
 * stdout (JSON line with --json); messages go to stderr.  It returns 0, or -errno with `e` set; a
 * measurement in which something failed is a result, and says so.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum {
	BENCH_COUNT_MAX = 1000 * 1000,
	BENCH_CONCURRENCY_MAX = 4096,
};

/* Which options a sub-command takes. */
enum bench_option {
	BENCH_OPT_COUNT,       /* -n */
	BENCH_OPT_CONCURRENCY, /* -c, --inflight */
	BENCH_OPT_CONNECTIONS, /* --connections */
	BENCH_OPT_ACCEL,       /* --accel */
	BENCH_OPT_VMM,         /* --vmm */
	BENCH_OPT_IMAGE,       /* --image */
	BENCH_OPT_PROBE,       /* --probe */
	BENCH_OPT_KEEP,        /* --keep */
	BENCH_OPT_SOCKET,      /* --socket */
	BENCH_OPT_SERIAL,      /* --serial */
	BENCH_NOPTIONS,
};

struct bench_args {
	uint32_t count;
	uint32_t concurrency;
	uint32_t connections;
	const char *accel; /* "tcg" or "kvm"; NULL: what suits the VMM */
	const char *vmm;
	const char *image;
	const char *probe;  /* path of the probe guest, or NULL: beside our own program */
	const char *socket; /* of the root helper */
	bool keep;          /* leave what was made */
	bool serial;        /* each request once the one before is answered */
	bool json;
};

struct bench_command {
	const char *name;
	int (*run)(const struct bench_args *a, struct err *e);
	uint64_t options; /* BIT(enum bench_option) */
	struct bench_args defaults;
	const char *doc;
};

int bench_bare(const struct bench_args *a, struct err *e);
int bench_echo(const struct bench_args *a, struct err *e);
int bench_ping(const struct bench_args *a, struct err *e);
int bench_cycles(const struct bench_args *a, struct err *e);
int bench_fill(const struct bench_args *a, struct err *e);
int bench_restart(const struct bench_args *a, struct err *e);
int bench_fleet(const struct bench_args *a, struct err *e);
int bench_helper(const struct bench_args *a, struct err *e);
int bench_block(const struct bench_args *a, struct err *e);
