#include "proto/wire.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "proto/cursor.h"
#include "proto/frame.h"

enum {
	BIN8 = 0xc4, /* msgpack's bin 8: this, a byte of length, the bytes */
	BIN8_MAX = 255,
};

/* clang-format off */
#define ID(lo)  FIELD(struct wire, id, FIELD_U32, true, lo, UINT32_MAX, "of the request")
#define OP_ID   FIELD(struct wire, op_id, FIELD_OP_ID, false, 0, 0, "of the operation")
#define STREAM  FIELD(struct wire, stream, FIELD_U32, true, 0, WIRE_NSTREAMS - 1, "0 stdin, 1 stdout, 2 stderr")
#define RESULT(required) FIELD_AS(struct wire, body, "result", FIELD_MAP, required, 0, 0, "the method's result")
#define FDS     FIELD(struct wire, fds, FIELD_U32, false, 0, 0, "descriptors that came with it (helper only)")
#define FAILURE(required) FIELD_SUB(struct wire, error, FIELD_STRUCT, required, 0, 0, &wire_error_schema, "instead of the result")

static const struct field error_fields[] = {
	FIELD(struct wire_error, code,      FIELD_STR,  true,  1, 0, "a row of docs/errors.md"),
	FIELD(struct wire_error, message,   FIELD_TEXT, false, 0, 0, "what went wrong, for people"),
	FIELD(struct wire_error, step,      FIELD_STR,  false, 0, 0, "of the plan, where one failed"),
	FIELD(struct wire_error, hint,      FIELD_TEXT, false, 0, 0, "what to do next, for people"),
	FIELD(struct wire_error, retryable, FIELD_BOOL, false, 0, 0, "the same request may succeed later"),
	FIELD(struct wire_error, sys,       FIELD_I32,  false, 0, 0, "errno of Linux, where a system call failed"),
};
const struct schema wire_error_schema = SCHEMA_OPEN("error", struct wire_error, error_fields);

static const struct field hello_fields[] = {
	FIELD(struct wire, version,     FIELD_U32, true,  1, UINT32_MAX, "highest version spoken"),
	FIELD(struct wire, version_min, FIELD_U32, true,  1, UINT32_MAX, "lowest version spoken"),
	FIELD(struct wire, name,        FIELD_STR, true,  1, 0, "program and version, for logs"),
	FIELD(struct wire, frame_max,   FIELD_U32, false, 1, UINT32_MAX, "bytes of the biggest map that the sender takes"),
	FIELD(struct wire, session,     FIELD_U64, false, 1, UINT64_MAX, "of the guest conversation"),
};
static const struct field request_fields[] = {
	ID(1),
	FIELD_AS(struct wire, name, "method", FIELD_STR, true, 1, 0, "what is asked"),
	OP_ID,
	FIELD(struct wire, detach, FIELD_BOOL, false, 0, 0, "goes on when the connection closes"),
	FIELD(struct wire, progress, FIELD_BOOL, false, 0, 0, "stream `progress` events"),
	FIELD_AS(struct wire, body, "args", FIELD_MAP, true, 0, 0, "the method's arguments"),
};
static const struct field cancel_fields[] = {
	ID(1),
};
static const struct field data_fields[] = {
	ID(1),
	STREAM,
	FIELD(struct wire, bytes, FIELD_SPAN, true, 0, FRAME_MAX, "empty: the stream's end"),
};
static const struct field credit_fields[] = {
	ID(1),
	STREAM,
	FIELD_AS(struct wire, credit, "bytes", FIELD_U32, true, 1, WIRE_CREDIT_MAX, "that may be sent besides"),
};
static const struct field signal_fields[] = {
	ID(1),
	FIELD(struct wire, signo, FIELD_U32, true, 1, WIRE_SIGNO_MAX, "number of the signal on Linux"),
};
static const struct field resize_fields[] = {
	ID(1),
	FIELD(struct wire, rows, FIELD_U32, true, 1, WIRE_CELLS_MAX, "of the terminal"),
	FIELD(struct wire, cols, FIELD_U32, true, 1, WIRE_CELLS_MAX, "of the terminal"),
};
static const struct field event_fields[] = {
	ID(1),
	FIELD_AS(struct wire, name, "event", FIELD_STR, true, 1, 0, "its name"),
	FIELD_AS(struct wire, body, "body", FIELD_MAP, true, 0, 0, "the event's content"),
};
static const struct field reply_fields[] = { ID(0), OP_ID, RESULT(false), FDS, FAILURE(false) };
static const struct field success_fields[] = { ID(0), OP_ID, RESULT(true), FDS };
static const struct field failure_fields[] = { ID(0), OP_ID, FAILURE(true) };

#define ENVELOPE(name_, table, open_)                                                      \
	{ .name = (name_), .size = sizeof(struct wire), .fields = (table),                 \
	  .nfields = ARRAY_LEN(table), .open = (open_), .tagged = true }

const struct schema wire_schemas[WIRE_NTYPES] = {
	[WIRE_HELLO]   = ENVELOPE("hello",   hello_fields,   true),
	[WIRE_REQUEST] = ENVELOPE("request", request_fields, false),
	[WIRE_CANCEL]  = ENVELOPE("cancel",  cancel_fields,  false),
	[WIRE_DATA]    = ENVELOPE("data",    data_fields,    false),
	[WIRE_CREDIT]  = ENVELOPE("credit",  credit_fields,  false),
	[WIRE_SIGNAL]  = ENVELOPE("signal",  signal_fields,  false),
	[WIRE_RESIZE]  = ENVELOPE("resize",  resize_fields,  false),
	[WIRE_EVENT]   = ENVELOPE("event",   event_fields,   true),
	[WIRE_REPLY]   = ENVELOPE("reply",   reply_fields,   true),
};
/* A reply is read by the row above and written by one of these, which know what must be there. */
static const struct schema success_schema = ENVELOPE("reply", success_fields, true);
static const struct schema failure_schema = ENVELOPE("reply", failure_fields, true);
/* clang-format on */

static bool head_is(const struct mp_head *h, const char *text)
{
	return h->type == MP_STR && h->len == strlen(text) && memcmp(h->data, text, h->len) == 0;
}

static int type_by_name(const struct mp_head *h, struct err *e)
{
	for (int i = 0; i < WIRE_NTYPES; i++)
		if (head_is(h, wire_schemas[i].name))
			return i;
	return err_set(e, ERR_BAD_FRAME, "envelope: unknown type");
}

/* Writers put the type first, but a map has no order. */
static int find_type(const uint8_t *payload, size_t len, struct err *e)
{
	struct mp_cursor c = { .at = payload, .end = payload + len };
	uint32_t elements = FRAME_ELEMENTS_MAX;
	struct mp_head map;

	if (mp_read(&c, &map) < 0)
		return err_set(e, ERR_BAD_FRAME, "envelope: %s", c.why);
	if (map.type != MP_MAP)
		return err_set(e, ERR_BAD_FRAME, "envelope: must be a map, is %s",
			       mp_type_name(map.type));
	for (uint32_t i = 0; i < map.len; i++) {
		struct mp_head key;
		struct mp_head value;

		if (mp_read(&c, &key) < 0)
			return err_set(e, ERR_BAD_FRAME, "envelope: %s", c.why);
		if (key.type != MP_STR)
			return err_set(e, ERR_BAD_FRAME, "envelope: a field's name is %s",
				       mp_type_name(key.type));
		if (head_is(&key, "type")) {
			if (mp_read(&c, &value) < 0)
				return err_set(e, ERR_BAD_FRAME, "envelope: type: %s", c.why);
			return type_by_name(&value, e);
		}
		if (mp_skip(&c, &elements) < 0)
			return err_set(e, ERR_BAD_FRAME, "envelope: %s", c.why);
	}
	return err_set(e, ERR_BAD_FRAME, "envelope: type: missing");
}

/* What no single field can say. */
static int check_whole(struct wire *w, struct err *e)
{
	if (w->type == WIRE_HELLO && w->version_min > w->version)
		return err_set(e, ERR_BAD_FRAME, "envelope: version_min: is above version");
	if (w->type == WIRE_REPLY) {
		w->failed = w->error.code[0] != '\0';
		if (w->failed == (w->body.data != NULL))
			return err_set(e, ERR_BAD_FRAME,
				       "envelope: a reply has either a result or an error");
	}
	return 0;
}

int wire_decode(const uint8_t *payload, size_t len, struct wire *ret_wire, struct err *e)
{
	struct wire w;
	int rc = find_type(payload, len, e);

	if (rc < 0)
		return rc;
	const enum wire_type type = (enum wire_type)rc;
	rc = schema_decode(&wire_schemas[type], payload, len, &w, e);
	if (rc < 0) {
		err_ctx(e, "envelope");
		if (e)
			e->code = ERR_BAD_FRAME;
		return -EPROTO;
	}
	w.type = type;
	rc = check_whole(&w, e);
	if (rc < 0)
		return rc;
	*ret_wire = w;
	return 0;
}

static const struct schema *schema_to_write(const struct wire *w)
{
	if (w->type == WIRE_REPLY)
		return w->failed ? &failure_schema : &success_schema;
	return &wire_schemas[w->type];
}

static void length_put(uint8_t head[FRAME_HEAD], size_t len)
{
	for (size_t i = 0; i < FRAME_HEAD; i++)
		head[i] = (uint8_t)(len >> (24 - 8 * i));
}

int wire_encode(const struct wire *w, struct buf *out)
{
	const uint8_t no_length[FRAME_HEAD] = { 0 };
	const size_t before = buf_len(out);
	int rc;

	ASSERT(w->type < WIRE_NTYPES);
	rc = buf_append(out, no_length, FRAME_HEAD);
	if (rc < 0)
		return rc;
	rc = schema_encode(schema_to_write(w), w, out);
	const size_t len = buf_len(out) - before - FRAME_HEAD;
	if (rc == 0 && len > FRAME_MAX)
		rc = -EMSGSIZE;
	if (rc < 0) {
		buf_truncate(out, before);
		return rc;
	}
	length_put(buf_data(out) + before, len);
	return 0;
}

/* `bytes` is the last field, and of bin 8 while it is short: two bytes of head, then it. */
int wire_data_grow(struct buf *out, size_t frame_len, size_t carried, const struct wire_span *more)
{
	const size_t before = buf_len(out) - frame_len;
	int rc;

	if (carried + more->len > BIN8_MAX)
		return -EMSGSIZE;
	ASSERT(carried > 0 && carried + 2 < frame_len && frame_len <= buf_len(out));
	rc = buf_append(out, more->data, more->len);
	if (rc < 0)
		return rc;
	uint8_t *const frame = buf_data(out) + before;
	uint8_t *const head = frame + frame_len - carried - 2;
	ASSERT(head[0] == BIN8 && head[1] == carried);
	head[1] = (uint8_t)(carried + more->len);
	length_put(frame, frame_len - FRAME_HEAD + more->len);
	return 0;
}

int wire_next(const uint8_t *in, size_t have, size_t max, const uint8_t **ret_payload,
	      struct err *e)
{
	if (have < FRAME_HEAD)
		return 0;
	const int len = frame_length(in, max, e);
	if (len < 0)
		return len;
	if (have - FRAME_HEAD < (size_t)len)
		return 0;
	const int rc = frame_check(in + FRAME_HEAD, (size_t)len, e);
	if (rc < 0)
		return rc;
	*ret_payload = in + FRAME_HEAD;
	return len;
}

int wire_version_agree(const struct wire *hello, uint32_t *ret_version, struct err *e)
{
	const uint32_t version = hello->version < WIRE_VERSION ? hello->version : WIRE_VERSION;

	if (version < WIRE_VERSION_MIN || version < hello->version_min)
		return err_set(e, ERR_BAD_VERSION, "%s speaks versions %u to %u, we speak %d to %d",
			       hello->name, hello->version_min, hello->version, WIRE_VERSION_MIN,
			       WIRE_VERSION);
	*ret_version = version;
	return 0;
}

void wire_error_set(struct wire *w, const struct err *e, const char *step)
{
	struct wire_error *const to = &w->error;

	w->failed = true;
	TEXT_SET(to->code, err_name(e->code));
	TEXT_SET(to->message, e->text);
	TEXT_SET(to->step, step ? step : "");
	TEXT_SET(to->hint, err_hint(e->code));
	to->retryable = err_retryable(e->code);
	to->sys = e->sys;
}

void wire_error_get(const struct wire *w, struct err *ret_err)
{
	ret_err->code = err_by_name(w->error.code);
	ret_err->sys = w->error.sys;
	TEXT_SET(ret_err->text, w->error.message);
}
