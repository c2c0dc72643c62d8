/* test_io_common.c - what io.h promises, whichever implementation is linked: it is built twice. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/io_probe.h"

/* ---- timers ---- */

Test(io, timers_fire_in_order_of_their_due_times)
{
	struct probe *p = probe_up();
	struct io_timer t[20];

	for (uint32_t i = 0; i < ARRAY_LEN(t); i++) {
		io_timer_init(&t[i], &p->actor, PROBE_TIMER);
		io_timer_set(p->io, &t[i], (i * 7) % 20, i);
	}
	PROBE_UNTIL(p, p->n == ARRAY_LEN(t));
	for (uint32_t i = 0; i < ARRAY_LEN(t); i++)
		cr_assert_eq((p->notes[i].token * 7) % 20, i, "the one at %u ms", i);
	probe_down(p);
}

Test(io, timers_with_the_same_due_time_keep_their_order)
{
	struct probe *p = probe_up();
	struct io_timer t[50];

	for (uint32_t i = 0; i < ARRAY_LEN(t); i++) {
		io_timer_init(&t[i], &p->actor, PROBE_TIMER);
		io_timer_set(p->io, &t[i], 3, i);
	}
	PROBE_UNTIL(p, p->n == ARRAY_LEN(t));
	for (uint32_t i = 0; i < ARRAY_LEN(t); i++)
		cr_assert_eq(p->notes[i].token, i);
	probe_down(p);
}

Test(io, a_timer_is_never_early)
{
	struct probe *p = probe_up();
	struct io_timer t;
	const uint64_t start_us = io_now_us(p->io);

	io_timer_init(&t, &p->actor, PROBE_TIMER);
	io_timer_set(p->io, &t, 15, 0);
	PROBE_UNTIL(p, p->n == 1);
	cr_assert_geq(io_now_us(p->io) - start_us, 15000);
	probe_down(p);
}

static struct io_timer two[2];

static void cancel_the_other(struct probe *p, struct msg *m)
{
	io_timer_cancel(p->io, &two[m->token == 0]);
}

Test(io, a_cancelled_timer_is_silent_also_when_it_was_due_already)
{
	struct probe *p = probe_up();
	struct io_timer last;

	p->act = cancel_the_other;
	for (uint32_t i = 0; i < 2; i++) {
		io_timer_init(&two[i], &p->actor, PROBE_TIMER);
		io_timer_set(p->io, &two[i], 0, i);
	}
	PROBE_UNTIL(p, p->n > 0);
	p->act = NULL;
	io_timer_init(&last, &p->actor, PROBE_TIMER);
	io_timer_set(p->io, &last, 5, 2);
	PROBE_UNTIL(p, p->n == 2);
	cr_assert_eq(p->notes[0].token, 0);
	cr_assert_eq(p->notes[1].token, 2);
	probe_down(p);
}

Test(io, setting_a_timer_again_replaces_the_earlier_setting)
{
	struct probe *p = probe_up();
	struct io_timer t[2];

	for (int i = 0; i < 2; i++)
		io_timer_init(&t[i], &p->actor, PROBE_TIMER);
	io_timer_set(p->io, &t[0], 1, 10);
	io_timer_set(p->io, &t[1], 10, 20);
	io_timer_set(p->io, &t[0], 20, 30);
	PROBE_UNTIL(p, p->n == 2);
	cr_assert_eq(p->notes[0].token, 20);
	cr_assert_eq(p->notes[1].token, 30);
	probe_down(p);
}

/* ---- connecting ---- */

Test(io, connecting_to_nothing_says_so)
{
	struct probe *p = probe_up();
	struct io_op op;

	io_op_init(&op, &p->actor, PROBE_CONNECT);
	io_connect_unix(p->io, &op, probe_path("nobody"));
	PROBE_UNTIL(p, p->n == 1);
	cr_assert_eq(p->notes[0].res, -ENOENT);
	probe_down(p);
}

Test(io, connecting_to_what_is_left_of_a_socket_is_refused)
{
	struct probe *p = probe_up();
	struct io_op op;
	const char *path = probe_path("stale");

	io_close(p->io, io_listen_unix(p->io, path, NULL));
	io_op_init(&op, &p->actor, PROBE_CONNECT);
	io_connect_unix(p->io, &op, path);
	PROBE_UNTIL(p, p->n == 1);
	cr_assert_eq(p->notes[0].res, -ECONNREFUSED);
	const int again = io_listen_unix(p->io, path, NULL);
	cr_assert_geq(again, 0, "the old one does not hinder the new one");
	io_close(p->io, again);
	probe_down(p);
}

Test(io, an_operation_cancelled_in_the_turn_of_its_arming_ends_by_message)
{
	struct probe *p = probe_up();
	struct io_op op;
	const char *path = probe_path("listener");
	const int fd = io_listen_unix(p->io, path, NULL);

	io_op_init(&op, &p->actor, PROBE_CONNECT);
	io_connect_unix(p->io, &op, path);
	io_cancel(p->io, &op);
	io_cancel(p->io, &op);
	PROBE_UNTIL(p, p->n == 1);
	cr_assert_eq(p->notes[0].res, -ECANCELED);
	cr_assert_not(op.armed);
	io_close(p->io, fd);
	probe_down(p);
}

Test(io, a_listener_gives_every_connection_once)
{
	enum { CLIENTS = IO_ACCEPT_QUEUE * 3 };
	struct probe *p = probe_up();
	struct io_listener l;
	static struct io_op ops[CLIENTS];
	static int fds[CLIENTS];
	const char *path = probe_path("many");
	int got = 0;

	probe_listen(p, &l, path);
	for (int i = 0; i < CLIENTS; i++) {
		io_op_init(&ops[i], &p->actor, PROBE_CONNECT);
		io_connect_unix(p->io, &ops[i], path);
	}
	PROBE_UNTIL(p, probe_count(p, PROBE_CONNECT) == CLIENTS);
	for (int turns = 0; got < CLIENTS; turns++) {
		int fd;

		cr_assert_lt(turns, PROBE_TURNS);
		while ((fd = io_listener_next(p->io, &l)) >= 0)
			fds[got++] = fd;
		cr_assert_eq(fd, -EAGAIN);
		if (got < CLIENTS)
			cr_assert_eq(io_turn(p->io), 0);
	}
	io_listener_close(p->io, &l);
	PROBE_UNTIL(p, l.closed && list_empty(&p->actors.runnable));
	for (int i = 0; i < CLIENTS; i++) {
		uid_t uid = geteuid() + 1;

		cr_assert_eq(io_peer_uid(p->io, fds[i], &uid), 0);
		cr_assert_eq(uid, geteuid(), "who has connected is known");
		io_close(p->io, fds[i]);
		io_close(p->io, ops[i].msg.res);
	}
	probe_down(p);
}

/* ---- streams ---- */

static void send_text(struct probe *p, struct io_stream *s, const char *text)
{
	cr_assert_eq(buf_append(io_stream_out(s), text, strlen(text)), 0);
	io_stream_flush(p->io, s);
}

static size_t take(struct probe *p, struct io_stream *s, uint8_t *to, size_t max)
{
	const uint8_t *data;
	size_t got = 0;
	size_t n;

	while (got < max && (n = io_stream_peek(s, &data)) > 0) {
		n = n < max - got ? n : max - got;
		memcpy(to + got, data, n);
		io_stream_consume(p->io, s, n);
		got += n;
	}
	return got;
}

/* Until so many bytes have come: they may do so in any number of pieces. */
static void gather(struct probe *p, struct io_stream *s, uint8_t *to, size_t len)
{
	size_t got = 0;

	PROBE_UNTIL(p, (got += take(p, s, to + got, len - got)) == len);
}

Test(io, bytes_go_both_ways_and_appends_of_one_turn_go_together)
{
	struct probe *p = probe_up();
	struct probe_pair pair;
	uint8_t got[64];

	probe_connect(p, &pair, probe_path("echo"));
	send_text(p, &pair.a, "one ");
	send_text(p, &pair.a, "two");
	gather(p, &pair.b, got, 7);
	cr_assert_eq(memcmp(got, "one two", 7), 0);
	send_text(p, &pair.b, "three");
	gather(p, &pair.a, got, 5);
	cr_assert_eq(memcmp(got, "three", 5), 0);
	PROBE_UNTIL(p, io_stream_unsent(&pair.a) == 0 && io_stream_unsent(&pair.b) == 0);
	probe_hang_up(p, &pair);
	probe_down(p);
}

Test(io, what_was_sent_before_a_lingering_close_arrives_before_the_end)
{
	struct probe *p = probe_up();
	struct probe_pair pair;
	const struct note *last;
	uint8_t got[64];

	probe_connect(p, &pair, probe_path("bye"));
	send_text(p, &pair.a, "goodbye");
	io_stream_close(p->io, &pair.a, 1000);
	PROBE_UNTIL(p, pair.a.closed && pair.b.eof && list_empty(&p->actors.runnable));
	cr_assert_eq(take(p, &pair.b, got, sizeof(got)), 7);
	PROBE_UNTIL(p, (last = probe_last(p, PROBE_B)) != NULL && last->res == 0);
	cr_assert_eq(pair.b.error, 0);
	probe_hang_up(p, &pair);
	probe_down(p);
}

Test(io, an_end_is_announced_after_the_bytes_before_it)
{
	struct probe *p = probe_up();
	struct probe_pair pair;

	probe_connect(p, &pair, probe_path("order"));
	send_text(p, &pair.a, "x");
	io_stream_close(p->io, &pair.a, 1000);
	PROBE_UNTIL(p, probe_count(p, PROBE_B) == 2);
	size_t seen = 0;
	for (size_t i = 0; i < p->n; i++)
		if (p->notes[i].type == PROBE_B)
			cr_assert_eq(p->notes[i].res, seen++ == 0 ? 1 : 0);
	probe_hang_up(p, &pair);
	probe_down(p);
}

Test(io, a_close_without_linger_ends_while_the_peer_does_not_read)
{
	struct probe *p = probe_up();
	struct probe_pair pair;
	static uint8_t block[1 << 20];

	probe_connect(p, &pair, probe_path("rude"));
	io_stream_pause(p->io, &pair.b, true);
	cr_assert_eq(buf_append(io_stream_out(&pair.a), block, sizeof(block)), 0);
	io_stream_flush(p->io, &pair.a);
	for (int i = 0; i < 3; i++) {
		struct io_timer t;
		const size_t before = probe_count(p, PROBE_TIMER);

		io_timer_init(&t, &p->actor, PROBE_TIMER);
		io_timer_set(p->io, &t, 1, 0);
		PROBE_UNTIL(p, probe_count(p, PROBE_TIMER) > before);
	}
	cr_assert_gt(io_stream_unsent(&pair.a), 0, "the peer is not reading");
	io_stream_close(p->io, &pair.a, 0);
	PROBE_UNTIL(p, pair.a.closed);
	io_stream_pause(p->io, &pair.b, false);
	probe_hang_up(p, &pair);
	probe_down(p);
}

Test(io, a_lingering_close_gives_up_in_time)
{
	struct probe *p = probe_up();
	struct probe_pair pair;
	static uint8_t block[1 << 20];

	probe_connect(p, &pair, probe_path("linger"));
	io_stream_pause(p->io, &pair.b, true);
	cr_assert_eq(buf_append(io_stream_out(&pair.a), block, sizeof(block)), 0);
	const uint64_t start_us = io_now_us(p->io);
	io_stream_close(p->io, &pair.a, 30);
	PROBE_UNTIL(p, pair.a.closed);
	cr_assert_geq(io_now_us(p->io) - start_us, 30000);
	probe_hang_up(p, &pair);
	probe_down(p);
}

Test(io, sending_to_a_peer_that_is_gone_is_an_error_and_no_signal)
{
	struct probe *p = probe_up();
	struct probe_pair pair;

	probe_connect(p, &pair, probe_path("gone"));
	io_stream_close(p->io, &pair.b, 0);
	PROBE_UNTIL(p, pair.b.closed && pair.a.eof);
	send_text(p, &pair.a, "anybody there?");
	PROBE_UNTIL(p, pair.a.error != 0 && list_empty(&p->actors.runnable));
	cr_assert(pair.a.error == -EPIPE || pair.a.error == -ECONNRESET, "%d", pair.a.error);
	cr_assert_eq(buf_append(io_stream_out(&pair.a), "x", 1), -ENOBUFS, "it takes no more");
	probe_hang_up(p, &pair);
	probe_down(p);
}

Test(io, the_bytes_that_may_wait_are_bounded_and_drain)
{
	struct probe *p = probe_up();
	struct probe_pair pair;
	static uint8_t block[64 << 10];
	static uint8_t sink[IO_STREAM_OUT_MAX];
	size_t put = 0;
	size_t got = 0;

	probe_connect(p, &pair, probe_path("bound"));
	io_stream_pause(p->io, &pair.b, true);
	while (buf_append(io_stream_out(&pair.a), block, sizeof(block)) == 0)
		put += sizeof(block);
	cr_assert_eq(put, IO_STREAM_OUT_MAX);
	io_stream_flush(p->io, &pair.a);
	io_stream_notify_drained(&pair.a, 1000);
	const size_t before = probe_count(p, PROBE_A);
	io_stream_pause(p->io, &pair.b, false);
	for (int i = 0; got < put; i++) {
		cr_assert_lt(i, PROBE_TURNS);
		cr_assert_leq(io_stream_unsent(&pair.a), IO_STREAM_OUT_MAX);
		cr_assert_eq(io_turn(p->io), 0);
		got += take(p, &pair.b, sink, sizeof(sink));
	}
	PROBE_UNTIL(p, probe_count(p, PROBE_A) > before);
	cr_assert_eq(probe_count(p, PROBE_A), before + 1, "told once");
	probe_hang_up(p, &pair);
	probe_down(p);
}

Test(io, a_reader_that_stops_and_goes_loses_nothing)
{
	enum { TOTAL = 3 << 20 };
	struct probe *p = probe_up();
	struct probe_pair pair;
	static uint8_t sent[TOTAL];
	static uint8_t got[TOTAL];
	size_t n = 0;
	unsigned seed = 7;

	for (size_t i = 0; i < TOTAL; i++)
		sent[i] = (uint8_t)(i * 31 + i / 251);
	probe_connect(p, &pair, probe_path("stop-and-go"));
	cr_assert_eq(buf_append(io_stream_out(&pair.a), sent, TOTAL), 0);
	io_stream_flush(p->io, &pair.a);
	for (int i = 0; n < TOTAL; i++) {
		struct io_timer t; /* so that a turn returns while the reader rests */

		cr_assert_lt(i, PROBE_TURNS);
		io_timer_init(&t, &p->actor, PROBE_TIMER);
		io_timer_set(p->io, &t, 0, 0);
		cr_assert_eq(io_turn(p->io), 0);
		io_timer_cancel(p->io, &t);
		io_stream_pause(p->io, &pair.b, rand_r(&seed) % 3 == 0);
		if (rand_r(&seed) % 2 == 0)
			n += take(p, &pair.b, got + n,
				  (size_t)(rand_r(&seed) % 300000) % (TOTAL - n) + 1);
	}
	cr_assert_eq(memcmp(sent, got, TOTAL), 0);
	probe_hang_up(p, &pair);
	probe_down(p);
}

Test(io, readers_that_never_read_do_not_starve_the_others)
{
	enum { LAZY = IO_BUFS / IO_STREAM_CHUNKS + 8 };
	struct probe *p = probe_up();
	static struct probe_pair lazy[LAZY];
	static uint8_t block[1 << 20];
	struct probe_pair busy;
	uint8_t got[6];

	for (int i = 0; i < LAZY; i++) {
		char name[32];

		p->n = 0;
		snprintf(name, sizeof(name), "lazy-%d", i);
		probe_connect(p, &lazy[i], probe_path(name));
		cr_assert_eq(buf_append(io_stream_out(&lazy[i].a), block, sizeof(block)), 0);
		io_stream_flush(p->io, &lazy[i].a);
	}
	p->n = 0;
	probe_connect(p, &busy, probe_path("busy"));
	send_text(p, &busy.a, "me too");
	gather(p, &busy.b, got, sizeof(got));
	for (int i = 0; i < LAZY; i++)
		probe_hang_up(p, &lazy[i]);
	probe_hang_up(p, &busy);
	probe_down(p);
}

/* ---- work ---- */

struct job {
	struct io_op op;
	int begun_as; /* 0: not begun */
};

static int jobs_begun;

static int number_it(void *arg, const bool *cancelled)
{
	struct job *j = arg;

	(void)cancelled;
	j->begun_as = __atomic_add_fetch(&jobs_begun, 1, __ATOMIC_RELAXED);
	return j->begun_as;
}

Test(io, lane_zero_keeps_its_order_and_results_come_back)
{
	struct probe *p = probe_up();
	struct job jobs[40] = { 0 };

	jobs_begun = 0;
	for (uint32_t i = 0; i < ARRAY_LEN(jobs); i++) {
		io_op_init(&jobs[i].op, &p->actor, PROBE_WORK);
		jobs[i].op.msg.token = i;
		io_work(p->io, &jobs[i].op, IO_LANE_STORE, number_it, &jobs[i]);
	}
	PROBE_UNTIL(p, p->n == ARRAY_LEN(jobs));
	for (uint32_t i = 0; i < ARRAY_LEN(jobs); i++) {
		cr_assert_eq(jobs[i].begun_as, i + 1);
		cr_assert_eq(jobs[i].op.msg.res, i + 1);
	}
	probe_down(p);
}

Test(io, every_job_of_the_other_lane_runs_once)
{
	struct probe *p = probe_up();
	struct job jobs[40] = { 0 };
	uint64_t seen = 0;

	jobs_begun = 0;
	for (uint32_t i = 0; i < ARRAY_LEN(jobs); i++) {
		io_op_init(&jobs[i].op, &p->actor, PROBE_WORK);
		io_work(p->io, &jobs[i].op, IO_LANE_ANY, number_it, &jobs[i]);
	}
	PROBE_UNTIL(p, p->n == ARRAY_LEN(jobs));
	for (uint32_t i = 0; i < ARRAY_LEN(jobs); i++)
		seen |= BIT(jobs[i].begun_as);
	cr_assert_eq(seen, BIT(41) - 2);
	probe_down(p);
}

Test(io, cancelled_work_ends_once_and_says_whether_it_ran)
{
	struct probe *p = probe_up();
	struct job jobs[60] = { 0 };

	for (uint32_t i = 0; i < ARRAY_LEN(jobs); i++) {
		io_op_init(&jobs[i].op, &p->actor, PROBE_WORK);
		io_work(p->io, &jobs[i].op, IO_LANE_STORE, number_it, &jobs[i]);
	}
	for (uint32_t i = 0; i < ARRAY_LEN(jobs); i++)
		io_cancel(p->io, &jobs[i].op);
	PROBE_UNTIL(p, p->n == ARRAY_LEN(jobs));
	for (uint32_t i = 0; i < ARRAY_LEN(jobs); i++)
		cr_assert_eq(jobs[i].op.msg.res, jobs[i].begun_as ? jobs[i].begun_as : -ECANCELED);
	probe_down(p);
}

/* ---- the rest ---- */

Test(io, random_bytes_differ)
{
	struct probe *p = probe_up();
	uint8_t a[600] = { 0 };
	uint8_t b[600] = { 0 };

	io_random(p->io, a, sizeof(a));
	io_random(p->io, b, sizeof(b));
	cr_assert_neq(memcmp(a, b, sizeof(a)), 0);
	cr_assert_neq(memcmp(a, a + 300, 300), 0);
	probe_down(p);
}
