#include "tests/fuzz/fuzz.h"

#include <msgpack.h> /* the oracle: this test is its reader outside proto/ */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "proto/frame.h"
#include "proto/json.h"

enum {
	OUT_MAX = 64 << 20, /* bytes: JSON may be several times its map */
};

static void unpacks_wholly(const uint8_t *data, size_t size)
{
	msgpack_unpacked out;
	size_t used = 0;

	msgpack_unpacked_init(&out);
	const msgpack_unpack_return rc = msgpack_unpack_next(&out, (const char *)data, size, &used);
	ASSERT(rc == MSGPACK_UNPACK_SUCCESS);
	ASSERT(used == size);
	ASSERT(out.data.type == MSGPACK_OBJECT_MAP);
	msgpack_unpacked_destroy(&out);
}

void fuzz_schema(const struct schema *s, const uint8_t *data, size_t size)
{
	void *const first = malloc(s->size);
	void *const second = malloc(s->size);
	struct err e = { 0 };
	struct buf out;

	ASSERT(first && second);
	buf_init(&out, OUT_MAX);
	const int rc = schema_decode(s, data, size, first, &e);
	if (rc < 0) {
		ASSERT(e.code != ERR_NONE && e.text[0] != '\0');
	} else {
		ASSERT(schema_encode(s, first, &out) == 0);
		ASSERT(schema_decode(s, buf_data(&out), buf_len(&out), second, &e) == 0);
		ASSERT(schema_equal(s, first, second));
		schema_fini(s, second);
		buf_clear(&out);
		ASSERT(schema_json(s, first, &out, true) == 0);
		schema_fini(s, first);
	}
	buf_fini(&out);
	free(first);
	free(second);
}

static void envelope_is_stable(const struct wire *w)
{
	const uint8_t *payload;
	struct wire again;
	struct buf out;

	buf_init(&out, OUT_MAX);
	ASSERT(wire_encode(w, &out) == 0);
	const int len = wire_next(buf_data(&out), buf_len(&out), FRAME_MAX, &payload, NULL);
	ASSERT(len > 0);
	ASSERT(wire_decode(payload, (size_t)len, &again, NULL) == 0);
	ASSERT(again.type == w->type);
	ASSERT(again.failed == w->failed);
	ASSERT(schema_equal(&wire_schemas[w->type], w, &again));
	buf_fini(&out);
}

void fuzz_payload(const struct client_method_row *methods, size_t nmethods, const uint8_t *data,
		  size_t size)
{
	struct wire w;

	if (size > FRAME_MAX || frame_check(data, size, NULL) < 0)
		return;
	unpacks_wholly(data, size);
	if (wire_decode(data, size, &w, NULL) < 0)
		return;
	envelope_is_stable(&w);
	for (size_t i = 0; i < nmethods; i++) {
		if (w.type == WIRE_REQUEST && strcmp(w.name, methods[i].name) == 0)
			fuzz_schema(methods[i].args, w.body.data, w.body.len);
		/* Which method a reply answers is known to who asked: it may be any. */
		if (w.type == WIRE_REPLY && !w.failed)
			fuzz_schema(methods[i].result, w.body.data, w.body.len);
	}
	for (size_t i = 0; i < EVENT_NEVENTS && w.type == WIRE_EVENT; i++)
		fuzz_schema(client_events[i].body, w.body.data, w.body.len);
}
