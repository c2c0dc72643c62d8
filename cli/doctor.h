/* doctor.h - what `doctor` looks at, and what it has found.
 *
 * doctor.c asks the daemon and prints, doctor_host.c has the checks of this host, doctor_fleet.c
 * how many VMs would fit.  Everything only reads.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/paths.h"
#include "conf/conf.h"
#include "options.h"
#include "proto/client.h"

enum verdict {
	PASS,
	WARN, /* works, but not as well as it could */
	FAIL,
	NVERDICTS,
};

struct doctor {
	const struct options *o;
	struct paths paths;
	bool system;                    /* the daemon is the system's, not this user's */
	const struct info_result *info; /* NULL: no daemon runs; borrowed from a call */
	struct err no_daemon;           /* why */
	const struct conf *conf;        /* as a daemon would read it; borrowed */
	struct conf_problems *problems; /* borrowed */
};

struct finding {
	enum verdict verdict;
	char found[ERR_TEXT_MAX];
	const char *advice; /* static */
	uint64_t vms;       /* of a limit: how many VMs fit; 0: it is none */
};

PRINTF_LIKE(4, 5)
void find(struct finding *f, enum verdict verdict, const char *advice, const char *fmt, ...);

struct check {
	const char *name;
	void (*run)(const struct doctor *d, struct finding *f);
};

extern const struct check doctor_checks[];
extern const uint32_t doctor_nchecks;

/* ---- the fleet ---- */

/* What a fleet's VMs are like: options, else the daemon's defaults. */
struct fleet_vm {
	uint32_t vcpu;
	uint64_t memory_bytes;
	uint64_t disk_bytes;
};

enum {
	FLEET_LIMITS = 10, /* at least as many as there are */
};

/* One that bounds how many VMs fit. */
struct fleet_limit {
	const char *name;
	uint64_t vms; /* UINT64_MAX: it does not */
	bool soft;    /* beyond it VMs run, as long as they do not all use what they may */
	char found[ERR_TEXT_MAX];
	const char *advice; /* how to raise it; static */
};

struct fleet_vm fleet_vm_of(const struct doctor *d);
uint32_t fleet_limits(const struct doctor *d, const struct fleet_vm *vm,
		      struct fleet_limit limits[FLEET_LIMITS]);
/* The one of its kind that is met first. */
const struct fleet_limit *fleet_first(const struct fleet_limit *limits, uint32_t n, bool soft);
