/* report.h - samples, and the one line that a measurement ends with.
 *
 * Times are nanoseconds of CLOCK_MONOTONIC inside, milliseconds or microseconds (the key says
 * which) outside.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

uint64_t now_ns(void);

/* ---- samples ---- */

struct samples {
	uint64_t *ns; /* owned; room for `max` */
	size_t n;
	size_t max;
	bool sorted;
};

int samples_init(struct samples *s, size_t max) MUST_CHECK; /* -ENOMEM */
void samples_fini(struct samples *s);
void samples_add(struct samples *s, uint64_t ns); /* at most `max` times */

/* Nearest rank; 0 without samples. */
uint64_t samples_percentile(struct samples *s, double percent);

/* ---- the report ---- */

struct report {
	struct buf text;
	bool json;
	bool cut; /* out of memory: report_print() fails */
};

void report_init(struct report *r, const char *bench, bool json);
void report_str(struct report *r, const char *key, const char *value);
void report_uint(struct report *r, const char *key, uint64_t value);
void report_real(struct report *r, const char *key, double value);

/* p50, p95, p99 and max as "<key>_p50" ..., in units of `unit_ns`. */
void report_samples(struct report *r, const char *key, struct samples *s, uint64_t unit_ns);

/* Prints the line and releases the report.  -ENOMEM, or -EIO when stdout is gone. */
int report_print(struct report *r);
