/* test_frame.c - lengths, and bytes that are not to be unpacked. */
#include <criterion/criterion.h>
#include <errno.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"

#define BYTES(literal) (const uint8_t *)(literal), sizeof(literal) - 1

static void refused(const char *message, const uint8_t *data, size_t len)
{
	struct err e = { 0 };

	cr_assert_eq(frame_check(data, len, &e), -EPROTO, "not: %s", message);
	cr_assert_str_eq(e.text, message);
	cr_assert_eq(e.code, ERR_BAD_FRAME);
}

#define REFUSED(message, literal) refused(message, BYTES(literal))

Test(frame, a_length_is_bounded_by_the_limit_of_its_conversation)
{
	struct err e = { 0 };

	cr_assert_eq(frame_length((const uint8_t *)"\0\0\1\2", 4096, &e), 258);
	cr_assert_eq(frame_length((const uint8_t *)"\0\0\x10\0", 4096, &e), 4096);
	cr_assert_eq(frame_length((const uint8_t *)"\0\0\x10\1", 4096, &e), -EMSGSIZE);
	cr_assert_eq(e.code, ERR_FRAME_TOO_BIG);
	cr_assert_eq(frame_length((const uint8_t *)"\xff\xff\xff\xff", SIZE_MAX, &e), -EMSGSIZE);
	cr_assert_eq(frame_length((const uint8_t *)"\0\0\0\0", 4096, &e), -EPROTO);
	cr_assert_eq(e.code, ERR_BAD_FRAME);
}

Test(frame, one_map_of_any_content_passes)
{
	struct err e = { 0 };

	cr_assert_eq(frame_check(BYTES("\x80"), &e), 0);
	cr_assert_eq(frame_check(BYTES("\x82\xa1k\x93\xc0\xc2\xc3\xa1l\x81\x01\xcb"
				       "\0\0\0\0\0\0\0\0"),
				 &e),
		     0, "%s", e.text);
}

Test(frame, the_bombs_that_exhaust_an_unpacker_are_refused)
{
	REFUSED("frame: announces more elements than it holds", "\xdd\x04\0\0\0");
	REFUSED("frame: announces more elements than it holds", "\xdd\xdd\xdd\xdd\xdd");
	REFUSED("frame: announces more elements than it holds", "\xdf\xff\xff\xff\xff");
	REFUSED("frame: announces more elements than it holds", "\x82\xa1k\x01");
	REFUSED("frame: announces more elements than it holds", "\x81\xa1k\xdd\x04\0\0\0");
}

Test(frame, what_is_not_one_whole_map_is_refused)
{
	REFUSED("frame: ends early", "");
	REFUSED("frame: must be a map, is an array", "\x90");
	REFUSED("frame: must be a map, is a number", "\x05");
	REFUSED("frame: 1 bytes too many", "\x80\x00");
	REFUSED("frame: holds an ext type", "\x81\xa1k\xd8\0"
					    "0123456789abcdef");
	REFUSED("frame: holds an ext type", "\x81\xa1k\xc7\0\0");
	REFUSED("frame: holds the unused byte 0xc1", "\x81\xa1k\xc1");
	REFUSED("frame: ends early", "\x81\xa1k\xdb\0\0\0\x05"
				     "abcd");
	REFUSED("frame: ends early", "\x81\xa1k\xcf\0\0\0");
}

Test(frame, depth_is_bounded)
{
	uint8_t deep[3 * FRAME_DEPTH_MAX + 1];
	struct err e = { 0 };

	for (size_t i = 0; i < sizeof(deep); i += 3)
		memcpy(deep + i, "\x81\xa1k", i + 3 <= sizeof(deep) ? 3 : 1);
	deep[3 * FRAME_DEPTH_MAX] = 0x80;
	cr_assert_eq(frame_check(deep, sizeof(deep), &e), -EPROTO);
	cr_assert_str_eq(e.text, "frame: is nested too deeply");
	deep[3 * FRAME_DEPTH_MAX] = 0x05;
	cr_assert_eq(frame_check(deep, sizeof(deep), &e), 0, "%s", e.text);
}

Test(frame, the_count_of_elements_is_bounded)
{
	const size_t n = FRAME_ELEMENTS_MAX; /* the map's pair is one more */
	uint8_t *const many = calloc(1, n + 8);
	struct err e = { 0 };

	memcpy(many, "\x81\xa1k\xdd\x00\x00\xff\xff", 8);
	cr_assert_eq(frame_check(many, n - 1 + 8, &e), 0, "%s", e.text);
	memcpy(many, "\x81\xa1k\xdd\x00\x01\x00\x00", 8);
	cr_assert_eq(frame_check(many, n + 8, &e), -EPROTO);
	cr_assert_str_eq(e.text, "frame: has too many elements");
	free(many);
}

/* Every truncation and every single changed byte of a frame: what passes, msgpack-c unpacks. */
Test(frame, what_passes_is_what_msgpack_unpacks)
{
	static const uint8_t good[] = "\x84\xa4type\xa5hello\xa7version\x01\xa4list\x93\xc3\xd1\x01"
				      "\x02\xc4\x03"
				      "abc\xa1m\xde\0\x01\xd9\x01k\xca\0\0\0\0";
	const size_t len = sizeof(good) - 1;
	uint8_t bytes[sizeof(good)];

	for (size_t cut = 0; cut < len; cut++)
		cr_assert_eq(frame_check(good, cut, NULL), -EPROTO, "at %zu", cut);
	for (size_t i = 0; i < len; i++)
		for (unsigned v = 0; v < 256; v++) {
			msgpack_unpacked out;
			size_t off = 0;

			memcpy(bytes, good, sizeof(good));
			bytes[i] = (uint8_t)v;
			if (frame_check(bytes, len, NULL) < 0)
				continue;
			msgpack_unpacked_init(&out);
			cr_assert_eq(msgpack_unpack_next(&out, (const char *)bytes, len, &off),
				     MSGPACK_UNPACK_SUCCESS);
			cr_assert_eq(off, len);
			cr_assert_eq(out.data.type, MSGPACK_OBJECT_MAP);
			msgpack_unpacked_destroy(&out);
		}
}

Test(frame, a_map_of_ours_says_what_it_takes)
{
	/* {a: [1, 2, 3], b: {c: 1}} */
	static const uint8_t map[] = "\x82\xa1\x61\x93\x01\x02\x03\xa1\x62\x81\xa1\x63\x01";

	cr_assert_eq(frame_elements(map, sizeof(map) - 1), 2 + 3 + 1);
}
