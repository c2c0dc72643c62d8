#include "proto/json.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "proto/utf8.h"

enum {
	NUMBER_MAX = 24, /* characters of a number, with its NUL */
	INDENT = 2,
};

/* The first failure is kept and everything after it is a no-op, so that the code below can say what
 * to write without a check per comma. */
struct writer {
	struct buf *out;
	bool pretty;
	unsigned depth;
	int rc;
};

static void put(struct writer *w, const char *text, size_t len)
{
	if (w->rc == 0)
		w->rc = buf_append(w->out, text, len);
}

static void puts_at(struct writer *w, const char *text)
{
	put(w, text, strlen(text));
}

static void newline(struct writer *w)
{
	if (!w->pretty)
		return;
	put(w, "\n", 1);
	for (unsigned i = 0; i < w->depth * INDENT; i++)
		put(w, " ", 1);
}

static void open_with(struct writer *w, const char *bracket)
{
	puts_at(w, bracket);
	w->depth++;
}

/* Before each member or element: a comma but for the first. */
static void next(struct writer *w, bool first)
{
	if (!first)
		put(w, ",", 1);
	newline(w);
}

static void close_with(struct writer *w, const char *bracket, bool empty)
{
	w->depth--;
	if (!empty)
		newline(w);
	puts_at(w, bracket);
}

/* RFC 8259 section 7: the quote, the backslash and control characters are escaped. */
static void put_char(struct writer *w, const char *c)
{
	const unsigned char u = (unsigned char)*c;
	char escape[8];

	if (u == '"' || u == '\\') {
		put(w, "\\", 1);
		put(w, c, 1);
	} else if (u == '\n') {
		puts_at(w, "\\n");
	} else if (u == '\t') {
		puts_at(w, "\\t");
	} else if (u < 0x20 || u == 0x7f) {
		(void)snprintf(escape, sizeof(escape), "\\u%04x", u);
		puts_at(w, escape);
	} else {
		put(w, c, 1);
	}
}

static void put_string(struct writer *w, const char *text, size_t len)
{
	put(w, "\"", 1);
	while (len > 0) {
		const size_t good = utf8_valid((const uint8_t *)text, len);

		for (size_t i = 0; i < good; i++)
			put_char(w, text + i);
		if (good == len)
			break;
		put(w, "?", 1);
		text += good + 1;
		len -= good + 1;
	}
	put(w, "\"", 1);
}

static void put_name(struct writer *w, const char *name, size_t len)
{
	put_string(w, name, len);
	puts_at(w, w->pretty ? ": " : ":");
}

static void put_base64(struct writer *w, const uint8_t *data, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	put(w, "\"", 1);
	for (size_t i = 0; i < len; i += 3) {
		const size_t n = len - i < 3 ? len - i : 3;
		const unsigned v = (unsigned)data[i] << 16 |
				   (n > 1 ? (unsigned)data[i + 1] << 8 : 0) |
				   (n > 2 ? (unsigned)data[i + 2] : 0);
		const char four[4] = {
			digits[v >> 18],
			digits[v >> 12 & 63],
			n > 1 ? digits[v >> 6 & 63] : '=',
			n > 2 ? digits[v & 63] : '=',
		};

		put(w, four, sizeof(four));
	}
	put(w, "\"", 1);
}

static void put_unsigned(struct writer *w, uint64_t v)
{
	char text[NUMBER_MAX];

	(void)snprintf(text, sizeof(text), "%" PRIu64, v);
	puts_at(w, text);
}

static void put_signed(struct writer *w, int32_t v)
{
	char text[NUMBER_MAX];

	(void)snprintf(text, sizeof(text), "%" PRId32, v);
	puts_at(w, text);
}

static void put_op_id(struct writer *w, const struct op_id *id)
{
	char text[OP_ID_CHARS + 1] = "";

	if (!op_id_is_zero(id))
		op_id_text(id, text);
	put_string(w, text, strlen(text));
}

static void put_vm_id(struct writer *w, vm_id id)
{
	char text[VM_ID_CHARS + 1] = "";

	if (id != 0)
		vm_id_text(id, text);
	put_string(w, text, strlen(text));
}

static void put_strv(struct writer *w, const struct strv *s)
{
	open_with(w, "[");
	for (uint32_t i = 0; i < s->n; i++) {
		next(w, i == 0);
		put_string(w, s->v[i], strlen(s->v[i]));
	}
	close_with(w, "]", s->n == 0);
}

static void put_pairs(struct writer *w, const struct strv *s)
{
	open_with(w, "{");
	for (uint32_t i = 0; i < s->n; i++) {
		const size_t name = strcspn(s->v[i], "=");
		const char *const value = s->v[i] + name + (s->v[i][name] == '=' ? 1 : 0);

		next(w, i == 0);
		put_name(w, s->v[i], name);
		put_string(w, value, strlen(value));
	}
	close_with(w, "}", s->n == 0);
}

static void put_object(struct writer *w, const struct schema *s, const void *obj);

static void put_list(struct writer *w, const struct schema *s, const struct seq *seq)
{
	open_with(w, "[");
	for (uint32_t i = 0; i < seq->n; i++) {
		next(w, i == 0);
		put_object(w, s, (const char *)seq->items + i * s->size);
	}
	close_with(w, "]", seq->n == 0);
}

static void put_rows(struct writer *w, const struct field *f, const void *member)
{
	const struct seq seq = { rows_item(f, (void *)(uintptr_t)member, 0), rows_count(member) };

	put_list(w, f->sub, &seq);
}

static void put_bytes(struct writer *w, const struct bytes *b)
{
	put_base64(w, b->data, b->len);
}

static void put_span(struct writer *w, const struct wire_span *b)
{
	put_base64(w, b->data, b->len);
}

static void put_field(struct writer *w, const struct field *f, const void *member)
{
	switch (f->kind) {
	case FIELD_BOOL:
		puts_at(w, *(const bool *)member ? "true" : "false");
		break;
	case FIELD_I32:
		put_signed(w, *(const int32_t *)member);
		break;
	case FIELD_U32:
		put_unsigned(w, *(const uint32_t *)member);
		break;
	case FIELD_U64:
		put_unsigned(w, *(const uint64_t *)member);
		break;
	case FIELD_STR:
	case FIELD_TEXT:
		put_string(w, member, strnlen(member, f->size));
		break;
	case FIELD_BYTES:
		put_bytes(w, member);
		break;
	case FIELD_OP_ID:
		put_op_id(w, member);
		break;
	case FIELD_VM_ID:
		put_vm_id(w, *(const vm_id *)member);
		break;
	case FIELD_STRV:
		put_strv(w, member);
		break;
	case FIELD_PAIRS:
		put_pairs(w, member);
		break;
	case FIELD_STRUCT:
		put_object(w, f->sub, member);
		break;
	case FIELD_LIST:
		put_list(w, f->sub, member);
		break;
	case FIELD_ROWS:
		put_rows(w, f, member);
		break;
	case FIELD_SPAN:
	case FIELD_MAP:
		put_span(w, member);
		break;
	case FIELD_NKINDS:
		break;
	}
}

static void put_object(struct writer *w, const struct schema *s, const void *obj)
{
	bool first = true;

	open_with(w, "{");
	for (uint32_t i = 0; i < s->nfields; i++) {
		const struct field *f = &s->fields[i];
		const void *member = (const char *)obj + f->offset;

		if (f->kind == FIELD_STRUCT && !f->required && field_is_zero(f, member))
			continue;
		next(w, first);
		first = false;
		put_name(w, f->name, strlen(f->name));
		put_field(w, f, member);
	}
	close_with(w, "}", first);
}

int schema_json(const struct schema *s, const void *obj, struct buf *out, bool pretty)
{
	const size_t before = buf_len(out);
	struct writer w = { .out = out, .pretty = pretty };

	put_object(&w, s, obj);
	if (w.rc < 0)
		buf_truncate(out, before);
	return w.rc;
}

/* ---- one field ---- */

/* The field that the first word of the path names; *path moves behind it and its dot. */
static const struct field *path_step(const struct schema *s, const char **path)
{
	const size_t len = strcspn(*path, ".");

	for (uint32_t i = 0; i < s->nfields; i++) {
		const struct field *f = &s->fields[i];

		if (strlen(f->name) != len || strncmp(f->name, *path, len) != 0)
			continue;
		*path += len + ((*path)[len] == '.' ? 1 : 0);
		return f;
	}
	return NULL;
}

/* The last field of the path, with its schema's object; *path is then a key, or "". */
static const struct field *path_walk(const struct schema *s, const void **obj, const char **path)
{
	const struct field *f = path_step(s, path);

	while (f && f->kind == FIELD_STRUCT && **path) {
		if (*obj)
			*obj = (const char *)*obj + f->offset;
		f = path_step(f->sub, path);
	}
	return f && (**path == '\0' || f->kind == FIELD_PAIRS) ? f : NULL;
}

bool schema_has_path(const struct schema *s, const char *path)
{
	const void *nothing = NULL;

	return path_walk(s, &nothing, &path) != NULL;
}

static int put_bare(struct buf *out, const char *text)
{
	return buf_append(out, text, strlen(text));
}

int schema_json_path(const struct schema *s, const void *obj, const char *path, struct buf *out)
{
	const size_t before = buf_len(out);
	const struct field *f = path_walk(s, &obj, &path);
	struct writer w = { .out = out };

	ASSERT(f);
	const void *member = (const char *)obj + f->offset;
	char id[OP_ID_CHARS + 1] = "";

	switch (f->kind) {
	case FIELD_STR:
	case FIELD_TEXT:
		return put_bare(out, member);
	case FIELD_OP_ID:
		if (!op_id_is_zero(member))
			op_id_text(member, id);
		return put_bare(out, id);
	case FIELD_VM_ID:
		if (*(const vm_id *)member)
			vm_id_text(*(const vm_id *)member, id);
		return put_bare(out, id);
	case FIELD_PAIRS:
		if (*path) {
			const char *value = strv_value(member, path);

			return put_bare(out, value ? value : "");
		}
		break;
	case FIELD_BOOL:
	case FIELD_I32:
	case FIELD_U32:
	case FIELD_U64:
	case FIELD_BYTES:
	case FIELD_STRV:
	case FIELD_STRUCT:
	case FIELD_LIST:
	case FIELD_ROWS:
	case FIELD_SPAN:
	case FIELD_MAP:
	case FIELD_NKINDS:
		break;
	}
	put_field(&w, f, member);
	if (w.rc < 0)
		buf_truncate(out, before);
	return w.rc;
}
