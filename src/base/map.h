/* map.h - intrusive hash table: the caller's structs carry the node and own themselves.
 *
 * Keys live in the caller's struct: a look-up walks the nodes that share a 64-bit hash and the
 * caller compares.  The bucket array doubles as the table fills; when that fails for want of memory
 * the table still works, only slower.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

struct map_node {
	struct map_node *next;
	uint64_t hash;
};

struct map {
	struct map_node **buckets; /* owned */
	size_t nbuckets;           /* a power of two, or 0 before the first insertion */
	size_t count;
};

void map_init(struct map *m);
void map_fini(struct map *m); /* frees the buckets, not the members */

int map_insert(struct map *m, struct map_node *n, uint64_t hash) MUST_CHECK; /* -ENOMEM */
void map_remove(struct map *m, struct map_node *n);                          /* no-op when absent */

/* The first node with this hash, and the next one after it; NULL at the end. */
struct map_node *map_find(const struct map *m, uint64_t hash);
struct map_node *map_find_next(const struct map_node *n);

/* All nodes, in no order.  The table may not change meanwhile. */
struct map_node *map_first(const struct map *m);
struct map_node *map_next(const struct map *m, const struct map_node *n);

uint64_t map_hash_bytes(const void *data, size_t len);
uint64_t map_hash_str(const char *s);
uint64_t map_hash_u64(uint64_t key);

#define map_for_each(n, m) for (struct map_node *n = map_first(m); n != NULL; n = map_next((m), n))
