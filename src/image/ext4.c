#include "image/ext4.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "image/ext4_priv.h"
#include "image/fault.h"

enum {
	WRITE_MAX = 1 << 20, /* bytes of one call: libext2fs counts them in an unsigned int */
};

int ext4_fault(const struct ext4 *fs, errcode_t code, const char *what, struct err *e)
{
	if (code == EXT2_ET_BLOCK_ALLOC_FAIL || code == EXT2_ET_INODE_ALLOC_FAIL)
		return err_set(e, ERR_VM_SIZE, "contents do not fit on a disk of %llu MiB",
			       (unsigned long long)(fs->disk_bytes >> 20));
	if (code == EXT2_ET_NO_MEMORY)
		return err_set(e, ERR_HOST_MEMORY, "%s: no memory", what);
	/* A write that was cut short has lost its errno; nothing but a full disk does that. */
	if (code == EXT2_ET_SHORT_WRITE)
		return err_num(e, ERR_HOST_DISK_FULL, ENOSPC, "write %s", fs->path);
	if (code > 0 && code < 256)
		return err_num(e, fault_code((int)code), (int)code, "write %s", fs->path);
	return err_set(e, ERR_IMAGE_BAD, "%s: %s", what, error_message(code));
}

static void param_fill(struct ext2_super_block *sb, uint64_t blocks)
{
	*sb = (struct ext2_super_block){ 0 };
	sb->s_rev_level = EXT2_DYNAMIC_REV;
	sb->s_log_block_size = 2; /* 1024 << 2 */
	sb->s_log_cluster_size = 2;
	sb->s_inode_size = 256;
	sb->s_log_groups_per_flex = 4;
	sb->s_feature_compat = EXT2_FEATURE_COMPAT_DIR_INDEX | EXT2_FEATURE_COMPAT_EXT_ATTR |
			       EXT2_FEATURE_COMPAT_RESIZE_INODE;
	sb->s_feature_incompat = EXT2_FEATURE_INCOMPAT_FILETYPE | EXT3_FEATURE_INCOMPAT_EXTENTS |
				 EXT4_FEATURE_INCOMPAT_FLEX_BG;
	sb->s_feature_ro_compat = EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER |
				  EXT2_FEATURE_RO_COMPAT_LARGE_FILE |
				  EXT4_FEATURE_RO_COMPAT_HUGE_FILE |
				  EXT4_FEATURE_RO_COMPAT_DIR_NLINK |
				  EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE |
				  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
	ext2fs_blocks_count_set(sb, blocks);
	ext2fs_r_blocks_count_set(sb, 0); /* the guest's root owns the disk: nothing to reserve */

	const uint64_t inodes = blocks * EXT4_BLOCK / EXT4_INODE_RATIO;

	sb->s_inodes_count = inodes > UINT32_MAX ? UINT32_MAX : (uint32_t)inodes;
}

static int identity_fill(struct ext2_super_block *sb, struct err *e)
{
	uint8_t random[32];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return fault_sys(e, "getrandom");
	memcpy(sb->s_uuid, random, 16);
	sb->s_uuid[6] = (uint8_t)((sb->s_uuid[6] & 0x0f) | 0x40); /* RFC 9562: version 4 */
	sb->s_uuid[8] = (uint8_t)((sb->s_uuid[8] & 0x3f) | 0x80);
	memcpy(sb->s_hash_seed, random + 16, 16);
	sb->s_def_hash_version = EXT2_HASH_HALF_MD4;
	sb->s_flags |= EXT2_FLAGS_UNSIGNED_HASH;
	sb->s_checksum_type = EXT2_CRC32C_CHKSUM;
	sb->s_errors = EXT2_ERRORS_DEFAULT;
	sb->s_max_mnt_count = -1; /* never checked for having been mounted often */
	sb->s_default_mount_opts = EXT2_DEFM_XATTR_USER | EXT2_DEFM_ACL;
	return 0;
}

/* The inodes below the first ordinary one exist, whether used or not. */
static errcode_t reserve_inodes(ext2_filsys fs)
{
	for (ext2_ino_t i = 1; i < EXT2_FIRST_INODE(fs->super); i++) {
		if (!ext2fs_test_inode_bitmap2(fs->inode_map, i))
			ext2fs_inode_alloc_stats2(fs, i, +1, i == EXT2_ROOT_INO);
	}
	return ext2fs_update_bb_inode(fs, NULL);
}

static errcode_t layout(ext2_filsys fs)
{
	struct ext2fs_journal_params journal = { 0 };
	errcode_t code = ext2fs_allocate_tables(fs);

	if (code)
		return code;
	/* The tables are holes of a new file, so they are zero already. */
	for (dgrp_t i = 0; i < fs->group_desc_count; i++) {
		ext2fs_bg_flags_set(fs, i, EXT2_BG_INODE_ZEROED);
		ext2fs_group_desc_csum_set(fs, i);
	}
	code = reserve_inodes(fs);
	if (code)
		return code;
	code = ext2fs_create_resize_inode(fs);
	if (code)
		return code;

	const int blocks = ext2fs_default_journal_size(ext2fs_blocks_count(fs->super));

	if (blocks < 0) /* too small a disk for one */
		return 0;
	journal.num_journal_blocks = blocks > EXT4_JOURNAL_BLOCKS ? EXT4_JOURNAL_BLOCKS
								  : (blk_t)blocks;
	return ext2fs_add_journal_inode3(fs, &journal, ~UINT64_C(0),
					 EXT2_MKJOURNAL_LAZYINIT | EXT2_MKJOURNAL_NO_MNT_CHECK);
}

static int file_make(const char *path, uint64_t bytes, struct err *e)
{
	CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return fault_sys(e, "create %s", path);
	if (ftruncate(fd, (off_t)bytes) < 0)
		return fault_sys(e, "make %s of %llu bytes", path, (unsigned long long)bytes);
	return 0;
}

int ext4_create(const char *path, uint64_t disk_bytes, struct ext4 **ret_fs, struct err *e)
{
	struct ext2_super_block param;
	const uint64_t blocks = disk_bytes / EXT4_BLOCK;
	struct ext4 *fs;
	errcode_t code;
	int rc;

	if (disk_bytes < EXT4_DISK_MIN || disk_bytes > EXT4_DISK_MAX)
		return err_set(e, ERR_VM_SIZE, "a disk must have %llu MiB to %llu GiB",
			       (unsigned long long)(EXT4_DISK_MIN >> 20),
			       (unsigned long long)(EXT4_DISK_MAX >> 30));
	fs = calloc(1, sizeof(*fs));
	if (!fs || !(fs->path = strdup(path))) {
		ext4_abort(fs);
		return err_set(e, ERR_HOST_MEMORY, "no memory for a file system");
	}
	fs->disk_bytes = disk_bytes;
	rc = file_make(path, blocks * EXT4_BLOCK, e);
	if (rc < 0)
		goto fail;
	param_fill(&param, blocks);
	code = ext2fs_initialize(path, EXT2_FLAG_64BITS, &param, unix_io_manager, &fs->fs);
	if (code) {
		rc = ext4_fault(fs, code, "make ext4", e);
		goto fail;
	}
	fs->fs->umask = 0;
	rc = identity_fill(fs->fs->super, e);
	if (rc < 0)
		goto fail;
	ext2fs_init_csum_seed(fs->fs);
	code = layout(fs->fs);
	if (code) {
		rc = ext4_fault(fs, code, "make ext4", e);
		goto fail;
	}
	*ret_fs = fs;
	return 0;
fail:
	ext4_abort(fs);
	return rc;
}

/* ext4 keeps 34 bits of seconds beside 30 bits of nanoseconds; times outside are moved to the end.
 */
static void time_set(uint32_t *ret_low, uint32_t *ret_extra, int64_t s, uint32_t ns)
{
	const int64_t min = INT32_MIN;
	const int64_t max = INT32_MIN + (INT64_C(1) << 34) - 1;

	s = s < min ? min : s > max ? max : s;
	*ret_low = (uint32_t)(s & 0xffffffff);
	*ret_extra = (uint32_t)(((s - (int32_t)(uint32_t)s) >> 32) & 3) | (ns << 2);
}

static void attr_fill(struct ext2_inode_large *inode, const struct ext4_attr *attr)
{
	inode->i_mode = (uint16_t)((inode->i_mode & LINUX_S_IFMT) | (attr->mode & 07777));
	inode->i_uid = (uint16_t)attr->uid;
	inode->i_gid = (uint16_t)attr->gid;
	inode->osd2.linux2.l_i_uid_high = (uint16_t)(attr->uid >> 16);
	inode->osd2.linux2.l_i_gid_high = (uint16_t)(attr->gid >> 16);
	time_set(&inode->i_mtime, &inode->i_mtime_extra, attr->mtime_s, attr->mtime_ns);
	time_set(&inode->i_atime, &inode->i_atime_extra, attr->mtime_s, attr->mtime_ns);
	time_set(&inode->i_ctime, &inode->i_ctime_extra, attr->mtime_s, attr->mtime_ns);
}

/* Linux's two encodings of a device number in i_block. */
static void device_fill(struct ext2_inode_large *inode, uint32_t major, uint32_t minor)
{
	if (major < 256 && minor < 256)
		inode->i_block[0] = major << 8 | minor;
	else
		inode->i_block[1] = (minor & 0xff) | major << 8 | (minor & ~UINT32_C(0xff)) << 12;
}

static const uint16_t kind_mode[TREE_NKINDS] = {
	[TREE_DIR] = LINUX_S_IFDIR,     [TREE_FILE] = LINUX_S_IFREG,
	[TREE_SYMLINK] = LINUX_S_IFLNK, [TREE_CHAR] = LINUX_S_IFCHR,
	[TREE_BLOCK] = LINUX_S_IFBLK,   [TREE_FIFO] = LINUX_S_IFIFO,
	[TREE_SOCKET] = LINUX_S_IFSOCK,
};

static const uint8_t kind_ftype[TREE_NKINDS] = {
	[TREE_DIR] = EXT2_FT_DIR,         [TREE_FILE] = EXT2_FT_REG_FILE,
	[TREE_SYMLINK] = EXT2_FT_SYMLINK, [TREE_CHAR] = EXT2_FT_CHRDEV,
	[TREE_BLOCK] = EXT2_FT_BLKDEV,    [TREE_FIFO] = EXT2_FT_FIFO,
	[TREE_SOCKET] = EXT2_FT_SOCK,
};

uint8_t ext4_ftype(enum tree_kind kind)
{
	return kind_ftype[kind];
}

static errcode_t inode_read(struct ext4 *fs, uint32_t ino, struct ext2_inode_large *inode)
{
	return ext2fs_read_inode_full(fs->fs, ino, (struct ext2_inode *)inode, sizeof(*inode));
}

static errcode_t inode_write(struct ext4 *fs, uint32_t ino, struct ext2_inode_large *inode)
{
	return ext2fs_write_inode_full(fs->fs, ino, (struct ext2_inode *)inode, sizeof(*inode));
}

static errcode_t inode_make(struct ext4 *fs, const struct tree_node *n,
			    const struct ext4_attr *attr, uint32_t ino)
{
	struct ext2_inode_large inode = { 0 };
	errcode_t code;

	if (n->kind == TREE_SYMLINK) { /* chooses between i_block and a block of its own */
		code = ext2fs_symlink(fs->fs, EXT2_ROOT_INO, ino, NULL, n->target);
		if (code)
			return code;
		code = inode_read(fs, ino, &inode);
		if (code)
			return code;
		attr_fill(&inode, attr);
		inode.i_mode = LINUX_S_IFLNK | 0777;
		return inode_write(fs, ino, &inode);
	}
	inode.i_mode = kind_mode[n->kind];
	inode.i_links_count = 1;
	inode.i_extra_isize = sizeof(inode) - EXT2_GOOD_OLD_INODE_SIZE;
	if (n->kind == TREE_DIR || n->kind == TREE_FILE)
		inode.i_flags |= EXT4_EXTENTS_FL;
	if (n->kind == TREE_CHAR || n->kind == TREE_BLOCK)
		device_fill(&inode, attr->dev_major, attr->dev_minor);
	attr_fill(&inode, attr);
	time_set(&inode.i_crtime, &inode.i_crtime_extra, time(NULL), 0);
	if (inode.i_flags & EXT4_EXTENTS_FL) { /* puts the empty extent header into the inode */
		ext2_extent_handle_t extents;

		code = ext2fs_extent_open2(fs->fs, ino, (struct ext2_inode *)&inode, &extents);
		if (code)
			return code;
		ext2fs_extent_free(extents);
	}
	code = inode_write(fs, ino, &inode);
	if (!code && ino != EXT2_ROOT_INO)
		ext2fs_inode_alloc_stats2(fs->fs, ino, +1, n->kind == TREE_DIR);
	return code;
}

int ext4_add_inode(struct ext4 *fs, struct tree_node *n, const struct ext4_attr *attr,
		   struct err *e)
{
	ext2_ino_t ino = EXT2_ROOT_INO;
	errcode_t code = 0;

	ASSERT(n->ino == 0);
	if (n->parent != n) {
		const ext2_ino_t near = n->parent->ino ? n->parent->ino : EXT2_ROOT_INO;

		code = ext2fs_new_inode(fs->fs, near, kind_mode[n->kind], NULL, &ino);
	}
	if (!code)
		code = inode_make(fs, n, attr, ino);
	if (code)
		return ext4_fault(fs, code, "add an inode", e);
	n->ino = ino;
	return 0;
}

int ext4_set_attr(struct ext4 *fs, uint32_t ino, const struct ext4_attr *attr, struct err *e)
{
	struct ext2_inode_large inode;
	errcode_t code = inode_read(fs, ino, &inode);

	if (!code) {
		attr_fill(&inode, attr);
		code = inode_write(fs, ino, &inode);
	}
	return code ? ext4_fault(fs, code, "change an inode", e) : 0;
}

int ext4_set_xattr(struct ext4 *fs, uint32_t ino, const char *name, const void *value, size_t len,
		   struct err *e)
{
	struct ext2_xattr_handle *h;
	errcode_t code = ext2fs_xattrs_open(fs->fs, ino, &h);

	if (!code) {
		code = ext2fs_xattrs_read(h);
		if (!code)
			code = ext2fs_xattr_set(h, name, value, len);
		const errcode_t late = ext2fs_xattrs_close(&h);
		if (!code)
			code = late;
	}
	return code ? ext4_fault(fs, code, "set an extended attribute", e) : 0;
}

int ext4_link(struct ext4 *fs, uint32_t ino, struct err *e)
{
	struct ext2_inode_large inode;
	errcode_t code = inode_read(fs, ino, &inode);

	if (!code && inode.i_links_count >= EXT4_LINKS_MAX)
		return err_set(e, ERR_IMAGE_BAD, "more than %d hard links", EXT4_LINKS_MAX);
	if (!code) {
		inode.i_links_count++;
		code = inode_write(fs, ino, &inode);
	}
	return code ? ext4_fault(fs, code, "link", e) : 0;
}

static errcode_t inode_free(struct ext4 *fs, uint32_t ino, struct ext2_inode_large *inode,
			    bool is_dir)
{
	struct ext2_inode *small = (struct ext2_inode *)inode;
	errcode_t code = ext2fs_free_ext_attr(fs->fs, ino, inode);

	if (!code && ext2fs_inode_has_valid_blocks2(fs->fs, small))
		code = ext2fs_punch(fs->fs, ino, small, NULL, 0, ~UINT64_C(0));
	if (code)
		return code;
	memset(inode, 0, sizeof(*inode));
	inode->i_dtime = (uint32_t)time(NULL);
	ext2fs_inode_alloc_stats2(fs->fs, ino, -1, is_dir);
	return inode_write(fs, ino, inode);
}

int ext4_unlink(struct ext4 *fs, uint32_t ino, bool is_dir, struct err *e)
{
	struct ext2_inode_large inode;
	errcode_t code = inode_read(fs, ino, &inode);

	if (!code && (is_dir || --inode.i_links_count == 0))
		code = inode_free(fs, ino, &inode, is_dir);
	else if (!code)
		code = inode_write(fs, ino, &inode);
	return code ? ext4_fault(fs, code, "unlink", e) : 0;
}

int ext4_file_begin(struct ext4 *fs, uint32_t ino, struct err *e)
{
	ASSERT(!fs->file);
	const errcode_t code = ext2fs_file_open(fs->fs, ino, EXT2_FILE_WRITE, &fs->file);

	return code ? ext4_fault(fs, code, "open a file", e) : 0;
}

int ext4_file_write(struct ext4 *fs, uint64_t at, const void *data, size_t len, struct err *e)
{
	errcode_t code = ext2fs_file_llseek(fs->file, at, EXT2_SEEK_SET, NULL);
	const char *from = data;

	while (!code && len > 0) {
		const unsigned want = len > WRITE_MAX ? WRITE_MAX : (unsigned)len;
		unsigned done = 0;

		code = ext2fs_file_write(fs->file, from, want, &done);
		from += done;
		len -= done;
	}
	return code ? ext4_fault(fs, code, "write a file", e) : 0;
}

int ext4_file_end(struct ext4 *fs, uint64_t size, struct err *e)
{
	errcode_t code = 0;

	/* Only grows it: a hole at the end.  Setting the size that it has would be a write for
	 * nothing. */
	uint64_t have = 0;

	code = ext2fs_file_get_lsize(fs->file, (__u64 *)&have);
	if (!code && have != size)
		code = ext2fs_file_set_size2(fs->file, (ext2_off64_t)size);
	const errcode_t late = ext2fs_file_close(fs->file);
	fs->file = NULL;
	if (!code)
		code = late;
	return code ? ext4_fault(fs, code, "write a file", e) : 0;
}

int ext4_close(struct ext4 *fs, struct err *e)
{
	CLEANUP_FD int fd = -EBADF;
	errcode_t code;
	int rc = 0;

	fs->fs->super->s_state |= EXT2_VALID_FS;
	ext2fs_mark_super_dirty(fs->fs);
	code = ext2fs_close(fs->fs);
	if (code) {
		rc = ext4_fault(fs, code, "close ext4", e);
	} else {
		fs->fs = NULL;
		fd = open(fs->path, O_RDWR | O_CLOEXEC);
		if (fd < 0 || fsync(fd) < 0)
			rc = fault_sys(e, "fsync %s", fs->path);
	}
	ext4_abort(fs);
	return rc;
}

void ext4_abort(struct ext4 *fs)
{
	if (!fs)
		return;
	if (fs->file)
		(void)ext2fs_file_close(fs->file);
	if (fs->fs)
		ext2fs_free(fs->fs);
	free(fs->path);
	free(fs);
}

bool ext4_has_magic(const void *head, size_t len)
{
	const struct ext2_super_block *sb = (const void *)((const char *)head + SUPERBLOCK_OFFSET);

	return len >= SUPERBLOCK_OFFSET + sizeof(*sb) && sb->s_magic == EXT2_SUPER_MAGIC;
}

int ext4_probe(const char *path, uint64_t *ret_bytes, struct err *e)
{
	ext2_filsys fs;
	struct stat st;
	const errcode_t code = ext2fs_open2(path, NULL,
					    EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES, 0, 0,
					    unix_io_manager, &fs);

	if (code)
		return err_set(e, ERR_IMAGE_BAD, "%s: %s", path, error_message(code));

	const uint64_t bytes = ext2fs_blocks_count(fs->super) * fs->blocksize;
	const bool extents = ext2fs_has_feature_extents(fs->super);

	ext2fs_free(fs);
	if (!extents)
		return err_set(e, ERR_IMAGE_BAD, "%s: ext2 or ext3, not ext4", path);
	if (stat(path, &st) < 0)
		return fault_sys(e, "stat %s", path);
	if ((uint64_t)st.st_size < bytes)
		return err_set(e, ERR_IMAGE_BAD, "%s: cut short: %llu of %llu bytes", path,
			       (unsigned long long)st.st_size, (unsigned long long)bytes);
	*ret_bytes = bytes;
	return 0;
}
