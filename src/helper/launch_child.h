/* launch_child.h - from the zygote's child to a VMM: namespaces, root, limits, uid, filter,
 * program.
 */
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include "helper/launch.h"

enum {
	VMM_NODES_MAX = 8,
	VMM_LINKS_MAX = 4,
	VMM_LINK_BYTES = 64,
	VMM_NOFILE = 1024, /* descriptors that it may have open */
};

/* What is the same for every VMM, worked out when the zygote starts. */
struct vmm_place {
	int ns;                  /* owned: launch_ns_open() */
	int null;                /* owned: /dev/null */
	struct sock_fprog calls; /* owned: what no VMM may call; deny.c */
	struct {
		const char *path;
		dev_t dev;
	} nodes[VMM_NODES_MAX];
	int nnodes;
	struct {
		char name[8];            /* "lib64" */
		char to[VMM_LINK_BYTES]; /* as the host's */
	} links[VMM_LINKS_MAX];
	int nlinks;
};

/* One VMM. */
struct vmm_child {
	const struct vmm_place *place;
	const struct conf_vmm *vmm;
	const char *id;
	uid_t uid;
	gid_t gid;
	const char *root;              /* where its root is put together */
	int program;                   /* O_PATH */
	int jailer;                    /* O_PATH, that launches it; -EBADF: we do */
	dev_t disk;                    /* 0: none */
	int standard[LAUNCH_FD_FIRST]; /* input, output, errors */
	const int *sockets;
	uint32_t nsockets;
	int report; /* towards the zygote: struct vmm_report, or closed by the exec */
	char *const *argv;
};

/* What a child tells: what it failed at; or, with a jailer, which file will be its program. */
struct vmm_report {
	struct err err; /* code ERR_NONE: the others are told */
	uint64_t dev;
	uint64_t ino;
};

/* Where a VMM's root is put together, in launch_ns.c's namespace. */
#define CHILD_ROOT "/root"

/* In it, where a jailer finds its program, and under which directory it makes the root. */
#define CELL_PROGRAM "/root/firecracker"
#define CELL_BASE    "/root/base"

/* ---- steps of a launch, each in the child ---- */

int child_namespace(const struct vmm_child *c, struct err *e) MUST_CHECK;
/* A node of the slot's in its root. */
int child_node(const struct vmm_child *c, const char *name, mode_t kind, dev_t dev,
	       struct err *e) MUST_CHECK;
/* In its root: the jail's directory as LAUNCH_DIR, and libraries where it has any. */
int child_graft_all(const struct vmm_child *c, struct err *e) MUST_CHECK;

/* launch_cell.c: what Firecracker's jailer is to find; the mount namespace is entered on the way.
 */
int cell_make(const struct vmm_child *c, struct err *e) MUST_CHECK;
/* Only what a jailer needs is left to what comes after. */
int cell_caps(const struct vmm_child *c, struct err *e) MUST_CHECK;

/* Never returns: the program runs, or the report says why not. */
_Noreturn void vmm_child_main(const struct vmm_child *c);
