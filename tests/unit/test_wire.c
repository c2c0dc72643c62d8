/* test_wire.c - envelopes: both ways, and those that are none; the guest's sync marker. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"
#include "proto/guest.h"
#include "proto/sync.h"
#include "proto/wire.h"

#define BYTES(literal) (const uint8_t *)(literal), sizeof(literal) - 1

/* One of each type, with every field that it may have. */
static const struct wire samples[] = {
	{ .type = WIRE_HELLO,
	  .name = "bangerd 0.1",
	  .version = 3,
	  .version_min = 2,
	  .frame_max = FRAME_MAX,
	  .session = UINT64_MAX },
	{ .type = WIRE_REQUEST,
	  .id = 1,
	  .name = "vm.show",
	  .op_id = { { 1, 2 } },
	  .detach = true,
	  .body = { (const uint8_t *)"\x81\xa3ref\xa1x", 7 } },
	{ .type = WIRE_CANCEL, .id = UINT32_MAX },
	{ .type = WIRE_DATA, .id = 2, .stream = 1, .bytes = { (const uint8_t *)"\0hi", 3 } },
	{ .type = WIRE_DATA, .id = 2, .stream = 2 },
	{ .type = WIRE_CREDIT, .id = 2, .stream = 0, .credit = 4096 },
	{ .type = WIRE_SIGNAL, .id = 2, .signo = 15 },
	{ .type = WIRE_RESIZE, .id = 2, .rows = 24, .cols = 80 },
	{ .type = WIRE_EVENT, .id = 2, .name = "vm", .body = { (const uint8_t *)"\x80", 1 } },
	{ .type = WIRE_REPLY, .id = 2, .op_id = { { 1 } }, .body = { (const uint8_t *)"\x80", 1 } },
	{ .type = WIRE_REPLY,
	  .id = 0,
	  .failed = true,
	  .error = { .code = "frame.bad",
		     .message = "why",
		     .step = "tap",
		     .hint = "do",
		     .retryable = true,
		     .sys = 16 } },
};

static void assert_same(const struct wire *a, const struct wire *b)
{
	cr_assert_eq(a->type, b->type);
	cr_assert_eq(a->failed, b->failed);
	cr_assert(schema_equal(&wire_schemas[a->type], a, b), "type %d", (int)a->type);
}

Test(wire, every_type_survives_the_round_trip)
{
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct err e = { 0 };
		const uint8_t *payload;
		struct wire back;
		struct buf b;

		buf_init(&b, 4096);
		cr_assert_eq(wire_encode(&samples[i], &b), 0);
		const int len = wire_next(buf_data(&b), buf_len(&b), FRAME_MAX, &payload, &e);
		cr_assert_eq((size_t)len + FRAME_HEAD, buf_len(&b), "%s", e.text);
		cr_assert_eq(wire_decode(payload, (size_t)len, &back, &e), 0, "%s", e.text);
		assert_same(&samples[i], &back);
		buf_fini(&b);
	}
}

Test(wire, a_frame_is_taken_only_when_it_is_whole)
{
	const uint8_t *payload;
	struct buf b;

	buf_init(&b, 4096);
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		buf_clear(&b);
		cr_assert_eq(wire_encode(&samples[i], &b), 0);
		for (size_t have = 0; have < buf_len(&b); have++)
			cr_assert_eq(wire_next(buf_data(&b), have, FRAME_MAX, &payload, NULL), 0);
	}
	buf_fini(&b);
}

Test(wire, a_whole_frame_of_bad_bytes_is_refused)
{
	struct err e = { 0 };
	const uint8_t *payload;

	cr_assert_eq(wire_next(BYTES("\0\0\0\x05\xdd\x04\0\0\0"), FRAME_MAX, &payload, &e),
		     -EPROTO);
	cr_assert_eq(e.code, ERR_BAD_FRAME);
	cr_assert_eq(wire_next(BYTES("\0\0\2\0"), 256, &payload, &e), -EMSGSIZE);
	cr_assert_eq(e.code, ERR_FRAME_TOO_BIG);
}

Test(wire, the_type_may_stand_anywhere)
{
	struct err e = { 0 };
	struct wire w;

	cr_assert_eq(wire_decode(BYTES("\x82\xa2id\x05\xa4type\xa6"
				       "cancel"),
				 &w, &e),
		     0, "%s", e.text);
	cr_assert_eq(w.id, 5);
}

static void refused(const char *message, const uint8_t *data, size_t len)
{
	struct err e = { 0 };
	struct wire w;

	cr_assert_eq(wire_decode(data, len, &w, &e), -EPROTO, "not: %s", message);
	cr_assert_str_eq(e.text, message);
	cr_assert_eq(e.code, ERR_BAD_FRAME);
}

#define REFUSED(message, literal) refused(message, BYTES(literal))

Test(wire, envelopes_that_are_none_are_refused)
{
	REFUSED("envelope: type: missing", "\x80");
	REFUSED("envelope: unknown type", "\x81\xa4type\xa4"
					  "what");
	REFUSED("envelope: unknown type", "\x81\xa4type\x05");
	REFUSED("envelope: must be a map, is an array", "\x90");
	REFUSED("envelope: a field's name is a number", "\x81\x05\x05");
	REFUSED("envelope: id: missing", "\x81\xa4type\xa6"
					 "cancel");
	REFUSED("envelope: id: must be 1..4294967295, is 0", "\x82\xa4type\xa6"
							     "cancel\xa2id\0");
	REFUSED("envelope: unknown field \"more\"", "\x83\xa4type\xa6"
						    "cancel\xa2id\x01\xa4more\xc0");
	REFUSED("envelope: type: given twice", "\x83\xa4type\xa6"
					       "cancel\xa2id\x01\xa4type\xa6"
					       "cancel");
	REFUSED("envelope: args: must be a map, is an array", "\x84\xa4type\xa7request\xa2id\x01"
							      "\xa6method\xa1x\xa4"
							      "args\x90");
	REFUSED("envelope: stream: must be 0..2, is 3", "\x84\xa4type\xa4"
							"data\xa2id\x01\xa6stream\x03\xa5"
							"bytes\xc4\0");
	REFUSED("envelope: a reply has either a result or an error",
		"\x82\xa4type\xa5reply\xa2id\x01");
	REFUSED("envelope: a reply has either a result or an error",
		"\x84\xa4type\xa5reply\xa2id\x01\xa6result\x80\xa5"
		"error\x81\xa4"
		"code\xa1x");
	REFUSED("envelope: version_min: is above version", "\x84\xa4type\xa5hello\xa7version\x01"
							   "\xabversion_min\x02\xa4name\xa1x");
}

/* Every single changed byte: no crash under the sanitizers, and nothing half written. */
Test(wire, no_changed_byte_does_harm)
{
	struct buf b;

	buf_init(&b, 4096);
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		buf_clear(&b);
		cr_assert_eq(wire_encode(&samples[i], &b), 0);
		const size_t len = buf_len(&b) - FRAME_HEAD;
		uint8_t *const copy = malloc(len);

		for (size_t at = 0; at < len; at++)
			for (unsigned v = 0; v < 256; v += 5) {
				struct wire w;

				memcpy(copy, buf_data(&b) + FRAME_HEAD, len);
				copy[at] = (uint8_t)v;
				(void)wire_decode(copy, len, &w, NULL);
			}
		free(copy);
	}
	buf_fini(&b);
}

Test(wire, an_empty_body_is_written_as_an_empty_map)
{
	const struct wire w = { .type = WIRE_REPLY, .id = 1 };
	struct wire back;
	struct buf b;

	buf_init(&b, 4096);
	cr_assert_eq(wire_encode(&w, &b), 0);
	cr_assert_eq(wire_decode(buf_data(&b) + FRAME_HEAD, buf_len(&b) - FRAME_HEAD, &back, NULL),
		     0);
	cr_assert_eq(back.body.len, 1);
	cr_assert_eq(back.body.data[0], 0x80);
	buf_fini(&b);
}

Test(wire, a_full_buffer_is_left_as_it_was)
{
	struct buf b;

	buf_init(&b, 30);
	cr_assert_eq(buf_append(&b, "kept", 4), 0);
	cr_assert_eq(wire_encode(&samples[0], &b), -ENOBUFS);
	cr_assert_eq(buf_len(&b), 4);
	buf_fini(&b);
}

/* Grown byte by byte it is the frame that all bytes at once would have made, as far as bin 8 goes.
 */
Test(wire, a_data_frame_grows_in_place)
{
	uint8_t bytes[256];
	struct wire w = { .type = WIRE_DATA, .id = 70000, .stream = 1, .bytes = { bytes, 1 } };
	struct buf grown;
	struct buf whole;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i % 2 ? 0xc4 : i);
	buf_init(&grown, FRAME_MAX);
	buf_init(&whole, FRAME_MAX);
	cr_assert_eq(buf_append(&grown, "before", 6), 0);
	cr_assert_eq(wire_encode(&w, &grown), 0);
	for (size_t n = 1; n < 255; n++) {
		const size_t len = buf_len(&grown) - 6;

		cr_assert_eq(wire_data_grow(&grown, len, n, &(struct wire_span){ bytes + n, 1 }),
			     0);
		buf_clear(&whole);
		w.bytes.len = n + 1;
		cr_assert_eq(wire_encode(&w, &whole), 0);
		cr_assert_arr_eq(buf_data(&grown), "before", 6);
		cr_assert_eq(buf_len(&grown) - 6, buf_len(&whole));
		cr_assert_arr_eq(buf_data(&grown) + 6, buf_data(&whole), buf_len(&whole));
	}
	const size_t len = buf_len(&grown);
	cr_assert_eq(wire_data_grow(&grown, len - 6, 255, &(struct wire_span){ bytes, 1 }),
		     -EMSGSIZE);
	cr_assert_eq(buf_len(&grown), len);
	buf_fini(&grown);
	buf_fini(&whole);
}

Test(wire, a_map_over_the_limit_is_not_sent)
{
	uint8_t *const much = calloc(1, FRAME_MAX);
	const struct wire w = { .type = WIRE_DATA, .id = 1, .bytes = { much, FRAME_MAX } };
	struct buf b;

	buf_init(&b, 2 * FRAME_MAX);
	cr_assert_eq(wire_encode(&w, &b), -EMSGSIZE);
	cr_assert_eq(buf_len(&b), 0);
	buf_fini(&b);
	free(much);
}

Test(wire, the_highest_common_version_is_spoken)
{
	struct wire hello = { .name = "x", .version = 9, .version_min = 1 };
	struct err e = { 0 };
	uint32_t version = 0;

	cr_assert_eq(wire_version_agree(&hello, &version, &e), 0);
	cr_assert_eq(version, WIRE_VERSION);
	hello.version_min = WIRE_VERSION + 1;
	cr_assert_eq(wire_version_agree(&hello, &version, &e), -EPROTONOSUPPORT);
	cr_assert_str_eq(e.text, "x speaks versions 2 to 9, we speak 1 to 1");
}

Test(wire, an_error_crosses_with_its_hint)
{
	struct wire w = { .type = WIRE_REPLY, .id = 1 };
	struct err e = { 0 };
	struct err back = { 0 };

	(void)err_num(&e, ERR_PORT_BUSY, EADDRINUSE, "port 80");
	wire_error_set(&w, &e, "ports");
	cr_assert(w.failed);
	cr_assert_str_eq(w.error.code, "port.busy");
	cr_assert_str_eq(w.error.step, "ports");
	cr_assert_str_eq(w.error.hint, err_hint(ERR_PORT_BUSY));
	cr_assert(w.error.retryable);
	wire_error_get(&w, &back);
	cr_assert_eq(back.code, ERR_PORT_BUSY);
	cr_assert_eq(back.sys, EADDRINUSE);
	cr_assert_str_eq(back.text, e.text);
}

Test(sync, the_marker_is_found_wherever_the_stream_is_cut)
{
	static const uint8_t stream[] = "half a frame\xff\xff" GUEST_SYNC "next";
	const size_t len = sizeof(stream) - 1;

	for (size_t cut = 0; cut <= len; cut++) {
		struct sync_scan s = { 0 };
		bool found = false;
		size_t used = sync_feed(&s, stream, cut, &found);

		if (!found)
			used = cut + sync_feed(&s, stream + cut, len - cut, &found);
		cr_assert(found, "cut at %zu", cut);
		cr_assert_eq(used, len - 4);
	}
}

Test(sync, a_broken_marker_is_none_and_may_hold_the_beginning_of_a_good_one)
{
	struct sync_scan s = { 0 };
	bool found = true;

	cr_assert_eq(sync_feed(&s,
			       BYTES("\xff\xff\xff\xff"
				     "bangersyn"),
			       &found),
		     13);
	cr_assert_not(found);
	cr_assert_eq(sync_feed(&s, (const uint8_t *)GUEST_SYNC, GUEST_SYNC_BYTES, &found),
		     GUEST_SYNC_BYTES);
	cr_assert(found);
	sync_feed(&s,
		  BYTES("\xff\xff\xff"
			"bangersync\r\n"),
		  &found);
	cr_assert_not(found);
}

Test(sync, its_beginning_is_no_frame_length)
{
	cr_assert_eq(frame_length((const uint8_t *)GUEST_SYNC, GUEST_FRAME_MAX, NULL), -EMSGSIZE);
}
