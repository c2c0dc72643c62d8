/* table.h - columns of text that fit the terminal.
 *
 * On a terminal no line is ever wrapped: shrinkable columns are cut ("…") as far as they can be
 * read, then columns that can be done without are left out, then everything is cut that must be.
 * Into a pipe nothing is cut or left out.  The table owns copies of its cells, without control
 * characters.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/strv.h"

enum {
	TABLE_COLUMNS_MAX = 16,
	TABLE_SHRUNK_GOOD = 12, /* columns that a cut cell keeps while others can be left out */
};

struct column {
	const char *head;
	bool right;    /* numbers */
	bool shrink;   /* may be cut */
	unsigned drop; /* 0: always shown; else the greatest is left out first */
};

struct table {
	const struct column *columns; /* borrowed */
	uint32_t ncolumns;
	struct strv cells; /* row by row */
};

void table_init(struct table *t, const struct column *columns, uint32_t ncolumns);
void table_fini(struct table *t);

/* One row of ncolumns cells.  An empty cell shows as "-". */
int table_row(struct table *t, const char *const *cells, size_t n, struct err *e) MUST_CHECK;

/* width 0: as wide as it needs. */
void table_print(const struct table *t, FILE *out, unsigned width);

/* Columns that `text` takes: code points, which is right for all that we print. */
unsigned table_width(const char *text);
