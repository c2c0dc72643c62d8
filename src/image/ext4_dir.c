/* ext4_dir.c - writes the directories of a tree, each one block after another.
 *
 * libext2fs can link names one by one, but looks through the whole directory for each: that is
 * quadratic, and a foreign tar decides how many names there are.  Here a block is packed in memory
 * and written once.  Directories are linear, without a hash tree, which ext4 reads as well.
 *
 * A block: entries of 8 bytes and the name, padded to 4; the last one reaches to the checksum's
 * tail of 12 bytes.
 */
#include <ext2fs/ext2fs.h>
#include <string.h>

#include "base/assert.h"
#include "image/ext4.h"
#include "image/ext4_priv.h"

enum {
	ENTRY_HEAD = 8,
	BLOCK_TAIL = 12,
	LOST_FOUND_BLOCKS = 4, /* e2fsck may not allocate: room for it to link lost files */
};

struct packer {
	struct ext4 *fs;
	uint32_t ino; /* the directory */
	blk64_t blocks;
	unsigned used; /* bytes of the block */
	struct ext2_dir_entry *last;
	_Alignas(8) char block[EXT4_BLOCK];
};

static errcode_t block_flush(struct packer *p)
{
	ext2_filsys fs = p->fs->fs;
	blk64_t at = 0;
	errcode_t code;

	if (!p->last) /* an empty block is one entry without an inode */
		p->last = (void *)p->block;
	const unsigned start = (unsigned)((char *)p->last - p->block);

	code = ext2fs_set_rec_len(fs, EXT4_BLOCK - BLOCK_TAIL - start, p->last);
	if (code)
		return code;
	ext2fs_initialize_dirent_tail(fs, EXT2_DIRENT_TAIL(p->block, EXT4_BLOCK));
	code = ext2fs_bmap2(fs, p->ino, NULL, NULL, BMAP_ALLOC, p->blocks, NULL, &at);
	if (code)
		return code;
	code = ext2fs_write_dir_block4(fs, at, p->block, 0, p->ino);
	if (code)
		return code;
	p->blocks++;
	p->used = 0;
	p->last = NULL;
	memset(p->block, 0, sizeof(p->block));
	return 0;
}

static errcode_t entry_add(struct packer *p, uint32_t ino, uint8_t ftype, const char *name,
			   unsigned len)
{
	const unsigned need = (ENTRY_HEAD + len + 3) & ~3U;
	errcode_t code;

	if (p->used + need > EXT4_BLOCK - BLOCK_TAIL) {
		code = block_flush(p);
		if (code)
			return code;
	}

	struct ext2_dir_entry *d = (void *)(p->block + p->used);

	d->inode = ino;
	ext2fs_dirent_set_name_len(d, (int)len);
	ext2fs_dirent_set_file_type(d, ftype);
	memcpy(d->name, name, len);
	code = ext2fs_set_rec_len(p->fs->fs, need, d);
	p->used += need;
	p->last = d;
	return code;
}

static errcode_t entries_pack(struct packer *p, const struct tree_node *dir, unsigned *ret_subdirs)
{
	errcode_t code = entry_add(p, dir->ino, EXT2_FT_DIR, ".", 1);
	unsigned subdirs = 0;

	if (!code)
		code = entry_add(p, dir->parent->ino, EXT2_FT_DIR, "..", 2);
	list_for_each (l, &dir->children) {
		const struct tree_node *n = list_entry(l, struct tree_node, link);

		if (code)
			return code;
		ASSERT(n->ino != 0);
		subdirs += n->kind == TREE_DIR;
		code = entry_add(p, n->ino, ext4_ftype(n->kind), n->name, n->len);
	}
	*ret_subdirs = subdirs;
	return code ? code : block_flush(p);
}

static errcode_t dir_write(struct ext4 *fs, const struct tree_node *dir)
{
	struct packer p = { .fs = fs, .ino = dir->ino };
	struct ext2_inode inode;
	unsigned subdirs = 0;
	errcode_t code = entries_pack(&p, dir, &subdirs);

	if (!code && dir->depth == 1 && strcmp(dir->name, "lost+found") == 0) {
		while (!code && p.blocks < LOST_FOUND_BLOCKS)
			code = block_flush(&p);
	}
	if (!code)
		code = ext2fs_read_inode(fs->fs, dir->ino, &inode);
	if (code)
		return code;
	/* dir_nlink: a directory with more subdirectories than fit counts one link. */
	inode.i_links_count = (uint16_t)(subdirs + 2 < EXT4_LINKS_MAX ? subdirs + 2 : 1);
	code = ext2fs_inode_size_set(fs->fs, &inode, (ext2_off64_t)p.blocks * EXT4_BLOCK);
	return code ? code : ext2fs_write_inode(fs->fs, dir->ino, &inode);
}

int ext4_write_dirs(struct ext4 *fs, struct tree *t, struct err *e)
{
	struct tree_node *n = t->root;

	while (n) { /* pre-order, without recursion on a foreign depth */
		if (n->kind == TREE_DIR) {
			const errcode_t code = dir_write(fs, n);

			if (code)
				return ext4_fault(fs, code, "write a directory", e);
		}
		n = tree_next(t, n);
	}
	return 0;
}
