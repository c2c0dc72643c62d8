/* ext4_priv.h - what ext4.c and ext4_dir.c share; nobody else knows libext2fs. */
#pragma once

#include <ext2fs/ext2fs.h>

#include "image/ext4.h"

struct ext4 {
	ext2_filsys fs;   /* owned */
	ext2_file_t file; /* owned; the file that is being written, or NULL */
	uint64_t disk_bytes;
	char *path; /* owned */
};

/* A libext2fs code as an error: an errno when it is small, else a row of its own table. */
int ext4_fault(const struct ext4 *fs, errcode_t code, const char *what, struct err *e);
uint8_t ext4_ftype(enum tree_kind kind); /* the type byte of a directory entry */
