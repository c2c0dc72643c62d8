#include "table.h"

#include <string.h>

#include "base/assert.h"

enum {
	GAP = 2, /* blanks between columns */
};

void table_init(struct table *t, const struct column *columns, uint32_t ncolumns)
{
	ASSERT(ncolumns <= TABLE_COLUMNS_MAX);
	*t = (struct table){ .columns = columns, .ncolumns = ncolumns };
}

void table_fini(struct table *t)
{
	strv_fini(&t->cells);
}

/* What could drive a terminal becomes "?". */
static void clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

int table_row(struct table *t, const char *const *cells, size_t n, struct err *e)
{
	ASSERT(n == t->ncolumns);
	for (size_t i = 0; i < n; i++) {
		if (strv_add(&t->cells, cells[i][0] == '\0' ? "-" : cells[i]) < 0)
			return err_set(e, ERR_HOST_MEMORY, "table");
		clean(t->cells.v[t->cells.n - 1]);
	}
	return 0;
}

static bool continues(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

unsigned table_width(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += !continues(*text);
	return n;
}

static void measure(const struct table *t, unsigned widths[TABLE_COLUMNS_MAX])
{
	for (uint32_t c = 0; c < t->ncolumns; c++)
		widths[c] = table_width(t->columns[c].head);
	for (uint32_t i = 0; i < t->cells.n; i++) {
		const unsigned w = table_width(t->cells.v[i]);

		if (w > widths[i % t->ncolumns])
			widths[i % t->ncolumns] = w;
	}
}

enum {
	DROPPED = 0, /* width of a column that is left out; others have 1 at least */
	COLUMN_MIN = 1,
};

static unsigned line_width(const struct table *t, const unsigned *widths)
{
	unsigned sum = 0;

	for (uint32_t c = 0; c < t->ncolumns; c++)
		if (widths[c] != DROPPED)
			sum += widths[c] + (sum > 0 ? GAP : 0);
	return sum;
}

/* Takes one column at a time from whichever column is widest, of those that may lose some and have
 * more than `least`.  False when that is not enough. */
static bool cut(const struct table *t, unsigned *widths, unsigned limit, unsigned least,
		bool shrinkable)
{
	while (line_width(t, widths) > limit) {
		uint32_t widest = UINT32_MAX;

		for (uint32_t c = 0; c < t->ncolumns; c++)
			if ((t->columns[c].shrink || !shrinkable) && widths[c] > least &&
			    (widest == UINT32_MAX || widths[c] > widths[widest]))
				widest = c;
		if (widest == UINT32_MAX)
			return false;
		widths[widest]--;
	}
	return true;
}

static bool drop_one(const struct table *t, unsigned *widths)
{
	uint32_t first = UINT32_MAX;

	for (uint32_t c = 0; c < t->ncolumns; c++)
		if (widths[c] != DROPPED && t->columns[c].drop > 0 &&
		    (first == UINT32_MAX || t->columns[c].drop > t->columns[first].drop))
			first = c;
	if (first == UINT32_MAX)
		return false;
	widths[first] = DROPPED;
	return true;
}

static void fit(const struct table *t, unsigned *widths, unsigned limit)
{
	unsigned full[TABLE_COLUMNS_MAX];

	memcpy(full, widths, sizeof(full));
	while (!cut(t, widths, limit, TABLE_SHRUNK_GOOD, true) && drop_one(t, full))
		memcpy(widths, full, sizeof(full)); /* what was left out gives room to the others */
	(void)(cut(t, widths, limit, TABLE_SHRUNK_GOOD / 2, true) ||
	       cut(t, widths, limit, COLUMN_MIN, false));
}

/* The first `columns` code points. */
static void put_cut(FILE *out, const char *text, unsigned columns)
{
	while (*text && (columns > 0 || continues(*text))) {
		columns -= !continues(*text);
		(void)fputc(*text++, out);
	}
}

static void put_cell(FILE *out, const struct column *column, const char *text, unsigned width,
		     bool last)
{
	const unsigned w = table_width(text);
	const unsigned pad = w < width ? width - w : 0;

	if (column->right)
		(void)fprintf(out, "%*s", (int)pad, "");
	if (w > width) {
		put_cut(out, text, width - 1);
		(void)fputs("…", out);
	} else {
		(void)fputs(text, out);
	}
	if (!column->right && !last)
		(void)fprintf(out, "%*s", (int)pad, "");
	(void)fputs(last ? "\n" : "  ", out);
}

static void put_row(const struct table *t, FILE *out, const unsigned *widths, uint32_t last,
		    const char *const *cells)
{
	for (uint32_t c = 0; c <= last; c++)
		if (widths[c] != DROPPED)
			put_cell(out, &t->columns[c], cells[c], widths[c], c == last);
}

void table_print(const struct table *t, FILE *out, unsigned width)
{
	const char *heads[TABLE_COLUMNS_MAX];
	unsigned widths[TABLE_COLUMNS_MAX] = { 0 };
	uint32_t last = 0;

	measure(t, widths);
	if (width > 0)
		fit(t, widths, width);
	for (uint32_t c = 0; c < t->ncolumns; c++) {
		heads[c] = t->columns[c].head;
		if (widths[c] != DROPPED)
			last = c;
	}
	put_row(t, out, widths, last, heads);
	for (uint32_t i = 0; i < t->cells.n; i += t->ncolumns)
		put_row(t, out, widths, last, (const char *const *)t->cells.v + i);
}
