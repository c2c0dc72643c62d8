/* table.h - columns of text that fit the terminal.
 *
 * On a terminal the widest shrinkable columns are cut ("…") until a line fits; into a pipe nothing
 * is ever cut.  The table owns copies of its cells.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/strv.h"

enum {
	TABLE_COLUMNS_MAX = 12,
	TABLE_SHRUNK_MIN = 6, /* columns that a cut cell keeps */
};

struct column {
	const char *head;
	bool right;  /* numbers */
	bool shrink; /* may be cut */
};

struct table {
	const struct column *columns; /* borrowed */
	uint32_t ncolumns;
	struct strv cells; /* row by row */
};

void table_init(struct table *t, const struct column *columns, uint32_t ncolumns);
void table_fini(struct table *t);

/* One cell; rows fill up from left to right.  An empty one shows as "-". */
int table_cell(struct table *t, const char *text) MUST_CHECK;

/* width 0: as wide as it needs. */
void table_print(const struct table *t, FILE *out, unsigned width);

/* Columns that `text` takes: code points, which is right for all that we print. */
unsigned table_width(const char *text);
