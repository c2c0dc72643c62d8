/* handle.h - the names of block devices that the helper makes, and the shapes that it accepts.
 *
 *   fc-rootfs-00000014d2jp               a VM's root disk, in device-mapper
 *   /dev/mapper/fc-rootfs-00000014d2jp   its node, which is ours too: udev makes none
 *   banger-rootfs-00000014d2jp           its uuid there, by which it is told from what others made
 *   /dev/loop7                           a loop device
 *
 * Pure.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "proto/helper.h"

#define HANDLE_NAME_PREFIX "fc-rootfs-"
#define HANDLE_NODE_DIR    "/dev/mapper/"
#define HANDLE_UUID_PREFIX "banger-rootfs-"
#define HANDLE_LOOP_PREFIX "/dev/loop"

enum {
	HANDLE_LOOP_MAX = (1 << 20) - 1, /* minor numbers have 20 bits */
};
#define LOOP_NONE UINT32_MAX

/* A VM's root disk. */
struct handle {
	vm_id vm;
	char name[HELPER_HANDLE_MAX + 1];
	char uuid[HELPER_HANDLE_MAX + 1];
	char device[HELPER_HANDLE_MAX + 1];
};

void handle_of(vm_id vm, struct handle *ret);

/* "fc-rootfs-ID", "/dev/mapper/fc-rootfs-ID", "/dev/loopN", each the one spelling that there is:
 * ERR_HELPER_REFUSED names the field. */
int handle_parse_name(const char *field, const char *text, struct handle *ret,
		      struct err *e) MUST_CHECK;
int handle_parse_device(const char *field, const char *text, struct handle *ret,
			struct err *e) MUST_CHECK;
int handle_parse_loop(const char *field, const char *text, uint32_t *ret_number,
		      struct err *e) MUST_CHECK;
void handle_loop(uint32_t number, char out[HELPER_HANDLE_MAX + 1]);
