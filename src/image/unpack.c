#include "image/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "image/source.h"

enum {
	UNPACK_STEP = 1 << 20, /* bytes asked for at once */
};

static int entry_fault(struct archive *a, struct err *e)
{
	const char *text = archive_error_string(a);

	return err_set(e, ERR_KERNEL_BAD, "%s", text ? text : "damaged archive");
}

int unpack_entry(struct archive *a, size_t max, uint8_t **ret_data, size_t *ret_len, struct err *e)
{
	CLEANUP_FREE uint8_t *data = NULL;
	size_t size = 0;
	size_t len = 0;

	for (;;) {
		if (len == size) { /* one byte more than allowed, to see that there is more */
			size = size + size / 2 + UNPACK_STEP;
			size = size > max + 1 ? max + 1 : size;
			uint8_t *more = realloc(data, size);

			if (!more)
				return err_set(e, ERR_HOST_MEMORY, "no memory to unpack a file");
			data = more;
		}
		const la_ssize_t n = archive_read_data(a, data + len, size - len);

		if (n < 0)
			return entry_fault(a, e);
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max)
			return err_set(e, ERR_KERNEL_BAD, "larger than %zu bytes", max);
	}
	*ret_data = take_ptr(&data);
	*ret_len = len;
	return 0;
}

static int raw_create(struct archive **ret_archive, struct err *e)
{
	struct archive *a = archive_read_new();

	if (!a)
		return err_set(e, ERR_HOST_MEMORY, "no memory to unpack a file");
	archive_read_support_format_raw(a);
	source_filters(a);
	*ret_archive = a;
	return 0;
}

static int raw_read(struct archive *a, size_t max, uint8_t **ret_data, size_t *ret_len,
		    struct err *e)
{
	struct archive_entry *entry;

	if (archive_read_next_header(a, &entry) != ARCHIVE_OK)
		return entry_fault(a, e);
	return unpack_entry(a, max, ret_data, ret_len, e);
}

int unpack_file(const char *path, size_t max, uint8_t **ret_data, size_t *ret_len, struct err *e)
{
	struct archive *a = NULL;
	struct source src;
	int rc = source_open(&src, path, NULL, e);

	if (rc < 0)
		return rc;
	rc = raw_create(&a, e);
	if (rc == 0)
		rc = source_archive(&src, a, e);
	if (rc == 0)
		rc = raw_read(a, max, ret_data, ret_len, e);
	archive_read_free(a);
	source_close(&src);
	if (rc < 0)
		err_ctx(e, "%s", path);
	return rc;
}

int unpack_memory(const void *data, size_t len, size_t max, uint8_t **ret_data, size_t *ret_len,
		  struct err *e)
{
	struct archive *a;
	int rc = raw_create(&a, e);

	if (rc < 0)
		return rc;
	if (archive_read_open_memory(a, data, len) != ARCHIVE_OK)
		rc = entry_fault(a, e);
	else
		rc = raw_read(a, max, ret_data, ret_len, e);
	archive_read_free(a);
	return rc;
}
