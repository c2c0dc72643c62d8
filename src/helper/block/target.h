/* target.h - what the block operations act on, made by their validate(). */
#pragma once

#include <stdint.h>

#include "helper/block/handle.h"
#include "helper/conf.h"

enum {
	TARGET_PATH_MAX = HELPER_PATH_MAX + 7, /* "images/" and a request's path */
};

struct snapshot_target {
	const struct helper_conf *conf; /* borrowed */
	struct handle handle;
	char base[TARGET_PATH_MAX + 1]; /* below the state directory */
	char cow[TARGET_PATH_MAX + 1];
};

/* A disk, and what of it: a VM's snapshot, or an image by its path below the state directory. */
struct disk_target {
	const struct helper_conf *conf; /* borrowed */
	struct handle handle;           /* vm 0: the path */
	char path[HELPER_PATH_MAX + 1];
	uint32_t nfiles;
	struct helper_ext4_file files[HELPER_EXT4_FILES_MAX]; /* data borrowed from the request */
};

/* What a VM held: each part absent, or as a gate has let it in. */
struct cleanup_target {
	const struct helper_conf *conf; /* borrowed */
	struct handle handle;           /* vm 0: no device-mapper device */
	uint32_t base_loop;             /* LOOP_NONE: none */
	uint32_t cow_loop;
};
