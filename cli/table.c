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

int table_cell(struct table *t, const char *text)
{
	return strv_add(&t->cells, text[0] == '\0' ? "-" : text);
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

static unsigned line_width(const struct table *t, const unsigned *widths)
{
	unsigned sum = 0;

	for (uint32_t c = 0; c < t->ncolumns; c++)
		sum += widths[c] + (c > 0 ? GAP : 0);
	return sum;
}

/* Takes one column at a time from whichever shrinkable one is widest. */
static void fit(const struct table *t, unsigned *widths, unsigned limit)
{
	while (line_width(t, widths) > limit) {
		uint32_t widest = UINT32_MAX;

		for (uint32_t c = 0; c < t->ncolumns; c++)
			if (t->columns[c].shrink && widths[c] > TABLE_SHRUNK_MIN &&
			    (widest == UINT32_MAX || widths[c] > widths[widest]))
				widest = c;
		if (widest == UINT32_MAX)
			return; /* narrower than we can be: the terminal wraps */
		widths[widest]--;
	}
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

void table_print(const struct table *t, FILE *out, unsigned width)
{
	unsigned widths[TABLE_COLUMNS_MAX];

	measure(t, widths);
	if (width > 0)
		fit(t, widths, width);
	for (uint32_t c = 0; c < t->ncolumns; c++)
		put_cell(out, &t->columns[c], t->columns[c].head, widths[c], c + 1 == t->ncolumns);
	for (uint32_t i = 0; i < t->cells.n; i++) {
		const uint32_t c = i % t->ncolumns;

		put_cell(out, &t->columns[c], t->cells.v[i], widths[c], c + 1 == t->ncolumns);
	}
}
