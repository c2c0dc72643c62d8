#include "image/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "image/job.h"

/* Ends the text of `len` bytes with a newline and writes it; control bytes would forge lines. */
static void line_write(char line[IMAGE_LINE_MAX], int len)
{
	size_t n = len < 0 ? 0 : (size_t)len;

	if (n > IMAGE_LINE_MAX - 1)
		n = IMAGE_LINE_MAX - 1;
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	}
	line[n++] = '\n';
	IGNORE(write(STDOUT_FILENO, line, n) < 0); /* nobody is left to be told */
}

void report_progress(const char *stage, uint64_t done, uint64_t total)
{
	static const char *last_stage;
	static uint64_t last_ms;
	static uint64_t last_done;
	struct timespec now;
	char line[IMAGE_LINE_MAX];

	clock_gettime(CLOCK_MONOTONIC, &now);
	const uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	const bool same = last_stage && strcmp(last_stage, stage) == 0;

	if (same && (done == last_done || (ms - last_ms < REPORT_PERIOD_MS && done != total)))
		return;
	last_stage = stage;
	last_ms = ms;
	last_done = done;
	line_write(line, snprintf(line, sizeof(line), "progress %s %" PRIu64 " %" PRIu64, stage,
				  done, total));
}

void report_result(const char *key, const char *fmt, ...)
{
	char value[IMAGE_LINE_MAX];
	char line[IMAGE_LINE_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	line_write(line, snprintf(line, sizeof(line), "result %s %s", key, value));
}

void report_error(const struct err *e)
{
	char line[IMAGE_LINE_MAX];

	line_write(line, snprintf(line, sizeof(line), "error %s %s", err_name(e->code), e->text));
}
