/* fuzz_tar.c - an archive of anybody's: however its bytes are cut, the same entries and data come
 * of it, within their bounds; and what was read can be written and is then read again as it was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tar/header.h"
#include "tar/read.h"
#include "tar/write.h"
#include "tests/fuzz/fuzz.h"

enum {
	ENTRIES_AGAIN = 16, /* written and read again; the others only read */
};

/* What an archive came to, as a number that differs where anything does. */
struct sum {
	uint64_t entries, data;
	int end; /* 0, or the error */
};

static void check_entry(const struct tar_entry *t)
{
	uint64_t last = 0;

	ASSERT(t->kind <= TAR_FIFO);
	ASSERT(t->mode <= 07777);
	ASSERT(memchr(t->path, '\0', sizeof(t->path)));
	ASSERT(memchr(t->link, '\0', sizeof(t->link)));
	ASSERT(t->uid != UINT32_MAX && t->gid != UINT32_MAX);
	ASSERT(t->mtime_ns < 1000000000);
	ASSERT(t->kind == TAR_FILE || t->size == 0);
	ASSERT(t->sparse || t->nsegments == 0);
	for (uint32_t i = 0; i < t->nsegments; i++) {
		ASSERT(t->segments[i].len > 0);
		ASSERT(i == 0 || t->segments[i].at > last);
		last = t->segments[i].at + t->segments[i].len;
		ASSERT(last <= t->size);
	}
}

static bool same(const struct tar_entry *a, const struct tar_entry *b)
{
	return a->kind == b->kind && strcmp(a->path, b->path) == 0 &&
	       strcmp(a->link, b->link) == 0 && a->mode == b->mode && a->uid == b->uid &&
	       a->gid == b->gid && a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns &&
	       a->size == b->size && a->dev_major == b->dev_major && a->dev_minor == b->dev_minor &&
	       a->sparse == b->sparse && a->nsegments == b->nsegments &&
	       buf_len(&a->xattrs) == buf_len(&b->xattrs);
}

/* What ustar has no room for at all, and no tool makes. */
static bool writable(const struct tar_entry *t)
{
	const size_t len = strlen(t->path);
	const bool dir_like = len > 0 && t->path[len - 1] == '/';

	return len > 0 && t->dev_major < 1 << 21 && t->dev_minor < 1 << 21 &&
	       dir_like <= (t->kind != TAR_FILE) && strncmp(t->path, "GNUSparse", 9) != 0;
}

static void again(const struct tar_entry *t)
{
	static struct tar_reader r;
	struct buf b;
	uint64_t data;
	size_t used;

	buf_init(&b, TAR_HEADERS_MAX);
	if (writable(t) && tar_write_entry(t, &b, &data) == 0) {
		tar_reader_init(&r);
		ASSERT(tar_read(&r, buf_data(&b), buf_len(&b), &used, NULL) == TAR_ENTRY);
		ASSERT(same(t, &r.entry));
		tar_reader_fini(&r);
	}
	buf_fini(&b);
}

static struct sum read_cut(const uint8_t *bytes, size_t size, size_t step)
{
	static struct tar_reader r;
	struct sum s = { 0 };
	int rc = 0;

	tar_reader_init(&r);
	for (size_t at = 0; at < size && rc >= 0;) {
		const size_t n = size - at < step ? size - at : step;
		size_t used;

		rc = tar_read(&r, bytes + at, n, &used, NULL);
		ASSERT(used <= n);
		at += used;
		if (rc == TAR_ENTRY) {
			check_entry(&r.entry);
			if (s.entries++ < ENTRIES_AGAIN)
				again(&r.entry);
		} else if (rc == TAR_DATA) {
			ASSERT(r.len > 0 && r.at + r.len <= r.entry.size);
			s.data += r.len;
		}
	}
	s.end = rc < 0 ? rc : tar_read_end(&r, NULL);
	tar_reader_fini(&r);
	return s;
}

/* A fuzzer does not find checksums: what looks like a header is given its own. */
static void checksums_mend(uint8_t *bytes, size_t size)
{
	for (size_t at = 0; at + TAR_BLOCK <= size; at += TAR_BLOCK) {
		struct tar_header h;

		memcpy(&h, bytes + at, sizeof(h));
		if (memcmp(h.magic, "ustar", 5) != 0)
			continue;
		(void)snprintf(h.checksum, sizeof(h.checksum), "%06o", tar_checksum(&h));
		memcpy(bytes + at, &h, sizeof(h));
	}
}

static void check(const uint8_t *data, size_t size)
{
	const struct sum whole = read_cut(data, size, SIZE_MAX);
	const struct sum cut = read_cut(data, size, 97);

	ASSERT(whole.entries == cut.entries);
	ASSERT(whole.data == cut.data);
	ASSERT(whole.end == cut.end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size + 1);

	check(data, size);
	if (copy && size > 0) {
		memcpy(copy, data, size);
		checksums_mend(copy, size);
		check(copy, size);
	}
	free(copy);
	return 0;
}
