/* format.h - `--format`: how one row of a list is written.
 *
 *   "{{.Name}}\t{{.State}}"      a column of the table (in any case), or a field of the row's JSON
 *   "{{.spec.labels.tier}}"      by its path
 *   "table {{.Name}}\t{{.Age}}"  as a table with those columns
 *   "json"                       one JSON object a line
 *
 * \t and \n are what they are in C.  A name that is neither column nor field is refused before
 * anything is written.  Pure, but for what format_row() writes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/strv.h"
#include "proto/schema.h"
#include "table.h"

enum format_kind {
	FORMAT_NONE, /* the list's own table */
	FORMAT_JSON,
	FORMAT_TEXT,
	FORMAT_TABLE,
};

enum {
	FORMAT_PARTS_MAX = 2 * TABLE_COLUMNS_MAX,
};

/* Literal text, or what a placeholder names. */
struct format_part {
	bool field;
	int column; /* of the table; -1: by path */
	char *text; /* owned; literal, or the path */
};

struct format {
	enum format_kind kind;
	const struct column *columns; /* borrowed */
	uint32_t ncolumns;
	const struct schema *schema; /* of a row */
	struct format_part parts[FORMAT_PARTS_MAX];
	uint32_t nparts;
	struct column heads[TABLE_COLUMNS_MAX]; /* of FORMAT_TABLE */
	uint32_t nheads;
};

/* text NULL: FORMAT_NONE. */
int format_init(struct format *f, const char *text, const struct column *columns, uint32_t ncolumns,
		const struct schema *schema, struct err *e) MUST_CHECK;
void format_fini(struct format *f);

/* One line of FORMAT_TEXT; `cells` are the table's. */
int format_row(const struct format *f, const char *const *cells, const void *row, FILE *out,
	       struct err *e) MUST_CHECK;

/* The cells of a row of FORMAT_TABLE, one per head. */
int format_cells(const struct format *f, const char *const *cells, const void *row,
		 struct strv *ret_cells, struct err *e) MUST_CHECK;
