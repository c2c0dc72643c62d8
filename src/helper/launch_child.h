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
	int program;                   /* O_PATH */
	dev_t disk;                    /* 0: none */
	int standard[LAUNCH_FD_FIRST]; /* input, output, errors */
	const int *sockets;
	uint32_t nsockets;
	int report; /* towards the zygote: a struct err, or closed by the exec */
	char *const *argv;
};

/* Never returns: the program runs, or the report says why not. */
_Noreturn void vmm_child_main(const struct vmm_child *c);
