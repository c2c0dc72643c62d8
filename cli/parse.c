#include "parse.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum {
	PORT_MAX = 65535,
	SIGNAL_MAX = 64, /* signal(7): the last real-time signal of Linux */
};

/* Decimal digits at *at, which moves past them.  False where there are none or too many. */
static bool digits_take(const char **at, uint64_t *ret_n)
{
	uint64_t n = 0;
	const char *p = *at;

	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++)
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
	if (ms == 0 || ms > DEADLINE_MS_MAX)
		return err_set(e, ERR_BAD_REQUEST, "%s \"%s\" is not between 1ms and 24h", what,
			       text);
	*ret_ms = (uint32_t)ms;
	return 0;
}

int publish_parse(const char *what, const char *text, struct publish *ret_publish, struct err *e)
{
	uint64_t host = 0;
	uint64_t guest = 0;
	const char *at = text;

	if (!digits_take(&at, &host) || *at++ != ':' || !digits_take(&at, &guest) || *at != '\0')
		return err_set(e, ERR_BAD_REQUEST,
			       "%s \"%s\" is not HOST_PORT:GUEST_PORT such as 8080:80", what, text);
	if (host < 1 || host > PORT_MAX || guest < 1 || guest > PORT_MAX)
		return err_set(e, ERR_BAD_REQUEST, "%s \"%s\": a port is from 1 to %d", what, text,
			       PORT_MAX);
	*ret_publish = (struct publish){ .host = (uint32_t)host, .guest = (uint32_t)guest };
	return 0;
}

int pair_check(const char *what, const char *text, struct err *e)
{
	const char *equals = strchr(text, '=');

	if (!equals || equals == text)
		return err_set(e, ERR_BAD_REQUEST, "%s \"%s\" is not KEY=VALUE", what, text);
	return 0;
}

int signal_parse(const char *what, const char *text, uint32_t *ret_signo, struct err *e)
{
	const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
	const char *at = text;
	uint64_t n = 0;

	if (digits_take(&at, &n) && *at == '\0' && n >= 1 && n <= SIGNAL_MAX) {
		*ret_signo = (uint32_t)n;
		return 0;
	}
	for (int i = 1; i < NSIG; i++) {
		const char *known = sigabbrev_np(i);

		if (known && strcasecmp(known, name) == 0) {
			*ret_signo = (uint32_t)i;
			return 0;
		}
	}
	return err_set(e, ERR_BAD_REQUEST, "%s \"%s\" is not a signal such as TERM or 15", what,
		       text);
}
