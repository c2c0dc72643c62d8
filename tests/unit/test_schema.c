/* test_schema.c - maps into structs and back, and what is refused on the way in.
 *
 * The bytes are written by hand, so that no encoder vouches for the decoder.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/client.h"
#include "proto/json.h"
#include "proto/schema.h"

struct point {
	uint32_t x;
	uint32_t y;
};

struct place {
	char name[8];
	struct wire_span data;
};

struct all {
	bool flag;
	int32_t i32;
	uint32_t u32;
	uint64_t u64;
	char str[8];
	char text[8];
	struct bytes bytes;
	struct op_id op;
	vm_id vm;
	struct strv strv;
	struct strv pairs;
	struct point point;
	struct seq points;
	ROWS_OF(struct place, 2) rows;
};

static const struct field point_fields[] = {
	FIELD(struct point, x, FIELD_U32, true, 0, 0, ""),
	FIELD(struct point, y, FIELD_U32, false, 1, 9, ""),
};
static const struct schema point_schema = SCHEMA("point", struct point, point_fields);

static const struct field place_fields[] = {
	FIELD(struct place, name, FIELD_STR, true, 1, 0, ""),
	FIELD(struct place, data, FIELD_SPAN, false, 0, 4, ""),
};
static const struct schema place_schema = SCHEMA("place", struct place, place_fields);

static const struct field all_fields[] = {
	FIELD(struct all, flag, FIELD_BOOL, false, 0, 0, ""),
	FIELD(struct all, i32, FIELD_I32, false, 0, 0, ""),
	FIELD(struct all, u32, FIELD_U32, false, 1, 64, ""),
	FIELD(struct all, u64, FIELD_U64, false, 0, 0, ""),
	FIELD(struct all, str, FIELD_STR, false, 2, 0, ""),
	FIELD(struct all, text, FIELD_TEXT, false, 0, 0, ""),
	FIELD(struct all, bytes, FIELD_BYTES, false, 0, 4, ""),
	FIELD(struct all, op, FIELD_OP_ID, false, 0, 0, ""),
	FIELD(struct all, vm, FIELD_VM_ID, false, 0, 0, ""),
	FIELD(struct all, strv, FIELD_STRV, false, 0, 3, ""),
	FIELD(struct all, pairs, FIELD_PAIRS, false, 0, 3, ""),
	FIELD_SUB(struct all, point, FIELD_STRUCT, false, 0, 0, &point_schema, ""),
	FIELD_SUB(struct all, points, FIELD_LIST, false, 0, 3, &point_schema, ""),
	FIELD_SUB(struct all, rows, FIELD_ROWS, false, 0, 2, &place_schema, ""),
};
static const struct schema all_schema = SCHEMA("all", struct all, all_fields);
static const struct schema open_schema = SCHEMA_OPEN("open", struct all, all_fields);

/* Bytes of a string literal, without its NUL. */
#define BYTES(literal) (const uint8_t *)(literal), sizeof(literal) - 1

static void refused(enum err_code code, const char *message, const uint8_t *data, size_t len)
{
	struct err e = { 0 };
	struct all out;

	cr_assert_lt(schema_decode(&all_schema, data, len, &out, &e), 0, "not: %s", message);
	cr_assert_str_eq(e.text, message);
	cr_assert_eq(e.code, code, "%s", e.text);
}

#define REFUSED(code, message, literal) refused(code, message, BYTES(literal))

static struct all decode(const uint8_t *data, size_t len)
{
	struct err e = { 0 };
	struct all out;

	cr_assert_eq(schema_decode(&all_schema, data, len, &out, &e), 0, "%s", e.text);
	return out;
}

/* A struct with something in every field; `bytes` must outlive nothing: all is owned. */
static struct all full(void)
{
	struct all a = { .flag = true,
			 .i32 = -5,
			 .u32 = 64,
			 .u64 = UINT64_MAX,
			 .str = "a\xc3\xa9",
			 .text = "why",
			 .vm = 7,
			 .point = { 1, 2 } };
	struct point *points = calloc(2, sizeof(*points));

	a.op.b[3] = 9;
	a.bytes = (struct bytes){ malloc(2), 2 };
	memcpy(a.bytes.data, "\0\xff", 2);
	cr_assert_eq(strv_add(&a.strv, "one"), 0);
	cr_assert_eq(strv_add(&a.strv, ""), 0);
	cr_assert_eq(strv_add(&a.pairs, "k=v=w"), 0);
	points[0].x = 3;
	points[1] = (struct point){ 4, 9 };
	a.points = (struct seq){ points, 2 };
	a.rows.n = 2;
	a.rows.items[0] = (struct place){ .name = "here", .data = { (const uint8_t *)"\0\1", 2 } };
	a.rows.items[1] = (struct place){ .name = "there" };
	return a;
}

Test(schema, every_kind_survives_the_round_trip)
{
	struct all a = full();
	struct buf b;

	buf_init(&b, 4096);
	cr_assert_eq(schema_encode(&all_schema, &a, &b), 0);
	struct all back = decode(buf_data(&b), buf_len(&b));
	cr_assert(schema_equal(&all_schema, &a, &back));
	back.points.n = 1;
	cr_assert_not(schema_equal(&all_schema, &a, &back));
	back.points.n = 2;
	back.rows.n = 1;
	cr_assert_not(schema_equal(&all_schema, &a, &back));
	back.rows.n = 2;
	back.rows.items[1].name[0] = 'w';
	cr_assert_not(schema_equal(&all_schema, &a, &back));
	schema_fini(&all_schema, &a);
	schema_fini(&all_schema, &back);
	cr_assert_null(back.points.items);
	buf_fini(&b);
}

Test(schema, zero_fields_are_left_out_unless_required)
{
	const struct all zero = { 0 };
	const struct point origin = { 0 };
	struct buf b;

	buf_init(&b, 100);
	cr_assert_eq(schema_encode(&all_schema, &zero, &b), 0);
	cr_assert_eq(buf_len(&b), 1);
	cr_assert_eq(schema_encode(&point_schema, &origin, &b), 0);
	cr_assert_eq(buf_len(&b), 5);
	cr_assert_eq(memcmp(buf_data(&b), "\x80\x81\xa1x\x00", 5), 0);
	buf_fini(&b);
}

Test(schema, fields_come_in_any_order_and_any_width)
{
	struct all a = decode(BYTES("\x83\xa3u32\xcf\0\0\0\0\0\0\0\x40\xa4"
				    "flag\xc3\xda\0\x03i32\xd3\xff\xff\xff\xff\x80\0\0\0"));

	cr_assert(a.flag);
	cr_assert_eq(a.u32, 64);
	cr_assert_eq(a.i32, INT32_MIN);
	a = decode(BYTES("\x81\xa3i32\xd0\x05"));
	cr_assert_eq(a.i32, 5, "a positive value in a signed format");
}

Test(schema, errors_name_the_field_and_the_bound)
{
	REFUSED(ERR_BAD_REQUEST, "u32: must be 1..64, is 900", "\x81\xa3u32\xcd\x03\x84");
	REFUSED(ERR_BAD_REQUEST, "u32: must be 1..64, is 0", "\x81\xa3u32\x00");
	REFUSED(ERR_BAD_REQUEST, "u32: must be 1..64, is -1", "\x81\xa3u32\xff");
	REFUSED(ERR_BAD_REQUEST, "i32: must be -2147483648..2147483647, is 2147483648",
		"\x81\xa3i32\xce\x80\0\0\0");
	REFUSED(ERR_BAD_REQUEST, "i32: must be -2147483648..2147483647, is -2147483649",
		"\x81\xa3i32\xd3\xff\xff\xff\xff\x7f\xff\xff\xff");
	REFUSED(ERR_BAD_REQUEST, "unknown field \"colour\"",
		"\x81\xa6"
		"colour\xc0");
	REFUSED(ERR_BAD_REQUEST, "unknown field \"a?b?\"",
		"\x81\xa4"
		"a\nb\xff\xc0");
	REFUSED(ERR_BAD_REQUEST, "point.x: missing", "\x81\xa5point\x80");
	REFUSED(ERR_BAD_REQUEST, "points[1].y: must be 1..9, is 10",
		"\x81\xa6points\x92\x81\xa1x\x01\x82\xa1x\x01\xa1y\x0a");
	REFUSED(ERR_BAD_REQUEST, "point: unknown field \"z\"", "\x81\xa5point\x82\xa1x\x01\xa1z\0");
	REFUSED(ERR_BAD_REQUEST, "flag: given twice",
		"\x82\xa4"
		"flag\xc3\xa4"
		"flag\xc2");
	REFUSED(ERR_BAD_REQUEST, "the name of a field must be a string, is a number", "\x81\0\0");
}

Test(schema, wrong_types_are_refused)
{
	REFUSED(ERR_BAD_REQUEST, "flag: must be a boolean, is a number",
		"\x81\xa4"
		"flag\x01");
	REFUSED(ERR_BAD_REQUEST, "u32: must be a number, is a float", "\x81\xa3u32\xca\0\0\0\0");
	REFUSED(ERR_BAD_REQUEST, "i32: must be a number, is nil", "\x81\xa3i32\xc0");
	REFUSED(ERR_BAD_REQUEST, "str: must be a string, is bytes", "\x81\xa3str\xc4\x02hi");
	REFUSED(ERR_BAD_REQUEST, "bytes: must be bytes, is a string",
		"\x81\xa5"
		"bytes\xa1x");
	REFUSED(ERR_BAD_REQUEST, "strv: must be an array, is a map", "\x81\xa4strv\x80");
	REFUSED(ERR_BAD_REQUEST, "strv[0]: must be a string, is a number", "\x81\xa4strv\x91\x05");
	REFUSED(ERR_BAD_REQUEST, "pairs: must be a map, is an array", "\x81\xa5pairs\x90");
	REFUSED(ERR_BAD_REQUEST, "point: must be a map, is an array", "\x81\xa5point\x90");
	REFUSED(ERR_BAD_REQUEST, "must be a map, is an array", "\x90");
}

Test(schema, strings_are_text_within_their_bounds)
{
	REFUSED(ERR_BAD_REQUEST, "str: must have 2 bytes or more, has 1", "\x81\xa3str\xa1x");
	REFUSED(ERR_BAD_REQUEST, "str: must have 7 bytes at most, has 8",
		"\x81\xa3str\xa8"
		"12345678");
	REFUSED(ERR_BAD_REQUEST, "str: holds a NUL",
		"\x81\xa3str\xa3"
		"a\0b");
	REFUSED(ERR_BAD_REQUEST, "str: is not UTF-8 at byte 1",
		"\x81\xa3str\xa2"
		"a\xff");
	REFUSED(ERR_BAD_REQUEST, "str: is not UTF-8 at byte 0", "\x81\xa3str\xa2\xc0\x80");
	REFUSED(ERR_BAD_REQUEST, "str: is not UTF-8 at byte 0", "\x81\xa3str\xa3\xed\xa0\x80");
	REFUSED(ERR_BAD_REQUEST, "str: is not UTF-8 at byte 0", "\x81\xa3str\xa4\xf4\x90\x80\x80");
	REFUSED(ERR_BAD_REQUEST, "str: is not UTF-8 at byte 0", "\x81\xa3str\xa2\xe2\x82");
	REFUSED(ERR_BAD_REQUEST, "strv[0]: is not UTF-8 at byte 9",
		"\x81\xa4strv\x91\xaa"
		"123456789\xff");
	struct all a = decode(BYTES("\x81\xa3str\xa7\xf0\x9f\x98\x80\xe2\x82\xac"));
	cr_assert_str_eq(a.str, "\xf0\x9f\x98\x80\xe2\x82\xac");
}

Test(schema, ids_are_whole_and_not_zero)
{
	REFUSED(ERR_BAD_REQUEST, "op: must have 16 bytes, has 2", "\x81\xa2op\xc4\x02hi");
	REFUSED(ERR_BAD_REQUEST, "op: must not be zero",
		"\x81\xa2op\xc4\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
	REFUSED(ERR_BAD_REQUEST, "vm: must be the 12 characters of a VM's id",
		"\x81\xa2vm\xac"
		"000000000000");
	REFUSED(ERR_BAD_REQUEST, "vm: must be the 12 characters of a VM's id",
		"\x81\xa2vm\xa1"
		"1");
}

Test(schema, counts_are_bounded)
{
	REFUSED(ERR_BAD_REQUEST, "strv: must have 3 elements at most, has 4",
		"\x81\xa4strv\x94\xa0\xa0\xa0\xa0");
	REFUSED(ERR_BAD_REQUEST, "pairs: must have 3 elements at most, has 4",
		"\x81\xa5pairs\x84\xa1"
		"a\xa0\xa1"
		"b\xa0\xa1"
		"c\xa0\xa1"
		"d\xa0");
	REFUSED(ERR_BAD_REQUEST, "rows: must have 2 elements at most, has 3",
		"\x81\xa4rows\x93\x80\x80\x80");
	REFUSED(ERR_BAD_REQUEST, "rows[0].name: missing", "\x81\xa4rows\x92\x80\x80");
	REFUSED(ERR_BAD_REQUEST, "points: must have 3 elements at most, has 4",
		"\x81\xa6points\x94\x80\x80\x80\x80");
	REFUSED(ERR_BAD_REQUEST, "bytes: must have 4 bytes at most, has 5",
		"\x81\xa5"
		"bytes\xc4\x05"
		"12345");
}

Test(schema, pairs_have_distinct_plain_names)
{
	REFUSED(ERR_BAD_REQUEST, "pairs[1]: has a name given twice",
		"\x81\xa5pairs\x82\xa1k\xa1"
		"1\xa1k\xa1"
		"2");
	REFUSED(ERR_BAD_REQUEST, "pairs[0]: has a name with \"=\"", "\x81\xa5pairs\x81\xa3k=l\xa0");
	REFUSED(ERR_BAD_REQUEST, "pairs[0]: has an empty name", "\x81\xa5pairs\x81\xa0\xa0");
	struct all a = decode(BYTES("\x81\xa5pairs\x82\xa1k\xa1"
				    "1\xa2kk\xa1"
				    "2"));
	cr_assert_str_eq(strv_value(&a.pairs, "kk"), "2");
	schema_fini(&all_schema, &a);
}

Test(schema, hostile_heads_cost_nothing)
{
	REFUSED(ERR_BAD_FRAME, "announces more elements than it holds", "\xdf\x04\0\0\0");
	REFUSED(ERR_BAD_FRAME, "announces more elements than it holds", "\xdd\xdd\xdd\xdd\xdd");
	REFUSED(ERR_BAD_FRAME, "strv: announces more elements than it holds",
		"\x81\xa4strv\xdd\x04\0\0\0");
	REFUSED(ERR_BAD_FRAME, "bytes: ends early",
		"\x81\xa5"
		"bytes\xc6\xff\xff\xff\xff");
	REFUSED(ERR_BAD_FRAME, "str: holds an ext type", "\x81\xa3str\xd4\0\0");
	REFUSED(ERR_BAD_FRAME, "str: holds the unused byte 0xc1", "\x81\xa3str\xc1");
	REFUSED(ERR_BAD_FRAME, "1 bytes too many", "\x80\x80");
}

Test(schema, a_map_cut_anywhere_is_refused_and_owns_nothing)
{
	struct all a = full();
	struct buf b;

	buf_init(&b, 4096);
	cr_assert_eq(schema_encode(&all_schema, &a, &b), 0);
	for (size_t len = 0; len < buf_len(&b); len++) {
		/* A copy of the exact size: the sanitizer sees a read past its end. */
		uint8_t *const cut = malloc(len ? len : 1);
		struct all out;

		memcpy(cut, buf_data(&b), len);
		cr_assert_lt(schema_decode(&all_schema, cut, len, &out, NULL), 0, "at %zu", len);
		cr_assert_null(out.strv.v);
		cr_assert_null(out.points.items);
		free(cut);
	}
	schema_fini(&all_schema, &a);
	buf_fini(&b);
}

Test(schema, an_open_one_skips_what_it_does_not_know)
{
	struct err e = { 0 };
	struct all out;

	/* both at the top and in a closed schema inside */
	cr_assert_eq(schema_decode(&open_schema,
				   BYTES("\x83\xa3new\x92\x81\xa1k\xc0\xcb\0\0\0\0\0\0\0\0\xa5point"
					 "\x82\xa1x\x05\xa1z\x90\xa4"
					 "flag\xc3"),
				   &out, &e),
		     0, "%s", e.text);
	cr_assert_eq(out.point.x, 5);
	cr_assert(out.flag);
	cr_assert_eq(schema_decode(&open_schema, BYTES("\x81\xa3new\xc7\x01\x01\x01"), &out, &e),
		     -EPROTO);
	cr_assert_str_eq(e.text, "holds an ext type");
}

Test(schema, what_an_open_one_skips_is_bounded_in_depth)
{
	uint8_t deep[64] = "\x81\xa3new";
	struct err e = { 0 };
	struct all out;

	memset(deep + 5, 0x91, 16);
	deep[5 + 16] = 0x05;
	cr_assert_eq(schema_decode(&open_schema, deep, 5 + 16 + 1, &out, &e), 0, "%s", e.text);
	deep[5 + 16] = 0x91;
	deep[5 + 17] = 0x05;
	cr_assert_lt(schema_decode(&open_schema, deep, 5 + 17 + 1, &out, &e), 0);
	cr_assert_str_eq(e.text, "is nested too deeply");
}

Test(schema, a_text_is_mended_and_a_string_is_refused_when_not_utf8)
{
	struct all a = { .text = "a\xc3" };
	struct buf b;

	buf_init(&b, 100);
	cr_assert_eq(schema_encode(&all_schema, &a, &b), 0);
	const struct all back = decode(buf_data(&b), buf_len(&b));
	cr_assert_str_eq(back.text, "a?");
	memcpy(a.str, "a\xc3", 3);
	const size_t before = buf_len(&b);
	cr_assert_eq(schema_encode(&all_schema, &a, &b), -EILSEQ);
	cr_assert_eq(buf_len(&b), before);
	buf_fini(&b);
}

Test(schema, a_full_buffer_is_left_as_it_was)
{
	struct all a = full();
	struct buf b;

	buf_init(&b, 20);
	cr_assert_eq(buf_append(&b, "kept", 4), 0);
	cr_assert_eq(schema_encode(&all_schema, &a, &b), -ENOBUFS);
	cr_assert_eq(buf_len(&b), 4);
	cr_assert_eq(schema_json(&all_schema, &a, &b, false), -ENOBUFS);
	cr_assert_eq(buf_len(&b), 4);
	schema_fini(&all_schema, &a);
	buf_fini(&b);
}

Test(json, prints_every_field_and_escapes_what_must_be)
{
	struct all a = full();
	struct buf b;

	memcpy(a.text, "\"\\\n\x01\xff", 6);
	buf_init(&b, 4096);
	cr_assert_eq(schema_json(&all_schema, &a, &b, false), 0);
	cr_assert_eq(buf_append(&b, "", 1), 0);
	cr_assert_str_eq(
		(const char *)buf_data(&b),
		"{\"flag\":true,\"i32\":-5,\"u32\":64,\"u64\":18446744073709551615,"
		"\"str\":\"a\xc3\xa9\",\"text\":\"\\\"\\\\\\n\\u0001?\",\"bytes\":\"AP8=\","
		"\"op\":\"000000J0000000000000000000\",\"vm\":\"000000000007\","
		"\"strv\":[\"one\",\"\"],\"pairs\":{\"k\":\"v=w\"},"
		"\"point\":{\"x\":1,\"y\":2},"
		"\"points\":[{\"x\":3,\"y\":0},{\"x\":4,\"y\":9}],"
		"\"rows\":[{\"name\":\"here\",\"data\":\"AAE=\"},{\"name\":\"there\",\"data\":\"\"}"
		"]}");
	schema_fini(&all_schema, &a);
	buf_fini(&b);
}

Test(json, is_indented_when_pretty)
{
	const struct point p = { 1, 2 };
	struct buf b;

	buf_init(&b, 4096);
	cr_assert_eq(schema_json(&point_schema, &p, &b, true), 0);
	cr_assert_eq(buf_append(&b, "", 1), 0);
	cr_assert_str_eq((const char *)buf_data(&b), "{\n  \"x\": 1,\n  \"y\": 2\n}");
	buf_fini(&b);
}
