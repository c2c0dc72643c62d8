/* schema.h - msgpack maps <-> C structs, by table.
 *
 * A schema is a table of fields.  Decoding checks everything in one place: unknown and missing
 * fields, types, bounds, string lengths, UTF-8; the error names the field by its path
 * ("spec.vcpu").  What a decoded struct owns (strings in vectors, bytes, lists) is released by
 * schema_fini(). Pure: no I/O, no clock.
 */
#pragma once

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "base/strv.h"

enum field_kind {
	FIELD_BOOL,   /* bool */
	FIELD_I32,    /* int32_t */
	FIELD_U32,    /* uint32_t; min..max */
	FIELD_U64,    /* uint64_t; min..max */
	FIELD_STR,    /* char[size], no NUL inside; min..size-1 bytes of UTF-8 */
	FIELD_TEXT,   /* as FIELD_STR, for people: what is not UTF-8 is written as '?' */
	FIELD_BYTES,  /* struct bytes, owned; at most max bytes */
	FIELD_OP_ID,  /* struct op_id; 16 bytes of bin */
	FIELD_VM_ID,  /* vm_id; a str of 12 characters */
	FIELD_STRV,   /* struct strv; array of str; at most max of them */
	FIELD_PAIRS,  /* struct strv of "key=value"; map of str to str; at most max of them */
	FIELD_STRUCT, /* a struct of its own in place, by sub-schema */
	FIELD_LIST,   /* struct seq of structs by sub-schema; at most max of them */
	FIELD_ROWS,   /* the same in place: ROWS_OF(struct, max), which owns no memory */
	FIELD_SPAN,   /* struct wire_span of bin, borrowed from the decoded bytes; at most max bytes
		       */
	FIELD_MAP,    /* struct wire_span of a whole map, borrowed; written as {} when empty */
	FIELD_NKINDS,
};

struct bytes {
	uint8_t *data; /* owned */
	size_t len;
};

struct seq {
	void *items; /* owned array of `n` structs */
	uint32_t n;
};

struct wire_span {
	const uint8_t *data;
	size_t len;
};

/* A member of FIELD_ROWS: where there is no heap.  Its items must be as strictly aligned as a
 * pointer is. */
#define ROWS_OF(type, max)                                                                         \
	struct {                                                                                   \
		uint32_t n;                                                                        \
		alignas(void *) type items[max];                                                   \
	}

enum {
	SCHEMA_FIELDS_MAX = 64, /* of one schema */
	SCHEMA_NAME_MAX = 31,   /* bytes of a field's name: what one byte of msgpack can announce */
};

struct schema;

/* A number with max 0 has no bound but its type's (I32: min and max are read as int64_t); of
 * everything else max is the bound. */
struct field {
	const char *name;
	uint8_t name_len; /* at most SCHEMA_NAME_MAX */
	bool required;
	enum field_kind kind;
	uint16_t offset;
	uint16_t size; /* of the member */
	uint64_t min;
	uint64_t max;
	const struct schema *sub; /* FIELD_STRUCT, FIELD_LIST, FIELD_ROWS */
	const char *doc;          /* one phrase for docs/protocol.md */
};

struct schema {
	const char *name;
	size_t size; /* of the struct */
	const struct field *fields;
	uint32_t nfields;
	bool open;   /* unknown fields are skipped, here and in what it holds: records and results,
		      * so that a newer peer may add some */
	bool tagged; /* a field "type" holds the schema's name */
};

/* Rows for tables: FIELD(struct, member, kind, required, min, max, doc).  The wire name is the
 * member's. */
#define FIELD(type, member, k, req, lo, hi, text)                                                  \
	{                                                                                          \
		.name = #member, .name_len = sizeof(#member) - 1, .kind = (k), .required = (req),  \
		.offset = offsetof(type, member), .size = sizeof(((type *)0)->member),             \
		.min = (lo), .max = (hi), .doc = (text)                                            \
	}
#define FIELD_SUB(type, member, k, req, lo, hi, schema_, text)                                     \
	{                                                                                          \
		.name = #member, .name_len = sizeof(#member) - 1, .kind = (k), .required = (req),  \
		.offset = offsetof(type, member), .size = sizeof(((type *)0)->member),             \
		.min = (lo), .max = (hi), .sub = (schema_), .doc = (text)                          \
	}
#define FIELD_AS(type, member, wire_name, k, req, lo, hi, text)                                    \
	{                                                                                          \
		.name = (wire_name), .name_len = sizeof(wire_name) - 1, .kind = (k),               \
		.required = (req), .offset = offsetof(type, member),                               \
		.size = sizeof(((type *)0)->member), .min = (lo), .max = (hi), .doc = (text)       \
	}
#define FIELD_SUB_AS(type, member, wire_name, k, req, lo, hi, schema_, text)                       \
	{                                                                                          \
		.name = (wire_name), .name_len = sizeof(wire_name) - 1, .kind = (k),               \
		.required = (req), .offset = offsetof(type, member),                               \
		.size = sizeof(((type *)0)->member), .min = (lo), .max = (hi), .sub = (schema_),   \
		.doc = (text)                                                                      \
	}
#define SCHEMA(name_, type, table)                                                                 \
	{                                                                                          \
		.name = (name_), .size = sizeof(type), .fields = (table),                          \
		.nfields = ARRAY_LEN(table)                                                        \
	}
#define SCHEMA_OPEN(name_, type, table)                                                            \
	{                                                                                          \
		.name = (name_), .size = sizeof(type), .fields = (table),                          \
		.nfields = ARRAY_LEN(table), .open = true                                          \
	}

/* One msgpack map of `len` bytes into *out (zeroed first).  Any bytes are safe.  ERR_BAD_FRAME when
 * they are not one whole map, ERR_BAD_REQUEST when it does not fit, and then *out owns nothing. */
int schema_decode(const struct schema *s, const uint8_t *data, size_t len, void *out,
		  struct err *e);
/* Appends one msgpack map.  Fields that are not required and hold their zero value are left out.
 * -EILSEQ for a string that is not UTF-8, -EINVAL for a pair without "=", -ENOBUFS or -ENOMEM from
 * the buffer; it is then unchanged. */
int schema_encode(const struct schema *s, const void *in, struct buf *out) MUST_CHECK;
void schema_fini(const struct schema *s, void *obj);

/* A member with its zero value. */
bool field_is_zero(const struct field *f, const void *member);

/* Item i of a member of FIELD_ROWS, and how many there are. */
void *rows_item(const struct field *f, void *member, uint32_t i);
uint32_t rows_count(const void *member);

size_t schema_owned(const struct schema *s, const void *obj); /* bytes of heap it holds, about */
bool schema_equal(const struct schema *s, const void *a, const void *b);
