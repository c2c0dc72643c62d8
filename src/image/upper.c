#include "image/upper.h"

#include <string.h>

#include "base/cleanup.h"
#include "image/ext4.h"
#include "image/job.h"
#include "image/tree.h"

#define LOST_FOUND "lost+found"

static int fill(struct ext4 *fs, struct tree *t, struct err *e)
{
	static const struct ext4_attr root = { .mode = 0755 };
	static const struct ext4_attr lost_found = { .mode = 0700 };
	struct tree_node *n;
	int rc = ext4_add_inode(fs, t->root, &root, e);

	if (rc == 0)
		rc = tree_add(t, t->root, LOST_FOUND, strlen(LOST_FOUND), TREE_DIR, NULL, &n, e);
	if (rc == 0)
		rc = ext4_add_inode(fs, n, &lost_found, e);
	return rc < 0 ? rc : ext4_write_dirs(fs, t, e);
}

int upper_make(const struct job *job, uint64_t disk_bytes, struct err *e)
{
	CLEANUP_FREE char *path = NULL;
	struct ext4 *fs = NULL;
	struct tree t;
	int rc = job_path(job, IMAGE_FILE_UPPER, &path, e);

	if (rc < 0)
		return rc;
	rc = tree_init(&t, e);
	if (rc < 0)
		return rc;
	rc = ext4_create(path, disk_bytes, &fs, e);
	if (rc == 0)
		rc = fill(fs, &t, e);
	if (rc == 0) {
		rc = ext4_close(fs, e);
		fs = NULL;
	}
	ext4_abort(fs);
	tree_fini(&t);
	return rc;
}
