#include "tar/read.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "tar/header.h"

enum {
	NAME_SHOWN = 120,    /* bytes of a name in a message: the reason must fit as well */
	OLD_SEGMENTS = 4,    /* in an old sparse header ... */
	OLD_MORE = 21,       /* ... and in each block after it */
	OLD_OFFSET = 386,    /* where they begin in the header */
	OLD_NUMBER = 12,     /* bytes of each number */
	OLD_EXTENDED = 482,  /* more blocks follow */
	OLD_REAL_SIZE = 483, /* the file's, holes included */
	OLD_MORE_EXTENDED = 504,
	MAP_LINE_MAX = 24,
	XATTR_NAME_MAX = 255,
};

void tar_reader_init(struct tar_reader *r)
{
	*r = (struct tar_reader){ .next = { .sparse_major = -1, .sparse_minor = -1 } };
	tar_entry_init(&r->entry);
	buf_init(&r->text, TAR_PAX_MAX);
}

void tar_reader_fini(struct tar_reader *r)
{
	tar_entry_fini(&r->entry);
	buf_fini(&r->text);
}

static int bad(const struct tar_reader *r, struct err *e, const char *why)
{
	return err_set(e, ERR_TAR_BAD, "tar: %s%.*s%s%s", r->entry.path[0] ? "entry \"" : "",
		       (int)NAME_SHOWN, r->entry.path, r->entry.path[0] ? "\": " : "", why);
}

/* ---- numbers of a header ---- */

/* Octal between blanks, or base 256 where the first bit is set. */
static int number(const char *field, size_t size, int64_t *ret)
{
	const uint8_t *f = (const uint8_t *)field;
	uint64_t n = 0;
	size_t i = 0;

	if (f[0] & 0x80) {
		const uint8_t sign = f[0] & 0x40 ? 0xff : 0; /* two's complement */

		for (i = 0; i < size; i++) {
			const uint8_t byte = i == 0 ? (uint8_t)(f[0] & 0x7f) | (sign & 0x80) : f[i];

			if (i + 8 < size && byte != sign)
				return -ERANGE;
			n = n << 8 | byte;
		}
		*ret = (int64_t)n;
		return (*ret < 0) == (sign != 0) ? 0 : -ERANGE;
	}
	while (i < size && f[i] == ' ')
		i++;
	for (; i < size && f[i] >= '0' && f[i] <= '7'; i++)
		n = n << 3 | (uint64_t)(f[i] - '0'); /* 12 digits have 36 bits */
	for (; i < size; i++)
		if (f[i] != ' ' && f[i] != '\0')
			return -EINVAL;
	*ret = (int64_t)n;
	return 0;
}

static int unsigned_number(const char *field, size_t size, uint64_t max, uint64_t *ret)
{
	int64_t n;
	const int rc = number(field, size, &n);

	if (rc < 0 || n < 0 || (uint64_t)n > max)
		return -ERANGE;
	*ret = (uint64_t)n;
	return 0;
}

/* ---- pax records ---- */

static int decimal(const char *text, size_t len, uint64_t max, uint64_t *ret)
{
	uint64_t n = 0;

	if (len == 0)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		const unsigned int digit = (unsigned char)text[i] - '0';

		if (digit > 9)
			return -EINVAL;
		if (n > (max - digit) / 10)
			return -ERANGE;
		n = n * 10 + digit;
	}
	*ret = n;
	return 0;
}

/* "-1.5": seconds, and what of nanoseconds is said. */
static int time_of(const char *text, size_t len, int64_t *ret_s, uint32_t *ret_ns)
{
	const bool negative = len > 0 && text[0] == '-';
	const char *dot = memchr(text, '.', len);
	const size_t begin = negative;
	const size_t whole_end = dot ? (size_t)(dot - text) : len;
	uint64_t s = 0;
	uint32_t ns = 0;
	size_t at = whole_end + 1;
	int rc = decimal(text + begin, whole_end - begin, INT64_MAX / 2, &s);

	for (uint32_t unit = 100000000; rc == 0 && at < len; at++, unit /= 10) {
		const unsigned int digit = (unsigned char)text[at] - '0';

		if (digit > 9)
			rc = -EINVAL;
		ns += digit * unit;
	}
	if (rc < 0)
		return rc;
	*ret_s = negative ? -(int64_t)s - (ns > 0) : (int64_t)s;
	*ret_ns = negative && ns > 0 ? 1000000000U - ns : ns;
	return 0;
}

static int path_set(char path[TAR_PATH_MAX + 1], const void *text, size_t len)
{
	if (len == 0 || len > TAR_PATH_MAX || memchr(text, '\0', len))
		return -EINVAL;
	memcpy(path, text, len);
	path[len] = '\0';
	return 0;
}

/* "%3D" in its name is "=", "%25" is "%". */
static int xattr_take(struct tar_entry *t, const char *key, size_t key_len, const char *value,
		      size_t len)
{
	char name[XATTR_NAME_MAX + 1];
	size_t n = 0;
	uint8_t *at;

	for (size_t i = 0; i < key_len; i++) {
		const bool equals = key_len - i >= 3 && memcmp(key + i, "%3D", 3) == 0;
		const bool percent = key_len - i >= 3 && memcmp(key + i, "%25", 3) == 0;

		if (n == XATTR_NAME_MAX)
			return -EINVAL;
		name[n++] = equals ? '=' : percent ? '%' : key[i];
		i += equals || percent ? 2 : 0;
	}
	name[n] = '\0';
	const int rc = tar_xattr_add(t, name, len, &at);
	if (rc == 0 && len > 0)
		memcpy(at, value, len);
	return rc;
}

/* A value that is not understood makes the entry unreadable; a key that is not known, only poorer.
 */
static int record_take(struct tar_reader *r, const char *key, size_t key_len, const char *value,
		       size_t len)
{
	static const size_t prefix = sizeof(PAX_XATTR) - 1;
	uint64_t n = 0;
	int rc;

#define IS(name) (key_len == strlen(name) && memcmp(key, (name), key_len) == 0)
	if (IS("path") || IS(PAX_SPARSE_NAME)) {
		if (r->next.sparse_name && key[0] == 'p')
			return 0; /* the real one is known */
		r->next.sparse_name = key[0] != 'p';
		r->next.path = true;
		return path_set(r->entry.path, value, len);
	}
	if (IS("linkpath")) {
		r->next.link = true;
		return path_set(r->entry.link, value, len);
	}
	if (IS("size")) {
		r->next.size = true;
		return decimal(value, len, INT64_MAX, &r->next.value_size);
	}
	if (IS("uid") || IS("gid")) {
		rc = decimal(value, len, UINT32_MAX - 1, &n);
		*(key[0] == 'u' ? &r->next.uid : &r->next.gid) = true;
		*(key[0] == 'u' ? &r->next.value_uid : &r->next.value_gid) = (uint32_t)n;
		return rc;
	}
	if (IS("mtime")) {
		r->next.mtime = true;
		return time_of(value, len, &r->next.value_mtime_s, &r->next.value_mtime_ns);
	}
	if (IS(PAX_SPARSE_MAJOR) || IS(PAX_SPARSE_MINOR)) {
		rc = decimal(value, len, 99, &n);
		*(IS(PAX_SPARSE_MAJOR) ? &r->next.sparse_major : &r->next.sparse_minor) = (int)n;
		return rc;
	}
	if (IS(PAX_SPARSE_SIZE)) {
		r->next.real_size = true;
		return decimal(value, len, INT64_MAX, &r->next.value_real_size);
	}
	if (IS("GNU.sparse.map") || IS("GNU.sparse.offset"))
		return -ENOTSUP; /* formats 0.0 and 0.1, which no tar has written for long */
#undef IS
	if (key_len > prefix && memcmp(key, PAX_XATTR, prefix) == 0)
		return xattr_take(&r->entry, key + prefix, key_len - prefix, value, len);
	return 0;
}

/* "LENGTH KEY=VALUE\n" at the front; its length, or -errno. */
static int record_read(struct tar_reader *r, const char *text, size_t have)
{
	const char *blank = memchr(text, ' ', have < 16 ? have : 16);
	uint64_t all;

	if (!blank || decimal(text, (size_t)(blank - text), have, &all) < 0)
		return -EINVAL;
	const char *key = blank + 1;
	const char *end = text + all - 1; /* the newline */
	if (end <= key || *end != '\n')
		return -EINVAL;
	const char *equals = memchr(key, '=', (size_t)(end - key));
	if (!equals || equals == key || memchr(key, '\0', (size_t)(equals - key)))
		return -EINVAL;
	const int rc = record_take(r, key, (size_t)(equals - key), equals + 1,
				   (size_t)(end - equals - 1));

	return rc < 0 ? rc : (int)all;
}

static int pax_take(struct tar_reader *r, struct err *e)
{
	const char *text = (const char *)buf_data(&r->text);
	size_t left = buf_len(&r->text);

	while (left > 0) {
		const int n = record_read(r, text, left);

		if (n == -ENOTSUP)
			return bad(r, e,
				   "a sparse file of an old format; write it with "
				   "--sparse-version=1.0");
		if (n < 0)
			return bad(r, e, "a damaged extended header");
		text += n;
		left -= (size_t)n;
	}
	return 0;
}

/* A whole pax header or long name has been gathered. */
static int text_take(struct tar_reader *r, struct err *e)
{
	const bool link = r->type == TAR_TYPE_LONG_LINK;
	int rc = 0;

	if (r->type == TAR_TYPE_PAX) {
		rc = pax_take(r, e);
	} else if (link || r->type == TAR_TYPE_LONG_NAME) {
		const size_t len = strnlen((const char *)buf_data(&r->text), buf_len(&r->text));

		*(link ? &r->next.link : &r->next.path) = true;
		if (path_set(link ? r->entry.link : r->entry.path, buf_data(&r->text), len) < 0)
			rc = bad(r, e, "a damaged long name");
	}
	r->pending = r->pending || r->type != TAR_TYPE_PAX_GLOBAL;
	buf_clear(&r->text);
	return rc;
}

/* ---- a header ---- */

static int checksum_right(const struct tar_header *h)
{
	int64_t said;

	return number(h->checksum, sizeof(h->checksum), &said) == 0 && said == tar_checksum(h);
}

static void field_text(char *to, const char *field, size_t size)
{
	const size_t len = strnlen(field, size);

	memcpy(to, field, len);
	to[len] = '\0';
}

static void names_take(struct tar_reader *r, const struct tar_header *h)
{
	struct tar_entry *t = &r->entry;
	size_t at = 0;

	if (!r->next.path) {
		if (memcmp(h->magic, TAR_MAGIC, 6) == 0 && h->prefix[0] != '\0') {
			field_text(t->path, h->prefix, sizeof(h->prefix));
			at = strlen(t->path);
			t->path[at++] = '/';
		}
		field_text(t->path + at, h->name, sizeof(h->name));
	}
	if (!r->next.link)
		field_text(t->link, h->linkname, sizeof(h->linkname));
}

static int numbers_take(struct tar_reader *r, const struct tar_header *h)
{
	struct tar_entry *t = &r->entry;
	uint64_t mode = 0;
	uint64_t uid = r->next.value_uid;
	uint64_t gid = r->next.value_gid;
	uint64_t major = 0;
	uint64_t minor = 0;
	int rc = unsigned_number(h->mode, sizeof(h->mode), UINT32_MAX, &mode);

	if (rc == 0 && !r->next.uid)
		rc = unsigned_number(h->uid, sizeof(h->uid), UINT32_MAX - 1, &uid);
	if (rc == 0 && !r->next.gid)
		rc = unsigned_number(h->gid, sizeof(h->gid), UINT32_MAX - 1, &gid);
	t->mtime_s = r->next.value_mtime_s;
	t->mtime_ns = r->next.value_mtime_ns;
	if (rc == 0 && !r->next.mtime)
		rc = number(h->mtime, sizeof(h->mtime), &t->mtime_s);
	if (rc == 0 && (t->kind == TAR_CHAR || t->kind == TAR_BLOCKDEV)) {
		rc = unsigned_number(h->dev_major, sizeof(h->dev_major), UINT32_MAX, &major);
		if (rc == 0)
			rc = unsigned_number(h->dev_minor, sizeof(h->dev_minor), UINT32_MAX,
					     &minor);
	}
	t->mode = (uint32_t)mode & 07777;
	t->uid = (uint32_t)uid;
	t->gid = (uint32_t)gid;
	t->dev_major = (uint32_t)major;
	t->dev_minor = (uint32_t)minor;
	return rc;
}

static int kind_take(struct tar_reader *r, char type)
{
	const size_t len = strlen(r->entry.path);

	if (type == TAR_TYPE_FILE_OLD || type == TAR_TYPE_CONTIGUOUS || type == TAR_TYPE_SPARSE)
		type = '0';
	if (type < '0' || type > '6')
		return -EINVAL;
	/* What tars older than types had for directories. */
	if (type == '0' && len > 0 && r->entry.path[len - 1] == '/')
		type = '0' + TAR_DIR;
	r->entry.kind = (enum tar_kind)(type - '0');
	return 0;
}

/* ---- sparse files ---- */

/* Segments in order, within the file. */
static int segment_take(struct tar_reader *r, uint64_t at, uint64_t len)
{
	const struct tar_entry *t = &r->entry;
	const struct tar_segment *last = t->nsegments ? &t->segments[t->nsegments - 1] : NULL;

	if ((last && at < last->at + last->len) || at > t->size || len > t->size - at)
		return -EINVAL;
	return len > 0 ? tar_segment_add(&r->entry, at, len) : 0;
}

/* Some old sparse segments of a block: numbers in pairs, zeros after the last. */
static int old_segments(struct tar_reader *r, const char *from, size_t n)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++, from += (size_t)2 * OLD_NUMBER) {
		uint64_t at = 0;
		uint64_t len = 0;

		if (from[0] == '\0')
			return 0;
		rc = unsigned_number(from, OLD_NUMBER, INT64_MAX, &at);
		if (rc == 0)
			rc = unsigned_number(from + OLD_NUMBER, OLD_NUMBER, INT64_MAX, &len);
		if (rc == 0)
			rc = segment_take(r, at, len);
	}
	return rc;
}

/* The segments must be what the archive holds, to the byte. */
static int segments_check(struct tar_reader *r, struct err *e)
{
	uint64_t data = 0;

	for (uint32_t i = 0; i < r->entry.nsegments; i++)
		data += r->entry.segments[i].len;
	return data == r->left ? 0 : bad(r, e, "a sparse file's map and its size differ");
}

static int old_sparse_begin(struct tar_reader *r, struct err *e)
{
	const char *block = (const char *)r->block;

	r->entry.sparse = true;
	if (unsigned_number(block + OLD_REAL_SIZE, OLD_NUMBER, INT64_MAX, &r->entry.size) < 0 ||
	    old_segments(r, block + OLD_OFFSET, OLD_SEGMENTS) < 0)
		return bad(r, e, "a damaged map of a sparse file");
	if (block[OLD_EXTENDED] != '\0') {
		r->state = TAR_IN_BLOCKS;
		return TAR_MORE;
	}
	r->state = TAR_IN_DATA;
	return segments_check(r, e);
}

static int old_sparse_more(struct tar_reader *r, struct err *e)
{
	const char *block = (const char *)r->block;

	if (old_segments(r, block, OLD_MORE) < 0)
		return bad(r, e, "a damaged map of a sparse file");
	if (block[OLD_MORE_EXTENDED] != '\0')
		return TAR_MORE;
	r->state = TAR_IN_DATA;
	const int rc = segments_check(r, e);
	return rc < 0 ? rc : TAR_ENTRY;
}

/* One line of the map.  True when that was the last. */
static int map_number(struct tar_reader *r, uint64_t n)
{
	if (!r->map_counted) {
		r->map_counted = true;
		r->map_numbers = 2 * n;
		return n <= TAR_SEGMENTS_MAX + 1 ? 0 : -ERANGE; /* with an empty one at its end */
	}
	r->map_numbers--;
	r->map_has_at = !r->map_has_at;
	if (!r->map_has_at)
		return segment_take(r, r->map_at, n);
	r->map_at = n;
	return 0;
}

/* A block of the map is here: its lines, one of which may go on in the next block. */
static int map_block(struct tar_reader *r, struct err *e)
{
	const char *at = (const char *)r->block;
	const char *const end = at + sizeof(r->block);
	int rc = 0;

	while (rc == 0 && !(r->map_counted && r->map_numbers == 0) && at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const size_t len = (size_t)((newline ? newline : end) - at);
		uint64_t n = 0;

		if (buf_len(&r->text) + len > MAP_LINE_MAX)
			rc = -EINVAL;
		if (rc == 0)
			rc = buf_append(&r->text, at, len);
		if (!newline)
			break;
		if (rc == 0)
			rc = decimal((const char *)buf_data(&r->text), buf_len(&r->text), INT64_MAX,
				     &n);
		if (rc == 0)
			rc = map_number(r, n);
		buf_clear(&r->text);
		at = newline + 1;
	}
	if (rc < 0)
		return bad(r, e, "a damaged map of a sparse file, or one of too many segments");
	if (!r->map_counted || r->map_numbers > 0)
		return TAR_MORE;
	r->state = TAR_IN_DATA;
	rc = segments_check(r, e);
	return rc < 0 ? rc : TAR_ENTRY;
}

/* ---- from header to data ---- */

static bool is_text(char type)
{
	return type == TAR_TYPE_PAX || type == TAR_TYPE_PAX_GLOBAL || type == TAR_TYPE_LONG_NAME ||
	       type == TAR_TYPE_LONG_LINK;
}

/* What the headers before said is used up by the entry that follows them. */
static void entry_forget(struct tar_reader *r)
{
	tar_entry_clear(&r->entry);
	memset(&r->next, 0, sizeof(r->next));
	r->next.sparse_major = -1;
	r->next.sparse_minor = -1;
	r->pending = false;
}

static int new_sparse_begin(struct tar_reader *r, struct err *e)
{
	if (r->next.sparse_major != 1 || r->next.sparse_minor != 0 || !r->next.real_size)
		return bad(r, e, "a sparse file of an unknown format");
	r->entry.sparse = true;
	r->entry.size = r->next.value_real_size;
	r->map_counted = false;
	r->map_has_at = false;
	r->state = TAR_IN_MAP;
	return TAR_MORE;
}

static int entry_begin(struct tar_reader *r, const struct tar_header *h, uint64_t size,
		       struct err *e)
{
	int rc;

	names_take(r, h);
	if (kind_take(r, h->type) < 0)
		return bad(r, e, "of a type that is not known");
	rc = numbers_take(r, h);
	if (rc < 0)
		return bad(r, e, "a number is out of bounds");
	r->segment = 0;
	r->done = 0;
	r->left = r->entry.kind == TAR_FILE ? size : 0;
	r->padding = (size_t)(-r->left % TAR_BLOCK);
	r->entry.size = r->left;
	r->state = TAR_IN_DATA;
	if (h->type == TAR_TYPE_SPARSE)
		rc = old_sparse_begin(r, e);
	else if (r->entry.kind == TAR_FILE && r->next.sparse_major >= 0)
		rc = new_sparse_begin(r, e);
	if (rc < 0)
		return rc;
	return r->state == TAR_IN_DATA ? TAR_ENTRY : TAR_MORE;
}

static int header_take(struct tar_reader *r, struct err *e)
{
	static const uint8_t none[TAR_BLOCK];
	const struct tar_header *h = (const struct tar_header *)(const void *)r->block;
	uint64_t size = r->next.value_size;

	if (memcmp(r->block, none, sizeof(none)) == 0) {
		if (r->pending)
			return bad(r, e, "the archive ends before it");
		if (r->zeros)
			r->state = TAR_AT_END;
		r->zeros = true;
		return r->state == TAR_AT_END ? TAR_END : TAR_MORE;
	}
	r->zeros = false;
	if (!checksum_right(h))
		return bad(r, e, "this is no tar, or a damaged one (checksum)");
	if ((is_text(h->type) || !r->next.size) &&
	    unsigned_number(h->size, sizeof(h->size), INT64_MAX, &size) < 0)
		return bad(r, e, "its size is out of bounds");
	if (is_text(h->type) || h->type == TAR_TYPE_VOLUME) {
		if (size > TAR_PAX_MAX)
			return bad(r, e, "an extended header is too large");
		r->type = h->type;
		r->left = size;
		r->padding = (size_t)(-size % TAR_BLOCK);
		r->state = TAR_IN_TEXT;
		return TAR_MORE;
	}
	return entry_begin(r, h, size, e);
}

/* ---- bytes ---- */

/* Gathers a block.  True when it is whole. */
static bool block_fill(struct tar_reader *r, const uint8_t *data, size_t len, size_t *used)
{
	const size_t room = sizeof(r->block) - r->have;
	const size_t n = len < room ? len : room;

	memcpy(r->block + r->have, data, n);
	r->have += n;
	*used += n;
	if (r->have < sizeof(r->block))
		return false;
	r->have = 0;
	return true;
}

static size_t take_left(struct tar_reader *r, size_t len)
{
	const size_t n = len < r->left ? len : (size_t)r->left;

	r->left -= n;
	return n;
}

static int text_fill(struct tar_reader *r, const uint8_t *data, size_t len, size_t *used,
		     struct err *e)
{
	const size_t n = take_left(r, len);

	*used += n;
	if (buf_append(&r->text, data, n) < 0)
		return err_set(e, ERR_HOST_MEMORY, "tar: extended header");
	if (r->left > 0)
		return TAR_MORE;
	r->state = TAR_IN_PADDING;
	return text_take(r, e);
}

/* The map is part of the data as the archive counts them. */
static int map_fill(struct tar_reader *r, const uint8_t *data, size_t len, size_t *used,
		    struct err *e)
{
	const size_t before = *used;
	const bool whole = block_fill(r, data, len, used);

	if (*used - before > r->left)
		return bad(r, e, "a sparse file's map does not end");
	r->left -= *used - before;
	return whole ? map_block(r, e) : TAR_MORE;
}

static int data_take(struct tar_reader *r, const uint8_t *data, size_t len, size_t *used)
{
	uint64_t most = r->left;

	if (r->left == 0) {
		r->state = TAR_IN_PADDING;
		r->end_due = true;
		return TAR_MORE;
	}
	if (len == 0)
		return TAR_MORE;
	r->at = r->done;
	if (r->entry.sparse) {
		const struct tar_segment *s = &r->entry.segments[r->segment];

		r->at = s->at + r->done;
		most = s->len - r->done;
	}
	r->bytes = data;
	r->len = len < most ? len : (size_t)most;
	*used += r->len;
	r->left -= r->len;
	r->done += r->len;
	if (r->entry.sparse && r->len == most) {
		r->segment++;
		r->done = 0;
	}
	return TAR_DATA;
}

static void padding_take(struct tar_reader *r, size_t len, size_t *used)
{
	const size_t n = len < r->padding ? len : r->padding;

	r->padding -= n;
	*used += n;
	if (r->padding == 0)
		r->state = TAR_AT_HEADER;
}

static int step(struct tar_reader *r, const uint8_t *data, size_t len, size_t *used, struct err *e)
{
	switch (r->state) {
	case TAR_AT_HEADER:
		return block_fill(r, data, len, used) ? header_take(r, e) : TAR_MORE;
	case TAR_IN_TEXT:
		return text_fill(r, data, len, used, e);
	case TAR_IN_BLOCKS:
		return block_fill(r, data, len, used) ? old_sparse_more(r, e) : TAR_MORE;
	case TAR_IN_MAP:
		return map_fill(r, data, len, used, e);
	case TAR_IN_DATA:
		return data_take(r, data, len, used);
	case TAR_IN_PADDING:
		padding_take(r, len, used);
		return TAR_MORE;
	case TAR_AT_END:
		*used += len;
		return TAR_MORE;
	}
	return TAR_MORE;
}

int tar_read(struct tar_reader *r, const uint8_t *data, size_t len, size_t *ret_used, struct err *e)
{
	size_t used = 0;
	int rc = TAR_MORE;

	if (r->said_done)
		entry_forget(r);
	r->said_done = false;
	/* An entry without data, and its end, take no bytes: said before any is asked for. */
	while (rc == TAR_MORE && (used < len || r->state == TAR_IN_DATA || r->end_due)) {
		if (r->end_due) {
			r->end_due = false;
			r->said_done = true;
			rc = TAR_DONE;
			break;
		}
		const enum tar_state before = r->state;
		const size_t at = used;

		rc = step(r, data + used, len - used, &used, e);
		if (rc == TAR_MORE && used == at && r->state == before)
			break; /* data are due, and there are none */
	}
	*ret_used = used;
	return rc;
}

int tar_read_end(const struct tar_reader *r, struct err *e)
{
	if (r->state == TAR_AT_END || (r->state == TAR_AT_HEADER && r->zeros && r->have == 0))
		return 0;
	return bad(r, e, "the archive ends too early");
}
