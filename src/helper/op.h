/* op.h - one operation of the helper: validate -> act -> undo.
 *
 *   validate   pure: selectors and configuration become a target, or a refusal that names the field
 *   act        makes present, through the target alone; checks the objects that it has opened
 *   undo       ensures absent; absent already is success; never stops half way
 *
 * act has no undo inside: helper_serve() undoes the whole operation when it fails.  All three run
 * in a confined worker, one call at a time; none may grow the heap.  The table is in op.c, and
 * docs/helper.md says how to add a row.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "helper/block/target.h"
#include "helper/conf.h"
#include "helper/filter.h"
#include "helper/jail/target.h"
#include "helper/net/target.h"
#include "helper/resolver/target.h"
#include "proto/helper.h"

enum op_want {
	OP_PRESENT, /* act, and undo when it fails */
	OP_ABSENT,  /* undo */
	OP_ANSWER,  /* act alone: there is nothing to take back */
};

struct op_target {
	vm_id vm; /* for the log; 0: of no VM */
	union {
		struct bridge_target bridge;
		struct tap_target tap;
		struct nat_target nat;
		struct taps_target taps;
		struct resolver_target resolver;
		struct snapshot_target snapshot;
		struct cleanup_target cleanup;
		struct disk_target disk;
		struct jail jail;
		struct jails_target jails;
		struct vmm_target vmm;
		struct find_target find;
		struct signal_target signal;
		struct socket_target socket;
		struct trim_target trim;
	};
};

/* Whom an answer is for: what it takes to write it later. */
struct op_asker {
	uint64_t ticket; /* the supervisor's number of the request */
	enum helper_method method;
	uint32_t id;
	struct op_id op_id;
	vm_id vm; /* that it is about; 0: none */
};

struct op_call {
	void *env; /* borrowed: the worker's own, made by its open() */
	struct op_asker asker;
	bool later;                /* a step: the answer is to come from the worker's rest() */
	struct op_target target;   /* what validate made of the request */
	int tun[HELPER_SLOTS_MAX]; /* owned: /dev/net/tun, opened for us; -EBADF once used */
	uint32_t ntun;
	void *result;            /* the method's struct, zeroed */
	int fds[HELPER_FDS_MAX]; /* owned: descriptors of the reply */
	uint32_t nfds;
};

typedef int op_validate(const struct helper_conf *conf, const void *args,
			struct op_target *ret_target, struct err *e);
typedef int op_step(struct op_call *c, struct err *e);

struct helper_op {
	enum filter_role worker;
	uint64_t caps; /* that it needs; the worker keeps those of all its rows */
	enum op_want want;
	uint32_t tuns;        /* how many /dev/net/tun the supervisor opens for it: the worker opens
				 nothing */
	uint32_t deadline_ms; /* then the worker is killed */
	op_validate *validate;
	op_step *act;
	op_step *undo;
	bool waits; /* its answer may come later: others are asked for meanwhile */
};

extern const struct helper_op helper_ops[HELPER_NMETHODS];

/* validate that accepts everything: for operations without arguments. */
int op_no_args(const struct helper_conf *conf, const void *args, struct op_target *ret_target,
	       struct err *e);
