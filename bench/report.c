#include "bench/report.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/assert.h"

enum {
	REPORT_MAX = 16 * 1024, /* bytes of one line */
	PIECE_MAX = 512,        /* bytes of one key and value */
};

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

int samples_init(struct samples *s, size_t max)
{
	*s = (struct samples){ .max = max };
	s->ns = calloc(max ? max : 1, sizeof(*s->ns));
	return s->ns ? 0 : -ENOMEM;
}

void samples_fini(struct samples *s)
{
	free(s->ns);
	*s = (struct samples){ 0 };
}

void samples_add(struct samples *s, uint64_t ns)
{
	ASSERT(s->n < s->max);
	s->ns[s->n++] = ns;
	s->sorted = false;
}

static int compare_ns(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a;
	const uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

uint64_t samples_percentile(struct samples *s, double percent)
{
	if (s->n == 0)
		return 0;
	if (!s->sorted)
		qsort(s->ns, s->n, sizeof(*s->ns), compare_ns);
	s->sorted = true;

	const double rank = ceil(percent / 100.0 * (double)s->n);
	const size_t i = rank < 1.0 ? 0 : (size_t)rank - 1;

	return s->ns[i < s->n ? i : s->n - 1];
}

static PRINTF_LIKE(2, 3) void add(struct report *r, const char *fmt, ...)
{
	char piece[PIECE_MAX];
	va_list ap;

	va_start(ap, fmt);
	const int n = vsnprintf(piece, sizeof(piece), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(piece) || buf_append(&r->text, piece, (size_t)n) < 0)
		r->cut = true;
}

static void add_key(struct report *r, const char *key)
{
	if (r->json)
		add(r, ", \"%s\": ", key);
	else
		add(r, "  %-18s ", key);
}

static void end_value(struct report *r)
{
	if (!r->json)
		add(r, "\n");
}

void report_init(struct report *r, const char *bench, bool json)
{
	*r = (struct report){ .json = json };
	buf_init(&r->text, REPORT_MAX);
	add(r, json ? "{\"bench\": \"%s\"" : "%s\n", bench);
}

/* Values are our own words and numbers: nothing in them needs an escape in JSON. */
void report_str(struct report *r, const char *key, const char *value)
{
	add_key(r, key);
	add(r, r->json ? "\"%s\"" : "%s", value);
	end_value(r);
}

void report_uint(struct report *r, const char *key, uint64_t value)
{
	add_key(r, key);
	add(r, "%llu", (unsigned long long)value);
	end_value(r);
}

void report_real(struct report *r, const char *key, double value)
{
	add_key(r, key);
	add(r, "%.3f", value);
	end_value(r);
}

void report_samples(struct report *r, const char *key, struct samples *s, uint64_t unit_ns)
{
	static const struct {
		const char *name;
		double percent;
	} marks[] = { { "p50", 50 }, { "p95", 95 }, { "p99", 99 }, { "max", 100 } };

	for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s_%s", key, marks[i].name);
		report_real(r, name,
			    (double)samples_percentile(s, marks[i].percent) / (double)unit_ns);
	}
}

int report_print(struct report *r)
{
	int rc = 0;

	if (r->json)
		add(r, "}\n");
	if (r->cut)
		rc = -ENOMEM;
	else if (fwrite(buf_data(&r->text), 1, buf_len(&r->text), stdout) != buf_len(&r->text) ||
		 fflush(stdout) != 0)
		rc = -EIO;
	buf_fini(&r->text);
	return rc;
}
