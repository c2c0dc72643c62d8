/* env.h - what every actor of the daemon is given: its services and its settings.
 *
 * One per daemon, made by bangerd.c, borrowed by all.  Services are asked by call and answer by
 * message; actors reach each other by id and message only.
 */
#pragma once

#include "actors/db.h"
#include "actors/gate.h"
#include "base/actor.h"
#include "io/io.h"
#include "proto/client.h"
#include "vmm/vmm.h"

enum {
	ENV_DIR_MAX = 900,   /* of the directories that names are put into, as "%.900s" says */
	ENV_PATH_MAX = 1024, /* of the daemon's own directories and programs */
};

struct conf {
	char runtime_dir[ENV_PATH_MAX]; /* sockets; gone after a reboot */
	char state_dir[ENV_PATH_MAX];   /* records, disks, images, kernels */
	char libexec_dir[ENV_PATH_MAX]; /* banger-imager, banger-init, banger-agent, probe.elf */
	char qemu[ENV_PATH_MAX];        /* absolute; "" when there is none */
	char accel[8];                  /* "kvm" or "tcg" to decide, "" to measure */
	uint32_t starts_max;            /* 0: STARTS_PER_CPU x CPUs */
	uint32_t vcpu;                  /* defaults of a new VM, never 0 */
	uint64_t memory_bytes;
	uint64_t disk_bytes;
	uint32_t cpus; /* of the host */
	uint64_t host_memory_bytes;
};

struct catalog;

struct env {
	struct io *io;
	struct actors *actors;
	struct db *db;
	struct gate gate;
	struct catalog *catalog;
	struct conf conf;
	struct actor_id node;       /* the root supervisor */
	struct actor_id accel_by;   /* who knows which accelerator is fast */
	enum vmm_accel accel;       /* for new starts, once accel_known */
	enum vmm_accel probe_accel; /* the probe runs fast under any KVM */
	bool accel_known;
	char accel_reason[160];
	uint32_t tsc_khz;
	uint64_t started_ms; /* Unix time */
	uint64_t serial;     /* of the last operation admitted */
	uint32_t nclients;   /* connections, at most CLIENTS_MAX */
	uint32_t njobs;      /* imports and builds under way, at most JOBS_MAX */
	uint64_t leaks;      /* undo steps that failed and are being retried */
	bool stopping;
};
