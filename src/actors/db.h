/* db.h - the store's proxy on the reactor: group commit.
 *
 * Writes of all actors gather in one batch.  db_wait() asks for one MSG_COMMITTED once everything
 * put so far is durable: at the end of the run in which the first actor asked, and whenever the
 * batch before is durable, the batch goes to the store lane as one transaction, and one fdatasync
 * serves everybody who waits.  What nobody waits for goes with the next batch that somebody waits
 * for; a crash before that is as one before the put.  res < 0 says that the batch is not durable
 * and never will be (db_wait.err says why), and then none of it was written.
 */
#pragma once

#include "base/actor.h"
#include "io/io.h"
#include "proto/schema.h"
#include "store/store.h"

struct db;

/* A place to wait in, one commit at a time.  Embedded in its owner's struct. */
struct db_wait {
	struct msg msg; /* MSG_COMMITTED */
	struct actor_id owner;
	bool armed;     /* from db_wait() until the message was posted */
	struct err err; /* why, when msg.res < 0 */
};

int db_create(struct io *io, struct actors *actors, struct store *store, struct db **ret_db);
/* Every commit must have ended. */
void db_destroy(struct db *db);
bool db_idle(const struct db *db); /* nobody waits for a commit */

/* -ENOMEM, -ENOBUFS: it is not in the batch; what others have put stays. */
int db_put(struct db *db, enum store_table t, const void *key, size_t key_len,
	   const struct schema *schema, const void *record) MUST_CHECK;
int db_del(struct db *db, enum store_table t, const void *key, size_t key_len) MUST_CHECK;
int db_trim(struct db *db, enum store_table t, uint64_t keep) MUST_CHECK;

void db_wait_init(struct db_wait *w, const struct actor *owner);
void db_wait(struct db *db, struct db_wait *w, uint32_t token);

/* Reads what is durable (not what is only put).  -ENOENT. */
int db_get(struct db *db, enum store_table t, const void *key, size_t key_len,
	   const struct schema *schema, void *ret_record, struct err *e);
struct store *db_store(struct db *db);
