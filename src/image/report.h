/* report.h - the event lines of a job on stdout (their grammar is in job.h).
 *
 * A line is written at once, in one write(2).  stdout is a pipe to the daemon; when the daemon is
 * gone SIGPIPE ends us, which is what should happen.  Progress lines of one stage are thinned out
 * so that a fast job does not flood the daemon's loop.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

enum {
	REPORT_PERIOD_MS = 100, /* least time between two progress lines of one stage */
};

/* `stage` is a constant word. */
void report_progress(const char *stage, uint64_t done, uint64_t total);

/* Bytes of the value that would break the line are written as '?'. */
void report_result(const char *key, const char *fmt, ...) PRINTF_LIKE(2, 3);
void report_error(const struct err *e);
