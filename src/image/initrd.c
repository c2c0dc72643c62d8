#include "image/initrd.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "image/elf_file.h"
#include "image/fault.h"
#include "image/unpack.h"

enum {
	LIST_MAX = 1 << 20, /* bytes of /modules */
};

static const char *const dirs[] = { "dev", "proc", "sys", "newroot", "lib", INITRD_MODULE_DIR };

static int write_fault(struct archive *a, struct err *e)
{
	const int num = archive_errno(a);

	return err_num(e, fault_code(num), num > 0 ? num : EIO, "write the initrd");
}

static int entry_write(struct archive *a, const char *path, mode_t mode, dev_t device,
		       const void *data, size_t len, struct err *e)
{
	struct archive_entry *entry = archive_entry_new();
	int rc = 0;

	if (!entry)
		return err_set(e, ERR_HOST_MEMORY, "no memory to write the initrd");
	archive_entry_set_pathname(entry, path);
	archive_entry_set_mode(entry, mode);
	archive_entry_set_nlink(entry, S_ISDIR(mode) ? 2 : 1);
	archive_entry_set_rdev(entry, device);
	archive_entry_set_mtime(entry, 0, 0);
	archive_entry_set_size(entry, (la_int64_t)len);
	if (archive_write_header(a, entry) != ARCHIVE_OK ||
	    (len > 0 && archive_write_data(a, data, len) != (la_ssize_t)len))
		rc = write_fault(a, e);
	archive_entry_free(entry);
	return rc;
}

static int program_write(struct archive *a, const char *name, const char *path, struct err *e)
{
	CLEANUP_FREE uint8_t *data = NULL;
	size_t len;
	int rc = unpack_file(path, INITRD_PROGRAM_MAX, &data, &len, e);

	if (rc < 0)
		return rc;
	if (!elf_is_x86_64(data, len))
		return err_set(e, ERR_HOST_IO, "%s: no x86-64 program", path);
	return entry_write(a, name, S_IFREG | 0755, 0, data, len, e);
}

static int list_write(struct archive *a, const struct modules *m, struct err *e)
{
	struct buf text;
	int rc = 0;

	buf_init(&text, LIST_MAX);
	list_for_each (l, &m->order) {
		const struct module *mod = list_entry(l, struct module, link);
		char line[sizeof("/" INITRD_MODULE_DIR "/.ko\n") + MODULE_NAME_MAX];
		const int n = snprintf(line, sizeof(line), "/" INITRD_MODULE_DIR "/%s.ko\n",
				       mod->name);

		rc = buf_append(&text, line, (size_t)n);
		if (rc < 0)
			break;
	}
	if (rc < 0)
		rc = err_num(e, ERR_KERNEL_BAD, rc, "list of modules");
	else
		rc = entry_write(a, "modules", S_IFREG | 0644, 0, buf_len(&text) ? text.mem : NULL,
				 buf_len(&text), e);
	buf_fini(&text);
	return rc;
}

static int modules_write(struct archive *a, const struct modules *m, struct err *e)
{
	int rc = list_write(a, m, e);

	list_for_each (l, &m->order) {
		const struct module *mod = list_entry(l, struct module, link);
		char path[sizeof(INITRD_MODULE_DIR "/.ko") + MODULE_NAME_MAX];

		if (rc < 0)
			return rc;
		(void)snprintf(path, sizeof(path), INITRD_MODULE_DIR "/%s.ko", mod->name);
		rc = entry_write(a, path, S_IFREG | 0644, 0, mod->data, mod->len, e);
	}
	return rc;
}

static int contents_write(struct archive *a, const char *init, const char *agent,
			  const struct modules *m, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(dirs) && rc == 0; i++)
		rc = entry_write(a, dirs[i], S_IFDIR | 0755, 0, NULL, 0, e);
	if (rc == 0) /* the kernel opens it for /init before anything can mount devtmpfs */
		rc = entry_write(a, "dev/console", S_IFCHR | 0600, makedev(5, 1), NULL, 0, e);
	if (rc == 0)
		rc = program_write(a, "init", init, e);
	if (rc == 0)
		rc = program_write(a, "banger-agent", agent, e);
	if (rc == 0)
		rc = modules_write(a, m, e);
	if (rc == 0 && archive_write_close(a) != ARCHIVE_OK)
		rc = write_fault(a, e);
	return rc;
}

int initrd_write(const char *path, const char *init, const char *agent, const struct modules *m,
		 struct err *e)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct archive *a;
	int rc;

	if (fd < 0)
		return fault_sys(e, "create %s", path);
	a = archive_write_new();
	if (!a)
		return err_set(e, ERR_HOST_MEMORY, "no memory to write the initrd");
	archive_write_set_format_cpio_newc(a);
	archive_write_add_filter_none(a);
	archive_write_set_bytes_in_last_block(a, 1); /* no padding */
	if (archive_write_open_fd(a, fd) != ARCHIVE_OK)
		rc = write_fault(a, e);
	else
		rc = contents_write(a, init, agent, m, e);
	archive_write_free(a);
	if (rc == 0 && fsync(fd) < 0)
		rc = fault_sys(e, "fsync %s", path);
	return rc;
}
