#include "human.h"

#include <stdio.h>
#include <time.h>

#include "base/macros.h"

void human_bytes(uint64_t bytes, char out[HUMAN_MAX])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	size_t unit = 0;
	unsigned long long tenths = 0;

	while (bytes >= 1024 && unit + 1 < ARRAY_LEN(units)) {
		tenths = bytes % 1024 * 10 / 1024;
		bytes /= 1024;
		unit++;
	}
	if (tenths == 0 || bytes >= 100)
		(void)snprintf(out, HUMAN_MAX, "%llu %s", (unsigned long long)bytes, units[unit]);
	else
		(void)snprintf(out, HUMAN_MAX, "%llu.%llu %s", (unsigned long long)bytes, tenths,
			       units[unit]);
}

void human_duration(uint64_t us, char out[HUMAN_MAX])
{
	const unsigned long long ms = us / 1000;
	const unsigned long long s = ms / 1000;

	if (us < 10 * 1000)
		(void)snprintf(out, HUMAN_MAX, "%llu.%llu ms", ms,
			       (unsigned long long)(us % 1000 / 100));
	else if (s < 1)
		(void)snprintf(out, HUMAN_MAX, "%llu ms", ms);
	else if (s < 60)
		(void)snprintf(out, HUMAN_MAX, "%llu.%llu s", s, ms % 1000 / 100);
	else if (s < 60 * 60)
		(void)snprintf(out, HUMAN_MAX, "%llu min %llu s", s / 60, s % 60);
	else
		(void)snprintf(out, HUMAN_MAX, "%llu h %llu min", s / 3600, s % 3600 / 60);
}

void human_age(uint64_t seconds, char out[HUMAN_MAX])
{
	static const struct {
		uint64_t seconds;
		char unit;
	} steps[] = { { 24 * 60 * 60, 'd' }, { 60 * 60, 'h' }, { 60, 'm' }, { 1, 's' } };
	size_t i = 0;

	while (i + 1 < ARRAY_LEN(steps) && seconds < steps[i].seconds)
		i++;
	(void)snprintf(out, HUMAN_MAX, "%llu%c", (unsigned long long)(seconds / steps[i].seconds),
		       steps[i].unit);
}

void human_time(uint64_t wall_ms, char out[HUMAN_MAX])
{
	const time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;

	out[0] = '\0';
	if (localtime_r(&seconds, &tm))
		(void)strftime(out, HUMAN_MAX, "%Y-%m-%d %H:%M:%S", &tm);
}
