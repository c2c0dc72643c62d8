/* ask.h - a client of the root helper that waits: for the developer's tool, benchmarks and tests.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "proto/helper.h"
#include "proto/wire.h"

struct ask {
	int fd; /* owned */
	uint32_t last_id;
	struct buf in;
	int fds[HELPER_FDS_MAX]; /* owned: descriptors of the last reply */
	uint32_t nfds;
};

/* Connects and exchanges hellos.  ERR_HELPER_DOWN, or why one is turned away. */
int ask_open(struct ask *a, const char *path, struct err *e) MUST_CHECK;
void ask_close(struct ask *a);

/* One operation.  *result is the method's struct, to be released with its schema.  What the helper
 * refuses is -errno with the code and words of its reply. */
int ask_helper(struct ask *a, enum helper_method method, const void *args, void *result,
	       struct err *e) MUST_CHECK;
