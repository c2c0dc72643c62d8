/* firecracker.h - the parts of Firecracker's driver; known to this folder only. */
#pragma once

#include "vmm/vmm.h"

#define FIRECRACKER_BASE "base" /* ids of its devices */
#define FIRECRACKER_DISK "root"
#define FIRECRACKER_NET  "eth0"

enum {
	FIRECRACKER_FILL_MS = 1000, /* a bucket holds what may pass in a second */
};

/* firecracker_config.c */
int firecracker_config(const struct vmm_machine *m, struct buf *out, struct err *e);

/* firecracker_api.c */
int firecracker_greet(struct buf *out);
int firecracker_call(enum vmm_call call, uint32_t id, struct buf *out);
int firecracker_limit(enum vmm_limited device, const struct vmm_limits *l, uint32_t id,
		      struct buf *out);
int firecracker_parse(const uint8_t *data, size_t len, struct vmm_answer *ret_answer,
		      struct err *e);

/* firecracker_version.c */
int firecracker_version(const char *said, char ret_version[VMM_VERSION_MAX], struct err *e);
