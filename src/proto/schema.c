#include "proto/schema.h"

#include <stdlib.h>
#include <string.h>

enum {
	MALLOC_MIN = 32, /* bytes of glibc's smallest chunk on 64-bit machines */
};

static const void *item_at(const struct field *f, const struct seq *seq, uint32_t i)
{
	return (const char *)seq->items + i * f->sub->size;
}

void *rows_item(const struct field *f, void *member, uint32_t i)
{
	return (char *)member + sizeof(void *) + i * f->sub->size;
}

uint32_t rows_count(const void *member)
{
	return *(const uint32_t *)member;
}

static const void *row_at(const struct field *f, const void *member, uint32_t i)
{
	return (const char *)member + sizeof(void *) + i * f->sub->size;
}

static void fini_seq(const struct field *f, struct seq *seq)
{
	for (uint32_t i = 0; i < seq->n; i++)
		schema_fini(f->sub, (char *)seq->items + i * f->sub->size);
	free(seq->items);
}

static void fini_field(const struct field *f, void *member)
{
	/* Only what owns memory has anything to release. */
	if (f->kind == FIELD_BYTES)
		free(((struct bytes *)member)->data);
	else if (f->kind == FIELD_STRV || f->kind == FIELD_PAIRS)
		strv_fini(member);
	else if (f->kind == FIELD_STRUCT)
		schema_fini(f->sub, member);
	else if (f->kind == FIELD_LIST)
		fini_seq(f, member);
}

void schema_fini(const struct schema *s, void *obj)
{
	for (uint32_t i = 0; i < s->nfields; i++)
		fini_field(&s->fields[i], (char *)obj + s->fields[i].offset);
	memset(obj, 0, s->size);
}

static size_t owned_strv(const struct strv *v)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < v->n; i++)
		bytes += 2 * sizeof(char *) + MALLOC_MIN + strlen(v->v[i]);
	return bytes;
}

static size_t owned_seq(const struct field *f, const struct seq *seq)
{
	size_t bytes = seq->n * f->sub->size;

	for (uint32_t i = 0; i < seq->n; i++)
		bytes += schema_owned(f->sub, item_at(f, seq, i));
	return bytes;
}

size_t schema_owned(const struct schema *s, const void *obj)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < s->nfields; i++) {
		const struct field *f = &s->fields[i];
		const void *member = (const char *)obj + f->offset;

		if (f->kind == FIELD_BYTES)
			bytes += ((const struct bytes *)member)->len;
		else if (f->kind == FIELD_STRV || f->kind == FIELD_PAIRS)
			bytes += owned_strv(member);
		else if (f->kind == FIELD_STRUCT)
			bytes += schema_owned(f->sub, member);
		else if (f->kind == FIELD_LIST)
			bytes += owned_seq(f, member);
	}
	return bytes;
}

static bool bytes_equal(const void *a, size_t a_len, const void *b, size_t b_len)
{
	return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static bool strv_equal(const struct strv *a, const struct strv *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return true;
}

static bool seq_equal(const struct field *f, const struct seq *a, const struct seq *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (!schema_equal(f->sub, item_at(f, a, i), item_at(f, b, i)))
			return false;
	return true;
}

static bool rows_equal(const struct field *f, const void *a, const void *b)
{
	if (rows_count(a) != rows_count(b))
		return false;
	for (uint32_t i = 0; i < rows_count(a); i++)
		if (!schema_equal(f->sub, row_at(f, a, i), row_at(f, b, i)))
			return false;
	return true;
}

static bool span_equal(const struct wire_span *a, const struct wire_span *b)
{
	return bytes_equal(a->data, a->len, b->data, b->len);
}

static bool owned_equal(const struct bytes *a, const struct bytes *b)
{
	return bytes_equal(a->data, a->len, b->data, b->len);
}

static bool field_equal(const struct field *f, const void *a, const void *b)
{
	switch (f->kind) {
	case FIELD_BOOL:
	case FIELD_I32:
	case FIELD_U32:
	case FIELD_U64:
	case FIELD_OP_ID:
	case FIELD_VM_ID:
		return memcmp(a, b, f->size) == 0;
	case FIELD_STR:
	case FIELD_TEXT:
		return strncmp(a, b, f->size) == 0;
	case FIELD_BYTES:
		return owned_equal(a, b);
	case FIELD_STRV:
	case FIELD_PAIRS:
		return strv_equal(a, b);
	case FIELD_STRUCT:
		return schema_equal(f->sub, a, b);
	case FIELD_LIST:
		return seq_equal(f, a, b);
	case FIELD_ROWS:
		return rows_equal(f, a, b);
	case FIELD_SPAN:
	case FIELD_MAP:
		return span_equal(a, b);
	case FIELD_NKINDS:
		break;
	}
	return false;
}

bool schema_equal(const struct schema *s, const void *a, const void *b)
{
	for (uint32_t i = 0; i < s->nfields; i++) {
		const struct field *f = &s->fields[i];

		if (!field_equal(f, (const char *)a + f->offset, (const char *)b + f->offset))
			return false;
	}
	return true;
}
