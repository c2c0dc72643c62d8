/* report.h - what the user gets to see: results on stdout, everything else on stderr.
 *
 * Text that came from a guest or a daemon is stripped of control characters on its way to a
 * terminal.
 */
#pragma once

#include "base/err.h"
#include "base/id.h"
#include "options.h"
#include "proto/schema.h"

/* "banger: TEXT (op ULID)" and "  HINT"; as JSON with --json.  op, hint and step may be NULL. */
void report_error(const struct options *o, const struct err *e, const struct op_id *op,
		  const char *hint, const char *step);

/* "banger: TEXT", unless --quiet. */
void report_note(const struct options *o, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* In place: what could drive a terminal becomes "?", a line's end a blank. */
void report_clean(char *text);

/* One JSON value and a newline on stdout. */
int report_json(const struct schema *s, const void *obj, struct err *e) MUST_CHECK;

/* The same without the newline: an element of an array that the caller writes. */
int report_json_value(const struct schema *s, const void *obj, struct err *e) MUST_CHECK;

/* Flushes stdout; a full disk or a closed pipe turns success into STATUS_FAILED. */
int report_end(const struct options *o, int status);
