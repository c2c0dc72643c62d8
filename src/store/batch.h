/* batch.h - the encoding of a batch's operations; known to this folder only.
 *
 * Each operation is a fixed head in host byte order (a batch never leaves the process), then the
 * key, then the value.  All of them share one buffer that grows by doubling, so a thousand puts
 * cost a handful of allocations.
 */
#pragma once

#include <stdbool.h>

#include "store/store.h"

enum store_op_kind {
	STORE_OP_PUT,
	STORE_OP_DEL,
	STORE_OP_TRIM,
};

/* One decoded operation; key and value point into the batch. */
struct store_op {
	enum store_op_kind kind;
	enum store_table table;
	const uint8_t *key;
	size_t key_len;
	const uint8_t *value;
	size_t value_len;
	uint64_t keep; /* of a trim */
};

/* Decodes the operation at *at and moves *at behind it; false at the end. */
bool store_batch_next(const struct store_batch *b, size_t *at, struct store_op *ret_op);
