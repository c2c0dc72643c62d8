/* test_base.c - the small pieces that everything else stands on. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/actor.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/strv.h"
#include "base/text.h"

Test(buf, keeps_order_and_refuses_beyond_its_bound)
{
	struct buf b;

	buf_init(&b, 1000);
	char chunk[300];
	memset(chunk, 'x', sizeof(chunk));
	for (int i = 0; i < 3; i++)
		cr_assert_eq(buf_append(&b, chunk, sizeof(chunk)), 0);
	cr_assert_eq(buf_append(&b, chunk, sizeof(chunk)), -ENOBUFS);
	cr_assert_eq(buf_len(&b), 900);
	buf_consume(&b, 500);
	cr_assert_eq(buf_append(&b, "tail", 4), 0);
	cr_assert_eq(memcmp(buf_data(&b) + 400, "tail", 4), 0);
	buf_fini(&b);
}

Test(buf, of_the_callers_memory_never_allocates)
{
	static uint8_t mem[2 * BUF_KEEP];
	static uint8_t chunk[sizeof(mem)];
	struct buf b;

	buf_init_fixed(&b, mem, sizeof(mem));
	cr_assert_eq(buf_append(&b, chunk, sizeof(chunk)), 0);
	cr_assert_eq(buf_append(&b, chunk, 1), -ENOBUFS);
	buf_consume(&b, 10);
	cr_assert_eq(buf_append(&b, "tail", 4), 0);
	cr_assert_eq(buf_data(&b), mem);
	cr_assert_eq(memcmp(mem + sizeof(mem) - 10, "tail", 4), 0);
	buf_clear(&b);
	cr_assert_eq(buf_append(&b, "head", 4), 0);
	cr_assert_eq(buf_data(&b), mem);
	buf_fini(&b);
}

Test(buf, gives_memory_back_when_empty)
{
	struct buf b;
	char chunk[BUF_KEEP + 1] = { 0 };

	buf_init(&b, 1 << 20);
	cr_assert_eq(buf_append(&b, chunk, sizeof(chunk)), 0);
	buf_consume(&b, sizeof(chunk));
	cr_assert_eq(b.cap, 0);
	buf_fini(&b);
}

Test(id, op_ids_round_trip_and_sort_by_time)
{
	const uint8_t random[10] = { 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	const struct op_id a = op_id_make(1700000000000, random);
	const struct op_id b = op_id_make(1700000000001, random);
	struct op_id back;
	char text[OP_ID_CHARS + 1];
	char later[OP_ID_CHARS + 1];

	op_id_text(&a, text);
	op_id_text(&b, later);
	cr_assert_eq(strlen(text), OP_ID_CHARS);
	cr_assert_eq(op_id_parse(text, &back), 0);
	cr_assert(op_id_equal(&a, &back));
	cr_assert_lt(strcmp(text, later), 0);
	cr_assert_eq(op_id_wall_ms(&a), 1700000000000);
	/* the ULID specification's own example of a maximum, and one beyond it */
	cr_assert_eq(op_id_parse("7ZZZZZZZZZZZZZZZZZZZZZZZZZ", &back), 0);
	cr_assert_eq(op_id_parse("8ZZZZZZZZZZZZZZZZZZZZZZZZZ", &back), -EINVAL);
	cr_assert_eq(op_id_parse("short", &back), -EINVAL);
	cr_assert_eq(op_id_parse("7ZZZZZZZZZZZZZZZZZZZZZZZZU", &back), -EINVAL, "U is no digit");
}

Test(id, vm_ids_round_trip)
{
	char text[VM_ID_CHARS + 1];
	vm_id back = 0;

	vm_id_text(VM_ID_MAX, text);
	cr_assert_str_eq(text, "zzzzzzzzzzzz");
	cr_assert_eq(vm_id_parse(text, &back), 0);
	cr_assert_eq(back, VM_ID_MAX);
	vm_id_text(1, text);
	cr_assert_str_eq(text, "000000000001");
	cr_assert_eq(vm_id_parse("000000000u01", &back), -EINVAL);
}

struct item {
	struct map_node node;
	uint64_t key;
};

Test(map, finds_what_was_put_in_and_not_what_was_removed)
{
	static struct item items[1000];
	struct map m;
	size_t seen = 0;

	map_init(&m);
	for (uint64_t i = 0; i < 1000; i++) {
		items[i].key = i;
		cr_assert_eq(map_insert(&m, &items[i].node, map_hash_u64(i)), 0);
	}
	for (uint64_t i = 0; i < 1000; i += 2)
		map_remove(&m, &items[i].node);
	map_remove(&m, &items[0].node);
	cr_assert_eq(m.count, 500);
	for (uint64_t i = 0; i < 1000; i++) {
		const struct map_node *n = map_find(&m, map_hash_u64(i));

		cr_assert_eq(n != NULL, i % 2 == 1, "key %lu", i);
	}
	map_for_each (n, &m)
		seen++;
	cr_assert_eq(seen, 500);
	map_fini(&m);
}

Test(map, keeps_members_that_share_a_hash_apart)
{
	struct item a = { .key = 1 };
	struct item b = { .key = 2 };
	struct map m;

	map_init(&m);
	cr_assert_eq(map_insert(&m, &a.node, 7), 0);
	cr_assert_eq(map_insert(&m, &b.node, 7), 0);
	struct map_node *n = map_find(&m, 7);
	cr_assert_not_null(n);
	cr_assert_not_null(map_find_next(n));
	cr_assert_null(map_find_next(map_find_next(n)));
	map_fini(&m);
}

Test(err, what_the_host_has_run_out_of_is_the_cause)
{
	static const struct {
		enum err_code said, is;
		int sys;
	} rows[] = {
		{ ERR_HOST_IO, ERR_HOST_FILES, EMFILE },
		{ ERR_VMM_START, ERR_HOST_FILES, ENFILE },
		{ ERR_HOST_IO, ERR_HOST_DISK_FULL, ENOSPC },
		{ ERR_HOST_IO, ERR_HOST_DISK_FULL, EDQUOT },
		{ ERR_VMM_START, ERR_HOST_MEMORY, ENOMEM },
		{ ERR_VMM_START, ERR_VMM_START, ENOENT },
		{ ERR_EXEC_FAILED, ERR_EXEC_FAILED, EMFILE }, /* the guest's are the guest's */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };

		cr_expect_eq(err_num(&e, rows[i].said, rows[i].sys, "it"), -rows[i].sys);
		cr_expect_eq(e.code, rows[i].is, "row %zu", i);
	}
}

Test(err, says_cause_context_and_number)
{
	struct err e = { 0 };

	errno = EBUSY;
	cr_assert_eq(err_sys(&e, ERR_HOST_IO, "tap: TUNSETIFF %s", "bg-1"), -EBUSY);
	err_ctx(&e, "vm %s", "web-1");
	cr_assert_str_eq(e.text, "vm web-1: tap: TUNSETIFF bg-1: Device or resource busy");
	cr_assert_eq(err_errno(&e), -EBUSY);
	cr_assert_eq(err_set(NULL, ERR_VM_NOT_FOUND, "nobody listens"), -ENOENT);
}

Test(err, every_row_has_a_cause_and_a_name_that_leads_back)
{
	for (int i = ERR_NONE + 1; i < ERR_NCODES; i++) {
		const enum err_code code = (enum err_code)i;

		cr_assert_eq(err_by_name(err_name(code)), code, "%s", err_name(code));
		cr_assert_gt(strlen(err_cause(code)), 0, "%s", err_name(code));
	}
	cr_assert_eq(err_by_name("no.such"), ERR_INTERNAL);
}

Test(err, later_failures_do_not_hide_the_first)
{
	struct err first = { 0 };
	struct err later = { 0 };

	err_set(&first, ERR_VMM_START, "qemu: no");
	err_set(&later, ERR_HOST_IO, "disk: no");
	err_join(&first, &later);
	cr_assert_eq(first.code, ERR_VMM_START);
	cr_assert_str_eq(first.text, "qemu: no; then: disk: no");
}

Test(list, catches_double_insertion, .signal = SIGABRT)
{
	struct list l;
	struct list_node n = { 0 };

	list_init(&l);
	list_append(&l, &n);
	list_append(&l, &n);
}

Test(strv, grows_and_finds_values)
{
	struct strv s = { 0 };

	for (int i = 0; i < 100; i++)
		cr_assert_eq(strv_addf(&s, "k%d=v%d", i, i), 0);
	cr_assert_eq(s.n, 100);
	cr_assert_null(s.v[100]);
	cr_assert_str_eq(strv_value(&s, "k7"), "v7");
	cr_assert_null(strv_value(&s, "k"));
	strv_fini(&s);
}

struct counter {
	struct actor actor;
	int seen;
	bool end;
};

static void counter_handle(struct actor *a, struct msg *m)
{
	struct counter *c = container_of(a, struct counter, actor);

	(void)m;
	c->seen++;
	if (c->end)
		actor_fini(a);
}

static int drops;

static void count_drop(struct msg *m)
{
	(void)m;
	drops++;
}

Test(actor, mail_to_the_dead_is_a_counted_drop)
{
	struct actors s;
	struct counter c = { .end = true };
	struct msg m[3] = { { .drop = count_drop },
			    { .drop = count_drop },
			    { .drop = count_drop } };

	actors_init(&s);
	cr_assert_eq(actor_init(&c.actor, &s, counter_handle), 0);
	const struct actor_id id = c.actor.id;

	cr_assert(actor_post(&s, id, &m[0]));
	cr_assert(actor_post(&s, id, &m[1]));
	cr_assert_not(actors_run(&s));
	cr_assert_eq(c.seen, 1);
	cr_assert_eq(drops, 1, "what waited when it ended");
	cr_assert_not(actor_post(&s, id, &m[2]));
	cr_assert_eq(drops, 2);
	cr_assert_eq(s.dropped, 2);
	actors_fini(&s);
}

/* What happened, in order: each actor appends its letter, and passes the message on to `next`. */
static char story[3 * ACTOR_TURN_MAX];

struct teller {
	struct actor actor;
	char letter;
	struct actor_id next;
};

static void teller_handle(struct actor *a, struct msg *m)
{
	const struct teller *t = container_of(a, struct teller, actor);

	strncat(story, &t->letter, 1);
	if (t->next.gen)
		actor_post(a->system, t->next, m);
}

Test(actor, a_busy_one_lets_others_run)
{
	struct actors s;
	struct teller busy = { .letter = 'b' };
	struct teller other = { .letter = 'o' };
	static struct msg m[ACTOR_TURN_MAX + 2];

	actors_init(&s);
	cr_assert_eq(actor_init(&busy.actor, &s, teller_handle), 0);
	cr_assert_eq(actor_init(&other.actor, &s, teller_handle), 0);
	for (size_t i = 0; i < ACTOR_TURN_MAX + 1; i++)
		actor_post(&s, busy.actor.id, &m[i]);
	actor_post(&s, other.actor.id, &m[ACTOR_TURN_MAX + 1]);
	cr_assert_not(actors_run(&s));
	cr_assert_str_eq(story + ACTOR_TURN_MAX - 1, "bob");
	actor_fini(&busy.actor);
	actor_fini(&other.actor);
	actors_fini(&s);
}

Test(actor, a_run_follows_a_message_from_actor_to_actor_but_not_for_ever)
{
	struct actors s;
	struct teller x = { .letter = 'x' };
	struct teller y = { .letter = 'y' };
	struct msg m = { 0 };

	actors_init(&s);
	cr_assert_eq(actor_init(&x.actor, &s, teller_handle), 0);
	cr_assert_eq(actor_init(&y.actor, &s, teller_handle), 0);
	x.next = y.actor.id;
	y.next = x.actor.id;
	actor_post(&s, x.actor.id, &m);
	cr_assert(actors_run(&s), "I/O gets its turn");
	cr_assert_eq(strlen(story), ACTOR_ROUNDS_MAX);
	cr_assert_eq(strncmp(story, "xyxy", 4), 0);
	list_remove(&m.link);
	actor_fini(&x.actor);
	actor_fini(&y.actor);
	actors_fini(&s);
}

Test(actor, the_last_one_waits_for_all_others)
{
	struct actors s;
	struct teller first = { .letter = '1' };
	struct teller second = { .letter = '2' };
	struct teller last = { .letter = '.' };
	struct msg m[2] = { 0 };

	actors_init(&s);
	cr_assert_eq(actor_init(&first.actor, &s, teller_handle), 0);
	cr_assert_eq(actor_init(&second.actor, &s, teller_handle), 0);
	cr_assert_eq(actor_init(&last.actor, &s, teller_handle), 0);
	first.next = second.actor.id;
	actor_post_last(&s, last.actor.id, &m[0]);
	cr_assert_not(actors_idle(&s), "the loop must not sleep");
	actor_post(&s, first.actor.id, &m[1]);
	cr_assert_not(actors_run(&s));
	cr_assert_str_eq(story, "12.");
	actor_fini(&first.actor);
	actor_fini(&second.actor);
	actor_fini(&last.actor);
	actors_fini(&s);
}

static char logged[LOG_LINE_MAX];

static void keep_line(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	snprintf(logged, sizeof(logged), "%s", line);
}

Test(log, quotes_what_is_not_plain)
{
	const struct log_ctx ctx = { "vm/web-1" };

	log_set_sink(keep_line, NULL);
	LOG_INFO(&ctx, NULL, "step.done", K("step", "tap"), K("dur_us", 812),
		 K("why", "a \"b\"\n"));
	cr_assert_str_eq(
		logged, "actor=vm/web-1 ev=step.done step=tap dur_us=812 why=\"a \\\"b\\\"\\x0a\"");
	log_set_sink(NULL, NULL);
}

/* Standard error becomes a pipe; what it holds is in `out` after. */
static void read_stderr(int fd, char *out, size_t size)
{
	const ssize_t n = read(fd, out, size - 1);

	out[n > 0 ? n : 0] = '\0';
}

static int stderr_to_pipe(void)
{
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	cr_assert_geq(dup2(fds[1], STDERR_FILENO), 0);
	return fds[0];
}

Test(log, held_lines_are_written_by_the_flush)
{
	const struct log_ctx ctx = { "node" };
	const int fd = stderr_to_pipe();
	char text[256];

	log_hold(true);
	LOG_INFO(&ctx, NULL, "a", K("n", -1));
	LOG_ERR(&ctx, NULL, "b", K("n", 2U));
	read_stderr(fd, text, sizeof(text));
	cr_assert_str_eq(text, "");
	log_flush();
	read_stderr(fd, text, sizeof(text));
	cr_assert_str_eq(text, "<6>actor=node ev=a n=-1\n<3>actor=node ev=b n=2\n");
	log_hold(false);
}

Test(log, more_than_can_be_held_is_written_early_and_whole)
{
	const struct log_ctx ctx = { "node" };
	const int fd = stderr_to_pipe();
	static char text[64 * 1024];
	size_t lines = 0;

	log_hold(true);
	for (int i = 0; i < 1000; i++)
		LOG_INFO(&ctx, NULL, "a.line.of.some.length", K("n", 7));
	log_hold(false);
	read_stderr(fd, text, sizeof(text));
	for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	cr_assert_eq(lines, 1000);
}

Test(log, an_assertion_that_fails_lets_the_held_lines_out)
{
	const struct log_ctx ctx = { "node" };
	const char *expected = "<6>actor=node ev=before n=1\n<2>ev=assert";
	const int fd = stderr_to_pipe();
	char text[256];
	int status;

	const pid_t pid = fork();
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		log_hold(true);
		LOG_INFO(&ctx, NULL, "before", K("n", 1));
		ASSERT(!"a mistake of ours");
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status));
	read_stderr(fd, text, sizeof(text));
	cr_assert_eq(strncmp(text, expected, strlen(expected)), 0, "%s", text);
}

Test(text, is_cut_where_it_does_not_fit_and_always_ends)
{
	char small[4];

	TEXT_SET(small, "abc");
	cr_assert_str_eq(small, "abc");
	TEXT_SET(small, "abcd");
	cr_assert_str_eq(small, "abc");
	TEXT_SET(small, "");
	cr_assert_str_eq(small, "");
}
