#include "base/parse.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	WORD_SHOWN_MAX = 40, /* bytes of a wrong word that a message repeats */
};

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool digits_take(const char **at, uint64_t *ret_n)
{
	uint64_t n = 0;
	const char *p = *at;

	if (!is_digit(*p))
		return false;
	for (; is_digit(*p); p++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
			return false;
	*at = p;
	*ret_n = n;
	return true;
}

int number_parse(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *ret_n,
		 struct err *e)
{
	const char *at = text;
	uint64_t n = 0;

	if (!digits_take(&at, &n) || *at != '\0' || n < min || n > max)
		return err_set(e, ERR_BAD_REQUEST, "%s \"%s\" is not a number from %llu to %llu",
			       what, text, (unsigned long long)min, (unsigned long long)max);
	*ret_n = n;
	return 0;
}

struct unit {
	const char *name;
	uint64_t ms;
};

/* Longer names first: "ms" begins with "m". */
static const struct unit units[] = {
	{ "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 }, { "h", 60 * 60 * 1000 }
};

static const struct unit *unit_take(const char **at)
{
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		const size_t len = strlen(units[i].name);

		if (strncmp(*at, units[i].name, len) == 0) {
			*at += len;
			return &units[i];
		}
	}
	return NULL;
}

static bool duration_read(const char *at, uint64_t *ret_ms)
{
	uint64_t total = 0;

	do {
		const bool first = total == 0;
		const struct unit *unit;
		uint64_t n;

		if (!digits_take(&at, &n))
			return false;
		unit = unit_take(&at);
		if (!unit && (!first || *at != '\0'))
			return false;
		if (__builtin_mul_overflow(n, unit ? unit->ms : 1000, &n) ||
		    __builtin_add_overflow(total, n, &total))
			return false;
	} while (*at != '\0');
	*ret_ms = total;
	return true;
}

int duration_parse(const char *what, const char *text, uint32_t *ret_ms, struct err *e)
{
	uint64_t ms = 0;

	if (!duration_read(text, &ms))
		return err_set(e, ERR_BAD_REQUEST,
			       "%s \"%s\" is not a duration such as 500ms, 10s, 2m or 1h", what,
			       text);
	if (ms == 0 || ms > DURATION_MS_MAX)
		return err_set(e, ERR_BAD_REQUEST, "%s \"%s\" is not between 1ms and 24h", what,
			       text);
	*ret_ms = (uint32_t)ms;
	return 0;
}

/* ---- sizes ---- */

static PRINTF_LIKE(4, 5) int bad_size(struct err *e, const char *what, const char *text,
				      const char *fmt, ...)
{
	char why[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return err_set(e, ERR_VM_SIZE, "%s: \"%.*s\" %s", what, WORD_SHOWN_MAX, text, why);
}

/* What a number with this suffix counts, 0 for an unknown one. */
static uint64_t unit_bytes(const char *suffix)
{
	static const struct {
		const char *suffix;
		uint64_t bytes;
	} sizes[] = {
		{ "", MIB }, { "M", MIB }, { "MiB", MIB }, { "G", GIB }, { "GiB", GIB },
	};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		if (strcmp(sizes[i].suffix, suffix) == 0)
			return sizes[i].bytes;
	return 0;
}

static int out_of_bounds(struct err *e, const char *what, const char *text, bool under,
			 uint64_t bound)
{
	const bool whole_gib = bound % GIB == 0;

	return bad_size(e, what, text, "is %s %lu%s", under ? "under the least," : "over the most,",
			bound / (whole_gib ? GIB : MIB), whole_gib ? "GiB" : "MiB");
}

int size_parse(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *ret_bytes,
	       struct err *e)
{
	char *suffix;

	if (text[0] == '\0')
		return bad_size(e, what, text, "is empty");
	if (text[0] == '-' && is_digit(text[1]))
		return bad_size(e, what, text, "is negative");
	if (!is_digit(text[0]))
		return bad_size(e, what, text, "is not a number");
	errno = 0;
	const uint64_t n = strtoull(text, &suffix, 10);
	if (errno == ERANGE)
		return out_of_bounds(e, what, text, false, max);
	const uint64_t unit = unit_bytes(suffix);
	if (unit == 0)
		return bad_size(e, what, text, "has the unknown suffix \"%.*s\"", WORD_SHOWN_MAX,
				suffix);
	if (n == 0)
		return bad_size(e, what, text, "is zero");
	if (n > max / unit)
		return out_of_bounds(e, what, text, false, max);
	if (n * unit < min)
		return out_of_bounds(e, what, text, true, min);
	*ret_bytes = n * unit;
	return 0;
}
