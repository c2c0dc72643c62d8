/* test_store.c - durable state: batches, growth, reading, locking, migrations, full disks, crashes.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "store/store.h"

enum {
	PATH_BYTES = 256,
	CHILD_SKIP = 77, /* exit status of a child that may not do what its test needs */
};

static char dir[PATH_BYTES];

static void dir_make(void)
{
	const char *base = getenv("TMPDIR");

	(void)snprintf(dir, sizeof(dir), "%s/test_store.XXXXXX", base ? base : "/tmp");
	cr_assert_not_null(mkdtemp(dir));
}

static void dir_remove(void)
{
	static const char *const files[] = { "store.mdb", "store.mdb-lock", "store.lock" };
	char path[PATH_BYTES + 32];

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		(void)unlink(path);
	}
	cr_expect_eq(rmdir(dir), 0, "the store leaves nothing but its three files");
}

TestSuite(store, .init = dir_make, .fini = dir_remove, .timeout = 60);

static struct store *open_with(uint64_t map_bytes, const struct store_schema *schema)
{
	struct store *s = NULL;
	struct err e = { 0 };
	const struct store_config conf = {
		.dir = dir, .no_sync = true, .map_bytes = map_bytes, .schema = schema
	};

	cr_assert_eq(store_open(&conf, &s, &e), 0, "%s", e.text);
	return s;
}

static void put(struct store_batch *b, enum store_table t, const char *key, const char *value)
{
	cr_assert_eq(store_batch_put(b, t, key, strlen(key), value, strlen(value)), 0);
}

static void apply(struct store *s, struct store_batch *b)
{
	struct err e = { 0 };

	cr_assert_eq(store_apply(s, b, &e), 0, "%s", e.text);
	store_batch_clear(b);
}

static void put_one(struct store *s, enum store_table t, const char *key, const char *value)
{
	struct store_batch b;

	store_batch_init(&b);
	put(&b, t, key, value);
	apply(s, &b);
	store_batch_fini(&b);
}

/* The value as a string in static storage; "(none)" when there is none. */
static const char *value_of(struct store *s, enum store_table t, const char *key)
{
	static char text[64];
	struct err e = { 0 };
	struct buf out;

	buf_init(&out, sizeof(text) - 1);
	const int rc = store_get(s, t, key, strlen(key), &out, &e);
	if (rc == -ENOENT) {
		(void)snprintf(text, sizeof(text), "(none)");
	} else {
		cr_assert_eq(rc, 0, "%s", e.text);
		memcpy(text, buf_data(&out), buf_len(&out));
		text[buf_len(&out)] = '\0';
	}
	buf_fini(&out);
	return text;
}

struct keys {
	char text[128];
	size_t stop_after;
	size_t n;
};

static int collect(void *arg, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct keys *k = arg;

	(void)value;
	(void)value_len;
	(void)snprintf(k->text + strlen(k->text), sizeof(k->text) - strlen(k->text), "%.*s ",
		       (int)key_len, (const char *)key);
	return ++k->n == k->stop_after ? 42 : 0;
}

Test(store, gives_back_what_was_applied_also_after_reopening)
{
	struct store *s = open_with(0, NULL);
	struct store_batch b;

	store_batch_init(&b);
	put(&b, STORE_VMS, "1", "one");
	put(&b, STORE_IMAGES, "1", "another table");
	put(&b, STORE_VMS, "2", "two");
	put(&b, STORE_VMS, "1", "uno");
	cr_assert_eq(store_batch_del(&b, STORE_VMS, "2", 1), 0);
	cr_assert_eq(store_batch_del(&b, STORE_VMS, "never", 5), 0, "absent already is success");
	put(&b, STORE_VMS, "3", "");
	apply(s, &b);
	store_batch_fini(&b);
	for (int round = 0; round < 2; round++) {
		cr_assert_str_eq(value_of(s, STORE_VMS, "1"), "uno");
		cr_assert_str_eq(value_of(s, STORE_IMAGES, "1"), "another table");
		cr_assert_str_eq(value_of(s, STORE_VMS, "2"), "(none)");
		cr_assert_str_eq(value_of(s, STORE_VMS, "3"), "");
		cr_assert_eq(store_count(s, STORE_VMS), 2);
		store_close(s);
		s = open_with(0, NULL);
	}
	store_close(s);
}

Test(store, counts_commits_and_makes_none_of_an_empty_batch)
{
	struct store *s = open_with(0, NULL);
	const uint64_t at_first = store_commits(s);
	struct store_batch b;

	store_batch_init(&b);
	apply(s, &b);
	cr_assert_eq(store_commits(s), at_first);
	put(&b, STORE_OPS, "a", "");
	put(&b, STORE_OPS, "b", "");
	apply(s, &b);
	cr_assert_eq(store_commits(s), at_first + 1);
	store_batch_fini(&b);
	store_close(s);
}

Test(store, iterates_in_key_order_both_ways_and_stops_when_told)
{
	struct store *s = open_with(0, NULL);
	struct keys all = { 0 };
	struct keys reverse = { 0 };
	struct keys two = { .stop_after = 2 };
	struct keys none = { 0 };

	put_one(s, STORE_OPS, "c", "");
	put_one(s, STORE_OPS, "a", "");
	put_one(s, STORE_OPS, "b", "");
	cr_assert_eq(store_each(s, STORE_OPS, collect, &all, NULL), 0);
	cr_assert_str_eq(all.text, "a b c ");
	cr_assert_eq(store_each_reverse(s, STORE_OPS, collect, &reverse, NULL), 0);
	cr_assert_str_eq(reverse.text, "c b a ");
	cr_assert_eq(store_each_reverse(s, STORE_OPS, collect, &two, NULL), 42);
	cr_assert_str_eq(two.text, "c b ");
	cr_assert_eq(store_each(s, STORE_VMS, collect, &none, NULL), 0);
	cr_assert_eq(none.n, 0);
	store_close(s);
}

static int get_within(void *arg, const void *key, size_t key_len, const void *value,
		      size_t value_len)
{
	struct store *s = arg;

	(void)key;
	(void)key_len;
	(void)value;
	(void)value_len;
	put_one(s, STORE_VMS, "late", "x"); /* as the lane might just now */
	return strcmp(value_of(s, STORE_VMS, "late"), "(none)") == 0 ? 1 : 2;
}

Test(store, reads_within_an_iteration_see_its_snapshot)
{
	struct store *s = open_with(0, NULL);

	put_one(s, STORE_VMS, "first", "");
	cr_assert_eq(store_each(s, STORE_VMS, get_within, s, NULL), 1);
	cr_assert_str_eq(value_of(s, STORE_VMS, "late"), "x");
	store_close(s);
}

Test(store, trims_the_smallest_keys)
{
	struct store *s = open_with(0, NULL);
	struct keys left = { 0 };
	struct store_batch b;

	store_batch_init(&b);
	for (char c = 'a'; c <= 'j'; c++)
		put(&b, STORE_OPS, (char[]){ c, '\0' }, "");
	cr_assert_eq(store_batch_trim(&b, STORE_OPS, 3), 0);
	cr_assert_eq(store_batch_trim(&b, STORE_VMS, 3), 0, "fewer than that: nothing to do");
	put(&b, STORE_OPS, "z", "");
	apply(s, &b);
	cr_assert_eq(store_each(s, STORE_OPS, collect, &left, NULL), 0);
	cr_assert_str_eq(left.text, "h i j z ");
	cr_assert_eq(store_batch_trim(&b, STORE_OPS, 0), 0);
	apply(s, &b);
	cr_assert_eq(store_count(s, STORE_OPS), 0);
	store_batch_fini(&b);
	store_close(s);
}

Test(store, takes_keys_and_values_of_the_greatest_size_and_none_beyond)
{
	static char big[STORE_VALUE_MAX + 1];
	char key[STORE_KEY_MAX + 1];
	struct store *s = open_with(0, NULL);
	struct store_batch b;
	struct buf out;

	memset(big, 'v', sizeof(big));
	memset(key, 'k', sizeof(key));
	store_batch_init(&b);
	cr_assert_eq(store_batch_put(&b, STORE_VMS, "", 0, "v", 1), -EINVAL);
	cr_assert_eq(store_batch_del(&b, STORE_VMS, "", 0), -EINVAL);
	cr_assert_eq(store_batch_put(&b, STORE_VMS, key, sizeof(key), "v", 1), -EINVAL);
	cr_assert_eq(store_batch_del(&b, STORE_VMS, key, sizeof(key)), -EINVAL);
	cr_assert_eq(store_batch_put(&b, STORE_VMS, "k", 1, big, sizeof(big)), -EINVAL);
	cr_assert_eq(b.n, 0);
	cr_assert_eq(store_batch_put(&b, STORE_VMS, key, STORE_KEY_MAX, big, STORE_VALUE_MAX), 0);
	apply(s, &b);
	buf_init(&out, STORE_VALUE_MAX);
	cr_assert_eq(store_get(s, STORE_VMS, key, STORE_KEY_MAX, &out, NULL), 0);
	cr_assert_eq(buf_len(&out), STORE_VALUE_MAX);
	cr_assert_eq(store_get(s, STORE_VMS, key, sizeof(key), &out, NULL), -ENOENT);
	cr_assert_eq(store_get(s, STORE_VMS, key, STORE_KEY_MAX, &out, NULL), -ENOBUFS);
	buf_fini(&out);
	store_batch_fini(&b);
	store_close(s);
}

Test(store, refuses_a_batch_beyond_its_bound)
{
	static char big[STORE_VALUE_MAX];
	struct store_batch b;
	int rc = 0;
	uint32_t fits = 0;

	store_batch_init(&b);
	while (fits < 100 &&
	       (rc = store_batch_put(&b, STORE_VMS, &fits, sizeof(fits), big, sizeof(big))) == 0)
		fits++;
	cr_assert_eq(rc, -ENOBUFS);
	cr_assert_eq(fits, STORE_BATCH_MAX / STORE_VALUE_MAX - 1, "heads and keys count too");
	cr_assert_eq(b.n, fits);
	store_batch_fini(&b);
}

/* Bytes of the store's map that count as ours. */
static size_t map_resident(void)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[512];
	size_t kib = 0;
	bool ours = false;

	cr_assert_not_null(f);
	while (kib == 0 && fgets(line, sizeof(line), f)) {
		if (strstr(line, "/store.mdb\n"))
			ours = true;
		else if (ours && sscanf(line, "Rss: %zu kB", &kib) == 1)
			break;
	}
	cr_assert(ours);
	(void)fclose(f);
	return kib * 1024;
}

static int touch(void *arg, const void *key, size_t key_len, const void *value, size_t value_len)
{
	(void)key;
	(void)key_len;
	*(size_t *)arg += ((const uint8_t *)value)[value_len - 1];
	return 0;
}

Test(store, keeps_little_of_a_large_table_in_its_own_memory)
{
	static uint8_t value[1000];
	const size_t bound = 2 << 20; /* what is touched between two returns, and around it */
	struct store *s = open_with(64 << 20, NULL);
	struct store_batch b;
	size_t sum = 0;

	memset(value, 1, sizeof(value));
	store_batch_init(&b);
	for (uint32_t n = 0; n < 20000; n++) {
		const uint32_t key = htobe32(n);

		cr_assert_eq(
			store_batch_put(&b, STORE_VMS, &key, sizeof(key), value, sizeof(value)), 0);
		if (n % 100 == 99)
			apply(s, &b);
	}
	store_batch_fini(&b);
	cr_expect_leq(map_resident(), bound, "%zu bytes after writing", map_resident());
	cr_assert_eq(store_each(s, STORE_VMS, touch, &sum, NULL), 0);
	cr_expect_eq(sum, 20000);
	cr_expect_leq(map_resident(), bound, "%zu bytes after reading", map_resident());
	store_close(s);
}

Test(store, asks_to_grow_and_has_written_nothing_until_then)
{
	static char value[64 * 1024];
	struct store *s = open_with(256 * 1024, NULL);
	struct store_batch b;
	int grown = 0;
	int rc;

	store_batch_init(&b);
	for (uint32_t i = 0; i < 32; i++)
		cr_assert_eq(store_batch_put(&b, STORE_IMAGES, &i, sizeof(i), value, sizeof(value)),
			     0);
	while ((rc = store_apply(s, &b, NULL)) == -EFBIG) {
		cr_assert_eq(store_count(s, STORE_IMAGES), 0);
		cr_assert_eq(store_grow(s, NULL), 0);
		cr_assert_lt(++grown, 10);
	}
	cr_assert_eq(rc, 0);
	cr_assert_gt(grown, 1, "2 MiB did not fit into 256 or 512 KiB");
	cr_assert_eq(store_count(s, STORE_IMAGES), 32);
	store_close(s);
	s = open_with(256 * 1024, NULL);
	cr_assert_eq(store_count(s, STORE_IMAGES), 32, "a small map at opening loses nothing");
	store_close(s);
	store_batch_fini(&b);
}

Test(store, grows_up_to_its_limit)
{
	struct store *s = open_with(STORE_MAP_MAX / 2, NULL);
	struct err e = { 0 };

	cr_assert_eq(store_grow(s, &e), 0, "%s", e.text);
	cr_assert_eq(store_grow(s, &e), -ENOSPC);
	cr_assert_eq(e.code, ERR_STORE_FULL);
	store_close(s);
}

Test(store, second_opener_is_refused_and_told_by_whom)
{
	struct store *s = open_with(0, NULL);
	struct store *other = NULL;
	struct err e = { 0 };
	char expected[PATH_BYTES + 64];

	cr_assert_eq(store_open(&(struct store_config){ .dir = dir }, &other, &e), -EBUSY);
	cr_assert_eq(e.code, ERR_STORE_LOCKED);
	(void)snprintf(expected, sizeof(expected), "store: %s is in use by process %d", dir,
		       getpid());
	cr_assert_str_eq(e.text, expected);
	cr_assert_null(other);
	store_close(s);
	s = open_with(0, NULL);
	store_close(s);
}

Test(store, says_what_is_wrong_with_the_directory)
{
	struct store *s = NULL;
	struct err e = { 0 };

	cr_assert_eq(store_open(&(struct store_config){ .dir = "/nonexistent" }, &s, &e), -ENOENT);
	cr_assert_str_eq(e.text, "store: /nonexistent/store.lock: No such file or directory");
	cr_assert_null(s);
}

Test(store, refuses_a_file_that_is_no_database)
{
	char path[PATH_BYTES + 32];
	static char junk[8192];
	struct store *s = NULL;
	struct err e = { 0 };

	memset(junk, 0xa5, sizeof(junk));
	(void)snprintf(path, sizeof(path), "%s/store.mdb", dir);
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	cr_assert_eq(write(fd, junk, sizeof(junk)), sizeof(junk));
	cr_assert_lt(store_open(&(struct store_config){ .dir = dir }, &s, &e), 0);
	cr_assert_eq(e.code, ERR_STORE);
	cr_assert_null(s);
}

Test(store, leaves_no_descriptor_open_across_exec)
{
	struct store *s = open_with(0, NULL);
	DIR *d = opendir("/proc/self/fd");
	char path[64 + 256];
	char target[PATH_BYTES];
	int seen = 0;

	for (const struct dirent *ent; (ent = readdir(d)) != NULL;) {
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%s", ent->d_name);
		const ssize_t n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = '\0';
		if (strncmp(target, dir, strlen(dir)) != 0)
			continue;
		seen++;
		cr_expect(fcntl(atoi(ent->d_name), F_GETFD) & FD_CLOEXEC, "%s", target);
	}
	closedir(d);
	cr_assert_geq(seen, 3);
	store_close(s);
}

/* ---- migrations ---- */

static int upper(void *arg, const void *key, size_t key_len, const void *value, size_t value_len)
{
	char changed[64];

	cr_assert_leq(value_len, sizeof(changed));
	for (size_t i = 0; i < value_len; i++)
		changed[i] = (char)(((const char *)value)[i] - 'a' + 'A');
	return store_batch_put(arg, STORE_VMS, key, key_len, changed, value_len);
}

static int step_upper(struct store *s, struct store_batch *b, struct err *e)
{
	return store_each(s, STORE_VMS, upper, b, e);
}

static int step_enlarge(struct store *s, struct store_batch *b, struct err *e)
{
	static char value[STORE_VALUE_MAX];

	(void)s;
	(void)e;
	return store_batch_put(b, STORE_IMAGES, "big", 3, value, sizeof(value));
}

static int step_fail(struct store *s, struct store_batch *b, struct err *e)
{
	(void)s;
	put(b, STORE_VMS, "a", "half done");
	return err_set(e, ERR_STORE, "this record is odd");
}

static store_migrate_fn *const good_steps[] = { NULL, step_upper, step_enlarge };
static store_migrate_fn *const bad_steps[] = { NULL, step_upper, step_fail };
static const struct store_schema good = { .version = 3, .steps = good_steps };
static const struct store_schema bad = { .version = 3, .steps = bad_steps };

Test(store, migrates_step_by_step_and_only_once)
{
	struct store *s = open_with(256 * 1024, NULL);

	put_one(s, STORE_VMS, "a", "abc");
	store_close(s);
	for (int round = 0; round < 2; round++) {
		s = open_with(256 * 1024, &good);
		cr_assert_str_eq(value_of(s, STORE_VMS, "a"), "ABC");
		cr_assert_eq(store_count(s, STORE_IMAGES), 1);
		cr_assert_eq(store_commits(s), round == 0 ? 2 : 0);
		store_close(s);
	}
}

Test(store, failing_migration_keeps_the_last_whole_version)
{
	struct store *s = open_with(0, NULL);
	struct err e = { 0 };
	const struct store_config conf = { .dir = dir, .no_sync = true, .schema = &bad };

	put_one(s, STORE_VMS, "a", "abc");
	store_close(s);
	s = NULL;
	cr_assert_lt(store_open(&conf, &s, &e), 0);
	cr_assert_str_eq(e.text, "to schema 3: this record is odd");
	cr_assert_null(s);
	s = open_with(0, &good);
	cr_assert_str_eq(value_of(s, STORE_VMS, "a"), "ABC", "not raised twice, nor half done");
	store_close(s);
}

Test(store, refuses_what_a_newer_version_wrote)
{
	struct store *s = open_with(0, &good);
	struct err e = { 0 };

	store_close(s);
	s = NULL;
	cr_assert_eq(store_open(&(struct store_config){ .dir = dir }, &s, &e), -EPROTO);
	cr_assert_eq(e.code, ERR_STORE_VERSION);
	cr_assert_str_eq(e.text, "store: schema 3, this program knows 1");
	cr_assert_null(s);
}

Test(store, refuses_a_schema_version_that_is_none)
{
	static const char *const odd[] = { "x", "longer than four" };

	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		struct store *s = open_with(0, &(struct store_schema){ .version = 0 });
		struct err e = { 0 };

		put_one(s, STORE_META, "schema", odd[i]);
		store_close(s);
		s = NULL;
		cr_assert_eq(store_open(&(struct store_config){ .dir = dir }, &s, &e), -EIO);
		cr_assert_eq(e.code, ERR_STORE);
		dir_remove();
		dir_make();
	}
}

/* ---- full disks, in a child with a file system of its own ---- */

enum {
	SMALL_DISK_KIB = 512,
};

/* Fills the disk, then expects ERR_STORE_FULL, the old records, and room again after a delete.
 * Runs in a child: exits with 0, CHILD_SKIP, or the number of the check that failed. */
static _Noreturn void fill_disk(void)
{
	static char value[16 * 1024];
	struct store *s = NULL;
	struct store_batch b;
	struct err e = { 0 };
	uint32_t i = 0;
	int rc = 0;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", dir, "tmpfs", 0, "size=512k,mode=0700") < 0)
		_exit(CHILD_SKIP);
	if (store_open(&(struct store_config){ .dir = dir }, &s, &e) < 0)
		_exit(1);
	store_batch_init(&b);
	for (; rc == 0 && i < SMALL_DISK_KIB; i++) {
		store_batch_clear(&b);
		if (store_batch_put(&b, STORE_VMS, &i, sizeof(i), value, sizeof(value)) < 0)
			_exit(2);
		rc = store_apply(s, &b, &e);
	}
	if (rc != -ENOSPC || e.code != ERR_STORE_FULL)
		_exit(3);
	if (store_count(s, STORE_VMS) != i - 1)
		_exit(4);
	store_batch_clear(&b);
	for (uint32_t key = 0; key < 4; key++)
		if (store_batch_del(&b, STORE_VMS, &key, sizeof(key)) < 0)
			_exit(5);
	/* A delete writes new pages before old ones are free: there is none left, so make room as
	 * a user would, by giving the disk more. */
	if (mount("none", dir, "tmpfs", MS_REMOUNT, "size=1m") < 0)
		_exit(CHILD_SKIP);
	if (store_apply(s, &b, &e) != 0)
		_exit(6);
	if (store_count(s, STORE_VMS) != i - 1 - 4)
		_exit(7);
	store_batch_fini(&b);
	store_close(s);
	_exit(0);
}

/* The same by a limit on the size of files, whose errno (EFBIG) must not read as "grow". */
static _Noreturn void fill_limit(void)
{
	static char value[STORE_VALUE_MAX];
	const struct rlimit small = { .rlim_cur = 512 * 1024, .rlim_max = RLIM_INFINITY };
	const struct rlimit large = { .rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY };
	struct store *s = NULL;
	struct store_batch b;
	struct err e = { 0 };

	(void)signal(SIGXFSZ, SIG_IGN);
	if (store_open(&(struct store_config){ .dir = dir, .no_sync = true }, &s, &e) < 0)
		_exit(1);
	store_batch_init(&b);
	if (store_batch_put(&b, STORE_VMS, "big", 3, value, sizeof(value)) < 0)
		_exit(2);
	if (setrlimit(RLIMIT_FSIZE, &small) < 0)
		_exit(CHILD_SKIP);
	const int rc = store_apply(s, &b, &e);
	if (rc >= 0 || rc == -EFBIG || store_count(s, STORE_VMS) != 0)
		_exit(3);
	if (setrlimit(RLIMIT_FSIZE, &large) < 0)
		_exit(CHILD_SKIP);
	if (store_apply(s, &b, &e) != 0 || store_count(s, STORE_VMS) != 1)
		_exit(4);
	store_batch_fini(&b);
	store_close(s);
	_exit(0);
}

static void expect_child(void (*body)(void))
{
	int status = 0;
	const pid_t pid = fork();

	if (pid == 0)
		body();
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status), "killed by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) == CHILD_SKIP)
		cr_skip("not permitted here");
	cr_assert_eq(WEXITSTATUS(status), 0, "check %d of the child", WEXITSTATUS(status));
}

Test(store, full_disk_loses_nothing_and_ends)
{
	expect_child(fill_disk);
}

Test(store, file_size_limit_is_not_taken_for_a_full_map)
{
	expect_child(fill_limit);
}

/* ---- crashes ---- */

enum {
	CRASHES = 10,
	CRASH_BATCH = 20, /* puts in each batch */
};

/* Applies batch after batch, all puts of one carrying its number, and tells each commit. */
static _Noreturn void apply_until_killed(int told)
{
	struct store *s = NULL;
	struct store_batch b;

	if (store_open(&(struct store_config){ .dir = dir, .no_sync = true }, &s, NULL) < 0)
		_exit(1);
	store_batch_init(&b);
	for (uint32_t n = 1;; n++) {
		store_batch_clear(&b);
		for (uint32_t i = 0; i < CRASH_BATCH; i++)
			if (store_batch_put(&b, STORE_VMS, &i, sizeof(i), &n, sizeof(n)) < 0)
				_exit(2);
		if (store_apply(s, &b, NULL) < 0 || write(told, &n, sizeof(n)) != sizeof(n))
			_exit(3);
	}
}

static int same_number(void *arg, const void *key, size_t key_len, const void *value,
		       size_t value_len)
{
	uint32_t *expected = arg;
	uint32_t n;

	(void)key;
	(void)key_len;
	cr_assert_eq(value_len, sizeof(n));
	memcpy(&n, value, sizeof(n));
	if (*expected == 0)
		*expected = n;
	return *expected == n ? 0 : 1;
}

Test(store, killed_at_any_moment_holds_whole_batches)
{
	for (uint32_t crash = 0; crash < CRASHES; crash++) {
		uint32_t last = 0;
		uint32_t found = 0;
		int fds[2];

		cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
		const pid_t pid = fork();
		if (pid == 0)
			apply_until_killed(fds[1]);
		close(fds[1]);
		while (last < 3 + crash * 7)
			cr_assert_eq(read(fds[0], &last, sizeof(last)), sizeof(last));
		cr_assert_eq(kill(pid, SIGKILL), 0);
		cr_assert_eq(waitpid(pid, NULL, 0), pid);
		while (read(fds[0], &last, sizeof(last)) == sizeof(last))
			continue;
		close(fds[0]);

		struct store *s = open_with(0, NULL);
		cr_assert_eq(store_count(s, STORE_VMS), CRASH_BATCH);
		cr_assert_eq(store_each(s, STORE_VMS, same_number, &found, NULL), 0);
		cr_assert(found == last || found == last + 1, "told %u, found %u", last, found);
		store_close(s);
	}
}
