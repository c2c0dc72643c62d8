/* tsan_store.c - the owner reads while the lane applies batches; the owner grows in between.
 *
 * Each batch rewrites all records with one number.  Every snapshot that the reader sees must hold
 * one number only, and numbers never go back.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "store/store.h"

enum {
	BATCHES = 200,
	RECORDS = 64,
	VALUE_BYTES = 2000,
	MAP_BYTES = 256 * 1024, /* too small on purpose */
};

struct lane {
	struct store *store;
	struct store_batch batch;
	int rc;
	atomic_bool ended;
};

static void *lane_apply(void *arg)
{
	struct lane *lane = arg;

	lane->rc = store_apply(lane->store, &lane->batch, NULL);
	atomic_store(&lane->ended, true);
	return NULL;
}

static void batch_fill(struct store_batch *b, uint32_t number)
{
	static uint8_t value[VALUE_BYTES];

	store_batch_clear(b);
	for (uint32_t i = 0; i < RECORDS; i++) {
		memcpy(value, &number, sizeof(number));
		ASSERT(store_batch_put(b, STORE_VMS, &i, sizeof(i), value, sizeof(value)) == 0);
	}
	ASSERT(store_batch_put(b, STORE_OPS, &number, sizeof(number), value, sizeof(value)) == 0);
	ASSERT(store_batch_trim(b, STORE_OPS, RECORDS) == 0);
}

struct seen {
	uint32_t number;
	uint32_t records;
};

static int see(void *arg, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct seen *seen = arg;
	uint32_t number;

	(void)key;
	ASSERT(key_len == sizeof(uint32_t));
	ASSERT(value_len == VALUE_BYTES);
	memcpy(&number, value, sizeof(number));
	if (seen->records++ == 0)
		seen->number = number;
	return seen->number == number ? 0 : -1;
}

static uint32_t read_all(struct store *s, uint32_t at_least)
{
	struct seen seen = { 0 };

	ASSERT(store_each(s, STORE_VMS, see, &seen, NULL) == 0);
	ASSERT(seen.records == 0 || seen.records == RECORDS);
	ASSERT(seen.number >= at_least);
	return seen.number;
}

int main(void)
{
	char dir[] = "/tmp/tsan_store.XXXXXX";
	struct lane lane = { 0 };
	uint32_t number = 0;
	uint64_t reads = 0;
	uint32_t grown = 0;

	ASSERT(mkdtemp(dir) != NULL);
	const struct store_config conf = { .dir = dir, .no_sync = true, .map_bytes = MAP_BYTES };
	ASSERT(store_open(&conf, &lane.store, NULL) == 0);
	store_batch_init(&lane.batch);
	for (uint32_t n = 1; n <= BATCHES;) {
		pthread_t thread;

		batch_fill(&lane.batch, n);
		atomic_store(&lane.ended, false);
		ASSERT(pthread_create(&thread, NULL, lane_apply, &lane) == 0);
		do {
			number = read_all(lane.store, number);
			(void)store_commits(lane.store);
			reads++;
		} while (!atomic_load(&lane.ended));
		ASSERT(pthread_join(thread, NULL) == 0);
		if (lane.rc == -EFBIG) {
			ASSERT(store_grow(lane.store, NULL) == 0);
			grown++;
			continue;
		}
		ASSERT(lane.rc == 0);
		n++;
	}
	ASSERT(read_all(lane.store, number) == BATCHES);
	ASSERT(grown > 0);
	store_batch_fini(&lane.batch);
	store_close(lane.store);
	printf("%u batches, %lu snapshots read, grown %u times\n", BATCHES, reads, grown);

	static const char *const files[] = { "store.mdb", "store.mdb-lock", "store.lock" };
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		ASSERT(unlink(path) == 0);
	}
	ASSERT(rmdir(dir) == 0);
	return 0;
}
