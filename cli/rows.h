/* rows.h - a list, as it was asked for: a table, --format, --quiet or --json.
 *
 * One row at a time; a table is printed at the end, everything else at once.
 */
#pragma once

#include "format.h"
#include "options.h"
#include "table.h"

struct rows {
	const struct options *o; /* borrowed */
	const struct schema *schema;
	struct format format;
	struct table table;
	uint32_t n;
};

/* Reports a bad --format itself; the exit status. */
int rows_init(struct rows *r, const struct options *o, const struct column *columns,
	      uint32_t ncolumns, const struct schema *schema) MUST_CHECK;

/* `cells` of the list's table, `key` is what --quiet prints. */
int rows_add(struct rows *r, const void *row, const char *key, const char *const *cells,
	     struct err *e) MUST_CHECK;

/* Instead of rows_end(): the table alone, somewhere else. */
void rows_print(struct rows *r, FILE *out, unsigned width);

/* Prints what is left and releases everything.  `failed`: after an error that was reported. */
void rows_end(struct rows *r, bool failed);
