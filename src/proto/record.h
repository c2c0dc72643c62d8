/* record.h - what the store keeps, as msgpack maps.
 *
 * Every record carries the version that wrote it and its schema is open: a newer daemon may add
 * fields, and an older one that reads them ignores what it does not know.  (A change that an older
 * one may not ignore is a new store schema, see STORE_SCHEMA.)
 */
#pragma once

#include "proto/client.h"

enum {
	RECORD_VERSION = 1,
	FAILURE_MAX = 160,
	RECORD_CGROUP_MAX = 255,
};

/* STORE_VMS: the owner's intent and where the VM stands in its life. */
struct vm_record {
	uint32_t version;
	vm_id id;
	uint32_t state;          /* enum vm_state of actors/vm.h */
	struct vm_spec spec;     /* as resolved: defaults filled in */
	struct op_id created_by; /* the operation that made it, and which of its VMs it is */
	uint32_t created_index;
	/* System mode: its slot of the root helper's and its address, from creation to deletion; ""
	 * in session mode. */
	uint32_t slot;
	char address[16];
	char disk[16]; /* system mode: how its root disk was made, a word of vmm.root_disk; "":
			  dm-snapshot */
	bool lease;    /* dies with the connection that made it */
	uint64_t created_ms;
	uint64_t started_ms;
	char boot_id[40];
	char accel[8];
	char failure[FAILURE_MAX];
	int32_t exit_status; /* of the last VMM; -1: not known */
};
extern const struct schema vm_record_schema;

/* STORE_RESOURCES: what a VM holds on the host or is about to take; no record: nothing.  Names are
 * not kept, since they derive from the id; but the next daemon may keep its VMs' limits elsewhere.
 */
struct vm_resources {
	uint32_t version;
	bool files;           /* state directory with disk and logs */
	bool runtime;         /* runtime directory with sockets */
	bool process;         /* a VMM was, or was about to be, started */
	uint32_t pid;         /* 0 until known */
	uint64_t start_ticks; /* with pid: tells a reused one */
	bool network;         /* its process was, or was about to be, started */
	uint32_t net_pid;     /* of it; 0 until known */
	uint64_t net_ticks;   /* with net_pid, as start_ticks */
	uint64_t console_at;  /* bytes of the console's log before this start */
	bool helper;          /* what the root helper took for it: disk, tap, NAT, jail */
	char cgroup[RECORD_CGROUP_MAX + 1]; /* path of the group with its limits; "": none */
};
extern const struct schema vm_resources_schema;

/* STORE_META, "accel": how long the probe guest took under each accelerator, and on which host. */
struct accel_record {
	uint32_t version;
	char identity[192]; /* of the host; another one: nothing is known */
	uint64_t kvm_up_us; /* to its first line; 0: it did not come up */
	uint64_t kvm_us;    /* from there to its second one; VMM_BENCH_NONE: it did not come */
	uint64_t tcg_up_us;
	uint64_t tcg_us;
	char words[120]; /* the VMM's own, where KVM did not run the guest */
	uint64_t measured_ms;
};
extern const struct schema accel_record_schema;

/* STORE_OPS: one operation, so that the same op_id gets the same answer. */
struct op_record {
	uint32_t version;
	char method[WIRE_METHOD_MAX];
	uint64_t digest; /* of the arguments' bytes */
	bool done;       /* else it was cut short: the same request goes on with it */
	struct op_view view;
	struct bytes targets; /* vm_ids it is about, 8 bytes each, big-endian */
	struct bytes result;  /* the reply's map when it did not fail */
	int32_t sys;          /* errno of the failure */
};
extern const struct schema op_record_schema;
