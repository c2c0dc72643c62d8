/* block.h - the worker `block`: loop devices, device-mapper, files in the disks of VMs.
 *
 * It opens files below the daemon's state directory, as root.c does, and nothing else but device
 * nodes of its own making.  What a guest has written it does not read: others do, who hold no more
 * than the one descriptor.
 */
#pragma once

#include "helper/block/dm.h"
#include "helper/block/loop.h"
#include "helper/block/tools.h"
#include "helper/op.h"

enum {
	BLOCK_FSCK_MS = 120000, /* for e2fsck; the worker's own deadline is longer */
};

struct block_env {
	struct dm dm;
	struct loops loops;
	struct tools tools;
};

int block_open(const struct helper_conf *conf, void **ret_env, struct err *e);

op_validate snapshot_validate, snapshot_cleanup_validate, snapshot_remove_validate;
op_step snapshot_act, snapshot_undo;
op_step snapshot_cleanup_undo;
op_step snapshot_remove_undo;
op_validate ext4_read_validate, ext4_write_validate, fsck_validate;
op_step ext4_read_act, ext4_write_act, fsck_act;
op_step block_report_act;
