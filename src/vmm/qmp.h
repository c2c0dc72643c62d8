/* qmp.h - the conversation with QEMU's control socket; known to this folder only. */
#pragma once

#include "vmm/vmm.h"

#define QEMU_BALLOON "balloon" /* id of the device */

#define QEMU_LIMITS "limits" /* id of the throttle group of its disk */

int qmp_limit(enum vmm_limited device, const struct vmm_limits *l, uint32_t id, struct buf *out);
int qmp_greet(struct buf *out);
int qmp_call(enum vmm_call call, uint32_t id, struct buf *out);
int qmp_parse(const uint8_t *data, size_t len, struct vmm_answer *ret_answer, struct err *e);
