#include "image/tar_ext4.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "image/ext4.h"
#include "image/tree.h"

enum {
	NAME_SHOWN = 120, /* bytes of an entry's name in a message: the reason must fit as well */
};

struct flatten {
	struct source *src; /* borrowed */
	struct archive *in; /* owned */
	struct ext4 *fs;    /* owned */
	struct tree tree;
	uint64_t bytes; /* of file contents written */
	uint64_t entries;
};

static const struct ext4_attr made_dir = { .mode = 0755 };

/* What the guest's first program mounts on, made when the tar has none. */
static const struct {
	const char *name;
	uint16_t mode;
} skeleton[] = {
	{ "dev", 0755 }, { "proc", 0755 }, { "sys", 0755 }, { "run", 0755 }, { "tmp", 01777 },
};

static int archive_fault(const struct flatten *f, const char *name, struct err *e)
{
	const char *text = archive_error_string(f->in);

	return err_set(e, ERR_IMAGE_BAD, "%s: %s", name, text ? text : "damaged tar");
}

static int kind_of(struct archive_entry *entry, enum tree_kind *ret_kind)
{
	switch (archive_entry_filetype(entry)) {
	case AE_IFDIR:
		*ret_kind = TREE_DIR;
		return 0;
	case AE_IFREG:
		*ret_kind = TREE_FILE;
		return 0;
	case AE_IFLNK:
		*ret_kind = TREE_SYMLINK;
		return 0;
	case AE_IFCHR:
		*ret_kind = TREE_CHAR;
		return 0;
	case AE_IFBLK:
		*ret_kind = TREE_BLOCK;
		return 0;
	case AE_IFIFO:
		*ret_kind = TREE_FIFO;
		return 0;
	case AE_IFSOCK:
		*ret_kind = TREE_SOCKET;
		return 0;
	default:
		return -EINVAL;
	}
}

static int attr_of(struct archive_entry *entry, struct ext4_attr *ret_attr, struct err *e)
{
	const int64_t uid = archive_entry_uid(entry);
	const int64_t gid = archive_entry_gid(entry);

	/* 2^32 - 1 is "no id" to the kernel. */
	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return err_set(e, ERR_IMAGE_BAD, "owner %lld:%lld out of bounds", (long long)uid,
			       (long long)gid);
	if (archive_entry_rdevmajor(entry) > 0xfff || archive_entry_rdevminor(entry) > 0xfffff)
		return err_set(e, ERR_IMAGE_BAD, "device number out of bounds");
	*ret_attr = (struct ext4_attr){
		.uid = (uint32_t)uid,
		.gid = (uint32_t)gid,
		.mode = (uint16_t)(archive_entry_perm(entry) & 07777),
		.mtime_s = archive_entry_mtime(entry),
		.mtime_ns = (uint32_t)archive_entry_mtime_nsec(entry) % 1000000000U,
		.dev_major = (uint32_t)archive_entry_rdevmajor(entry),
		.dev_minor = (uint32_t)archive_entry_rdevminor(entry),
	};
	return 0;
}

static int node_add(struct flatten *f, struct tree_node *dir, const char *name, enum tree_kind kind,
		    const char *target, const struct ext4_attr *attr, struct tree_node **ret_node,
		    struct err *e)
{
	struct tree_node *n;
	int rc = tree_add(&f->tree, dir, name, strlen(name), kind, target, &n, e);

	if (rc < 0)
		return rc;
	rc = ext4_add_inode(f->fs, n, attr, e);
	if (rc < 0)
		return rc;
	*ret_node = n;
	return 0;
}

/* Finds the place of a name and makes the directories on the way that no entry has announced. */
static int place_of(struct flatten *f, const char *path, struct tree_place *ret_place,
		    struct err *e)
{
	for (;;) {
		struct tree_node *made;
		int rc = tree_find(&f->tree, path, ret_place, e);

		if (rc < 0 || ret_place->dir)
			return rc;
		rc = node_add(f, ret_place->missing, ret_place->name, TREE_DIR, NULL, &made_dir,
			      &made, e);
		if (rc < 0)
			return rc;
	}
}

/* Makes way for a new entry of this name. */
static int name_free(struct flatten *f, struct tree_node *n, struct err *e)
{
	const bool is_dir = n->kind == TREE_DIR;

	if (n == f->tree.root || !list_empty(&n->children))
		return err_set(e, ERR_IMAGE_BAD, "would replace a directory that is not empty");
	const int rc = ext4_unlink(f->fs, n->ino, is_dir, e);
	if (rc < 0)
		return rc;
	tree_remove(&f->tree, n);
	return 0;
}

static bool xattr_wanted(const char *name)
{
	return strncmp(name, "security.", 9) == 0 || strncmp(name, "user.", 5) == 0 ||
	       strncmp(name, "trusted.", 8) == 0;
}

static int xattrs_add(struct flatten *f, struct archive_entry *entry, uint32_t ino, struct err *e)
{
	const void *value;
	const char *name;
	size_t len;

	if (archive_entry_xattr_reset(entry) > EXT4_XATTR_MAX)
		return err_set(e, ERR_IMAGE_BAD, "more than %d extended attributes",
			       EXT4_XATTR_MAX);
	while (archive_entry_xattr_next(entry, &name, &value, &len) == ARCHIVE_OK) {
		if (!name || !xattr_wanted(name))
			continue;
		const int rc = ext4_set_xattr(f->fs, ino, name, value, len, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int bomb_check(const struct flatten *f, struct err *e)
{
	if (f->bytes <= TAR_RATIO_FREE)
		return 0;
	if ((f->bytes - TAR_RATIO_FREE) / TAR_RATIO_MAX <= f->src->done)
		return 0;
	return err_set(e, ERR_IMAGE_BAD, "expands to more than %d times its size", TAR_RATIO_MAX);
}

static int blocks_copy(struct flatten *f, uint64_t size, struct err *e)
{
	const void *data;
	size_t len;
	int64_t at;

	for (;;) {
		const int got = archive_read_data_block(f->in, &data, &len, &at);

		if (got == ARCHIVE_EOF)
			return 0;
		if (got != ARCHIVE_OK)
			return archive_fault(f, "contents", e);
		if (len == 0)
			continue;
		if (at < 0 || (uint64_t)at > size || len > size - (uint64_t)at)
			return err_set(e, ERR_IMAGE_BAD, "contents longer than the size announced");
		f->bytes += len;
		int rc = bomb_check(f, e);
		if (rc == 0)
			rc = ext4_file_write(f->fs, (uint64_t)at, data, len, e);
		if (rc < 0)
			return rc;
	}
}

static int file_copy(struct flatten *f, struct archive_entry *entry, uint32_t ino, struct err *e)
{
	const int64_t size = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0;
	int rc;

	if (size < 0 || (uint64_t)size > EXT4_FILE_MAX)
		return err_set(e, ERR_IMAGE_BAD, "size %lld out of bounds", (long long)size);
	if (size == 0)
		return 0;
	rc = ext4_file_begin(f->fs, ino, e);
	if (rc < 0)
		return rc;
	rc = blocks_copy(f, (uint64_t)size, e);
	if (rc < 0)
		return rc; /* ext4_abort() closes the file */
	return ext4_file_end(f->fs, (uint64_t)size, e);
}

static int hardlink_add(struct flatten *f, struct tree_place *place, const char *to, struct err *e)
{
	struct tree_place old;
	struct tree_node *n;
	int rc = tree_find(&f->tree, to, &old, e);

	if (rc < 0) {
		err_ctx(e, "hard link's target");
		return rc;
	}
	if (!old.dir || !old.node)
		return err_set(e, ERR_IMAGE_BAD, "hard link to a missing entry");
	if (old.node->kind == TREE_DIR)
		return err_set(e, ERR_IMAGE_BAD, "hard link to a directory");
	if (place->node == old.node)
		return 0; /* to itself */
	if (place->node) {
		rc = name_free(f, place->node, e);
		if (rc < 0)
			return rc;
	}
	rc = ext4_link(f->fs, old.node->ino, e);
	if (rc < 0)
		return rc;
	rc = tree_add(&f->tree, place->dir, place->name, strlen(place->name), old.node->kind,
		      old.node->target, &n, e);
	if (rc < 0)
		return rc;
	n->ino = old.node->ino;
	return 0;
}

static int symlink_check(const char *target, struct err *e)
{
	const size_t len = target ? strlen(target) : 0;

	if (len == 0 || len >= TREE_PATH_MAX)
		return err_set(e, ERR_IMAGE_BAD, "symlink's target empty or too long");
	return 0;
}

static int object_add(struct flatten *f, struct archive_entry *entry, struct tree_place *place,
		      struct err *e)
{
	const char *target = NULL;
	struct tree_node *n = place->node;
	struct ext4_attr attr;
	enum tree_kind kind;
	int rc = attr_of(entry, &attr, e);

	if (rc < 0)
		return rc;
	if (kind_of(entry, &kind) < 0)
		return err_set(e, ERR_IMAGE_BAD, "unknown type of entry");
	if (kind == TREE_SYMLINK) {
		target = archive_entry_symlink(entry);
		rc = symlink_check(target, e);
		if (rc < 0)
			return rc;
	}
	if (n && n->kind == TREE_DIR && kind == TREE_DIR) {
		rc = ext4_set_attr(f->fs, n->ino, &attr, e);
	} else {
		if (n)
			rc = name_free(f, n, e);
		if (rc == 0)
			rc = node_add(f, place->dir, place->name, kind, target, &attr, &n, e);
	}
	if (rc == 0)
		rc = xattrs_add(f, entry, n->ino, e);
	if (rc == 0 && kind == TREE_FILE)
		rc = file_copy(f, entry, n->ino, e);
	return rc;
}

static int entry_add(struct flatten *f, struct archive_entry *entry, struct err *e)
{
	const char *path = archive_entry_pathname(entry);
	const char *link = archive_entry_hardlink(entry);
	struct tree_place place;
	int rc;

	if (!path)
		return err_set(e, ERR_IMAGE_BAD, "entry %llu: unreadable name",
			       (unsigned long long)f->entries);
	rc = place_of(f, path, &place, e);
	if (rc == 0)
		rc = link ? hardlink_add(f, &place, link, e) : object_add(f, entry, &place, e);
	if (rc < 0)
		err_ctx(e, "%.*s%s", NAME_SHOWN, path, strlen(path) > NAME_SHOWN ? "..." : "");
	return rc;
}

static int entries_add(struct flatten *f, struct err *e)
{
	struct archive_entry *entry;

	for (;;) {
		const int got = archive_read_next_header(f->in, &entry);

		if (got == ARCHIVE_EOF)
			break;
		/* ARCHIVE_WARN is a detail that was not understood, and the entry is whole. */
		if (got != ARCHIVE_OK && got != ARCHIVE_WARN)
			return archive_fault(f, f->src->name, e);
		if (++f->entries > TREE_NODES_MAX)
			return err_set(e, ERR_IMAGE_BAD, "%s: more than %d entries", f->src->name,
				       TREE_NODES_MAX);
		const int rc = entry_add(f, entry, e);
		if (rc < 0)
			return rc;
	}
	if (f->entries == 0)
		return err_set(e, ERR_IMAGE_BAD, "%s: an empty tar", f->src->name);
	return 0;
}

static int skeleton_add(struct flatten *f, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(skeleton) && rc == 0; i++) {
		const struct ext4_attr attr = { .mode = skeleton[i].mode };
		struct tree_node *n;

		if (!tree_child(&f->tree, f->tree.root, skeleton[i].name, strlen(skeleton[i].name)))
			rc = node_add(f, f->tree.root, skeleton[i].name, TREE_DIR, NULL, &attr, &n,
				      e);
	}
	return rc;
}

static int flatten_init(struct flatten *f, const char *path, uint64_t disk_bytes, struct err *e)
{
	static const struct ext4_attr lost_found = { .mode = 0700 };
	struct tree_node *n;
	int rc = tree_init(&f->tree, e);

	if (rc < 0)
		return rc;
	f->in = archive_read_new();
	if (!f->in)
		return err_set(e, ERR_HOST_MEMORY, "no memory to read a tar");
	archive_read_support_format_tar(f->in);
	source_filters(f->in);
	rc = source_archive(f->src, f->in, e);
	if (rc < 0)
		return rc;
	rc = ext4_create(path, disk_bytes, &f->fs, e);
	if (rc < 0)
		return rc;
	rc = ext4_add_inode(f->fs, f->tree.root, &made_dir, e);
	if (rc < 0)
		return rc;
	return node_add(f, f->tree.root, "lost+found", TREE_DIR, NULL, &lost_found, &n, e);
}

int tar_to_ext4(struct source *src, const char *path, uint64_t disk_bytes, struct err *e)
{
	struct flatten f = { .src = src };
	int rc = flatten_init(&f, path, disk_bytes, e);

	if (rc == 0)
		rc = entries_add(&f, e);
	if (rc == 0)
		rc = skeleton_add(&f, e);
	if (rc == 0)
		rc = ext4_write_dirs(f.fs, &f.tree, e);
	if (rc == 0) {
		rc = ext4_close(f.fs, e);
		f.fs = NULL;
	}
	ext4_abort(f.fs);
	archive_read_free(f.in);
	tree_fini(&f.tree);
	return rc;
}
