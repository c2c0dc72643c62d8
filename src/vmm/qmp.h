/* qmp.h - the conversation with QEMU's control socket; known to this folder only. */
#pragma once

#include "vmm/vmm.h"

#define QEMU_BALLOON "balloon" /* id of the device */

int qmp_greet(struct buf *out);
int qmp_call(enum vmm_call call, uint32_t id, struct buf *out);
int qmp_parse(const uint8_t *data, size_t len, struct vmm_answer *ret_answer, struct err *e);
