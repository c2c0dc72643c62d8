/* ext4.c - files of an ext4 file system by libext2fs, in a child that can open nothing.
 *
 * Everything here is made of what a guest may have written.  What libext2fs makes of it can cost
 * this process alone, which has the disk and no more.
 *
 * #syscalls(ext4) pread64 pwrite64 lseek fsync newfstatat fcntl getuid geteuid getgid getegid
 * #syscalls(ext4) prctl:PR_GET_DUMPABLE read? mmap? munmap? brk? mremap? getrandom? close?
 * #syscalls(ext4) clock_gettime? gettimeofday? time?
 * #ioctls(ext4) linux/fs.h: BLKDISCARDZEROES
 */
#include <errno.h>
#include <et/com_err.h>
#include <ext2fs/ext2fs.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "helper/block/tools.h"

enum {
	DIRECTORY_MODE = 0755, /* of one that is made on the way */
	FD_DIGITS = 12,
};

/* ---- words for what libext2fs says ---- */

static int fault(struct err *e, const char *path, errcode_t code)
{
	static const struct {
		errcode_t code;
		enum err_code ours;
		const char *text;
	} rows[] = {
		{ EXT2_ET_FILE_NOT_FOUND, ERR_FILE_NOT_FOUND, "is not there" },
		{ EXT2_ET_NO_DIRECTORY, ERR_FILE_KIND, "is below something that is no directory" },
		{ EXT2_ET_BLOCK_ALLOC_FAIL, ERR_FILE_SPACE, "the disk is full" },
		{ EXT2_ET_INODE_ALLOC_FAIL, ERR_FILE_SPACE, "the disk has no inode left" },
		{ EXT2_ET_SYMLINK_LOOP, ERR_FILE_KIND, "is a link to itself" },
		{ EXT2_ET_NO_MEMORY, ERR_HOST_MEMORY, "no memory" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].code == code)
			return err_set(e, rows[i].ours, "%s: %s", path, rows[i].text);
	return err_set(e, ERR_IMAGE_BAD, "%s: %s", path, error_message(code));
}

static int wrong_kind(struct err *e, const char *path)
{
	return err_set(e, ERR_FILE_KIND, "%s: is no regular file", path);
}

/* ---- the file system ---- */

/* libext2fs would speak to our log, in the words of the disk. */
static void say_nothing(const char *who, errcode_t code, const char *fmt, va_list ap)
{
	(void)who;
	(void)code;
	(void)fmt;
	(void)ap;
}

static errcode_t fs_prepare(ext2_filsys fs, struct err *e)
{
	if (!ext2fs_has_feature_journal_needs_recovery(fs->super))
		return ext2fs_read_bitmaps(fs);
	(void)err_set(e, ERR_BLOCK_BUSY,
		      "image: was not unmounted; fsck_snapshot or a boot mends that");
	return 0;
}

/* NULL: *e says why. */
static ext2_filsys fs_open(int disk, bool writes, struct err *e)
{
	const int flags = EXT2_FLAG_64BITS | (writes ? EXT2_FLAG_RW : 0);
	char name[FD_DIGITS];
	ext2_filsys fs = NULL;
	errcode_t code;

	(void)set_com_err_hook(say_nothing);
	(void)snprintf(name, sizeof(name), "%d", disk);
	code = ext2fs_open(name, flags, 0, 0, unixfd_io_manager, &fs);
	if (code == 0 && writes)
		code = fs_prepare(fs, e);
	if (code)
		(void)fault(e, "image", code);
	if (e->code == ERR_NONE)
		return fs;
	if (fs)
		ext2fs_free(fs);
	return NULL;
}

/* ---- reading ---- */

static int read_contents(ext2_filsys fs, ext2_ino_t ino, const char *path, uint32_t bytes,
			 uint8_t *data, struct err *e)
{
	ext2_file_t file;
	uint32_t have = 0;
	errcode_t code = ext2fs_file_open(fs, ino, 0, &file);

	while (code == 0 && have < bytes) {
		unsigned int n = 0;

		code = ext2fs_file_read(file, data + have, bytes - have, &n);
		if (code == 0 && n == 0)
			code = EXT2_ET_SHORT_READ;
		have += n;
	}
	return code ? fault(e, path, code) : 0;
}

static int read_file(ext2_filsys fs, const char *path, struct tool_file *file, uint8_t *data,
		     struct err *e)
{
	struct ext2_inode inode;
	ext2_ino_t ino;
	errcode_t code = ext2fs_namei_follow(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, path, &ino);

	if (code == 0)
		code = ext2fs_read_inode(fs, ino, &inode);
	if (code)
		return fault(e, path, code);
	if (!LINUX_S_ISREG(inode.i_mode))
		return wrong_kind(e, path);
	if (EXT2_I_SIZE(&inode) > HELPER_EXT4_BYTES_MAX)
		return err_set(e, ERR_BAD_REQUEST, "path: %s has %llu bytes, at most %d are read",
			       path, (unsigned long long)EXT2_I_SIZE(&inode),
			       HELPER_EXT4_BYTES_MAX);
	file->mode = inode.i_mode & HELPER_EXT4_MODE_MAX;
	file->uid = inode_uid(inode);
	file->gid = inode_gid(inode);
	file->bytes = (uint32_t)EXT2_I_SIZE(&inode);
	return read_contents(fs, ino, path, file->bytes, data, e);
}

void ext4_read(int disk, const struct tool_ask *ask, struct tool_told *told, uint8_t *data)
{
	const ext2_filsys fs = fs_open(disk, false, &told->e);

	if (!fs)
		return;
	if (read_file(fs, ask->files[0].path, &told->file, data, &told->e) < 0)
		told->file.bytes = 0;
	ext2fs_free(fs);
}

/* ---- writing ---- */

static errcode_t link_in(ext2_filsys fs, ext2_ino_t dir, const char *name, ext2_ino_t ino, int type)
{
	errcode_t code = ext2fs_link(fs, dir, name, ino, type);

	if (code != EXT2_ET_DIR_NO_SPACE)
		return code;
	code = ext2fs_expand_dir(fs, dir);
	return code ? code : ext2fs_link(fs, dir, name, ino, type);
}

static void own(struct ext2_inode *inode, const struct tool_file *f, uint16_t type, uint32_t mode)
{
	inode->i_mode = (uint16_t)(type | mode);
	inode->i_uid = (uint16_t)f->uid;
	inode->i_gid = (uint16_t)f->gid;
	ext2fs_set_i_uid_high(*inode, (uint16_t)(f->uid >> 16));
	ext2fs_set_i_gid_high(*inode, (uint16_t)(f->gid >> 16));
	inode->i_atime = inode->i_ctime = inode->i_mtime = (uint32_t)time(NULL);
}

static errcode_t make_directory(ext2_filsys fs, ext2_ino_t dir, const char *name,
				const struct tool_file *f, ext2_ino_t *ret_ino)
{
	struct ext2_inode inode;
	ext2_ino_t ino;
	errcode_t code = ext2fs_mkdir(fs, dir, 0, name);

	if (code == EXT2_ET_DIR_NO_SPACE) {
		code = ext2fs_expand_dir(fs, dir);
		if (code == 0)
			code = ext2fs_mkdir(fs, dir, 0, name);
	}
	if (code == 0)
		code = ext2fs_lookup(fs, dir, name, (int)strlen(name), NULL, &ino);
	if (code == 0)
		code = ext2fs_read_inode(fs, ino, &inode);
	if (code)
		return code;
	own(&inode, f, LINUX_S_IFDIR, DIRECTORY_MODE);
	*ret_ino = ino;
	return ext2fs_write_inode(fs, ino, &inode);
}

/* The directory that the file is to be in, made where there is none, and the file's own name. */
static errcode_t walk(ext2_filsys fs, const struct tool_file *f, ext2_ino_t *ret_dir,
		      const char **ret_name)
{
	const char *at = f->path + 1;
	ext2_ino_t dir = EXT2_ROOT_INO;

	for (const char *slash; (slash = strchr(at, '/')) != NULL; at = slash + 1) {
		char name[EXT2_NAME_LEN + 1];
		ext2_ino_t next;
		errcode_t code;

		(void)snprintf(name, sizeof(name), "%.*s", (int)(slash - at), at);
		code = ext2fs_namei_follow(fs, EXT2_ROOT_INO, dir, name, &next);
		if (code == EXT2_ET_FILE_NOT_FOUND)
			code = make_directory(fs, dir, name, f, &next);
		if (code == 0)
			code = ext2fs_check_directory(fs, next);
		if (code)
			return code;
		dir = next;
	}
	*ret_dir = dir;
	*ret_name = at;
	return 0;
}

/* One name less; with the last one its blocks go, as debugfs(8) does it. */
static errcode_t drop(ext2_filsys fs, ext2_ino_t dir, const char *name, ext2_ino_t ino,
		      struct ext2_inode *inode)
{
	errcode_t code = ext2fs_unlink(fs, dir, name, ino, 0);

	if (code)
		return code;
	if (inode->i_links_count > 1) {
		inode->i_links_count--;
		return ext2fs_write_inode(fs, ino, inode);
	}
	inode->i_links_count = 0;
	inode->i_dtime = (uint32_t)time(NULL);
	code = ext2fs_write_inode(fs, ino, inode);
	if (code == 0)
		code = ext2fs_free_ext_attr(fs, ino, NULL);
	if (code == 0 && ext2fs_inode_has_valid_blocks2(fs, inode))
		code = ext2fs_punch(fs, ino, inode, NULL, 0, ~0ULL);
	if (code == 0)
		ext2fs_inode_alloc_stats2(fs, ino, -1, 0);
	return code;
}

static errcode_t fill(ext2_filsys fs, ext2_ino_t ino, const uint8_t *data, uint32_t bytes)
{
	ext2_file_t file;
	uint32_t done = 0;
	errcode_t code = ext2fs_file_open(fs, ino, EXT2_FILE_WRITE, &file);
	errcode_t closed;

	if (code)
		return code;
	while (code == 0 && done < bytes) {
		unsigned int n = 0;

		code = ext2fs_file_write(file, data + done, bytes - done, &n);
		done += n;
	}
	closed = ext2fs_file_close(file);
	return code ? code : closed;
}

/* It has its name once it has its contents. */
static errcode_t make_file(ext2_filsys fs, ext2_ino_t dir, const char *name,
			   const struct tool_file *f, const uint8_t *data)
{
	struct ext2_inode inode = { .i_links_count = 1 };
	ext2_extent_handle_t extents;
	ext2_ino_t ino;
	errcode_t code = ext2fs_new_inode(fs, dir, LINUX_S_IFREG, NULL, &ino);

	if (code)
		return code;
	own(&inode, f, LINUX_S_IFREG, f->mode);
	if (ext2fs_has_feature_extents(fs->super)) {
		inode.i_flags |= EXT4_EXTENTS_FL;
		code = ext2fs_extent_open2(fs, ino, &inode, &extents);
		if (code)
			return code;
		ext2fs_extent_free(extents);
	}
	code = ext2fs_write_new_inode(fs, ino, &inode);
	if (code)
		return code;
	ext2fs_inode_alloc_stats2(fs, ino, 1, 0);
	code = fill(fs, ino, data, f->bytes);
	return code ? code : link_in(fs, dir, name, ino, EXT2_FT_REG_FILE);
}

/* A link of that name is replaced, not followed: it may lead where nothing is while nobody runs. */
static int write_file(ext2_filsys fs, const struct tool_file *f, const uint8_t *data, struct err *e)
{
	struct ext2_inode old;
	ext2_ino_t dir;
	ext2_ino_t ino = 0;
	const char *name;
	errcode_t code = walk(fs, f, &dir, &name);

	if (code)
		return fault(e, f->path, code);
	code = ext2fs_lookup(fs, dir, name, (int)strlen(name), NULL, &ino);
	if (code == 0)
		code = ext2fs_read_inode(fs, ino, &old);
	if (code == EXT2_ET_FILE_NOT_FOUND)
		code = ino = 0;
	if (code == 0 && ino && LINUX_S_ISDIR(old.i_mode))
		return wrong_kind(e, f->path);
	if (code == 0 && ino)
		code = drop(fs, dir, name, ino, &old);
	if (code == 0)
		code = make_file(fs, dir, name, f, data);
	return code ? fault(e, f->path, code) : 0;
}

void ext4_write(int disk, const struct tool_ask *ask, const uint8_t *data, struct tool_told *told)
{
	ext2_filsys fs = fs_open(disk, true, &told->e);
	errcode_t code;
	int rc = 0;

	if (!fs)
		return;
	for (uint32_t i = 0; rc == 0 && i < ask->nfiles; i++) {
		rc = write_file(fs, &ask->files[i], data, &told->e);
		data += ask->files[i].bytes;
	}
	/* Whole or not: what was done is consistent only once it is all on the disk. */
	code = ext2fs_close_free(&fs);
	if (code && rc == 0)
		(void)fault(&told->e, "image", code);
}
