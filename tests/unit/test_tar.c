/* test_tar.c - archives, written and read: what comes back, and what is refused. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tar/header.h"
#include "tar/read.h"
#include "tar/write.h"

enum {
	ARCHIVE_MAX = 16 << 20,
};

static struct tar_entry entry; /* too large for a stack */
static struct tar_reader reader;
static struct buf archive;

static void setup(void)
{
	tar_entry_init(&entry);
	tar_reader_init(&reader);
	buf_init(&archive, ARCHIVE_MAX);
}

static void teardown(void)
{
	tar_entry_fini(&entry);
	tar_reader_fini(&reader);
	buf_fini(&archive);
}

TestSuite(tar, .init = setup, .fini = teardown);

static void zeros(size_t n)
{
	static const uint8_t none[TAR_END_BYTES];

	cr_assert_eq(buf_append(&archive, none, n), 0);
}

/* Byte i of a file's data is i: its place can be seen. */
static void put(void)
{
	uint64_t data;

	cr_assert_eq(tar_write_entry(&entry, &archive, &data), 0);
	for (uint64_t i = 0; i < data; i++)
		cr_assert_eq(buf_append(&archive, &(uint8_t){ (uint8_t)i }, 1), 0);
	zeros(tar_padding(data));
}

struct seen {
	uint32_t entries;
	uint64_t bytes;   /* of data */
	uint64_t last_at; /* place of the last of them */
	int rc;
	struct err e;
};

/* Reads the archive in pieces of `step` bytes. */
static struct seen read_all(size_t step)
{
	struct seen s = { 0 };
	const uint8_t *at = buf_data(&archive);
	size_t left = buf_len(&archive);

	while (left > 0 || s.rc > 0) {
		size_t used;

		s.rc = tar_read(&reader, at, left < step ? left : step, &used, &s.e);
		at += used;
		left -= used;
		if (s.rc < 0)
			return s;
		if (s.rc == TAR_ENTRY) {
			s.entries++;
			return s; /* the caller looks at it */
		}
	}
	s.rc = tar_read_end(&reader, &s.e);
	return s;
}

/* Goes on from an entry to its end; counts its data. */
static struct seen read_data(const uint8_t **at, size_t *left, size_t step)
{
	struct seen s = { 0 };

	do {
		size_t used;

		s.rc = tar_read(&reader, *at, *left < step ? *left : step, &used, &s.e);
		*at += used;
		*left -= used;
		if (s.rc == TAR_DATA) {
			cr_assert(reader.at >= s.last_at || s.bytes == 0);
			cr_assert(reader.at + reader.len <= reader.entry.size);
			s.bytes += reader.len;
			s.last_at = reader.at + reader.len;
		}
	} while (s.rc == TAR_DATA || (s.rc == TAR_MORE && *left > 0));
	return s;
}

static void assert_same(const struct tar_entry *a, const struct tar_entry *b)
{
	cr_assert_eq(a->kind, b->kind);
	cr_assert_str_eq(a->path, b->path);
	cr_assert_str_eq(a->link, b->link);
	cr_assert_eq(a->mode, b->mode);
	cr_assert_eq(a->uid, b->uid);
	cr_assert_eq(a->gid, b->gid);
	cr_assert_eq(a->mtime_s, b->mtime_s);
	cr_assert_eq(a->mtime_ns, b->mtime_ns);
	cr_assert_eq(a->dev_major, b->dev_major);
	cr_assert_eq(a->dev_minor, b->dev_minor);
	cr_assert_eq(a->size, b->size);
	cr_assert_eq(a->sparse, b->sparse);
	cr_assert_eq(a->nsegments, b->nsegments);
	for (uint32_t i = 0; i < a->nsegments; i++) {
		cr_assert_eq(a->segments[i].at, b->segments[i].at);
		cr_assert_eq(a->segments[i].len, b->segments[i].len);
	}
	cr_assert_eq(buf_len(&a->xattrs), buf_len(&b->xattrs));
	if (buf_len(&a->xattrs) > 0)
		cr_assert_arr_eq(buf_data(&a->xattrs), buf_data(&b->xattrs), buf_len(&a->xattrs));
}

/* What was put into `entry` comes back, however the bytes are cut. */
static void assert_survives(uint64_t data)
{
	static const size_t steps[] = { 1, 7, 511, 512, 513, SIZE_MAX };

	buf_clear(&archive);
	put();
	zeros(TAR_END_BYTES);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		const uint8_t *at = buf_data(&archive);
		size_t left = buf_len(&archive);
		struct seen s;
		size_t used;
		int rc;

		do {
			rc = tar_read(&reader, at, left < steps[i] ? left : steps[i], &used, NULL);
			at += used;
			left -= used;
		} while (rc == TAR_MORE && left > 0);
		cr_assert_eq(rc, TAR_ENTRY, "step %zu: %d", steps[i], rc);
		assert_same(&entry, &reader.entry);
		s = read_data(&at, &left, steps[i]);
		cr_assert_eq(s.rc, TAR_DONE);
		cr_assert_eq(s.bytes, data);
		while (left > 0) {
			rc = tar_read(&reader, at, left < steps[i] ? left : steps[i], &used, NULL);
			cr_assert(rc == TAR_MORE || rc == TAR_END);
			at += used;
			left -= used;
		}
		cr_assert_eq(tar_read_end(&reader, NULL), 0);
		tar_reader_fini(&reader);
		tar_reader_init(&reader);
	}
}

static void name(const char *path)
{
	(void)snprintf(entry.path, sizeof(entry.path), "%s", path);
}

static void fill(char *to, size_t len, char c)
{
	memset(to, c, len);
	to[len] = '\0';
}

Test(tar, every_kind_survives)
{
	for (int kind = TAR_FILE; kind <= TAR_FIFO; kind++) {
		tar_entry_clear(&entry);
		entry.kind = (enum tar_kind)kind;
		name(kind == TAR_DIR ? "a/dir/" : "a/name");
		if (kind == TAR_HARDLINK || kind == TAR_SYMLINK)
			(void)snprintf(entry.link, sizeof(entry.link), "../else/where");
		if (kind == TAR_CHAR || kind == TAR_BLOCKDEV) {
			entry.dev_major = 4095;
			entry.dev_minor = 1048575;
		}
		entry.mode = 06755;
		entry.uid = 1000;
		entry.gid = 100;
		entry.mtime_s = 1700000000;
		entry.size = kind == TAR_FILE ? 1234 : 0;
		assert_survives(entry.size);
	}
}

Test(tar, names_of_any_length_and_bytes)
{
	static const size_t lengths[] = { 1, 99, 100, 101, 255, 256, 1000, TAR_PATH_MAX };

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		tar_entry_clear(&entry);
		entry.kind = TAR_SYMLINK;
		fill(entry.path, lengths[i], '\xff');
		fill(entry.link, lengths[i], '\n');
		assert_survives(0);
	}
	tar_entry_clear(&entry);
	name("- odd\nname \xc3\x28 =1 \x7f");
	assert_survives(0);
}

Test(tar, numbers_that_ustar_cannot_hold)
{
	name("n");
	entry.uid = UINT32_MAX - 1;
	entry.gid = 2097152;
	entry.mode = 07777;
	entry.mtime_ns = 999999999;
	entry.mtime_s = INT64_C(1) << 40;
	assert_survives(0);
	entry.mtime_s = -1;
	entry.mtime_ns = 0;
	assert_survives(0);
	entry.mtime_s = -2;
	entry.mtime_ns = 1;
	assert_survives(0);
	entry.mtime_s = 0;
	entry.mtime_ns = 0;
	assert_survives(0);
}

Test(tar, attributes_of_any_bytes)
{
	uint8_t *at;

	name("x");
	cr_assert_eq(tar_xattr_add(&entry, "user.empty", 0, &at), 0);
	cr_assert_eq(tar_xattr_add(&entry, "user.=%25\n%3D", 5, &at), 0);
	memcpy(at, "\0=\n\xff ", 5);
	cr_assert_eq(tar_xattr_add(&entry, "user.large", 60000, &at), 0);
	memset(at, 'x', 60000);
	assert_survives(0);
	cr_assert_eq(tar_xattr_add(&entry, "user.more", TAR_XATTRS_MAX, &at), -ENOBUFS);
}

Test(tar, sparse_files_of_any_map)
{
	name("sparse");
	entry.sparse = true;
	entry.size = UINT64_C(1) << 40;
	assert_survives(0); /* one hole */
	cr_assert_eq(tar_segment_add(&entry, 0, 700), 0);
	assert_survives(700);
	cr_assert_eq(tar_segment_add(&entry, 700, 1), 0); /* joins the one before */
	cr_assert_eq(entry.nsegments, 1);
	cr_assert_eq(tar_segment_add(&entry, 1 << 20, 4096), 0);
	cr_assert_eq(tar_segment_add(&entry, entry.size - 1, 1), 0);
	assert_survives(700 + 1 + 4096 + 1);
}

Test(tar, as_many_segments_as_there_may_be)
{
	name("holes");
	entry.sparse = true;
	entry.size = UINT64_C(1) << 62;
	for (uint64_t i = 0; i < TAR_SEGMENTS_MAX; i++)
		cr_assert_eq(tar_segment_add(&entry, (UINT64_C(1) << 61) + i * 2, 1), 0);
	cr_assert_eq(tar_segment_add(&entry, entry.size - 1, 1), -ENOBUFS);
	buf_clear(&archive);
	put();
	zeros(TAR_END_BYTES);
	struct seen s = read_all(SIZE_MAX);
	cr_assert_eq(s.rc, TAR_ENTRY, "%s", s.e.text);
	cr_assert_eq(reader.entry.nsegments, TAR_SEGMENTS_MAX);
	assert_same(&entry, &reader.entry);
}

/* ---- what other writers do ---- */

static struct tar_header header(char type, const char *path, const char *size)
{
	struct tar_header h = { .type = type };

	memcpy(h.name, path, strnlen(path, sizeof(h.name)));
	memcpy(h.mode, "0000644", 8);
	memcpy(h.uid, "0001750", 8);
	memcpy(h.gid, "0001750", 8);
	memcpy(h.size, size, strnlen(size, sizeof(h.size)));
	memcpy(h.mtime, "14525327000", 12);
	memcpy(h.magic, TAR_MAGIC_GNU, 8);
	return h;
}

static void put_header(struct tar_header *h)
{
	(void)snprintf(h->checksum, sizeof(h->checksum), "%06o", tar_checksum(h));
	h->checksum[7] = ' ';
	cr_assert_eq(buf_append(&archive, h, sizeof(*h)), 0);
}

static void put_text(const char *text, size_t len)
{
	cr_assert_eq(buf_append(&archive, text, len), 0);
	zeros(tar_padding(len));
}

Test(tar, gnus_long_names)
{
	struct tar_header h = header(TAR_TYPE_LONG_LINK, "././@LongLink", "00000000310");
	char text[200];

	fill(text, 199, 'l');
	put_header(&h);
	put_text(text, 200);
	h = header(TAR_TYPE_LONG_NAME, "././@LongLink", "00000000310");
	fill(text, 199, 'p');
	put_header(&h);
	put_text(text, 200);
	h = header('2', "ppp", "00000000000");
	put_header(&h);
	zeros(TAR_END_BYTES);
	const struct seen s = read_all(100);
	cr_assert_eq(s.rc, TAR_ENTRY, "%s", s.e.text);
	cr_assert_eq(strlen(reader.entry.path), 199);
	cr_assert_eq(strlen(reader.entry.link), 199);
	cr_assert_eq(reader.entry.link[0], 'l');
	cr_assert_eq(reader.entry.uid, 1000);
}

Test(tar, numbers_in_base_256)
{
	struct tar_header h = header('0', "big", "");

	memcpy(h.size, "\x80\0\0\0\0\0\0\x02\0\0\0\0", 12);
	memcpy(h.uid, "\x80\0\0\0\xff\xff\xff\xfe", 8);
	memcpy(h.mtime, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 12);
	put_header(&h);
	const struct seen s = read_all(SIZE_MAX);
	cr_assert_eq(s.rc, TAR_ENTRY, "%s", s.e.text);
	cr_assert_eq(reader.entry.size, UINT64_C(2) << 32);
	cr_assert_eq(reader.entry.uid, UINT32_MAX - 1);
	cr_assert_eq(reader.entry.mtime_s, -2);
}

Test(tar, the_prefix_of_a_name_and_what_gnu_keeps_there)
{
	struct tar_header h = header('0', "name", "00000000000");

	memcpy(h.prefix, "some/where", 10);
	put_header(&h);
	cr_assert_eq(read_all(SIZE_MAX).rc, TAR_ENTRY);
	cr_assert_str_eq(reader.entry.path, "name");
	tar_reader_fini(&reader);
	tar_reader_init(&reader);
	buf_clear(&archive);
	memcpy(h.magic, TAR_MAGIC, 8);
	put_header(&h);
	cr_assert_eq(read_all(SIZE_MAX).rc, TAR_ENTRY);
	cr_assert_str_eq(reader.entry.path, "some/where/name");
}

Test(tar, gnus_old_sparse_files)
{
	struct tar_header h = header(TAR_TYPE_SPARSE, "sparse", "00000000006");
	char *raw = (char *)&h;
	char more[TAR_BLOCK] = { 0 };

	for (int i = 0; i < 4; i++)
		(void)snprintf(raw + 386 + (ptrdiff_t)24 * i, 24, "%011o", 1000 * i);
	for (int i = 0; i < 4; i++)
		(void)snprintf(raw + 386 + (ptrdiff_t)24 * i + 12, 12, "%011o", 1);
	raw[482] = 1;
	(void)snprintf(raw + 483, 12, "%011o", 10000);
	put_header(&h);
	(void)snprintf(more, 12, "%011o", 5000);
	(void)snprintf(more + 12, 12, "%011o", 2);
	(void)snprintf(more + 24, 12, "%011o", 10000);
	(void)snprintf(more + 36, 12, "%011o", 0);
	cr_assert_eq(buf_append(&archive, more, sizeof(more)), 0);
	put_text("abcdef", 6);
	zeros(TAR_END_BYTES);

	const uint8_t *at = buf_data(&archive);
	size_t left = buf_len(&archive);
	size_t used;
	struct err e = { 0 };
	int rc;

	do {
		rc = tar_read(&reader, at, left, &used, &e);
		at += used;
		left -= used;
	} while (rc == TAR_MORE && left > 0);
	cr_assert_eq(rc, TAR_ENTRY, "%s", e.text);
	cr_assert_eq(reader.entry.size, 10000);
	cr_assert_eq(reader.entry.nsegments, 5);
	const struct seen s = read_data(&at, &left, 1);
	cr_assert_eq(s.bytes, 6);
	cr_assert_eq(s.last_at, 5002);
}

Test(tar, a_global_header_is_passed_over)
{
	struct tar_header h = header(TAR_TYPE_PAX_GLOBAL, "pax_global_header", "00000000064");

	put_header(&h);
	put_text("52 comment=0123456789012345678901234567890123456789\n", 52);
	name("file");
	put();
	const struct seen s = read_all(SIZE_MAX);
	cr_assert_eq(s.rc, TAR_ENTRY, "%s", s.e.text);
	cr_assert_str_eq(reader.entry.path, "file");
}

/* ---- what is refused ---- */

static void assert_bad(const char *why)
{
	const struct seen s = read_all(SIZE_MAX);

	cr_assert(s.rc < 0, "%d", s.rc);
	cr_assert_eq(s.e.code, ERR_TAR_BAD);
	cr_assert(strstr(s.e.text, why), "\"%s\" does not say \"%s\"", s.e.text, why);
	tar_reader_fini(&reader);
	tar_reader_init(&reader);
	buf_clear(&archive);
}

static void put_pax(const char *records, size_t len)
{
	struct tar_header h = header(TAR_TYPE_PAX, "pax", "");

	(void)snprintf(h.size, sizeof(h.size), "%011zo", len);
	put_header(&h);
	put_text(records, len);
	h = header('0', "file", "00000000000");
	put_header(&h);
}

Test(tar, what_is_no_archive_is_refused)
{
	struct tar_header h = header('0', "file", "00000000000");

	cr_assert_eq(buf_append(&archive, "#!/bin/sh\n", 10), 0);
	zeros(502);
	assert_bad("no tar");
	put_header(&h);
	buf_data(&archive)[0] ^= 1;
	assert_bad("checksum");
	h = header('Z', "file", "00000000000");
	put_header(&h);
	assert_bad("type");
	h = header('0', "file", "0000000009x");
	put_header(&h);
	assert_bad("size");
	memcpy(h.size, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
	put_header(&h);
	assert_bad("size");
	h = header(TAR_TYPE_PAX, "pax", "00001000001");
	put_header(&h);
	assert_bad("too large");
	h = header('0', "file", "00000000000");
	memcpy(h.uid, "\x80\0\0\0\xff\xff\xff\xff", 8); /* "no id" to the kernel */
	put_header(&h);
	assert_bad("out of bounds");
}

Test(tar, an_archive_that_ends_early_is_refused)
{
	assert_bad("too early"); /* nothing at all */
	name("file");
	entry.size = 1000;
	put();
	for (size_t n = buf_len(&archive); n > 0; n--) {
		const uint8_t *at = buf_data(&archive);
		size_t used;
		int rc;

		for (size_t left = n; left > 0; left -= used, at += used) {
			rc = tar_read(&reader, at, left, &used, NULL);
			cr_assert(rc >= 0);
		}
		cr_assert_lt(tar_read_end(&reader, NULL), 0, "%zu bytes", n);
		tar_reader_fini(&reader);
		tar_reader_init(&reader);
	}
}

Test(tar, damaged_records_are_refused)
{
	static const struct {
		const char *records;
		size_t len;
	} rows[] = {
#define ROW(literal) { literal, sizeof(literal) - 1 }
		ROW("9 path=a"),    /* no newline */
		ROW("99 path=a\n"), /* longer than the header */
		ROW("0 path=a\n"),
		ROW("path=a\n"),
		ROW("10 pathaa\n"),
		ROW("6 =aa\n"),
		ROW("10 path=\0b\n"),
		ROW("8 path=\n"),
		ROW("10 size=-1\n"),
		ROW("10 uid=1x0\n"),
		ROW("18 uid=4294967295\n"),
		ROW("31 size=99999999999999999999999\n"),
		ROW("15 mtime=1.2.3\n"),
#undef ROW
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		put_pax(rows[i].records, rows[i].len);
		assert_bad("damaged extended header");
	}
	put_pax("26 GNU.sparse.map=0,1,5,1\n", 26);
	assert_bad("old format");
	put_pax("22 GNU.sparse.major=2\n22 GNU.sparse.minor=0\n", 44);
	assert_bad("unknown format");
}

static void put_sparse(const char *map, const char *size)
{
	static const char records[] = "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
				      "27 GNU.sparse.realsize=100\n";
	struct tar_header h = header(TAR_TYPE_PAX, "pax", "00000000107");

	put_header(&h);
	put_text(records, sizeof(records) - 1);
	h = header('0', "file", size);
	put_header(&h);
	put_text(map, strlen(map));
	zeros(TAR_BLOCK);
}

Test(tar, sparse_maps_that_lie_are_refused)
{
	put_sparse("1\n0\n10\n", "00000001012"); /* right: 512 of map, 10 of data */
	struct seen s = read_all(SIZE_MAX);
	cr_assert_eq(s.rc, TAR_ENTRY, "%s", s.e.text);
	tar_reader_fini(&reader);
	tar_reader_init(&reader);
	buf_clear(&archive);

	put_sparse("1\n0\n11\n", "00000001012");
	assert_bad("differ");
	put_sparse("1\n95\n10\n", "00000001012"); /* beyond the file's end */
	assert_bad("damaged map");
	put_sparse("2\n10\n5\n8\n5\n", "00000001012"); /* backward */
	assert_bad("damaged map");
	put_sparse("99999999999999\n", "00000001012");
	assert_bad("segments");
	put_sparse("1\n0\n99999999999999999999999999\n", "00000001012");
	assert_bad("damaged map");
	put_sparse("-1\n", "00000001012");
	assert_bad("damaged map");
	put_sparse("1\n0\n10\n", "00000000012"); /* less than the map */
	assert_bad("map does not end");
}

/* Any byte changed: an error, or something else that is within bounds. */
Test(tar, no_changed_byte_does_harm)
{
	uint8_t *at;

	name("a/name");
	entry.sparse = true;
	entry.size = 100000;
	entry.mtime_ns = 5;
	cr_assert_eq(tar_segment_add(&entry, 10, 20), 0);
	cr_assert_eq(tar_segment_add(&entry, 5000, 30), 0);
	cr_assert_eq(tar_xattr_add(&entry, "user.a", 3, &at), 0);
	memcpy(at, "abc", 3);
	put();
	zeros(TAR_END_BYTES);
	for (size_t i = 0; i < buf_len(&archive); i++)
		for (int bit = 0; bit < 8; bit++) {
			const uint8_t *from = buf_data(&archive);
			size_t left = buf_len(&archive);
			int rc = 0;

			buf_data(&archive)[i] ^= (uint8_t)(1 << bit);
			while (left > 0 && rc >= 0) {
				size_t used;

				rc = tar_read(&reader, from, left, &used, NULL);
				if (rc == TAR_DATA)
					cr_assert(reader.at + reader.len <= reader.entry.size);
				from += used;
				left -= used;
			}
			buf_data(&archive)[i] ^= (uint8_t)(1 << bit);
			tar_reader_fini(&reader);
			tar_reader_init(&reader);
		}
}
