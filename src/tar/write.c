#include "tar/write.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "tar/header.h"

/* The largest number in so many octal digits. */
#define OCTAL_MAX(digits) ((UINT64_C(1) << (3 * (digits))) - 1)

enum {
	PAX_NAME_MODE = 0644,
	RECORD_KEY_MAX = 800, /* "SCHILY.xattr." and an attribute's name, 255 bytes, written so */
};

uint32_t tar_checksum(const struct tar_header *h)
{
	const uint8_t *bytes = (const uint8_t *)h;
	uint32_t sum = 0;

	for (size_t i = 0; i < sizeof(*h); i++)
		sum += i - offsetof(struct tar_header, checksum) < sizeof(h->checksum) ? ' '
										       : bytes[i];
	return sum;
}

/* Digits, then NUL; what does not fit is in the pax header, and stands here as 0. */
static void octal(char *field, size_t size, uint64_t n)
{
	for (size_t i = size - 1; i-- > 0; n /= 8)
		field[i] = (char)('0' + n % 8);
}

static void number(char *field, size_t size, uint64_t n)
{
	octal(field, size, n <= OCTAL_MAX(size - 1) ? n : 0);
}

static void text(char *field, size_t size, const char *s)
{
	memcpy(field, s, strnlen(s, size)); /* may fill it without NUL */
}

static int header_append(struct tar_header *h, struct buf *out)
{
	memcpy(h->magic, TAR_MAGIC, sizeof(h->magic));
	octal(h->checksum, sizeof(h->checksum) - 1, tar_checksum(h));
	h->checksum[sizeof(h->checksum) - 1] = ' ';
	return buf_append(out, h, sizeof(*h));
}

static int pad(struct buf *out, uint64_t data)
{
	static const uint8_t zeros[TAR_BLOCK];

	return buf_append(out, zeros, tar_padding(data));
}

/* ---- pax records: "LENGTH KEY=VALUE\n", the length being that of all of it ---- */

static size_t digits(size_t n)
{
	size_t d = 1;

	for (; n >= 10; n /= 10)
		d++;
	return d;
}

static int record(struct buf *out, const char *key, const void *value, size_t len)
{
	const size_t rest = strlen(key) + len + 3; /* blank, "=", newline */
	size_t all = rest + digits(rest);
	char head[RECORD_KEY_MAX + 32];
	int rc;

	if (digits(all) > digits(rest))
		all++;
	const int n = snprintf(head, sizeof(head), "%zu %s=", all, key);
	ASSERT(n > 0 && (size_t)n < sizeof(head));
	rc = buf_append(out, head, (size_t)n);
	if (rc == 0)
		rc = buf_append(out, value, len);
	return rc == 0 ? buf_append(out, "\n", 1) : rc;
}

static int record_text(struct buf *out, const char *key, const char *value)
{
	return record(out, key, value, strlen(value));
}

static int record_number(struct buf *out, const char *key, uint64_t n)
{
	char value[24];

	(void)snprintf(value, sizeof(value), "%" PRIu64, n);
	return record_text(out, key, value);
}

/* Seconds with a fraction; before 1970 the fraction counts backward, as the number reads. */
static int record_time(struct buf *out, int64_t s, uint32_t ns)
{
	const bool negative = s < 0;
	const uint64_t whole = negative ? (uint64_t)(-(s + 1)) + (ns == 0) : (uint64_t)s;
	const uint32_t fraction = negative && ns > 0 ? 1000000000U - ns : ns;
	char value[40];

	(void)snprintf(value, sizeof(value), "%s%" PRIu64 ".%09u", negative ? "-" : "", whole,
		       fraction);
	return record_text(out, "mtime", value);
}

/* A key ends at its first "="; GNU tar writes those of an attribute's name so. */
static void xattr_key(const char *name, char out[RECORD_KEY_MAX])
{
	size_t at = (size_t)snprintf(out, RECORD_KEY_MAX, PAX_XATTR);

	for (; *name && at + 4 < RECORD_KEY_MAX; name++) {
		const char *as = *name == '=' ? "%3D" : *name == '%' ? "%25" : NULL;

		if (as)
			at += (size_t)snprintf(out + at, RECORD_KEY_MAX - at, "%s", as);
		else
			out[at++] = *name;
	}
	out[at] = '\0';
}

static int records_xattrs(const struct tar_entry *t, struct buf *out)
{
	struct tar_xattr x;
	int rc = 0;

	for (size_t at = 0; rc == 0 && tar_xattr_next(t, &at, &x);) {
		char key[RECORD_KEY_MAX];

		xattr_key(x.name, key);
		rc = record(out, key, x.value, x.len);
	}
	return rc;
}

static int records_sparse(const struct tar_entry *t, struct buf *out)
{
	int rc = record_text(out, PAX_SPARSE_MAJOR, "1");

	if (rc == 0)
		rc = record_text(out, PAX_SPARSE_MINOR, "0");
	if (rc == 0)
		rc = record_text(out, PAX_SPARSE_NAME, t->path);
	return rc == 0 ? record_number(out, PAX_SPARSE_SIZE, t->size) : rc;
}

static int records(const struct tar_entry *t, uint64_t size, struct buf *out)
{
	int rc = 0;

	if (t->sparse)
		rc = records_sparse(t, out);
	else if (strlen(t->path) > sizeof(((struct tar_header *)0)->name))
		rc = record_text(out, "path", t->path);
	if (rc == 0 && strlen(t->link) > sizeof(((struct tar_header *)0)->linkname))
		rc = record_text(out, "linkpath", t->link);
	if (rc == 0 && size > OCTAL_MAX(11))
		rc = record_number(out, "size", size);
	if (rc == 0 && t->uid > OCTAL_MAX(7))
		rc = record_number(out, "uid", t->uid);
	if (rc == 0 && t->gid > OCTAL_MAX(7))
		rc = record_number(out, "gid", t->gid);
	if (rc == 0 && (t->mtime_ns || t->mtime_s < 0 || (uint64_t)t->mtime_s > OCTAL_MAX(11)))
		rc = record_time(out, t->mtime_s, t->mtime_ns);
	return rc == 0 ? records_xattrs(t, out) : rc;
}

static int pax_append(const struct buf *body, struct buf *out)
{
	struct tar_header h = { .type = TAR_TYPE_PAX };
	int rc;

	text(h.name, sizeof(h.name), "././@PaxHeader");
	octal(h.mode, sizeof(h.mode), PAX_NAME_MODE);
	octal(h.uid, sizeof(h.uid), 0);
	octal(h.gid, sizeof(h.gid), 0);
	octal(h.size, sizeof(h.size), buf_len(body));
	octal(h.mtime, sizeof(h.mtime), 0);
	rc = header_append(&h, out);
	if (rc == 0)
		rc = buf_append(out, buf_data(body), buf_len(body));
	return rc == 0 ? pad(out, buf_len(body)) : rc;
}

/* ---- the map of a sparse file: how many segments, then where and how long each ---- */

static int map_make(const struct tar_entry *t, struct buf *map, uint64_t *ret_data)
{
	const struct tar_segment *last = t->nsegments ? &t->segments[t->nsegments - 1] : NULL;
	const bool hole_last = !last || last->at + last->len < t->size;
	char line[48];
	uint64_t data = 0;
	int n = snprintf(line, sizeof(line), "%u\n", t->nsegments + hole_last);
	int rc = buf_append(map, line, (size_t)n);

	for (uint32_t i = 0; rc == 0 && i < t->nsegments; i++) {
		n = snprintf(line, sizeof(line), "%" PRIu64 "\n%" PRIu64 "\n", t->segments[i].at,
			     t->segments[i].len);
		rc = buf_append(map, line, (size_t)n);
		data += t->segments[i].len;
	}
	if (rc == 0 && hole_last) { /* GNU tar knows by an empty piece that there is one */
		n = snprintf(line, sizeof(line), "%" PRIu64 "\n0\n", t->size);
		rc = buf_append(map, line, (size_t)n);
	}
	if (rc == 0)
		rc = pad(map, buf_len(map));
	*ret_data = data;
	return rc;
}

/* ---- the entry ---- */

static int main_append(const struct tar_entry *t, uint64_t size, struct buf *out)
{
	struct tar_header h = { .type = (char)('0' + (int)t->kind) };

	text(h.name, sizeof(h.name), t->sparse ? "GNUSparseFile.0/sparse" : t->path);
	text(h.linkname, sizeof(h.linkname), t->link);
	number(h.mode, sizeof(h.mode), t->mode);
	number(h.uid, sizeof(h.uid), t->uid);
	number(h.gid, sizeof(h.gid), t->gid);
	number(h.size, sizeof(h.size), size);
	number(h.mtime, sizeof(h.mtime), t->mtime_s < 0 ? 0 : (uint64_t)t->mtime_s);
	number(h.dev_major, sizeof(h.dev_major), t->dev_major);
	number(h.dev_minor, sizeof(h.dev_minor), t->dev_minor);
	return header_append(&h, out);
}

static int write_parts(const struct tar_entry *t, struct buf *map, struct buf *pax, struct buf *out,
		       uint64_t *ret_data)
{
	uint64_t data = t->kind == TAR_FILE ? t->size : 0;
	uint64_t size;
	int rc = t->sparse ? map_make(t, map, &data) : 0;

	size = data + buf_len(map);
	if (rc == 0)
		rc = records(t, size, pax);
	if (rc == 0 && buf_len(pax) > 0)
		rc = pax_append(pax, out);
	if (rc == 0)
		rc = main_append(t, size, out);
	if (rc == 0 && buf_len(map) > 0)
		rc = buf_append(out, buf_data(map), buf_len(map));
	if (rc == 0)
		*ret_data = data;
	return rc;
}

int tar_write_entry(const struct tar_entry *t, struct buf *out, uint64_t *ret_data)
{
	const size_t before = buf_len(out);
	struct buf map;
	struct buf pax;
	int rc;

	ASSERT(t->sparse ? t->kind == TAR_FILE : t->nsegments == 0);
	buf_init(&map, TAR_MAP_MAX + TAR_BLOCK);
	buf_init(&pax, TAR_PAX_MAX);
	rc = write_parts(t, &map, &pax, out, ret_data);
	buf_fini(&map);
	buf_fini(&pax);
	if (rc < 0)
		buf_truncate(out, before);
	return rc;
}
