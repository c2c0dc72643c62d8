#include "image/deb.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#include "base/macros.h"
#include "image/source.h"

static const char magic[] = "!<arch>\ndebian-binary";

bool deb_has_magic(const void *head, size_t len)
{
	return len >= sizeof(magic) - 1 && memcmp(head, magic, sizeof(magic) - 1) == 0;
}

static int fault(struct archive *a, const char *what, struct err *e)
{
	const char *text = archive_error_string(a);

	return err_set(e, ERR_KERNEL_BAD, "%s: %s", what, text ? text : "damaged package");
}

/* The member data.tar of the outer archive is the input of the inner one. */
static la_ssize_t member_in(struct archive *inner, void *arg, const void **ret_data)
{
	struct archive *outer = arg;
	la_int64_t at;
	size_t len;

	do { /* an empty block is no end */
		const int got = archive_read_data_block(outer, ret_data, &len, &at);

		if (got == ARCHIVE_EOF)
			return 0;
		if (got != ARCHIVE_OK) {
			archive_set_error(inner, archive_errno(outer), "%s",
					  archive_error_string(outer));
			return -1;
		}
	} while (len == 0);
	return (la_ssize_t)len;
}

static int files_visit(struct archive *in, deb_visit *visit, void *arg, struct err *e)
{
	struct archive_entry *entry;
	unsigned count = 0;

	for (;;) {
		const int got = archive_read_next_header(in, &entry);

		if (got == ARCHIVE_EOF)
			return 0;
		if (got != ARCHIVE_OK && got != ARCHIVE_WARN)
			return fault(in, "data.tar", e);
		if (++count > DEB_ENTRIES_MAX)
			return err_set(e, ERR_KERNEL_BAD, "more than %d files", DEB_ENTRIES_MAX);
		const char *path = archive_entry_pathname(entry);

		if (!path || archive_entry_filetype(entry) != AE_IFREG ||
		    archive_entry_hardlink(entry))
			continue;
		const int rc = visit(arg, path, in, e);
		if (rc < 0)
			return rc;
	}
}

static int data_walk(struct archive *outer, deb_visit *visit, void *arg, struct err *e)
{
	struct archive *in = archive_read_new();
	int rc;

	if (!in)
		return err_set(e, ERR_HOST_MEMORY, "no memory to read a package");
	archive_read_support_format_tar(in);
	source_filters(in);
	if (archive_read_open(in, outer, NULL, member_in, NULL) != ARCHIVE_OK)
		rc = fault(in, "data.tar", e);
	else
		rc = files_visit(in, visit, arg, e);
	archive_read_free(in);
	return rc;
}

static int member_find(struct archive *outer, struct err *e)
{
	struct archive_entry *entry;
	int got;

	while ((got = archive_read_next_header(outer, &entry)) == ARCHIVE_OK ||
	       got == ARCHIVE_WARN) {
		const char *name = archive_entry_pathname(entry);

		if (name && strncmp(name, "data.tar", 8) == 0)
			return 0;
	}
	if (got == ARCHIVE_EOF)
		return err_set(e, ERR_KERNEL_BAD, "no data.tar in the package");
	return fault(outer, "package", e);
}

int deb_walk(struct source *src, deb_visit *visit, void *arg, struct err *e)
{
	struct archive *outer = archive_read_new();
	int rc;

	if (!outer)
		return err_set(e, ERR_HOST_MEMORY, "no memory to read a package");
	archive_read_support_format_ar(outer);
	rc = source_archive(src, outer, e);
	if (rc == 0)
		rc = member_find(outer, e);
	if (rc == 0)
		rc = data_walk(outer, visit, arg, e);
	archive_read_free(outer);
	return rc;
}
