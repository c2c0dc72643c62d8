/* env.h - what every actor of the daemon is given: its services and its settings.
 *
 * One per daemon, made by bangerd.c, borrowed by all.  Services are asked by call and answer by
 * message; actors reach each other by id and message only.
 */
#pragma once

#include "actors/cgroup.h"
#include "actors/db.h"
#include "actors/gate.h"
#include "actors/vmm_host.h"
#include "base/actor.h"
#include "conf/conf.h"
#include "io/io.h"
#include "proto/client.h"
#include "vmm/vmm.h"

enum {
	ENV_DIR_MAX = CONF_DIR_MAX,
	ENV_PATH_MAX = CONF_PATH_MAX, /* of the daemon's own directories and programs */
};

struct accel;
struct config;
struct catalog;
struct system;

struct env {
	struct io *io;
	struct actors *actors;
	struct db *db;
	struct gate gate;
	struct catalog *catalog;
	struct conf conf; /* changes between two messages: read it when it is used */
	struct config *config;
	struct system *system;      /* the host by the root helper; NULL: session mode */
	struct cgroup_root cgroup;  /* where VMs get their limits, as found at the start */
	char home[VM_ID_CHARS + 1]; /* tells our state directory, and so our VMMs, from others' */
	struct actor_id node;       /* the root supervisor */
	struct accel *accelerator;  /* who finds out which one is fast; what it found: */
	enum vmm_accel accel;       /* for guests with an operating system, once accel_known */
	enum vmm_accel probe_accel; /* for probes, which do not wait until it is */
	bool accel_known;
	char accel_reason[160];
	uint32_t tsc_khz;
	struct vmm_host firecracker; /* as found at the start */
	uint64_t started_ms;         /* Unix time */
	uint64_t serial;             /* of the last operation admitted */
	struct list clients;         /* client.link: connections */
	uint32_t nclients;           /* ... at most CLIENTS_MAX */
	uint32_t nsettled;           /* ... that only wait for the daemon to be gone */
	uint32_t nrefused;           /* connections that are being told "busy" */
	uint64_t client_bytes;       /* of CLIENTS_BYTES_MAX, beyond each one's own */
	uint32_t ntasks;             /* of TASKS_MAX */
	struct list consoles;        /* console.link: who types on a VM's console */
	uint32_t njobs;              /* imports and builds under way, at most JOBS_MAX */
	size_t chunk_bytes;          /* of struct chunk_msg not handled yet: chunks_crowd() */
	uint64_t leaks;              /* undo steps that failed and are being retried */
	bool stopping;
};
