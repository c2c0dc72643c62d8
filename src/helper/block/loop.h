/* loop.h - loop devices of files below the managed root.
 *
 * Each is made with LO_FLAGS_AUTOCLEAR: it lives as long as somebody has it open, be that a worker
 * or device-mapper, so that none is left behind whoever dies.  It is ours if the name that was
 * given when it was made says so (root alone gives names) and its backing file lies below our root.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "helper/block/handle.h"
#include "helper/conf.h"

struct loops {
	const struct helper_conf *conf; /* borrowed */
	int control;                    /* owned: /dev/loop-control; -EBADF where there is none */
	int nodes;                      /* owned: /dev */
	int known;                      /* owned: where sysfs has a folder per block device */
};

/* What a loop device is to be, or is looked for by. */
struct loop_want {
	const char *path; /* below the managed root */
	const struct stat *st;
	vm_id vm; /* 0: a base, read-only, which all VMs share */
};

struct loop {
	int fd; /* owned: keeps it alive */
	uint32_t number;
	dev_t dev;
	uint64_t bytes; /* of its backing file */
};

void loops_open(struct loops *l, const struct helper_conf *conf);

/* The file's loop device: the one that there is, else one that is made.  `file` is open as the loop
 * device is to use it. */
int loop_attach(struct loops *l, const struct loop_want *want, int file, struct loop *ret,
		struct err *e) MUST_CHECK;

/* Whether this is the loop device of that file; an -errno where it cannot be told. */
int loop_is(struct loops *l, uint32_t number, const struct loop_want *want,
	    struct err *e) MUST_CHECK;

/* Ensures that it is absent, or goes when its last user does.  ERR_HELPER_REFUSED names the field
 * where it is not ours, or is a COW file's of another VM than `vm` (0: of any). */
int loop_release(struct loops *l, const char *field, uint32_t number, vm_id vm,
		 struct err *e) MUST_CHECK;

/* Calls each() with every one whose backing file lies below our root. */
typedef void loop_each(uint32_t number, const char *backing, void *arg);
int loop_list(struct loops *l, loop_each *each, void *arg, struct err *e) MUST_CHECK;
