#include "actors/db.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "actors/msg.h"

struct db_batch {
	struct store_batch ops;
	struct list waiters; /* db_wait.msg.link */
};

struct db {
	struct actor actor;
	struct io *io;        /* borrowed */
	struct store *store;  /* borrowed */
	struct db_batch open; /* gathers */
	struct db_batch busy; /* with the store lane */
	struct msg flush;     /* "everybody has had their say", to ourselves */
	struct io_op work;
	struct err work_err; /* written by the store lane before it answers */
	struct buf scratch;  /* one record being encoded or read */
};

static void batch_init(struct db_batch *b)
{
	store_batch_init(&b->ops);
	list_init(&b->waiters);
}

/* On the store lane: one transaction. */
static int apply(void *arg, const bool *cancelled)
{
	struct db *db = arg;

	(void)cancelled; /* a commit that has begun is not called back */
	db->work_err = (struct err){ 0 };
	return store_apply(db->store, &db->busy.ops, &db->work_err);
}

static void submit(struct db *db)
{
	io_work(db->io, &db->work, IO_LANE_STORE, apply, db);
}

static void flush(struct db *db)
{
	struct db_batch empty;

	if (db->work.armed || list_linked(&db->work.msg.link))
		return; /* goes when the one before is durable */
	if (list_empty(&db->open.waiters))
		return; /* nobody is in need of what is put */
	/* The emptied batch of last time gathers next, so that its memory is used again. */
	empty = db->busy;
	db->busy.ops = db->open.ops;
	list_init(&db->busy.waiters);
	list_splice(&db->busy.waiters, &db->open.waiters);
	db->open.ops = empty.ops;
	submit(db);
}

static void flush_soon(struct db *db)
{
	if (!list_linked(&db->flush.link) && !db->work.armed)
		actor_post_last(db->actor.system, db->actor.id, &db->flush);
}

static void applied(struct db *db, int rc)
{
	struct list_node *n;

	/* Grown here, where the store is read too: it may not be, and nothing may be applied, while
	 * the map moves.  A large batch may need it to double more than once. */
	if (rc == -EFBIG) {
		rc = store_grow(db->store, &db->work_err);
		if (rc == 0) {
			submit(db);
			return;
		}
	}
	if (rc < 0)
		LOG_ERR(&db->actor.log, NULL, "commit.failed", K("writes", db->busy.ops.n),
			K("why", db->work_err.text));
	while ((n = list_pop(&db->busy.waiters)) != NULL) {
		struct db_wait *w = list_entry(n, struct db_wait, msg.link);

		w->armed = false;
		w->err = rc < 0 ? db->work_err : (struct err){ 0 };
		w->msg.res = rc;
		actor_post(db->actor.system, w->owner, &w->msg);
	}
	if (list_empty(&db->open.waiters)) {
		store_batch_clear(&db->busy.ops);
		store_rest(db->store);
	} else {
		store_batch_reuse(&db->busy.ops);
		flush(db);
	}
}

static void handle(struct actor *a, struct msg *m)
{
	struct db *db = container_of(a, struct db, actor);

	if (m == &db->flush)
		flush(db);
	else
		applied(db, m->res);
}

int db_create(struct io *io, struct actors *actors, struct store *store, struct db **ret_db)
{
	struct db *db = calloc(1, sizeof(*db));

	if (!db)
		return -ENOMEM;
	const int rc = actor_init(&db->actor, actors, handle);
	if (rc < 0) {
		free(db);
		return rc;
	}
	(void)snprintf(db->actor.log.actor, sizeof(db->actor.log.actor), "store");
	db->io = io;
	db->store = store;
	batch_init(&db->open);
	batch_init(&db->busy);
	db->flush.type = MSG_DB_FLUSH;
	io_op_init(&db->work, &db->actor, MSG_DB_DONE);
	buf_init(&db->scratch, STORE_VALUE_MAX);
	*ret_db = db;
	return 0;
}

void db_destroy(struct db *db)
{
	if (!db)
		return;
	list_remove(&db->flush.link);
	store_batch_fini(&db->open.ops);
	store_batch_fini(&db->busy.ops);
	buf_fini(&db->scratch);
	actor_fini(&db->actor);
	free(db);
}

bool db_idle(const struct db *db)
{
	return !db->work.armed && !list_linked(&db->work.msg.link) && list_empty(&db->open.waiters);
}

int db_put(struct db *db, enum store_table t, const void *key, size_t key_len,
	   const struct schema *schema, const void *record)
{
	buf_clear(&db->scratch);
	int rc = schema_encode(schema, record, &db->scratch);

	if (rc == 0)
		rc = store_batch_put(&db->open.ops, t, key, key_len, buf_data(&db->scratch),
				     buf_len(&db->scratch));
	return rc;
}

int db_del(struct db *db, enum store_table t, const void *key, size_t key_len)
{
	return store_batch_del(&db->open.ops, t, key, key_len);
}

int db_trim(struct db *db, enum store_table t, uint64_t keep)
{
	return store_batch_trim(&db->open.ops, t, keep);
}

void db_wait_init(struct db_wait *w, const struct actor *owner)
{
	*w = (struct db_wait){ .msg.type = MSG_COMMITTED, .owner = owner->id };
}

void db_wait(struct db *db, struct db_wait *w, uint32_t token)
{
	ASSERT(!w->armed);
	w->armed = true;
	w->msg.token = token;
	list_append(&db->open.waiters, &w->msg.link);
	flush_soon(db);
}

int db_get(struct db *db, enum store_table t, const void *key, size_t key_len,
	   const struct schema *schema, void *ret_record, struct err *e)
{
	buf_clear(&db->scratch);
	int rc = store_get(db->store, t, key, key_len, &db->scratch, e);

	if (rc == 0)
		rc = schema_decode(schema, buf_data(&db->scratch), buf_len(&db->scratch),
				   ret_record, e);
	return rc;
}

struct store *db_store(struct db *db)
{
	return db->store;
}
