#include "rows.h"

#include <stdio.h>
#include <unistd.h>

#include "command.h"
#include "report.h"
#include "term.h"

int rows_init(struct rows *r, const struct options *o, const struct column *columns,
	      uint32_t ncolumns, const struct schema *schema)
{
	struct err e = { 0 };

	*r = (struct rows){ .o = o, .schema = schema };
	if (format_init(&r->format, o->format, columns, ncolumns, schema, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_USAGE;
	}
	if (r->format.kind == FORMAT_TABLE)
		table_init(&r->table, r->format.heads, r->format.nheads);
	else
		table_init(&r->table, columns, ncolumns);
	return STATUS_OK;
}

static int add_formatted(struct rows *r, const void *row, const char *const *cells, struct err *e)
{
	struct strv chosen = { 0 };
	int rc = format_cells(&r->format, cells, row, &chosen, e);

	if (rc == 0)
		rc = table_row(&r->table, (const char *const *)chosen.v, chosen.n, e);
	strv_fini(&chosen);
	return rc;
}

static int add_json(struct rows *r, const void *row, struct err *e)
{
	int rc;

	if (r->o->json)
		(void)fputs(r->n ? ",\n" : "[", stdout);
	rc = report_json_value(r->schema, row, e);
	if (!r->o->json)
		(void)fputc('\n', stdout);
	r->n++;
	return rc;
}

int rows_add(struct rows *r, const void *row, const char *key, const char *const *cells,
	     struct err *e)
{
	if (r->o->json || r->format.kind == FORMAT_JSON)
		return add_json(r, row, e);
	if (r->format.kind == FORMAT_TEXT)
		return format_row(&r->format, cells, row, stdout, e);
	if (r->format.kind == FORMAT_TABLE)
		return add_formatted(r, row, cells, e);
	if (!r->o->quiet)
		return table_row(&r->table, cells, r->table.ncolumns, e);
	(void)printf("%s\n", key);
	return 0;
}

void rows_print(struct rows *r, FILE *out, unsigned width)
{
	table_print(&r->table, out, width);
	table_fini(&r->table);
	format_fini(&r->format);
}

void rows_end(struct rows *r, bool failed)
{
	const bool table = r->format.kind == FORMAT_TABLE ||
			   (r->format.kind == FORMAT_NONE && !r->o->quiet);

	if (r->o->json)
		(void)fputs(r->n ? "]\n" : "[]\n", stdout);
	else if (table && !failed)
		table_print(&r->table, stdout, term_width(STDOUT_FILENO));
	table_fini(&r->table);
	format_fini(&r->format);
}
