#include "base/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAP_FIRST = 16, /* buckets */
};

void map_init(struct map *m)
{
	*m = (struct map){ 0 };
}

void map_fini(struct map *m)
{
	free(m->buckets);
	*m = (struct map){ 0 };
}

/* The finaliser of MurmurHash3: spreads the bits of small integers over the word. */
uint64_t map_hash_u64(uint64_t key)
{
	key ^= key >> 33;
	key *= UINT64_C(0xff51afd7ed558ccd);
	key ^= key >> 33;
	key *= UINT64_C(0xc4ceb9fe1a85ec53);
	key ^= key >> 33;
	return key;
}

/* FNV-1a, then spread.  Members are bounded in number, so chosen collisions cost little. */
uint64_t map_hash_bytes(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return map_hash_u64(h);
}

uint64_t map_hash_str(const char *s)
{
	return map_hash_bytes(s, strlen(s));
}

static size_t map_slot(const struct map *m, uint64_t hash)
{
	return (size_t)hash & (m->nbuckets - 1);
}

static int map_grow(struct map *m)
{
	const size_t nbuckets = m->nbuckets ? m->nbuckets * 2 : MAP_FIRST;
	struct map_node **buckets = calloc(nbuckets, sizeof(struct map_node *));

	if (!buckets)
		return -ENOMEM;
	for (size_t i = 0; i < m->nbuckets; i++) {
		struct map_node *n = m->buckets[i];

		while (n) {
			struct map_node *next = n->next;
			const size_t slot = (size_t)n->hash & (nbuckets - 1);

			n->next = buckets[slot];
			buckets[slot] = n;
			n = next;
		}
	}
	free((void *)m->buckets);
	m->buckets = buckets;
	m->nbuckets = nbuckets;
	return 0;
}

int map_insert(struct map *m, struct map_node *n, uint64_t hash)
{
	if (m->count >= m->nbuckets && map_grow(m) < 0 && m->nbuckets == 0)
		return -ENOMEM;
	n->hash = hash;
	n->next = m->buckets[map_slot(m, hash)];
	m->buckets[map_slot(m, hash)] = n;
	m->count++;
	return 0;
}

void map_remove(struct map *m, struct map_node *n)
{
	if (m->nbuckets == 0)
		return;
	for (struct map_node **at = &m->buckets[map_slot(m, n->hash)]; *at; at = &(*at)->next) {
		if (*at == n) {
			*at = n->next;
			n->next = NULL;
			m->count--;
			return;
		}
	}
}

struct map_node *map_find(const struct map *m, uint64_t hash)
{
	if (m->nbuckets == 0)
		return NULL;
	struct map_node *n = m->buckets[map_slot(m, hash)];
	while (n && n->hash != hash)
		n = n->next;
	return n;
}

struct map_node *map_find_next(const struct map_node *n)
{
	const uint64_t hash = n->hash;
	struct map_node *next = n->next;

	while (next && next->hash != hash)
		next = next->next;
	return next;
}

static struct map_node *map_from(const struct map *m, size_t slot)
{
	for (; slot < m->nbuckets; slot++)
		if (m->buckets[slot])
			return m->buckets[slot];
	return NULL;
}

struct map_node *map_first(const struct map *m)
{
	return map_from(m, 0);
}

struct map_node *map_next(const struct map *m, const struct map_node *n)
{
	return n->next ? n->next : map_from(m, map_slot(m, n->hash) + 1);
}
