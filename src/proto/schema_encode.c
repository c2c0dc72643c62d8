/* schema_encode.c - one struct into one msgpack map, by msgpack-c's packer.
 *
 * A map's length comes first, so the fields that will be written are counted before any is.
 */
#include "proto/schema.h"

#include <assert.h>
#include <errno.h>
#include <msgpack.h>
#include <string.h>

#include "base/assert.h"
#include "proto/utf8.h"

enum {
	FIXSTR = 0xa0,   /* first byte of a string of at most FIXSTR_MAX bytes, with its length */
	FIXSTR_MAX = 31, /* msgpack's specification, "str format family" */
};
static_assert((int)SCHEMA_NAME_MAX <= (int)FIXSTR_MAX, "names of fields are short strings");

typedef int encode_kind(msgpack_packer *pk, const struct field *f, const void *member);

static int append(void *to, const char *data, size_t len)
{
	return buf_append(to, data, len);
}

/* ---- the kinds: what is left out, and how it is written ---- */

static bool all_zero(const struct schema *s, const void *obj)
{
	for (uint32_t i = 0; i < s->nfields; i++)
		if (!field_is_zero(&s->fields[i], (const char *)obj + s->fields[i].offset))
			return false;
	return true;
}

bool field_is_zero(const struct field *f, const void *member)
{
	switch (f->kind) {
	case FIELD_BOOL:
		return !*(const bool *)member;
	case FIELD_I32:
		return *(const int32_t *)member == 0;
	case FIELD_U32:
		return *(const uint32_t *)member == 0;
	case FIELD_U64:
	case FIELD_VM_ID:
		return *(const uint64_t *)member == 0;
	case FIELD_STR:
	case FIELD_TEXT:
		return *(const char *)member == '\0';
	case FIELD_BYTES:
		return ((const struct bytes *)member)->len == 0;
	case FIELD_OP_ID:
		return op_id_is_zero(member);
	case FIELD_STRV:
	case FIELD_PAIRS:
		return ((const struct strv *)member)->n == 0;
	case FIELD_STRUCT:
		return all_zero(f->sub, member);
	case FIELD_LIST:
		return ((const struct seq *)member)->n == 0;
	case FIELD_ROWS:
		return rows_count(member) == 0;
	case FIELD_SPAN:
	case FIELD_MAP:
		return ((const struct wire_span *)member)->len == 0;
	case FIELD_NKINDS:
		break;
	}
	return true;
}

/* A short string by one append, and nearly all are short. */
static int pack_short(msgpack_packer *pk, const char *text, size_t len)
{
	struct buf *const out = pk->data;
	uint8_t *at;
	const int rc = buf_reserve(out, 1 + len, &at);

	if (rc < 0)
		return rc;
	at[0] = (uint8_t)(FIXSTR | len);
	memcpy(at + 1, text, len);
	buf_commit(out, 1 + len);
	return 0;
}

static int pack_str(msgpack_packer *pk, const char *text, size_t len)
{
	if (utf8_valid((const uint8_t *)text, len) != len)
		return -EILSEQ;
	return len <= FIXSTR_MAX ? pack_short(pk, text, len)
				 : msgpack_pack_str_with_body(pk, text, len);
}

static int encode_bool(msgpack_packer *pk, const struct field *f, const void *member)
{
	(void)f;
	return *(const bool *)member ? msgpack_pack_true(pk) : msgpack_pack_false(pk);
}

static int encode_i32(msgpack_packer *pk, const struct field *f, const void *member)
{
	(void)f;
	return msgpack_pack_int32(pk, *(const int32_t *)member);
}

static int encode_u32(msgpack_packer *pk, const struct field *f, const void *member)
{
	(void)f;
	return msgpack_pack_uint32(pk, *(const uint32_t *)member);
}

static int encode_u64(msgpack_packer *pk, const struct field *f, const void *member)
{
	(void)f;
	return msgpack_pack_uint64(pk, *(const uint64_t *)member);
}

static int encode_str(msgpack_packer *pk, const struct field *f, const void *member)
{
	return pack_str(pk, member, strnlen(member, f->size));
}

/* Texts hold what a guest, a file name or a tool said, and may have been cut within a character:
 * a reply must not be lost for that. */
static int encode_text(msgpack_packer *pk, const struct field *f, const void *member)
{
	const char *text = member;
	size_t left = strnlen(text, f->size);
	int rc = msgpack_pack_str(pk, left);

	while (rc == 0 && left > 0) {
		const size_t good = utf8_valid((const uint8_t *)text, left);

		rc = msgpack_pack_str_body(pk, text, good);
		if (rc == 0 && good < left)
			rc = msgpack_pack_str_body(pk, "?", 1);
		text += good < left ? good + 1 : good;
		left -= good < left ? good + 1 : good;
	}
	return rc;
}

static int encode_bytes(msgpack_packer *pk, const struct field *f, const void *member)
{
	const struct bytes *b = member;

	(void)f;
	return msgpack_pack_bin_with_body(pk, b->data, b->len);
}

static int encode_span(msgpack_packer *pk, const struct field *f, const void *member)
{
	const struct wire_span *b = member;

	(void)f;
	return msgpack_pack_bin_with_body(pk, b->data, b->len);
}

static int encode_map(msgpack_packer *pk, const struct field *f, const void *member)
{
	const struct wire_span *map = member;

	(void)f;
	if (map->len == 0)
		return msgpack_pack_map(pk, 0);
	return pk->callback(pk->data, (const char *)map->data, map->len);
}

static int encode_op_id(msgpack_packer *pk, const struct field *f, const void *member)
{
	const struct op_id *id = member;

	(void)f;
	return msgpack_pack_bin_with_body(pk, id->b, OP_ID_BYTES);
}

static int encode_vm_id(msgpack_packer *pk, const struct field *f, const void *member)
{
	char text[VM_ID_CHARS + 1];

	(void)f;
	vm_id_text(*(const vm_id *)member, text);
	return pack_short(pk, text, VM_ID_CHARS);
}

static int encode_strv(msgpack_packer *pk, const struct field *f, const void *member)
{
	const struct strv *s = member;
	int rc = msgpack_pack_array(pk, s->n);

	(void)f;
	for (uint32_t i = 0; rc == 0 && i < s->n; i++)
		rc = pack_str(pk, s->v[i], strlen(s->v[i]));
	return rc;
}

static int encode_pairs(msgpack_packer *pk, const struct field *f, const void *member)
{
	const struct strv *s = member;
	int rc = msgpack_pack_map(pk, s->n);

	(void)f;
	for (uint32_t i = 0; rc == 0 && i < s->n; i++) {
		const char *const equals = strchr(s->v[i], '=');

		if (!equals || equals == s->v[i])
			return -EINVAL;
		rc = pack_str(pk, s->v[i], (size_t)(equals - s->v[i]));
		if (rc == 0)
			rc = pack_str(pk, equals + 1, strlen(equals + 1));
	}
	return rc;
}

static int encode_object(msgpack_packer *pk, const struct schema *s, const void *obj);

static int encode_struct(msgpack_packer *pk, const struct field *f, const void *member)
{
	return encode_object(pk, f->sub, member);
}

static int encode_list(msgpack_packer *pk, const struct field *f, const void *member)
{
	const struct seq *seq = member;
	int rc = msgpack_pack_array(pk, seq->n);

	for (uint32_t i = 0; rc == 0 && i < seq->n; i++)
		rc = encode_object(pk, f->sub, (const char *)seq->items + i * f->sub->size);
	return rc;
}

static int encode_rows(msgpack_packer *pk, const struct field *f, const void *member)
{
	const struct seq seq = { rows_item(f, (void *)(uintptr_t)member, 0), rows_count(member) };

	return encode_list(pk, f, &seq);
}

static encode_kind *const encode_kinds[] = {
	[FIELD_BOOL] = encode_bool,     [FIELD_I32] = encode_i32,     [FIELD_U32] = encode_u32,
	[FIELD_U64] = encode_u64,       [FIELD_STR] = encode_str,     [FIELD_TEXT] = encode_text,
	[FIELD_BYTES] = encode_bytes,   [FIELD_OP_ID] = encode_op_id, [FIELD_VM_ID] = encode_vm_id,
	[FIELD_STRV] = encode_strv,     [FIELD_PAIRS] = encode_pairs, [FIELD_SPAN] = encode_span,
	[FIELD_STRUCT] = encode_struct, [FIELD_LIST] = encode_list,   [FIELD_MAP] = encode_map,
	[FIELD_ROWS] = encode_rows,
};
static_assert(ARRAY_LEN(encode_kinds) == FIELD_NKINDS, "each kind can be encoded");

/* ---- a map ---- */

static int encode_object(msgpack_packer *pk, const struct schema *s, const void *obj)
{
	uint64_t written = 0; /* mask of fields */
	uint32_t n = s->tagged ? 1 : 0;
	int rc;

	ASSERT(s->nfields <= SCHEMA_FIELDS_MAX);
	for (uint32_t i = 0; i < s->nfields; i++) {
		const struct field *f = &s->fields[i];

		if (f->required || !field_is_zero(f, (const char *)obj + f->offset)) {
			written |= BIT(i);
			n++;
		}
	}
	rc = msgpack_pack_map(pk, n);
	if (rc == 0 && s->tagged)
		rc = pack_short(pk, "type", 4);
	if (rc == 0 && s->tagged)
		rc = pack_short(pk, s->name, strlen(s->name));
	for (uint32_t i = 0; rc == 0 && i < s->nfields; i++) {
		const struct field *f = &s->fields[i];

		if (!(written & BIT(i)))
			continue;
		rc = pack_short(pk, f->name, f->name_len);
		if (rc == 0)
			rc = encode_kinds[f->kind](pk, f, (const char *)obj + f->offset);
	}
	return rc;
}

int schema_encode(const struct schema *s, const void *in, struct buf *out)
{
	const size_t before = buf_len(out);
	msgpack_packer pk;
	int rc;

	msgpack_packer_init(&pk, out, append);
	rc = encode_object(&pk, s, in);
	if (rc < 0)
		buf_truncate(out, before);
	return rc;
}
