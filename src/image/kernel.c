/* kernel.c - kernel-import: a Debian package, a vmlinuz or a vmlinux becomes STAGING/vmlinux and
 * STAGING/initrd.
 *
 * A package is streamed twice: once for the kernel and every module's needs, then for the few
 * modules that the needs have selected.  Nothing of it is unpacked to disk.
 */
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "image/copy.h"
#include "image/deb.h"
#include "image/elf_file.h"
#include "image/fault.h"
#include "image/fetch.h"
#include "image/initrd.h"
#include "image/job.h"
#include "image/jobs.h"
#include "image/modules.h"
#include "image/report.h"
#include "image/source.h"
#include "image/unpack.h"
#include "image/vmlinux.h"

struct kernel {
	const struct job *job; /* borrowed */
	struct modules modules;
	uint8_t *image; /* owned: as it came */
	size_t image_len;
	uint8_t *elf; /* owned: out of the image, or NULL */
	size_t elf_len;
	char release[VMLINUX_RELEASE_MAX];
	char sha256[SOURCE_SHA256_CHARS + 1];
	bool is_package;
};

static bool is_module_path(const char *path)
{
	return strstr(path, "lib/modules/") != NULL;
}

static bool is_kernel_path(const char *path)
{
	return strstr(path, "boot/vmlinuz-") != NULL || strstr(path, "boot/vmlinux-") != NULL;
}

static int module_read(struct archive *in, uint8_t **ret_data, size_t *ret_len, struct err *e)
{
	CLEANUP_FREE uint8_t *raw = NULL;
	size_t len;
	const int rc = unpack_entry(in, MODULE_BYTES_MAX, &raw, &len, e);

	if (rc < 0)
		return rc;
	if (elf_is_x86_64(raw, len)) {
		*ret_data = take_ptr(&raw);
		*ret_len = len;
		return 0;
	}
	return unpack_memory(raw, len, MODULE_BYTES_MAX, ret_data, ret_len, e);
}

static int learn(void *arg, const char *path, struct archive *in, struct err *e)
{
	struct kernel *k = arg;
	CLEANUP_FREE uint8_t *data = NULL;
	char name[MODULE_NAME_MAX + 1];
	size_t len;
	int rc = 0;

	if (is_kernel_path(path) && !k->image) {
		rc = unpack_entry(in, VMLINUX_MAX, &k->image, &k->image_len, e);
	} else if (!k->job->modules[0] && is_module_path(path) && module_name(path, name)) {
		rc = module_read(in, &data, &len, e);
		if (rc == 0)
			rc = modules_add(&k->modules, path, data, len, e);
	}
	if (rc < 0)
		err_ctx(e, "%s", path);
	return rc;
}

static int keep(void *arg, const char *path, struct archive *in, struct err *e)
{
	struct kernel *k = arg;
	char name[MODULE_NAME_MAX + 1];
	struct module *mod;
	int rc = 0;

	if (!is_module_path(path) || !module_name(path, name))
		return 0;
	mod = modules_find(&k->modules, name);
	if (mod && list_linked(&mod->link) && !mod->data && strcmp(mod->path, path) == 0)
		rc = module_read(in, &mod->data, &mod->len, e);
	if (rc < 0)
		err_ctx(e, "%s", path);
	return rc;
}

static int package_walk(const char *path, const char *stage, deb_visit *visit, struct kernel *k,
			struct err *e)
{
	struct source src;
	int rc = source_open(&src, path, stage, e);

	if (rc < 0)
		return rc;
	rc = deb_walk(&src, visit, k, e);
	if (rc == 0 && !k->sha256[0])
		rc = source_finish(&src, k->sha256, e);
	source_close(&src);
	return rc;
}

static int image_read(struct kernel *k, const char *path, struct err *e)
{
	struct source src;
	const void *chunk;
	ssize_t n;
	int rc = source_open(&src, path, "import", e);

	if (rc < 0)
		return rc;
	if (src.size > VMLINUX_MAX)
		rc = err_set(e, ERR_KERNEL_BAD, "%s: larger than %d bytes", path, VMLINUX_MAX);
	else if (!(k->image = malloc(src.size ? src.size : 1)))
		rc = err_set(e, ERR_HOST_MEMORY, "no memory for a kernel");
	while (rc == 0 && (n = source_read(&src, &chunk, e)) != 0) {
		if (n < 0) {
			rc = (int)n;
		} else if ((size_t)n > src.size - k->image_len) {
			rc = err_set(e, ERR_KERNEL_BAD, "%s: grows while it is read", path);
		} else {
			memcpy(k->image + k->image_len, chunk, (size_t)n);
			k->image_len += (size_t)n;
		}
	}
	if (rc == 0)
		rc = source_finish(&src, k->sha256, e);
	source_close(&src);
	return rc;
}

/* One thread of this process walks one tree: the global state of fts is no trouble. */
static int tree_learn(struct kernel *k, struct err *e)
{
	char *const roots[] = { (char *)(uintptr_t)k->job->modules, NULL };
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
	char name[MODULE_NAME_MAX + 1];
	FTSENT *at;
	int rc = 0;

	if (!fts)
		return fault_sys(e, "open %s", k->job->modules);
	while (rc == 0 && (at = fts_read(fts)) != NULL) {
		CLEANUP_FREE uint8_t *data = NULL;
		size_t len;

		if (at->fts_info == FTS_DNR || at->fts_info == FTS_ERR || at->fts_info == FTS_NS)
			rc = err_num(e, ERR_HOST_IO, at->fts_errno, "read %s", at->fts_path);
		if (rc < 0 || at->fts_info == FTS_D || !module_name(at->fts_path, name))
			continue;
		rc = unpack_file(at->fts_path, MODULE_BYTES_MAX, &data, &len, e);
		if (rc == 0)
			rc = modules_add(&k->modules, at->fts_path, data, len, e);
	}
	(void)fts_close(fts);
	return rc;
}

static int tree_keep(struct kernel *k, struct err *e)
{
	int rc = 0;

	list_for_each (l, &k->modules.order) {
		struct module *mod = list_entry(l, struct module, link);

		if (rc == 0)
			rc = unpack_file(mod->path, MODULE_BYTES_MAX, &mod->data, &mod->len, e);
	}
	return rc;
}

static int source_learn(struct kernel *k, const char *path, struct err *e)
{
	char head[64] = { 0 };
	struct source src;
	int rc = source_open(&src, path, NULL, e);

	if (rc < 0)
		return rc;
	const ssize_t n = pread(src.fd, head, sizeof(head), 0);

	if (n < 0)
		rc = fault_sys(e, "read %s", path);
	source_close(&src);
	if (rc < 0)
		return rc;
	k->is_package = deb_has_magic(head, (size_t)n);
	rc = k->is_package ? package_walk(path, "import", learn, k, e) : image_read(k, path, e);
	if (rc == 0 && !k->image)
		rc = err_set(e, ERR_KERNEL_BAD, "%s: the package holds no kernel", path);
	if (rc == 0 && k->job->modules[0])
		rc = tree_learn(k, e);
	return rc;
}

/* A VMM in a jail reads it under a uid of its own; there is nothing secret in it. */
static int let_all_read(const char *path, struct err *e)
{
	return chmod(path, 0644) < 0 ? fault_sys(e, "chmod %s", path) : 0;
}

/* A bzImage that cannot be taken apart is kept as it came: QEMU can boot that too. */
static int kernel_write(struct kernel *k, struct err *e)
{
	CLEANUP_FREE char *path = NULL;
	struct bzimage image;
	struct err why = { 0 };
	int rc = bzimage_parse(k->image, k->image_len, &image, e);

	if (rc == 0) {
		memcpy(k->release, image.release, sizeof(k->release));
		if (bzimage_extract(&image, &k->elf, &k->elf_len, &why) < 0)
			(void)fprintf(stderr, "kept as a bzImage: %s\n", why.text);
	} else if (rc != -ENOEXEC) {
		return rc;
	} else if (!elf_is_x86_64(k->image, k->image_len)) {
		return err_set(e, ERR_KERNEL_BAD, "%s: neither a bzImage nor an x86-64 vmlinux",
			       k->job->source);
	} else if (!elf_has_pvh_note(k->image, k->image_len)) {
		return err_set(e, ERR_KERNEL_BAD, "%s: a vmlinux without a PVH note",
			       k->job->source);
	} else {
		vmlinux_release(k->image, k->image_len, k->release);
	}

	const void *out = k->elf ? k->elf : k->image;
	const size_t len = k->elf ? k->elf_len : k->image_len;

	rc = job_path(k->job, IMAGE_FILE_KERNEL, &path, e);
	if (rc == 0)
		rc = copy_out(path, out, len, e);
	if (rc == 0)
		rc = let_all_read(path, e);
	if (rc < 0)
		return rc;
	report_result(IMAGE_RESULT_BYTES, "%zu", len);
	report_result(IMAGE_RESULT_FORMAT, "%s", elf_is_x86_64(out, len) ? "elf" : "bzimage");
	return 0;
}

static int initrd_make(struct kernel *k, const char *source, struct err *e)
{
	const struct job *job = k->job;
	CLEANUP_FREE char *path = NULL;
	struct source src;
	int rc = job_path(job, IMAGE_FILE_INITRD, &path, e);

	if (rc < 0)
		return rc;
	if (job->initrd[0]) {
		rc = source_open(&src, job->initrd, NULL, e);
		if (rc < 0)
			return rc;
		rc = copy_sparse(&src, path, 0, e);
		source_close(&src);
		return rc < 0 ? rc : let_all_read(path, e);
	}
	rc = modules_order(&k->modules, modules_wanted, modules_nwanted, e);
	if (rc < 0)
		return rc;
	if (job->modules[0])
		rc = tree_keep(k, e);
	else if (k->is_package)
		rc = package_walk(source, "modules", keep, k, e);
	if (rc == 0)
		rc = initrd_write(path, job->init, job->agent, &k->modules, e);
	return rc < 0 ? rc : let_all_read(path, e);
}

static int kernel_make(struct kernel *k, const char *source, struct err *e)
{
	int rc = job_confine(k->job, e);

	if (rc == 0)
		rc = source_learn(k, source, e);
	if (rc == 0)
		rc = kernel_write(k, e);
	if (rc == 0)
		rc = initrd_make(k, source, e);
	return rc;
}

int kernel_import(const struct job *job, struct err *e)
{
	struct kernel k = { .job = job };
	CLEANUP_FREE char *fetched = NULL;
	const char *source = job->source;
	int rc = 0;

	modules_init(&k.modules);
	if (!source[0]) {
		rc = fetch_kernel(job, &fetched, e);
		source = fetched;
	}
	if (rc == 0)
		rc = kernel_make(&k, source, e);
	if (rc == 0 && fetched && unlink(fetched) < 0)
		rc = fault_sys(e, "remove %s", fetched);
	if (rc == 0)
		rc = job_sync(job, e);
	if (rc == 0) {
		const char *base = strrchr(source, '/');

		report_result(IMAGE_RESULT_VERSION, "%s", k.release);
		report_result(IMAGE_RESULT_SHA256, "%s", k.sha256);
		report_result(IMAGE_RESULT_SOURCE, "%s", fetched && base ? base + 1 : source);
	}
	modules_fini(&k.modules);
	free(k.image);
	free(k.elf);
	return rc;
}
