/* op_ext4.c - files of a VM's disk while nobody runs it: identity put in, logs got out.
 *
 * The worker opens the disk and looks at what it has opened; the tools read it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "helper/block/block.h"
#include "helper/fault.h"
#include "helper/root.h"

enum {
	EXT4_MS = 20000, /* for the tools; the worker's own deadline is longer */
};

/* ---- validate ---- */

static int image_validate(const struct helper_conf *conf, const char *image, struct disk_target *t,
			  struct err *e)
{
	t->conf = conf;
	if (image[0] == '/')
		return handle_parse_device("image", image, &t->handle, e);
	memcpy(t->path, image, sizeof(t->path));
	return root_path_check("image", image, HELPER_PATH_MAX, e);
}

/* An absolute path in the guest, each name of it in its place. */
static int path_validate(const char *path, struct err *e)
{
	if (path[0] != '/')
		return err_set(e, ERR_HELPER_REFUSED, "path: \"%s\" is not absolute", path);
	if (root_path_check("path", path + 1, HELPER_PATH_MAX, NULL) < 0)
		return err_set(e, ERR_HELPER_REFUSED,
			       "path: \"%s\" may hold no \".\", \"..\" or \"//\"", path);
	for (const char *at = path; *at != '\0'; at += strcspn(at, "/"))
		if (strcspn(++at, "/") > HELPER_NAME_MAX)
			return err_set(e, ERR_HELPER_REFUSED, "path: a name has more than %d bytes",
				       HELPER_NAME_MAX);
	return 0;
}

int ext4_read_validate(const struct helper_conf *conf, const void *args,
		       struct op_target *ret_target, struct err *e)
{
	const struct helper_ext4_read_args *const a = args;
	struct disk_target *const t = &ret_target->disk;
	int rc = image_validate(conf, a->image, t, e);

	if (rc == 0)
		rc = path_validate(a->path, e);
	if (rc < 0)
		return rc;
	ret_target->vm = t->handle.vm;
	t->nfiles = 1;
	memcpy(t->files[0].path, a->path, sizeof(t->files[0].path));
	return 0;
}

int ext4_write_validate(const struct helper_conf *conf, const void *args,
			struct op_target *ret_target, struct err *e)
{
	const struct helper_ext4_write_args *const a = args;
	struct disk_target *const t = &ret_target->disk;
	int rc = image_validate(conf, a->image, t, e);

	for (uint32_t i = 0; rc == 0 && i < a->files.n; i++)
		rc = path_validate(a->files.items[i].path, e);
	if (rc < 0)
		return rc;
	ret_target->vm = t->handle.vm;
	t->nfiles = a->files.n;
	memcpy(t->files, a->files.items, a->files.n * sizeof(t->files[0]));
	return 0;
}

/* ---- the disk ---- */

/* A VM's snapshot, which nobody may have open. */
static int device_open(struct block_env *env, const char *field, const struct handle *h, int flags,
		       int *ret_fd, struct err *e)
{
	struct dm_device found;
	int rc = dm_find(&env->dm, h, &found, e);

	if (rc == -ENXIO)
		return err_set(e, ERR_HELPER_REFUSED, "%s: %s: there is none", field, h->device);
	if (rc < 0)
		return rc;
	if (!found.active)
		return err_set(e, ERR_HELPER_REFUSED, "%s: %s: is half made", field, h->device);
	if (found.opened > 0)
		return err_set(e, ERR_BLOCK_BUSY, "%s: %s: is in use", field, h->device);
	return dm_node_open(&env->dm, h, found.dev, flags, ret_fd, e);
}

static int disk_open(struct block_env *env, const struct disk_target *t, int flags, int *ret_fd,
		     struct err *e)
{
	struct stat st;

	if (t->handle.vm)
		return device_open(env, "image", &t->handle, flags, ret_fd, e);
	return root_open(t->conf, "image", t->path, flags, ret_fd, &st, e);
}

/* ---- act ---- */

int ext4_read_act(struct op_call *c, struct err *e)
{
	struct block_env *const env = c->env;
	const struct disk_target *const t = &c->target.disk;
	struct helper_ext4_file *const out = c->result;
	static struct tool_ask ask;
	static struct tool_told told;
	CLEANUP_FD int disk = -EBADF;
	const uint8_t *data = NULL;
	int rc = disk_open(env, t, O_RDONLY, &disk, e);

	if (rc < 0)
		return rc;
	ask = (struct tool_ask){ .kind = TOOL_READ, .deadline_ms = EXT4_MS, .nfiles = 1 };
	memcpy(ask.files[0].path, t->files[0].path, sizeof(ask.files[0].path));
	rc = tools_run(&env->tools, disk, &ask, NULL, 0, &told, &data, e);
	if (rc < 0)
		return rc;
	memcpy(out->path, t->files[0].path, sizeof(out->path));
	out->mode = told.file.mode & HELPER_EXT4_MODE_MAX;
	out->uid = told.file.uid;
	out->gid = told.file.gid;
	out->data = (struct wire_span){ data, told.file.bytes };
	return 0;
}

/* Not undone: what was there before is not kept.  Repeating it is what makes it whole. */
int ext4_write_act(struct op_call *c, struct err *e)
{
	struct block_env *const env = c->env;
	const struct disk_target *const t = &c->target.disk;
	struct iovec data[HELPER_EXT4_FILES_MAX];
	static struct tool_ask ask;
	static struct tool_told told;
	CLEANUP_FD int disk = -EBADF;
	const uint8_t *nothing = NULL;
	int rc = disk_open(env, t, O_RDWR, &disk, e);

	if (rc == 0)
		rc = fault_point("write_ext4_files", e);
	if (rc < 0)
		return rc;
	ask = (struct tool_ask){ .kind = TOOL_WRITE, .deadline_ms = EXT4_MS, .nfiles = t->nfiles };
	for (uint32_t i = 0; i < t->nfiles; i++) {
		const struct helper_ext4_file *const f = &t->files[i];
		struct tool_file *const to = &ask.files[i];

		memcpy(to->path, f->path, sizeof(to->path));
		to->mode = f->mode;
		to->uid = f->uid;
		to->gid = f->gid;
		to->bytes = (uint32_t)f->data.len;
		data[i] = (struct iovec){ (void *)(uintptr_t)f->data.data, f->data.len };
	}
	rc = tools_run(&env->tools, disk, &ask, data, t->nfiles, &told, &nothing, e);
	return rc < 0 ? rc : fault_point("write_ext4_files", e);
}

/* ---- e2fsck ---- */

int fsck_validate(const struct helper_conf *conf, const void *args, struct op_target *ret_target,
		  struct err *e)
{
	const struct helper_device_args *const a = args;
	struct disk_target *const t = &ret_target->disk;
	const int rc = handle_parse_device("device", a->device, &t->handle, e);

	t->conf = conf;
	ret_target->vm = rc == 0 ? t->handle.vm : 0;
	return rc;
}

/* e2fsck opens its disk by /proc/self/fd, which asks whether its uid may: so it gets a node of its
 * own, which has no name any more by the time that it runs. */
int fsck_act(struct op_call *c, struct err *e)
{
	struct block_env *const env = c->env;
	const struct handle *const h = &c->target.disk.handle;
	const struct tool_ask ask = { .kind = TOOL_FSCK, .deadline_ms = BLOCK_FSCK_MS };
	struct helper_fsck_view *const view = c->result;
	static struct tool_told told;
	CLEANUP_FD int disk = -EBADF;
	CLEANUP_FD int node = -EBADF;
	const uint8_t *nothing = NULL;
	int rc = device_open(env, "device", h, O_RDONLY, &disk, e);

	if (rc == 0)
		rc = dm_lend(&env->dm, h, disk, env->tools.uid, &node, e);
	if (rc == 0)
		rc = fault_point("e2fsck", e);
	if (rc == 0)
		rc = tools_run(&env->tools, node, &ask, NULL, 0, &told, &nothing, e);
	if (rc < 0)
		return rc;
	view->corrected = told.corrected;
	memcpy(view->text, told.text, sizeof(view->text));
	return fault_point("e2fsck", e);
}
