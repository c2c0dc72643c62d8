/* store.c - the LMDB environment: opening, applying batches, growing, reading.
 *
 * Facts from lmdb.h of LMDB 0.9: a read transaction that is reset keeps its slot and is cheap to
 * renew; with MDB_NOTLS it belongs to the handle, not to a thread.  The map may be resized only
 * while this process has no active transaction (a reset one is not active).  Writing goes through
 * pwrite(2) (no MDB_WRITEMAP), so a full disk is an error here and never a SIGBUS.
 */
#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/lock.h"
#include "store/batch.h"
#include "store/pages.h"
#include "store/schema.h"

#define LOCK_FILE "store.lock"
#define ENV_FILE  "store.mdb"

enum {
	/* Free bytes beyond the batch's own below which a short write means "full". */
	FULL_SLACK_BYTES = 256 * 1024,
};

struct table_row {
	const char *name;
	bool ascending; /* new keys are mostly greater than all before: append to the last page */
};

static const struct table_row tables[] = {
	[STORE_VMS] = { "vms", false },       [STORE_RESOURCES] = { "resources", false },
	[STORE_IMAGES] = { "images", false }, [STORE_KERNELS] = { "kernels", false },
	[STORE_OPS] = { "ops", true },        [STORE_META] = { "meta", false },
};
static_assert(ARRAY_LEN(tables) == STORE_NTABLES, "each table has its row");

struct store {
	int lock_fd;  /* owned */
	bool is_new;  /* there was no environment when it was opened */
	MDB_env *env; /* owned */
	MDB_dbi dbi[STORE_NTABLES];
	MDB_txn *read;  /* owned; reset while reading == 0 */
	uint32_t reads; /* how deep the owner thread is in store_each() and store_get() */
	struct pages pages;
	atomic_bool applying;
	atomic_uint_fast64_t commits;
};

static int lmdb_fail(struct err *e, int rc, const char *what)
{
	if (rc > 0)
		return err_num(e, ERR_STORE, rc, "store: %s", what);
	return err_set(e, ERR_STORE, "store: %s: %s", what, mdb_strerror(rc));
}

/* ---- opening and closing ---- */

static int tables_open(struct store *s)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

	if (rc != 0)
		return rc;
	for (size_t t = 0; t < STORE_NTABLES; t++) {
		rc = mdb_dbi_open(txn, tables[t].name, MDB_CREATE, &s->dbi[t]);
		if (rc != 0) {
			mdb_txn_abort(txn);
			return rc;
		}
	}
	return mdb_txn_commit(txn);
}

/* Also after the map has moved. */
static int map_note(struct store *s)
{
	int fd;
	const int rc = mdb_env_get_fd(s->env, &fd);

	if (rc != 0)
		return rc;
	pages_find(&s->pages, fd);
	/* LMDB leaves its data file open across exec; ours is nobody else's business. */
	return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? errno : 0;
}

static int env_open(struct store *s, const struct store_config *conf)
{
	const unsigned int flags = MDB_NOSUBDIR | MDB_NOTLS | (conf->no_sync ? MDB_NOSYNC : 0U);
	char path[PATH_MAX];
	int rc;

	if (snprintf(path, sizeof(path), "%s/" ENV_FILE, conf->dir) >= (int)sizeof(path))
		return ENAMETOOLONG;
	if ((rc = mdb_env_create(&s->env)) != 0 ||
	    (rc = mdb_env_set_maxdbs(s->env, STORE_NTABLES)) != 0 ||
	    (rc = mdb_env_set_mapsize(s->env,
				      conf->map_bytes ? conf->map_bytes : STORE_MAP_FIRST)) != 0 ||
	    (rc = mdb_env_open(s->env, path, flags, 0600)) != 0 || (rc = map_note(s)) != 0 ||
	    (rc = tables_open(s)) != 0 ||
	    (rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->read)) != 0)
		return rc;
	mdb_txn_reset(s->read);
	return 0;
}

static bool env_exists(const struct store_config *conf)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/" ENV_FILE, conf->dir);
	return access(path, F_OK) == 0;
}

int store_open(const struct store_config *conf, struct store **ret_store, struct err *e)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(e, ERR_HOST_MEMORY, "store: open");
	s->lock_fd = -EBADF;
	int rc = lock_take("store", conf->dir, LOCK_FILE, &s->lock_fd, e);
	if (rc < 0)
		goto fail;
	s->is_new = !env_exists(conf);
	rc = env_open(s, conf);
	if (rc != 0) {
		rc = lmdb_fail(e, rc, conf->dir);
		goto fail;
	}
	rc = store_migrate(s, conf->schema, e);
	if (rc < 0)
		goto fail;
	*ret_store = s;
	return 0;
fail:
	store_close(s);
	return rc;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	ASSERT(!atomic_load(&s->applying));
	ASSERT(s->reads == 0);
	if (s->read)
		mdb_txn_abort(s->read);
	if (s->env)
		mdb_env_close(s->env);
	close_fd(&s->lock_fd);
	free(s);
}

/* ---- applying ---- */

static int apply_put(MDB_txn *txn, MDB_dbi dbi, const struct store_op *op)
{
	MDB_val key = { .mv_size = op->key_len, .mv_data = (void *)(uintptr_t)op->key };
	MDB_val value = { .mv_size = op->value_len, .mv_data = (void *)(uintptr_t)op->value };

	if (tables[op->table].ascending) {
		const int rc = mdb_put(txn, dbi, &key, &value, MDB_APPEND);

		if (rc != MDB_KEYEXIST)
			return rc;
	}
	return mdb_put(txn, dbi, &key, &value, 0);
}

static int apply_del(MDB_txn *txn, MDB_dbi dbi, const struct store_op *op)
{
	MDB_val key = { .mv_size = op->key_len, .mv_data = (void *)(uintptr_t)op->key };
	const int rc = mdb_del(txn, dbi, &key, NULL);

	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int apply_trim(MDB_txn *txn, MDB_dbi dbi, const struct store_op *op)
{
	MDB_stat stat;
	MDB_cursor *cursor;
	MDB_val key;
	int rc = mdb_stat(txn, dbi, &stat);

	if (rc != 0 || stat.ms_entries <= op->keep)
		return rc;
	rc = mdb_cursor_open(txn, dbi, &cursor);
	if (rc != 0)
		return rc;
	for (uint64_t left = stat.ms_entries; left > op->keep && rc == 0; left--) {
		rc = mdb_cursor_get(cursor, &key, NULL, MDB_FIRST);
		if (rc == 0)
			rc = mdb_cursor_del(cursor, 0);
	}
	mdb_cursor_close(cursor);
	return rc;
}

typedef int apply_fn(MDB_txn *txn, MDB_dbi dbi, const struct store_op *op);

static apply_fn *const apply_kinds[] = {
	[STORE_OP_PUT] = apply_put,
	[STORE_OP_DEL] = apply_del,
	[STORE_OP_TRIM] = apply_trim,
};

static int apply_txn(struct store *s, const struct store_batch *b)
{
	struct store_op op;
	MDB_txn *txn;
	int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

	if (rc != 0)
		return rc;
	for (size_t at = 0; store_batch_next(b, &at, &op);) {
		rc = apply_kinds[op.kind](txn, s->dbi[op.table], &op);
		if (rc != 0) {
			mdb_txn_abort(txn);
			return rc;
		}
	}
	return mdb_txn_commit(txn);
}

/* LMDB answers EIO to a write that was cut short, which is how a disk often runs full. */
static bool disk_is_full(const struct store *s, size_t batch_bytes)
{
	struct statvfs fs;
	int fd;

	if (mdb_env_get_fd(s->env, &fd) != 0 || fstatvfs(fd, &fs) < 0)
		return false;
	return fs.f_bavail * fs.f_frsize < FULL_SLACK_BYTES + (uint64_t)batch_bytes;
}

static int apply_fail(const struct store *s, const struct store_batch *b, int rc, struct err *e)
{
	switch (rc) {
	case MDB_MAP_FULL:
		return -EFBIG;
	case EFBIG: /* RLIMIT_FSIZE, or the file system's own limit; not ours to grow */
	case ENOSPC:
	case EDQUOT:
		return err_set(e, ERR_STORE_FULL, "store: commit: %s", err_sys_text(rc));
	case EIO:
		if (disk_is_full(s, buf_len(&b->ops)))
			return err_set(e, ERR_STORE_FULL, "store: commit: %s",
				       err_sys_text(ENOSPC));
		break;
	default:
		break;
	}
	return lmdb_fail(e, rc, "commit");
}

int store_apply(struct store *s, const struct store_batch *b, struct err *e)
{
	if (b->n == 0)
		return 0;
	const bool applying = atomic_exchange(&s->applying, true);
	ASSERT(!applying);
	const int rc = apply_txn(s, b);
	atomic_store(&s->applying, false);
	pages_touched(&s->pages, buf_len(&b->ops), PAGES_KEEP_BUSY);
	if (rc != 0)
		return apply_fail(s, b, rc, e);
	atomic_fetch_add(&s->commits, 1);
	return 0;
}

void store_rest(struct store *s)
{
	pages_touched(&s->pages, 0, PAGES_KEEP_IDLE);
}

bool store_is_new(const struct store *s)
{
	return s->is_new;
}

uint64_t store_commits(const struct store *s)
{
	return atomic_load(&s->commits);
}

int store_grow(struct store *s, struct err *e)
{
	MDB_envinfo info;

	ASSERT(!atomic_load(&s->applying));
	ASSERT(s->reads == 0);
	int rc = mdb_env_info(s->env, &info);
	if (rc != 0)
		return lmdb_fail(e, rc, "grow");
	if (info.me_mapsize > STORE_MAP_MAX / 2)
		return err_set(e, ERR_STORE_FULL, "store: the map has reached %zu bytes",
			       info.me_mapsize);
	rc = mdb_env_set_mapsize(s->env, info.me_mapsize * 2);
	if (rc == 0)
		rc = map_note(s);
	return rc == 0 ? 0 : lmdb_fail(e, rc, "grow");
}

/* ---- reading ---- */

/* Reads nest: a store_each() callback may store_get(), and sees the same snapshot. */
static int read_begin(struct store *s, struct err *e)
{
	const int rc = s->reads == 0 ? mdb_txn_renew(s->read) : 0;

	if (rc != 0)
		return lmdb_fail(e, rc, "read");
	s->reads++;
	return 0;
}

static void read_end(struct store *s)
{
	ASSERT(s->reads > 0);
	if (--s->reads == 0)
		mdb_txn_reset(s->read);
}

int store_get(struct store *s, enum store_table t, const void *key, size_t key_len, struct buf *out,
	      struct err *e)
{
	MDB_val k = { .mv_size = key_len, .mv_data = (void *)(uintptr_t)key };
	MDB_val v;

	if (key_len == 0 || key_len > STORE_KEY_MAX)
		return -ENOENT; /* nothing can have been stored under it */
	int rc = read_begin(s, e);
	if (rc < 0)
		return rc;
	rc = mdb_get(s->read, s->dbi[t], &k, &v);
	if (rc == 0)
		rc = buf_append(out, v.mv_data, v.mv_size);
	else if (rc == MDB_NOTFOUND)
		rc = -ENOENT;
	else
		rc = lmdb_fail(e, rc, "get");
	read_end(s);
	return rc;
}

static int each(struct store *s, enum store_table t, MDB_cursor_op step, store_each_fn *fn,
		void *arg, struct err *e)
{
	MDB_cursor *cursor;
	MDB_val k;
	MDB_val v;
	size_t bytes = 0;
	int rc = read_begin(s, e);

	if (rc < 0)
		return rc;
	rc = mdb_cursor_open(s->read, s->dbi[t], &cursor);
	if (rc != 0) {
		read_end(s);
		return lmdb_fail(e, rc, "iterate");
	}
	int found = 0;
	/* On a fresh cursor NEXT is the first record and PREV the last. */
	while (rc == 0 && (found = mdb_cursor_get(cursor, &k, &v, step)) == 0) {
		bytes += k.mv_size + v.mv_size;
		rc = fn(arg, k.mv_data, k.mv_size, v.mv_data, v.mv_size);
	}
	mdb_cursor_close(cursor);
	read_end(s);
	pages_touched(&s->pages, bytes, PAGES_KEEP_BUSY);
	if (rc == 0 && found != MDB_NOTFOUND)
		return lmdb_fail(e, found, "iterate");
	return rc;
}

int store_each(struct store *s, enum store_table t, store_each_fn *fn, void *arg, struct err *e)
{
	return each(s, t, MDB_NEXT, fn, arg, e);
}

int store_each_reverse(struct store *s, enum store_table t, store_each_fn *fn, void *arg,
		       struct err *e)
{
	return each(s, t, MDB_PREV, fn, arg, e);
}

uint64_t store_count(struct store *s, enum store_table t)
{
	MDB_stat stat = { 0 };

	if (read_begin(s, NULL) < 0)
		return 0;
	const int rc = mdb_stat(s->read, s->dbi[t], &stat);
	read_end(s);
	return rc == 0 ? stat.ms_entries : 0;
}
