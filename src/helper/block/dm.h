/* dm.h - device-mapper by its own ioctls, on a descriptor that was opened before we were confined.
 *
 * A device is ours if its uuid says so: no other program gives that uuid, and only root can.  Why
 * not libdevmapper: docs/adr/0013-device-mapper-by-ioctl.md.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "helper/block/handle.h"

struct dm {
	int control; /* owned: /dev/mapper/control; -EBADF where the kernel has no device-mapper */
	int nodes;   /* owned: /dev/mapper */
};

enum {
	DM_PATIENCE_MS = 5000, /* udev or a VMM's last close: it takes milliseconds */
	DM_PARAMS_MAX = 63,    /* "MAJOR:MINOR MAJOR:MINOR P CHUNK" */

	/* Minor numbers of our devices.  The kernel gives others the lowest that is free, so a node
	 * that a VMM still has in its jail never becomes that of a device which is not ours. */
	DM_NUMBER_BITS = 19,
	DM_NUMBER_FIRST = 1 << DM_NUMBER_BITS,
};

struct dm_device {
	dev_t dev;
	uint32_t opened;                /* how often it is open */
	bool active;                    /* it has a table */
	bool own_number;                /* which nobody else's device gets: DM_NUMBER_FIRST */
	char params[DM_PARAMS_MAX + 1]; /* of its snapshot target; "" where it has another */
};

void dm_open(struct dm *dm); /* what there is not is told by the operations */

/* The VM's device: -ENXIO where there is none, ERR_HELPER_REFUSED where it is somebody else's. */
int dm_find(struct dm *dm, const struct handle *h, struct dm_device *ret, struct err *e) MUST_CHECK;

/* In this order: a device without a table; its table, one snapshot target, of which `origin` is
 * what it shows until it is written to and `cow` takes what is written; the table in force. */
int dm_create(struct dm *dm, const struct handle *h, dev_t *ret_dev, struct err *e) MUST_CHECK;
int dm_load(struct dm *dm, const struct handle *h, uint64_t sectors, const char *params,
	    struct err *e) MUST_CHECK;
int dm_resume(struct dm *dm, const struct handle *h, struct err *e) MUST_CHECK;
/* ERR_FILE_SPACE where the snapshot has met the end of its file, once and for all: the kernel has
 * marked it so. */
int dm_check_valid(struct dm *dm, const struct handle *h, struct err *e) MUST_CHECK;
void dm_params(dev_t origin, dev_t cow, char out[DM_PARAMS_MAX + 1]);

/* The VM's node in /dev/mapper, for root alone. */
int dm_node_make(struct dm *dm, const struct handle *h, dev_t dev, struct err *e) MUST_CHECK;

/* The VM's node opened: a device of that number, whatever has been put there meanwhile. */
int dm_node_open(struct dm *dm, const struct handle *h, dev_t dev, int flags, int *ret_fd,
		 struct err *e) MUST_CHECK;

/* The device of `disk` opened by a node that is `uid`'s, and that is gone again. */
int dm_lend(struct dm *dm, const struct handle *h, int disk, uid_t uid, int *ret_fd,
	    struct err *e) MUST_CHECK;

/* Device and node, whichever there are; ERR_BLOCK_BUSY where it is in use, still so `patience_ms`
 * later. */
int dm_remove(struct dm *dm, const struct handle *h, int patience_ms, struct err *e) MUST_CHECK;

/* Calls each() with the name of every device; true in *ret_partial where there were too many. */
typedef void dm_each(const char *name, void *arg);
int dm_list(struct dm *dm, dm_each *each, void *arg, bool *ret_partial, struct err *e) MUST_CHECK;
