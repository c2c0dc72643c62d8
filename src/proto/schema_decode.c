/* schema_decode.c - one msgpack map into one struct.
 *
 * A field is looked for where the last one makes it likely (encoders write in the table's order),
 * else by name; a mask of the fields seen finds duplicates and what is missing.  Each kind has one
 * function in a table.  Depth of recursion is that of the schemas, never that of the bytes.  Where
 * we are is a chain of names on the stack, put into words only when something is wrong.
 */
#include "proto/schema.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "proto/cursor.h"
#include "proto/frame.h"
#include "proto/utf8.h"

enum {
	PATH_TEXT_MAX = 128, /* "spec.publish[3].host" */
	KEY_SHOWN_MAX = 40,  /* bytes of an unknown key that a message repeats */
};

struct place {
	const struct place *up;
	const char *name; /* NULL: an index */
	uint32_t index;
};

struct decoder {
	struct mp_cursor c;
	uint32_t elements; /* that skipped values may still announce */
	bool open;         /* unknown fields are skipped */
	struct err *e;
};

typedef int decode_kind(struct decoder *d, const struct place *at, const struct field *f,
			void *member);

static void place_text(const struct place *at, char out[PATH_TEXT_MAX])
{
	size_t used;

	if (!at) {
		out[0] = '\0';
		return;
	}
	place_text(at->up, out);
	used = strlen(out);
	if (at->name)
		(void)snprintf(out + used, PATH_TEXT_MAX - used, "%s%s", used ? "." : "", at->name);
	else
		(void)snprintf(out + used, PATH_TEXT_MAX - used, "[%u]", at->index);
}

static PRINTF_LIKE(3, 4) int refuse(struct decoder *d, const struct place *at, const char *fmt, ...)
{
	char path[PATH_TEXT_MAX];
	char text[ERR_TEXT_MAX];
	va_list ap;

	place_text(at, path);
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(d->e, ERR_BAD_REQUEST, "%s%s%s", path, path[0] ? ": " : "", text);
}

static int no_memory(struct decoder *d)
{
	return err_num(d->e, ERR_HOST_MEMORY, ENOMEM, "decode");
}

static int read_head(struct decoder *d, const struct place *at, struct mp_head *ret_head)
{
	const int rc = mp_read(&d->c, ret_head);

	if (rc < 0) {
		(void)refuse(d, at, "%s", d->c.why);
		if (d->e)
			d->e->code = ERR_BAD_FRAME;
	}
	return rc;
}

static int read_as(struct decoder *d, const struct place *at, enum mp_type type,
		   struct mp_head *ret_head)
{
	const int rc = read_head(d, at, ret_head);

	if (rc < 0)
		return rc;
	if (ret_head->type != type)
		return refuse(d, at, "must be %s, is %s", mp_type_name(type),
			      mp_type_name(ret_head->type));
	return 0;
}

/* ---- the kinds ---- */

static int decode_bool(struct decoder *d, const struct place *at, const struct field *f,
		       void *member)
{
	struct mp_head h;
	const int rc = read_as(d, at, MP_BOOL, &h);

	(void)f;
	if (rc == 0)
		*(bool *)member = h.u != 0;
	return rc;
}

static int decode_i32(struct decoder *d, const struct place *at, const struct field *f,
		      void *member)
{
	const bool bounded = f->min != 0 || f->max != 0;
	const int64_t lo = bounded ? (int64_t)f->min : INT32_MIN;
	const int64_t hi = bounded ? (int64_t)f->max : INT32_MAX;
	struct mp_head h;
	const int rc = read_head(d, at, &h);

	if (rc < 0)
		return rc;
	if (h.type != MP_UINT && h.type != MP_INT)
		return refuse(d, at, "must be a number, is %s", mp_type_name(h.type));
	if (h.type == MP_UINT && h.u > INT32_MAX)
		return refuse(d, at, "must be %ld..%ld, is %lu", lo, hi, h.u);
	const int64_t v = h.type == MP_UINT ? (int64_t)h.u : h.i;
	if (v < lo || v > hi)
		return refuse(d, at, "must be %ld..%ld, is %ld", lo, hi, v);
	*(int32_t *)member = (int32_t)v;
	return 0;
}

static int read_unsigned(struct decoder *d, const struct place *at, const struct field *f,
			 uint64_t type_max, uint64_t *ret_value)
{
	const uint64_t hi = f->max ? f->max : type_max;
	struct mp_head h;
	const int rc = read_head(d, at, &h);

	if (rc < 0)
		return rc;
	if (h.type == MP_INT)
		return refuse(d, at, "must be %lu..%lu, is %ld", f->min, hi, h.i);
	if (h.type != MP_UINT)
		return refuse(d, at, "must be a number, is %s", mp_type_name(h.type));
	if (h.u < f->min || h.u > hi)
		return refuse(d, at, "must be %lu..%lu, is %lu", f->min, hi, h.u);
	*ret_value = h.u;
	return 0;
}

static int decode_u32(struct decoder *d, const struct place *at, const struct field *f,
		      void *member)
{
	uint64_t v = 0;
	const int rc = read_unsigned(d, at, f, UINT32_MAX, &v);

	if (rc == 0)
		*(uint32_t *)member = (uint32_t)v;
	return rc;
}

static int decode_u64(struct decoder *d, const struct place *at, const struct field *f,
		      void *member)
{
	uint64_t v = 0;
	const int rc = read_unsigned(d, at, f, UINT64_MAX, &v);

	if (rc == 0)
		*(uint64_t *)member = v;
	return rc;
}

/* A str that is text: every string of ours ends up as a C string. */
static int read_text(struct decoder *d, const struct place *at, struct mp_head *ret_head)
{
	const int rc = read_as(d, at, MP_STR, ret_head);

	if (rc < 0)
		return rc;
	const size_t valid = utf8_valid(ret_head->data, ret_head->len);
	if (valid == ret_head->len)
		return 0;
	if (ret_head->data[valid] == '\0')
		return refuse(d, at, "holds a NUL");
	return refuse(d, at, "is not UTF-8 at byte %zu", valid);
}

static int decode_str(struct decoder *d, const struct place *at, const struct field *f,
		      void *member)
{
	struct mp_head h;
	const int rc = read_text(d, at, &h);

	if (rc < 0)
		return rc;
	if (h.len < f->min)
		return refuse(d, at, "must have %lu bytes or more, has %u", f->min, h.len);
	if (h.len >= f->size)
		return refuse(d, at, "must have %u bytes at most, has %u", f->size - 1U, h.len);
	memcpy(member, h.data, h.len); /* the rest is zero already */
	return 0;
}

static int read_bin(struct decoder *d, const struct place *at, const struct field *f,
		    struct mp_head *ret_head)
{
	const int rc = read_as(d, at, MP_BIN, ret_head);

	if (rc == 0 && ret_head->len > f->max)
		return refuse(d, at, "must have %lu bytes at most, has %u", f->max, ret_head->len);
	return rc;
}

static int decode_bytes(struct decoder *d, const struct place *at, const struct field *f,
			void *member)
{
	struct bytes *out = member;
	struct mp_head h;
	const int rc = read_bin(d, at, f, &h);

	if (rc < 0 || h.len == 0)
		return rc;
	out->data = malloc(h.len);
	if (!out->data)
		return no_memory(d);
	memcpy(out->data, h.data, h.len);
	out->len = h.len;
	return 0;
}

static int decode_span(struct decoder *d, const struct place *at, const struct field *f,
		       void *member)
{
	struct mp_head h;
	const int rc = read_bin(d, at, f, &h);

	if (rc == 0)
		*(struct wire_span *)member = (struct wire_span){ h.data, h.len };
	return rc;
}

static int skip(struct decoder *d, const struct place *at)
{
	const int rc = mp_skip(&d->c, &d->elements);

	if (rc < 0) {
		(void)refuse(d, at, "%s", d->c.why);
		if (d->e)
			d->e->code = ERR_BAD_FRAME;
	}
	return rc;
}

static int decode_map(struct decoder *d, const struct place *at, const struct field *f,
		      void *member)
{
	const uint8_t *const begin = d->c.at;
	struct mp_head h;
	int rc = read_as(d, at, MP_MAP, &h);

	(void)f;
	if (rc < 0)
		return rc;
	d->c.at = begin;
	rc = skip(d, at);
	if (rc == 0)
		*(struct wire_span *)member = (struct wire_span){ begin,
								  (size_t)(d->c.at - begin) };
	return rc;
}

static int decode_op_id(struct decoder *d, const struct place *at, const struct field *f,
			void *member)
{
	struct op_id id;
	struct mp_head h;
	const int rc = read_as(d, at, MP_BIN, &h);

	(void)f;
	if (rc < 0)
		return rc;
	if (h.len != OP_ID_BYTES)
		return refuse(d, at, "must have %d bytes, has %u", OP_ID_BYTES, h.len);
	memcpy(id.b, h.data, OP_ID_BYTES);
	if (op_id_is_zero(&id))
		return refuse(d, at, "must not be zero");
	*(struct op_id *)member = id;
	return 0;
}

static int decode_vm_id(struct decoder *d, const struct place *at, const struct field *f,
			void *member)
{
	char text[VM_ID_CHARS + 1] = "";
	struct mp_head h;
	vm_id id;
	const int rc = read_text(d, at, &h);

	(void)f;
	if (rc < 0)
		return rc;
	if (h.len == VM_ID_CHARS)
		memcpy(text, h.data, VM_ID_CHARS);
	if (vm_id_parse(text, &id) < 0 || id == 0)
		return refuse(d, at, "must be the %d characters of a VM's id", VM_ID_CHARS);
	*(vm_id *)member = id;
	return 0;
}

/* The head of an array or map whose length the field bounds. */
static int read_many(struct decoder *d, const struct place *at, const struct field *f,
		     enum mp_type type, struct mp_head *ret_head)
{
	const int rc = read_as(d, at, type, ret_head);

	if (rc == 0 && ret_head->len > f->max)
		return refuse(d, at, "must have %lu elements at most, has %u", f->max,
			      ret_head->len);
	return rc;
}

static int decode_strv(struct decoder *d, const struct place *at, const struct field *f,
		       void *member)
{
	struct mp_head h;
	int rc = read_many(d, at, f, MP_ARRAY, &h);

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < h.len; i++) {
		const struct place here = { .up = at, .index = i };
		struct mp_head item;

		rc = read_text(d, &here, &item);
		if (rc < 0)
			return rc;
		if (strv_add_bytes(member, (const char *)item.data, item.len) < 0)
			return no_memory(d);
	}
	return 0;
}

static int check_key(struct decoder *d, const struct place *at, const struct mp_head *key,
		     const struct strv *earlier)
{
	if (key->len == 0)
		return refuse(d, at, "has an empty name");
	if (memchr(key->data, '=', key->len))
		return refuse(d, at, "has a name with \"=\"");
	for (uint32_t i = 0; i < earlier->n; i++)
		if (strncmp(earlier->v[i], (const char *)key->data, key->len) == 0 &&
		    earlier->v[i][key->len] == '=')
			return refuse(d, at, "has a name given twice");
	return 0;
}

/* Quadratic in f->max, which is some hundreds at most. */
static int decode_pairs(struct decoder *d, const struct place *at, const struct field *f,
			void *member)
{
	struct strv *const out = member;
	struct mp_head h;
	int rc = read_many(d, at, f, MP_MAP, &h);

	for (uint32_t i = 0; rc == 0 && i < h.len; i++) {
		const struct place here = { .up = at, .index = i };
		struct mp_head key;
		struct mp_head value;

		rc = read_text(d, &here, &key);
		if (rc == 0)
			rc = check_key(d, &here, &key, out);
		if (rc == 0)
			rc = read_text(d, &here, &value);
		if (rc == 0 && strv_addf(out, "%.*s=%.*s", (int)key.len, (const char *)key.data,
					 (int)value.len, (const char *)value.data) < 0)
			rc = no_memory(d);
	}
	return rc;
}

static int decode_object(struct decoder *d, const struct place *at, const struct schema *s,
			 void *out);

static int decode_struct(struct decoder *d, const struct place *at, const struct field *f,
			 void *member)
{
	return decode_object(d, at, f->sub, member);
}

static int decode_list(struct decoder *d, const struct place *at, const struct field *f,
		       void *member)
{
	struct seq *const out = member;
	struct mp_head h;
	int rc = read_many(d, at, f, MP_ARRAY, &h);

	if (rc < 0 || h.len == 0)
		return rc;
	out->items = calloc(h.len, f->sub->size);
	if (!out->items)
		return no_memory(d);
	for (uint32_t i = 0; rc == 0 && i < h.len; i++) {
		const struct place here = { .up = at, .index = i };

		out->n = i + 1; /* schema_fini() releases a half-read one too */
		rc = decode_object(d, &here, f->sub, (char *)out->items + i * f->sub->size);
	}
	return rc;
}

static int decode_rows(struct decoder *d, const struct place *at, const struct field *f,
		       void *member)
{
	struct mp_head h;
	int rc = read_many(d, at, f, MP_ARRAY, &h);

	if (rc == 0 && h.len < f->min)
		return refuse(d, at, "must have %lu elements or more, has %u", f->min, h.len);
	for (uint32_t i = 0; rc == 0 && i < h.len; i++) {
		const struct place here = { .up = at, .index = i };

		*(uint32_t *)member = i + 1;
		rc = decode_object(d, &here, f->sub, rows_item(f, member, i));
	}
	return rc;
}

static decode_kind *const decode_kinds[] = {
	[FIELD_BOOL] = decode_bool,     [FIELD_I32] = decode_i32,     [FIELD_U32] = decode_u32,
	[FIELD_U64] = decode_u64,       [FIELD_STR] = decode_str,     [FIELD_TEXT] = decode_str,
	[FIELD_BYTES] = decode_bytes,   [FIELD_OP_ID] = decode_op_id, [FIELD_VM_ID] = decode_vm_id,
	[FIELD_STRV] = decode_strv,     [FIELD_PAIRS] = decode_pairs, [FIELD_SPAN] = decode_span,
	[FIELD_STRUCT] = decode_struct, [FIELD_LIST] = decode_list,   [FIELD_MAP] = decode_map,
	[FIELD_ROWS] = decode_rows,
};
static_assert(ARRAY_LEN(decode_kinds) == FIELD_NKINDS, "each kind can be decoded");

/* ---- a map ---- */

static bool key_is(const struct mp_head *key, const char *name, size_t len)
{
	return len == key->len && memcmp(name, key->data, len) == 0;
}

/* Its index, or nfields when it is unknown. */
static uint32_t field_find(const struct schema *s, const struct mp_head *key, uint32_t likely)
{
	if (likely < s->nfields && key_is(key, s->fields[likely].name, s->fields[likely].name_len))
		return likely;
	for (uint32_t i = 0; i < s->nfields; i++)
		if (key_is(key, s->fields[i].name, s->fields[i].name_len))
			return i;
	return s->nfields;
}

static int unknown_key(struct decoder *d, const struct place *at, const struct mp_head *key)
{
	char shown[KEY_SHOWN_MAX + 1];
	size_t n = 0;

	if (d->open)
		return skip(d, at);
	for (; n < key->len && n < KEY_SHOWN_MAX; n++)
		shown[n] = key->data[n] > ' ' && key->data[n] < 0x7f ? (char)key->data[n] : '?';
	shown[n] = '\0';
	return refuse(d, at, "unknown field \"%s\"", shown);
}

static int decode_tag(struct decoder *d, const struct place *at, const struct schema *s)
{
	const struct place here = { .up = at, .name = "type" };
	struct mp_head h;
	const int rc = read_text(d, &here, &h);

	if (rc == 0 && !key_is(&h, s->name, strlen(s->name)))
		return refuse(d, &here, "must be \"%s\"", s->name);
	return rc;
}

static int check_required(struct decoder *d, const struct place *at, const struct schema *s,
			  uint64_t seen, bool tag_seen)
{
	if (s->tagged && !tag_seen)
		return refuse(d, at, "type: missing");
	for (uint32_t i = 0; i < s->nfields; i++) {
		const struct place here = { .up = at, .name = s->fields[i].name };

		if (s->fields[i].required && !(seen & BIT(i)))
			return refuse(d, &here, "missing");
	}
	return 0;
}

static int decode_field(struct decoder *d, const struct place *at, const struct field *f,
			bool again, void *out)
{
	const struct place here = { .up = at, .name = f->name };

	if (again)
		return refuse(d, &here, "given twice");
	return decode_kinds[f->kind](d, &here, f, (char *)out + f->offset);
}

static int decode_entries(struct decoder *d, const struct place *at, const struct schema *s,
			  uint32_t pairs, void *out)
{
	bool tag_seen = false;
	uint64_t seen = 0;
	uint32_t likely = 0;
	int rc = 0;

	for (uint32_t n = 0; rc == 0 && n < pairs; n++) {
		struct mp_head key;

		rc = read_head(d, at, &key);
		if (rc < 0)
			break;
		if (key.type != MP_STR)
			return refuse(d, at, "the name of a field must be a string, is %s",
				      mp_type_name(key.type));
		const uint32_t i = field_find(s, &key, likely);
		if (i < s->nfields) {
			rc = decode_field(d, at, &s->fields[i], seen & BIT(i), out);
			seen |= BIT(i);
			likely = i + 1;
		} else if (s->tagged && key_is(&key, "type", 4)) {
			rc = tag_seen ? refuse(d, at, "type: given twice") : decode_tag(d, at, s);
			tag_seen = true;
		} else {
			rc = unknown_key(d, at, &key);
		}
	}
	return rc < 0 ? rc : check_required(d, at, s, seen, tag_seen);
}

static int decode_object(struct decoder *d, const struct place *at, const struct schema *s,
			 void *out)
{
	const bool outer_open = d->open;
	struct mp_head h;
	int rc;

	ASSERT(s->nfields <= SCHEMA_FIELDS_MAX);
	rc = read_as(d, at, MP_MAP, &h);
	if (rc < 0)
		return rc;
	d->open = outer_open || s->open;
	rc = decode_entries(d, at, s, h.len, out);
	d->open = outer_open;
	return rc;
}

int schema_decode(const struct schema *s, const uint8_t *data, size_t len, void *out, struct err *e)
{
	struct decoder d = {
		.c = { .at = data, .end = data + len },
		.elements = FRAME_ELEMENTS_MAX,
		.e = e,
	};
	int rc;

	memset(out, 0, s->size);
	rc = decode_object(&d, NULL, s, out);
	if (rc == 0 && d.c.at != d.c.end)
		rc = err_set(e, ERR_BAD_FRAME, "%zu bytes too many", (size_t)(d.c.end - d.c.at));
	if (rc < 0)
		schema_fini(s, out);
	return rc;
}
