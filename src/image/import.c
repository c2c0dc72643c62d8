/* import.c - image-import: a tar or an ext4 image becomes STAGING/rootfs.ext4. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "image/copy.h"
#include "image/ext4.h"
#include "image/fault.h"
#include "image/job.h"
#include "image/jobs.h"
#include "image/source.h"
#include "image/tar_ext4.h"

static int is_ext4(const struct source *src, bool *ret_is, struct err *e)
{
	_Alignas(8) char head[2048];
	const ssize_t n = pread(src->fd, head, sizeof(head), 0);

	if (n < 0)
		return fault_sys(e, "read %s", src->name);
	*ret_is = ext4_has_magic(head, (size_t)n);
	return 0;
}

/* The copy keeps its holes; a larger disk is one more hole, which the guest may grow into. */
static int ext4_import(struct source *src, const char *path, uint64_t disk_bytes, struct err *e)
{
	uint64_t bytes;
	int rc = ext4_probe(src->name, &bytes, e);

	if (rc < 0)
		return rc;
	if (disk_bytes && disk_bytes < bytes)
		return err_set(e, ERR_VM_SIZE, "%s needs a disk of %llu MiB", src->name,
			       (unsigned long long)(bytes >> 20));
	return copy_sparse(src, path, disk_bytes ? disk_bytes : bytes, e);
}

int image_import(const struct job *job, struct err *e)
{
	CLEANUP_FREE char *path = NULL;
	char sha256[SOURCE_SHA256_CHARS + 1];
	struct source src;
	bool ext4 = false;
	int rc = job_path(job, IMAGE_FILE_ROOT, &path, e);

	if (rc < 0)
		return rc;
	rc = source_open(&src, job->source, "import", e);
	if (rc < 0)
		return rc;
	rc = job_confine(job, e);
	if (rc == 0)
		rc = is_ext4(&src, &ext4, e);
	if (rc == 0 && ext4)
		rc = ext4_import(&src, path, job->disk_bytes, e);
	else if (rc == 0)
		rc = tar_to_ext4(&src, path, job->disk_bytes ? job->disk_bytes : EXT4_DISK_DEFAULT,
				 e);
	if (rc == 0)
		rc = source_finish(&src, sha256, e);
	source_close(&src);
	return rc < 0 ? rc : job_finish_root(job, path, sha256, e);
}
