#include "store/batch.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/assert.h"

struct op_head {
	uint8_t kind;
	uint8_t table;
	uint16_t key_len;
	uint32_t value_len;
};
static_assert(sizeof(struct op_head) == 8, "no padding: heads are copied as bytes");
static_assert(STORE_KEY_MAX <= UINT16_MAX, "a key's length fits its field");
static_assert(STORE_VALUE_MAX <= UINT32_MAX, "a value's length fits its field");
static_assert(STORE_NTABLES <= UINT8_MAX, "a table fits its field");

void store_batch_init(struct store_batch *b)
{
	buf_init(&b->ops, STORE_BATCH_MAX);
	b->n = 0;
}

void store_batch_fini(struct store_batch *b)
{
	buf_fini(&b->ops);
	b->n = 0;
}

void store_batch_clear(struct store_batch *b)
{
	buf_clear(&b->ops);
	b->n = 0;
}

void store_batch_reuse(struct store_batch *b)
{
	buf_truncate(&b->ops, 0);
	b->n = 0;
}

static int batch_add(struct store_batch *b, const struct op_head *head, const void *key,
		     const void *value)
{
	const size_t len = sizeof(*head) + head->key_len + head->value_len;
	uint8_t *at;

	ASSERT(head->table < STORE_NTABLES);
	const int rc = buf_reserve(&b->ops, len, &at);
	if (rc < 0)
		return rc;
	memcpy(at, head, sizeof(*head));
	at += sizeof(*head);
	if (head->key_len)
		memcpy(at, key, head->key_len);
	if (head->value_len)
		memcpy(at + head->key_len, value, head->value_len);
	buf_commit(&b->ops, len);
	b->n++;
	return 0;
}

int store_batch_put(struct store_batch *b, enum store_table t, const void *key, size_t key_len,
		    const void *value, size_t value_len)
{
	if (key_len == 0 || key_len > STORE_KEY_MAX || value_len > STORE_VALUE_MAX)
		return -EINVAL;
	return batch_add(b,
			 &(struct op_head){ .kind = STORE_OP_PUT,
					    .table = (uint8_t)t,
					    .key_len = (uint16_t)key_len,
					    .value_len = (uint32_t)value_len },
			 key, value);
}

int store_batch_del(struct store_batch *b, enum store_table t, const void *key, size_t key_len)
{
	if (key_len == 0 || key_len > STORE_KEY_MAX)
		return -EINVAL;
	return batch_add(b,
			 &(struct op_head){ .kind = STORE_OP_DEL,
					    .table = (uint8_t)t,
					    .key_len = (uint16_t)key_len },
			 key, "");
}

int store_batch_trim(struct store_batch *b, enum store_table t, uint64_t keep)
{
	return batch_add(b,
			 &(struct op_head){ .kind = STORE_OP_TRIM,
					    .table = (uint8_t)t,
					    .value_len = sizeof(keep) },
			 "", &keep);
}

bool store_batch_next(const struct store_batch *b, size_t *at, struct store_op *ret_op)
{
	struct op_head head;

	if (*at == buf_len(&b->ops))
		return false;
	ASSERT(buf_len(&b->ops) - *at >= sizeof(head));
	memcpy(&head, buf_data(&b->ops) + *at, sizeof(head));
	*at += sizeof(head);
	const uint8_t *key = buf_data(&b->ops) + *at;
	const uint8_t *value = key + head.key_len;
	*at += (size_t)head.key_len + head.value_len;
	ASSERT(*at <= buf_len(&b->ops));
	*ret_op = (struct store_op){
		.kind = (enum store_op_kind)head.kind,
		.table = (enum store_table)head.table,
		.key = key,
		.key_len = head.key_len,
		.value = value,
		.value_len = head.value_len,
	};
	if (ret_op->kind == STORE_OP_TRIM)
		memcpy(&ret_op->keep, value, sizeof(ret_op->keep));
	return true;
}
