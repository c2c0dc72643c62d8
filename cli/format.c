#include "format.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/suggest.h"
#include "proto/json.h"

enum {
	VALUE_MAX = 1 << 20, /* bytes of one field's text */
};

#define TABLE_WORD "table "

/* ---- reading the template ---- */

static int column_by_name(const struct format *f, const char *name)
{
	for (uint32_t i = 0; i < f->ncolumns; i++)
		if (strcasecmp(f->columns[i].head, name) == 0)
			return (int)i;
	return -1;
}

static int add_part(struct format *f, bool field, const char *text, size_t len, struct err *e)
{
	struct format_part part = { .field = field, .column = -1 };

	if (f->nparts == FORMAT_PARTS_MAX)
		return err_set(e, ERR_BAD_REQUEST, "--format: more than %d parts",
			       FORMAT_PARTS_MAX);
	part.text = strndup(text, len);
	if (!part.text)
		return err_set(e, ERR_HOST_MEMORY, "--format");
	f->parts[f->nparts++] = part;
	return 0;
}

static void lower(const char *text, char out[SUGGEST_WORD_MAX + 1])
{
	size_t i = 0;

	for (; i < SUGGEST_WORD_MAX && text[i]; i++)
		out[i] = (char)tolower((unsigned char)text[i]);
	out[i] = '\0';
}

static int unknown_field(const struct format *f, const char *name, struct err *e)
{
	char heads[TABLE_COLUMNS_MAX][SUGGEST_WORD_MAX + 1];
	char word[SUGGEST_WORD_MAX + 1];
	struct suggest near = { .word = word };

	lower(name, word);
	for (uint32_t i = 0; i < f->ncolumns; i++) {
		lower(f->columns[i].head, heads[i]);
		suggest_offer(&near, heads[i]);
	}
	for (uint32_t i = 0; i < f->schema->nfields; i++)
		suggest_offer(&near, f->schema->fields[i].name);
	if (near.best)
		return err_set(e, ERR_BAD_REQUEST,
			       "--format: no field \"%s\"; did you mean \"%s\"?", name, near.best);
	return err_set(e, ERR_BAD_REQUEST,
		       "--format: no field \"%s\"; see the table's heads and --json", name);
}

/* "{{.Name}}" at *at, which moves past it. */
static int field_read(struct format *f, const char **at, struct err *e)
{
	const char *begin = *at + 2;
	const char *end = strstr(begin, "}}");

	if (!end)
		return err_set(e, ERR_BAD_REQUEST, "--format: \"%.40s\" has no }}", *at);
	*at = end + 2;
	while (*begin == ' ')
		begin++;
	while (end > begin && end[-1] == ' ')
		end--;
	if (*begin != '.' || end - begin < 2)
		return err_set(e, ERR_BAD_REQUEST, "--format: {{%.*s}} is not {{.FIELD}}",
			       (int)(end - begin), begin);
	const int rc = add_part(f, true, begin + 1, (size_t)(end - begin) - 1, e);
	if (rc < 0)
		return rc;
	struct format_part *part = &f->parts[f->nparts - 1];

	part->column = column_by_name(f, part->text);
	if (part->column < 0 && !schema_has_path(f->schema, part->text))
		return unknown_field(f, part->text, e);
	return 0;
}

/* Literal text up to the next placeholder, its escapes undone. */
static int literal_read(struct format *f, const char **at, struct err *e)
{
	const char *end = strstr(*at, "{{");
	const size_t len = end ? (size_t)(end - *at) : strlen(*at);
	const int rc = add_part(f, false, *at, len, e);

	*at += len;
	if (rc < 0)
		return rc;
	char *to = f->parts[f->nparts - 1].text;

	for (const char *from = to; *from; from++) {
		if (from[0] == '\\' && (from[1] == 't' || from[1] == 'n' || from[1] == '\\')) {
			from++;
			*to++ = *from == 't' ? '\t' : *from == 'n' ? '\n' : '\\';
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
	return 0;
}

/* A table's columns are its fields; what stands between them says nothing. */
static int heads_make(struct format *f, struct err *e)
{
	for (uint32_t i = 0; i < f->nparts; i++) {
		const struct format_part *part = &f->parts[i];

		if (!part->field)
			continue;
		if (f->nheads == TABLE_COLUMNS_MAX)
			return err_set(e, ERR_BAD_REQUEST, "--format: more than %d columns",
				       TABLE_COLUMNS_MAX);
		f->heads[f->nheads++] = part->column >= 0 ? f->columns[part->column]
							  : (struct column){ .head = part->text,
									     .shrink = true };
	}
	if (f->nheads == 0)
		return err_set(e, ERR_BAD_REQUEST, "--format: a table of no field");
	return 0;
}

int format_init(struct format *f, const char *text, const struct column *columns, uint32_t ncolumns,
		const struct schema *schema, struct err *e)
{
	int rc = 0;

	*f = (struct format){ .columns = columns, .ncolumns = ncolumns, .schema = schema };
	if (!text)
		return 0;
	if (strcmp(text, "json") == 0) {
		f->kind = FORMAT_JSON;
		return 0;
	}
	f->kind = FORMAT_TEXT;
	if (strncmp(text, TABLE_WORD, strlen(TABLE_WORD)) == 0) {
		f->kind = FORMAT_TABLE;
		text += strlen(TABLE_WORD);
	}
	while (*text && rc == 0)
		rc = strncmp(text, "{{", 2) == 0 ? field_read(f, &text, e)
						 : literal_read(f, &text, e);
	if (rc == 0 && f->kind == FORMAT_TABLE)
		rc = heads_make(f, e);
	if (rc < 0)
		format_fini(f);
	return rc;
}

void format_fini(struct format *f)
{
	for (uint32_t i = 0; i < f->nparts; i++)
		free(f->parts[i].text);
	f->nparts = 0;
}

/* ---- writing rows ---- */

/* Appends what the placeholder stands for. */
static int part_text(const struct format *f, const struct format_part *part,
		     const char *const *cells, const void *row, struct buf *out)
{
	if (part->column >= 0)
		return buf_append(out, cells[part->column], strlen(cells[part->column]));
	return schema_json_path(f->schema, row, part->text, out);
}

int format_row(const struct format *f, const char *const *cells, const void *row, FILE *out,
	       struct err *e)
{
	struct buf line;
	int rc = 0;

	buf_init(&line, VALUE_MAX);
	for (uint32_t i = 0; i < f->nparts && rc == 0; i++) {
		const struct format_part *part = &f->parts[i];

		rc = part->field ? part_text(f, part, cells, row, &line)
				 : buf_append(&line, part->text, strlen(part->text));
	}
	if (rc < 0)
		rc = err_num(e, ERR_HOST_MEMORY, rc, "--format");
	else /* a write that fails is seen when stdout is flushed at the end */
		IGNORE(fwrite(buf_data(&line), 1, buf_len(&line), out) == 0 ||
		       fputc('\n', out) < 0);
	buf_fini(&line);
	return rc;
}

int format_cells(const struct format *f, const char *const *cells, const void *row,
		 struct strv *ret_cells, struct err *e)
{
	struct buf text;
	int rc = 0;

	buf_init(&text, VALUE_MAX);
	for (uint32_t i = 0; i < f->nparts && rc == 0; i++) {
		if (!f->parts[i].field)
			continue;
		buf_clear(&text);
		rc = part_text(f, &f->parts[i], cells, row, &text);
		if (rc == 0)
			rc = buf_append(&text, "", 1);
		if (rc == 0)
			rc = strv_add(ret_cells, (const char *)buf_data(&text));
	}
	buf_fini(&text);
	return rc < 0 ? err_num(e, ERR_HOST_MEMORY, rc, "--format") : 0;
}
