/* ext4.h - makes an ext4 file system in a sparse file and fills it, by libext2fs.
 *
 * No mount, no root, no temporary tree.  The file is as long as the disk, but only what was written
 * takes space: inode tables and journal are left as holes, which read as the zeros that they should
 * hold, and are marked as zeroed so that the guest's kernel does not write them either.
 *
 * Features are those of Debian 12's mke2fs except 64bit, which disks below 16 TiB do not need.
 * resize_inode reserves room to grow a thousandfold online: a VM with a larger disk than its image
 * needs one ioctl(EXT4_IOC_RESIZE_FS) in the guest, no tool.
 *
 * Order: ext4_create, any of ext4_add_* / ext4_file_*, ext4_write_dirs, ext4_close.  After an error
 * only ext4_abort() may follow.  Format: Documentation/filesystems/ext4 in Linux.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "image/tree.h"

#define EXT4_DISK_MIN     (UINT64_C(16) << 20)
#define EXT4_DISK_MAX     (UINT64_C(8) << 40)
#define EXT4_DISK_DEFAULT (UINT64_C(8) << 30)
#define EXT4_FILE_MAX     ((UINT64_C(16) << 40) - 4096) /* 2^32 - 1 blocks */

enum {
	EXT4_BLOCK = 4096,
	EXT4_INODE_RATIO = 16384,   /* bytes of disk for each inode, as mke2fs */
	EXT4_JOURNAL_BLOCKS = 8192, /* at most: 32 MiB; each VM's copy fills up over time */
	EXT4_XATTR_MAX = 64,        /* extended attributes of one inode */
	EXT4_LINKS_MAX = 65000,
};

struct ext4;

/* What an inode carries besides its contents. */
struct ext4_attr {
	uint32_t uid;
	uint32_t gid;
	uint16_t mode; /* permission bits only */
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint32_t dev_major; /* devices only */
	uint32_t dev_minor;
};

/* Creates `path` (which must not exist) of disk_bytes, rounded down to blocks. */
int ext4_create(const char *path, uint64_t disk_bytes, struct ext4 **ret_fs, struct err *e);

/* Makes an inode for a node that has none; a symlink's target is the node's. */
int ext4_add_inode(struct ext4 *fs, struct tree_node *n, const struct ext4_attr *attr,
		   struct err *e);

/* New attributes for a directory that exists. */
int ext4_set_attr(struct ext4 *fs, uint32_t ino, const struct ext4_attr *attr, struct err *e);
int ext4_set_xattr(struct ext4 *fs, uint32_t ino, const char *name, const void *value, size_t len,
		   struct err *e);
int ext4_link(struct ext4 *fs, uint32_t ino, struct err *e); /* one name more */

/* One name less; the last one frees the inode and its blocks. */
int ext4_unlink(struct ext4 *fs, uint32_t ino, bool is_dir, struct err *e);

/* One regular file at a time is written. */
int ext4_file_begin(struct ext4 *fs, uint32_t ino, struct err *e);
int ext4_file_write(struct ext4 *fs, uint64_t at, const void *data, size_t len, struct err *e);
int ext4_file_end(struct ext4 *fs, uint64_t size, struct err *e); /* bytes never written: a hole */

/* Writes every directory of the tree; its root is the file system's. */
int ext4_write_dirs(struct ext4 *fs, struct tree *t, struct err *e);
int ext4_close(struct ext4 *fs, struct err *e); /* flushes and fsyncs */
void ext4_abort(struct ext4 *fs);               /* NULL-safe; the file is of no use then */

/* Opens an existing file system to see whether it is one: its size in bytes. */
int ext4_probe(const char *path, uint64_t *ret_bytes, struct err *e);
bool ext4_has_magic(const void *head, size_t len); /* of the first 2 KiB */
