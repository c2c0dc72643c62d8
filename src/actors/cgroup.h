/* cgroup.h - limits of VMs' processes by control groups, version 2 (cgroups(7)).
 *
 *   ROOT                  delegated to us, or named by limits.cgroup; its controllers are enabled
 *   |- daemon             ourselves, and who was in ROOT: a group with limited children has no
 *   |                     processes of its own
 *   `- bg-ID.HOME         one VM: memory.max, cpu.max, pids.max; a VMM is born in it
 *
 * Where nothing is delegated there is no ROOT, and VMs run without limits: cgroup_root.text says
 * which it is.  All of this blocks, for a moment: cgroup_find() is for the daemon's start, the rest
 * for worker threads.  cgroupfs knows no durability: after a crash the records tell what to remove.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"

enum {
	CGROUP_ROOT_MAX = 220,   /* bytes of ROOT's path */
	CGROUP_PATH_MAX = 255,   /* of a VM's */
	CGROUP_PIDS_EXTRA = 128, /* threads of a VMM beside its virtual CPUs' */
	CGROUP_CPU_EXTRA = 25,   /* % of a CPU for the VMM itself, beside its guest */
	CGROUP_CPU_PERIOD_US = 100000,
	CGROUP_EMPTY_MS = 5000, /* until the processes of a killed group are gone */
};

enum cgroup_controller {
	CGROUP_MEMORY,
	CGROUP_CPU,
	CGROUP_PIDS,
	CGROUP_NCONTROLLERS,
};

struct cgroup_root {
	char path[CGROUP_ROOT_MAX + 1]; /* "": VMs run without limits */
	uint64_t controllers;           /* BIT(enum cgroup_controller) */
	char text[160];                 /* what is limited, or why nothing is */
};

struct cgroup_limits {
	uint64_t memory_bytes; /* of guest and VMM */
	uint32_t vcpu;
};

/* "": our own group if it is delegated to us; "none"; or the path of a group, which is made when it
 * is missing.  Only that last one can fail: it was asked for. */
int cgroup_find(const char *setting, struct cgroup_root *ret_root, struct err *e);

/* Of a VM; home as in vmm_process_word(). */
void cgroup_path(const struct cgroup_root *root, vm_id id, const char *home,
		 char out[CGROUP_PATH_MAX + 1]);

/* The group with its limits; one that is there is fine.  A descriptor for io_spawn, or -errno with
 * perhaps half of it done. */
int cgroup_make(const char *path, uint64_t controllers, const struct cgroup_limits *limits,
		struct err *e);

/* Whether the kernel has killed in it because memory.max was reached. */
bool cgroup_ran_out(const char *path);

/* Kills what is in it, and removes it; absent is fine. */
int cgroup_remove(const char *path, struct err *e);
