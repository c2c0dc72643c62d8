#include "tar/entry.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/cleanup.h"

void tar_entry_init(struct tar_entry *t)
{
	*t = (struct tar_entry){ 0 };
	buf_init(&t->xattrs, TAR_XATTRS_MAX);
}

void tar_entry_fini(struct tar_entry *t)
{
	free(take_ptr(&t->segments));
	buf_fini(&t->xattrs);
}

void tar_entry_clear(struct tar_entry *t)
{
	tar_entry_fini(t);
	tar_entry_init(t);
}

/* ---- segments ---- */

int tar_segment_add(struct tar_entry *t, uint64_t at, uint64_t len)
{
	struct tar_segment *last = t->nsegments > 0 ? &t->segments[t->nsegments - 1] : NULL;

	if (last && last->at + last->len == at) {
		last->len += len;
		return 0;
	}
	if (t->nsegments == TAR_SEGMENTS_MAX)
		return -ENOBUFS;
	if ((t->nsegments & (t->nsegments - 1)) == 0) { /* full at each power of two */
		const size_t cap = t->nsegments ? 2 * (size_t)t->nsegments : 1;
		struct tar_segment *more = reallocarray(t->segments, cap, sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->segments = more;
	}
	t->segments[t->nsegments++] = (struct tar_segment){ .at = at, .len = len };
	return 0;
}

/* ---- extended attributes: length of the value, name, NUL, value ---- */

int tar_xattr_add(struct tar_entry *t, const char *name, size_t len, uint8_t **ret_value)
{
	const uint32_t head = (uint32_t)len;
	const size_t name_bytes = strlen(name) + 1;
	uint8_t *at;
	int rc;

	if (len > TAR_XATTRS_MAX)
		return -ENOBUFS;
	rc = buf_reserve(&t->xattrs, sizeof(head) + name_bytes + len, &at);
	if (rc < 0)
		return rc;
	memcpy(at, &head, sizeof(head));
	memcpy(at + sizeof(head), name, name_bytes);
	buf_commit(&t->xattrs, sizeof(head) + name_bytes + len);
	*ret_value = at + sizeof(head) + name_bytes;
	return 0;
}

bool tar_xattr_next(const struct tar_entry *t, size_t *at, struct tar_xattr *ret_xattr)
{
	const uint8_t *const data = buf_data(&t->xattrs) + *at;
	uint32_t len;

	if (*at >= buf_len(&t->xattrs))
		return false;
	memcpy(&len, data, sizeof(len));
	ret_xattr->name = (const char *)data + sizeof(len);
	ret_xattr->value = data + sizeof(len) + strlen(ret_xattr->name) + 1;
	ret_xattr->len = len;
	*at = (size_t)(ret_xattr->value - buf_data(&t->xattrs)) + len;
	return true;
}

/* ---- faults ---- */

static enum err_code fault_code(int num)
{
	switch (num) {
	case ENOENT:
		return ERR_FILE_NOT_FOUND;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_FILE_DENIED;
	case ENOTDIR:
	case EISDIR:
	case ELOOP:
		return ERR_FILE_KIND;
	case ENOSPC:
	case EDQUOT:
		return ERR_FILE_SPACE;
	case ENOMEM:
		return ERR_HOST_MEMORY;
	default:
		return ERR_FILE_IO;
	}
}

int tar_fault(struct err *e, int num, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	num = num < 0 ? -num : num;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_num(e, fault_code(num), num, "%.180s", text);
}
