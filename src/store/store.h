/* store.h - durable state: tables of byte strings in one LMDB environment.
 *
 * Records are msgpack maps that proto/ writes and reads; here they are bytes.  One thread at a time
 * may apply batches (the reactor's store lane); the owner thread reads at any time, also meanwhile.
 * store_apply() blocks for one transaction, which is one fdatasync and one synchronous write of a
 * page, whatever the batch holds: that is the group commit.  The map grows on demand: store_apply()
 * answers -EFBIG (nothing written), the owner calls store_grow() while no batch is being applied,
 * and applies again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct store;

enum store_table {
	STORE_VMS,       /* vm_id (8 bytes, big-endian) -> record */
	STORE_RESOURCES, /* vm_id + kind -> what it holds or is about to take */
	STORE_IMAGES,    /* name -> record */
	STORE_KERNELS,   /* name -> record */
	STORE_OPS,       /* op_id (16 bytes) -> request digest, result, timings */
	STORE_META,      /* schema version and the like */
	STORE_NTABLES,
};

enum {
	STORE_SCHEMA = 1,           /* version that this code writes */
	STORE_KEY_MAX = 128,        /* bytes */
	STORE_VALUE_MAX = 1 << 20,  /* bytes */
	STORE_BATCH_MAX = 64 << 20, /* bytes of keys and values in one batch */
};
#define STORE_MAP_FIRST (UINT64_C(16) << 20) /* bytes of address space at first */
#define STORE_MAP_MAX   (UINT64_C(64) << 30)

struct store_schema;

struct store_config {
	const char *dir;                   /* exists, 0700, owned by us */
	bool no_sync;                      /* tests and simulation: durability by the page cache */
	uint64_t map_bytes;                /* 0: STORE_MAP_FIRST; tests make it small */
	const struct store_schema *schema; /* NULL: this version's; tests bring their own */
};

/* Opens or makes the environment, takes its lock (ERR_STORE_LOCKED when another process has it) and
 * runs forward migrations (ERR_STORE_VERSION when it was written by a newer version).  Blocks. */
int store_open(const struct store_config *conf, struct store **ret_store, struct err *e);
void store_close(struct store *s);
/* There was none before: whatever else is in the state directory, no record names it. */
bool store_is_new(const struct store *s);

/* ---- batches: what one transaction does, in order ---- */

struct store_batch {
	struct buf ops; /* encoded puts and deletes */
	uint32_t n;
};

void store_batch_init(struct store_batch *b);
void store_batch_fini(struct store_batch *b);
int store_batch_put(struct store_batch *b, enum store_table t, const void *key, size_t key_len,
		    const void *value,
		    size_t value_len) MUST_CHECK; /* -ENOMEM, -ENOBUFS, -EINVAL */
int store_batch_del(struct store_batch *b, enum store_table t, const void *key,
		    size_t key_len) MUST_CHECK;
/* Keep at most `keep` records of the table: drops those with the smallest keys. */
int store_batch_trim(struct store_batch *b, enum store_table t, uint64_t keep) MUST_CHECK;
void store_batch_clear(struct store_batch *b);
void store_batch_reuse(struct store_batch *b); /* as clear, and keeps all memory for the next */

/* All of it or nothing.  0; -EFBIG: grow, then again; else ERR_STORE_FULL or ERR_STORE. */
int store_apply(struct store *s, const struct store_batch *b, struct err *e);

/* Nothing is to be written for now: gives memory back. */
void store_rest(struct store *s);

/* Doubles the map.  Owner thread, no batch being applied, not from within store_each(). */
int store_grow(struct store *s, struct err *e);

/* ---- reading (owner thread) ---- */

/* Copies the value into *out (appended).  -ENOENT when there is none. */
int store_get(struct store *s, enum store_table t, const void *key, size_t key_len, struct buf *out,
	      struct err *e);

/* Calls fn for every record in key order until it returns non-zero, which is then the result.  The
 * bytes are valid during the call only. */
typedef int store_each_fn(void *arg, const void *key, size_t key_len, const void *value,
			  size_t value_len);
int store_each(struct store *s, enum store_table t, store_each_fn *fn, void *arg, struct err *e);
/* As above from the greatest key down. */
int store_each_reverse(struct store *s, enum store_table t, store_each_fn *fn, void *arg,
		       struct err *e);
uint64_t store_count(struct store *s, enum store_table t);
uint64_t store_commits(const struct store *s); /* transactions written since it was opened */

/* ---- forward migrations ---- */

/* Leads from one version to the next: reads s, puts what changes into b, which is applied together
 * with the new version number.  NULL: nothing stored so far changes. */
typedef int store_migrate_fn(struct store *s, struct store_batch *b, struct err *e);

struct store_schema {
	uint32_t version;               /* that this code writes */
	store_migrate_fn *const *steps; /* steps[v] leads from v to v + 1; `version` of them */
};
