/* upper.h - STAGING/upper.ext4: what a VM's own disk begins as where its VMM reads raw disks only.
 *
 * An empty file system as large as the image's, which takes some hundred KiB: the guest joins it
 * with the image by overlayfs, and makes it as large as the VM's disk.
 */
#pragma once

#include "image/jobs.h"

/* Beside rootfs.ext4, which is there. */
int upper_make(const struct job *job, uint64_t disk_bytes, struct err *e);
