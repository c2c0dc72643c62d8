#include "store/schema.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"

#define VERSION_KEY "schema"

/* One row per version that came before. */
static store_migrate_fn *const our_steps[] = {
	NULL, /* 0 -> 1: an empty store becomes ours */
};
static_assert(ARRAY_LEN(our_steps) == STORE_SCHEMA, "each older version has its step");

static const struct store_schema our_schema = { .version = STORE_SCHEMA, .steps = our_steps };

static int version_read(struct store *s, uint32_t *ret_version, struct err *e)
{
	struct buf value;
	uint32_t be = 0;

	buf_init(&value, sizeof(be));
	int rc = store_get(s, STORE_META, VERSION_KEY, strlen(VERSION_KEY), &value, e);
	if (rc == 0 && buf_len(&value) != sizeof(be))
		rc = err_set(e, ERR_STORE, "store: the schema version is %zu bytes long",
			     buf_len(&value));
	else if (rc == 0)
		memcpy(&be, buf_data(&value), sizeof(be));
	else if (rc == -ENOENT)
		rc = 0;
	else if (rc == -ENOBUFS)
		rc = err_set(e, ERR_STORE, "store: the schema version is too long");
	buf_fini(&value);
	if (rc == 0)
		*ret_version = be32toh(be);
	return rc;
}

/* Nobody else uses the store yet, so it may grow right here. */
static int apply_growing(struct store *s, const struct store_batch *b, struct err *e)
{
	int rc;

	while ((rc = store_apply(s, b, e)) == -EFBIG) {
		rc = store_grow(s, e);
		if (rc < 0)
			break;
	}
	return rc;
}

static int step_run(struct store *s, store_migrate_fn *step, uint32_t to, struct err *e)
{
	const uint32_t be = htobe32(to);
	struct store_batch b;

	store_batch_init(&b);
	int rc = step ? step(s, &b, e) : 0;
	if (rc == 0) {
		rc = store_batch_put(&b, STORE_META, VERSION_KEY, strlen(VERSION_KEY), &be,
				     sizeof(be));
		if (rc < 0)
			rc = err_num(e, ERR_STORE, rc, "store: batch");
	}
	if (rc == 0)
		rc = apply_growing(s, &b, e);
	store_batch_fini(&b);
	if (rc < 0)
		err_ctx(e, "to schema %u", to);
	return rc;
}

int store_migrate(struct store *s, const struct store_schema *schema, struct err *e)
{
	uint32_t version = 0;

	if (!schema)
		schema = &our_schema;
	int rc = version_read(s, &version, e);
	if (rc < 0)
		return rc;
	if (version > schema->version)
		return err_set(e, ERR_STORE_VERSION, "store: schema %u, this program knows %u",
			       version, schema->version);
	for (; version < schema->version; version++) {
		rc = step_run(s, schema->steps[version], version + 1, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}
