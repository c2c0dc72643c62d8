/* test_helper_proxy.c - the daemon's end of the conversation with the root helper, against a fake
 * one on the same simulated host: it answers late, in pieces, and as badly as it is told.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors/helper.h"
#include "io/sim.h"
#include "proto/frame.h"
#include "proto/wire.h"

/* Criterion 2.4.1 keeps 48 bytes in its own process, which LeakSanitizer sees where chance will. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libcriterion";
}

enum {
	MSG_ANSWER = 1000,
	FAKE_LISTENER,
	FAKE_STREAM,
	QUESTIONS = 100, /* more than may be under way at once */
	TURNS = 100000,
	SEEDS = 12,
};

enum mood {
	WELL,
	REVERSED, /* answers what it has read in reverse */
	DUMB,     /* never says hello */
	BABBLING, /* bytes that are no frame */
	TWICE,    /* says hello twice */
	STRAY,    /* answers what was not asked */
	MISSING,  /* announces a descriptor that it does not send */
	TURNING,  /* an error about the connection, then the end */
	LEAVING,  /* hangs up after its first answer */
	SILENT,   /* reads and does not answer */
};

struct asked {
	uint32_t id;
	uint32_t slot;
};

struct place {
	struct sim *sim;
	struct actors actors;
	struct io *io;
	struct helper *h;
	char dir[64];
	char path[96];
	/* who asks */
	struct actor owner;
	struct helper_answer *answers[QUESTIONS]; /* owned */
	uint32_t nanswers;
	/* the fake */
	struct actor fake;
	struct io_listener listener;
	struct io_stream s;
	bool listening, open;
	struct buf in;
	enum mood mood;
	uint32_t fds; /* that come with each answer */
	struct asked asked[QUESTIONS];
	uint32_t nasked;
	uint32_t connections;
	int other_ends[QUESTIONS * HELPER_FDS_MAX];
	uint32_t nends;
};

/* ---- the fake helper ---- */

static void fake_say(struct place *p, const struct wire *w)
{
	cr_assert_eq(wire_encode(w, io_stream_out(&p->s)), 0);
	io_stream_flush(p->io, &p->s);
}

static void fake_hello(struct place *p)
{
	fake_say(p, &(struct wire){ .type = WIRE_HELLO,
				    .name = "fake",
				    .version = WIRE_VERSION,
				    .version_min = WIRE_VERSION_MIN,
				    .frame_max = HELPER_FRAME_MAX });
}

static void fake_reply(struct place *p, const struct asked *a)
{
	const struct helper_vmm_view view = { .pid = a->slot + 1, .uid = 200000 + a->slot };
	struct wire w = { .type = WIRE_REPLY, .id = a->id, .fds = p->fds };
	struct buf body;

	for (uint32_t i = 0; p->mood != MISSING && i < p->fds; i++) {
		int ends[2];

		cr_assert_eq(io_pair(p->io, ends), 0);
		sim_pass(p->io, &p->s, ends[0]);
		p->other_ends[p->nends++] = ends[1];
	}
	buf_init(&body, HELPER_FRAME_MAX);
	cr_assert_eq(schema_encode(&helper_vmm_view_schema, &view, &body), 0);
	w.body = (struct wire_span){ buf_data(&body), buf_len(&body) };
	fake_say(p, &w);
	buf_fini(&body);
}

static void fake_hang_up(struct place *p)
{
	io_stream_close(p->io, &p->s, 1000);
}

static void fake_answer_all(struct place *p)
{
	const uint32_t n = p->nasked;

	p->nasked = 0;
	for (uint32_t i = 0; i < n && p->mood != SILENT; i++)
		fake_reply(p, &p->asked[p->mood == REVERSED ? n - 1 - i : i]);
	if (p->mood == LEAVING && n > 0)
		fake_hang_up(p);
	if (p->mood == STRAY && n > 0)
		fake_reply(p, &(struct asked){ .id = 4711 });
}

static void fake_request(struct place *p, const struct wire *w)
{
	struct helper_find_args args;

	if (w->type != WIRE_REQUEST)
		return;
	cr_assert_str_eq(w->name, "find_vmm");
	cr_assert_eq(
		schema_decode(&helper_find_args_schema, w->body.data, w->body.len, &args, NULL), 0);
	cr_assert_lt(p->nasked, HELPER_PENDING_MAX);
	p->asked[p->nasked++] = (struct asked){ w->id, args.slot };
}

static void fake_read(struct place *p)
{
	const uint8_t *data;
	size_t n;

	while ((n = io_stream_peek(&p->s, &data)) > 0) {
		cr_assert_eq(buf_append(&p->in, data, n), 0);
		io_stream_consume(p->io, &p->s, n);
	}
	while (buf_len(&p->in) >= FRAME_HEAD) {
		const int len = frame_length(buf_data(&p->in), HELPER_FRAME_MAX, NULL);
		struct wire w;

		cr_assert_geq(len, 0);
		if (buf_len(&p->in) < FRAME_HEAD + (size_t)len)
			break;
		cr_assert_eq(wire_decode(buf_data(&p->in) + FRAME_HEAD, (size_t)len, &w, NULL), 0);
		fake_request(p, &w);
		buf_consume(&p->in, FRAME_HEAD + (size_t)len);
	}
	fake_answer_all(p);
	if (p->s.eof || p->s.error)
		fake_hang_up(p);
}

static void fake_greet(struct place *p)
{
	const struct err busy = { .code = ERR_BUSY, .text = "too many connections" };
	struct wire w = { .type = WIRE_REPLY };

	p->connections++;
	if (p->mood == BABBLING) {
		cr_assert_eq(buf_append(io_stream_out(&p->s), "\xff\xff\xff\xffGET /", 9), 0);
		io_stream_flush(p->io, &p->s);
	} else if (p->mood == TURNING) {
		wire_error_set(&w, &busy, "");
		fake_say(p, &w);
		fake_hang_up(p);
	} else if (p->mood != DUMB) {
		fake_hello(p);
		if (p->mood == TWICE)
			fake_hello(p);
	}
}

static void fake_handle(struct actor *a, struct msg *m)
{
	struct place *p = container_of(a, struct place, fake);

	if (m == &p->listener.msg) {
		if (p->listener.closed) {
			p->listening = false;
			return;
		}
		for (int fd; !p->open && (fd = io_listener_next(p->io, &p->listener)) >= 0;) {
			cr_assert_eq(io_stream_open(p->io, &p->s, &p->fake, FAKE_STREAM, fd), 0);
			p->open = true;
			p->nasked = 0;
			buf_clear(&p->in);
			fake_greet(p);
		}
	} else if (p->s.closed) {
		p->open = false;
	} else {
		fake_read(p);
	}
}

static void fake_listen(struct place *p)
{
	struct err e = { 0 };
	const int fd = io_listen_unix(p->io, p->path, &e);

	cr_assert_geq(fd, 0, "%s", e.text);
	cr_assert_eq(io_listener_open(p->io, &p->listener, &p->fake, FAKE_LISTENER, fd), 0);
	p->listening = true;
}

/* ---- who asks ---- */

static void owner_handle(struct actor *a, struct msg *m)
{
	struct place *p = container_of(a, struct place, owner);

	cr_assert_eq(m->type, (uint32_t)MSG_ANSWER);
	cr_assert_lt(p->nanswers, (uint32_t)QUESTIONS);
	p->answers[p->nanswers++] = container_of(m, struct helper_answer, msg);
}

static struct place *place_up(uint64_t seed, enum mood mood)
{
	struct place *p = calloc(1, sizeof(*p));
	struct err e = { 0 };

	p->sim = sim_create(&(struct sim_config){ .seed = seed, .steady = seed == 0 });
	cr_assert_not_null(p->sim);
	sim_use(p->sim);
	actors_init(&p->actors);
	cr_assert_eq(io_create(NULL, &p->actors, &p->io, &e), 0, "%s", e.text);
	(void)snprintf(p->dir, sizeof(p->dir), "/tmp/helper-proxy-XXXXXX");
	cr_assert_not_null(mkdtemp(p->dir));
	(void)snprintf(p->path, sizeof(p->path), "%s/s", p->dir);
	cr_assert_eq(actor_init(&p->owner, &p->actors, owner_handle), 0);
	cr_assert_eq(actor_init(&p->fake, &p->actors, fake_handle), 0);
	cr_assert_eq(helper_create(p->io, &p->actors, p->path, &p->h), 0);
	buf_init(&p->in, 4 * HELPER_FRAME_MAX);
	p->mood = mood;
	return p;
}

static void turns_until(struct place *p, bool (*cond)(struct place *p))
{
	for (int n = 0; !cond(p); n++) {
		cr_assert_lt(n, TURNS, "hangs");
		cr_assert_eq(io_turn(p->io), 0);
	}
}

static bool all_quiet(struct place *p)
{
	return helper_ended(p->h) && !p->open && !p->listening && actors_idle(&p->actors);
}

static void answers_free(struct place *p)
{
	for (uint32_t i = 0; i < p->nanswers; i++)
		helper_answer_free(p->answers[i]);
	p->nanswers = 0;
}

/* Nothing is left: no descriptor, no connection. */
static void place_down(struct place *p)
{
	helper_end(p->h);
	if (p->listening)
		io_listener_close(p->io, &p->listener);
	if (p->open)
		fake_hang_up(p);
	turns_until(p, all_quiet);
	answers_free(p);
	for (uint32_t i = 0; i < p->nends; i++)
		io_close(p->io, p->other_ends[i]);
	helper_destroy(p->h);
	actor_fini(&p->owner);
	actor_fini(&p->fake);
	buf_fini(&p->in);
	cr_assert_eq(sim_daemon_fds(p->sim), 0);
	io_destroy(p->io);
	actors_fini(&p->actors);
	sim_use(NULL);
	sim_destroy(p->sim);
	(void)unlink(p->path);
	(void)rmdir(p->dir);
	free(p);
}

static void ask(struct place *p, uint32_t slot)
{
	const struct helper_find_args args = { .vm = 4711, .slot = slot };
	struct err e = { 0 };

	cr_assert_eq(helper_ask(p->h,
				&(struct helper_question){ .method = HELPER_FIND_VMM,
							   .args = &args,
							   .owner = p->owner.id,
							   .msg_type = MSG_ANSWER,
							   .token = slot },
				&e),
		     0, "%s", e.text);
}

static uint32_t wanted;

static bool all_answered(struct place *p)
{
	return p->nanswers >= wanted;
}

static void await(struct place *p, uint32_t n)
{
	wanted = n;
	turns_until(p, all_answered);
	cr_assert_eq(p->nanswers, n);
}

static void check_answer(const struct helper_answer *a, uint32_t nfds)
{
	struct helper_vmm_view view;
	struct err e = { 0 };

	cr_assert_eq(a->msg.res, 0, "%s", a->err.text);
	cr_assert_eq(helper_result(a, &view, &e), 0, "%s", e.text);
	cr_assert_eq(view.pid, a->msg.token + 1);
	cr_assert_eq(a->nfds, nfds);
}

/* ---- tests, on a steady host (seed 0) and on others ---- */

Test(helper_proxy, answers_come_in_the_order_of_the_questions, .timeout = 120)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct place *p = place_up(seed, WELL);

		fake_listen(p);
		for (uint32_t i = 0; i < QUESTIONS; i++)
			ask(p, i);
		await(p, QUESTIONS);
		for (uint32_t i = 0; i < QUESTIONS; i++) {
			cr_assert_eq(p->answers[i]->msg.token, i);
			check_answer(p->answers[i], 0);
		}
		cr_assert_eq(p->connections, 1);
		place_down(p);
	}
}

Test(helper_proxy, answers_of_different_workers_find_their_questions, .timeout = 120)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct place *p = place_up(seed, REVERSED);

		fake_listen(p);
		for (uint32_t i = 0; i < QUESTIONS; i++)
			ask(p, i);
		await(p, QUESTIONS);
		for (uint32_t i = 0; i < QUESTIONS; i++)
			check_answer(p->answers[i], 0);
		place_down(p);
	}
}

/* The end that was kept hears what is sent by the one that came with the answer. */
static void check_pair(struct place *p, int mine, int kept)
{
	static struct io_stream a;
	static struct io_stream b;
	const uint8_t *data;

	cr_assert_eq(io_stream_open(p->io, &a, &p->fake, FAKE_STREAM, mine), 0);
	cr_assert_eq(io_stream_open(p->io, &b, &p->fake, FAKE_STREAM, kept), 0);
	cr_assert_eq(buf_append(io_stream_out(&a), "x", 1), 0);
	io_stream_flush(p->io, &a);
	for (int n = 0; io_stream_unread(&b) == 0; n++) {
		cr_assert_lt(n, TURNS);
		cr_assert_eq(io_turn(p->io), 0);
	}
	cr_assert_eq(io_stream_peek(&b, &data), 1);
	cr_assert_eq(data[0], 'x');
	io_stream_close(p->io, &a, 0);
	io_stream_close(p->io, &b, 0);
	for (int n = 0; !a.closed || !b.closed; n++)
		cr_assert(n < TURNS && io_turn(p->io) == 0);
}

Test(helper_proxy, descriptors_come_with_their_answer, .timeout = 120)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct place *p = place_up(seed, WELL);

		p->fds = HELPER_FDS_MAX;
		fake_listen(p);
		for (uint32_t i = 0; i < 10; i++)
			ask(p, i);
		await(p, 10);
		for (uint32_t i = 0; i < 10; i++) {
			check_answer(p->answers[i], HELPER_FDS_MAX);
			for (uint32_t k = 0; k < HELPER_FDS_MAX; k++) {
				const uint32_t at = i * HELPER_FDS_MAX + k;

				check_pair(p, p->answers[i]->fds[k], p->other_ends[at]);
				p->answers[i]->fds[k] = -EBADF;
				p->other_ends[at] = -EBADF;
			}
		}
		place_down(p);
	}
}

Test(helper_proxy, descriptors_for_nobody_are_closed, .timeout = 60)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct place *p = place_up(seed, WELL);

		p->fds = 2;
		fake_listen(p);
		ask(p, 0);
		await(p, 1);
		ask(p, 1);
		actor_fini(&p->owner); /* it is gone before its answer */
		for (int n = 0; p->nends < 4 || !actors_idle(&p->actors); n++)
			cr_assert(n < TURNS && io_turn(p->io) == 0);
		cr_assert_eq(actor_init(&p->owner, &p->actors, owner_handle), 0);
		place_down(p); /* tells of what is left open */
	}
}

Test(helper_proxy, a_broken_connection_fails_what_was_under_way, .timeout = 60)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct place *p = place_up(seed, LEAVING);
		uint32_t good = 0;

		fake_listen(p);
		for (uint32_t i = 0; i < QUESTIONS; i++)
			ask(p, i);
		await(p, QUESTIONS);
		for (uint32_t i = 0; i < QUESTIONS; i++)
			if (p->answers[i]->msg.res == 0)
				good++;
			else
				cr_assert_eq(p->answers[i]->err.code, ERR_HELPER_DOWN, "%s",
					     p->answers[i]->err.text);
		cr_assert_gt(good, 0);
		cr_assert_gt(p->connections, 1, "what had not gone out was asked anew");
		place_down(p);
	}
}

Test(helper_proxy, without_a_helper_nobody_is_kept_waiting, .timeout = 60)
{
	struct place *p = place_up(0, WELL);

	ask(p, 0);
	await(p, 1);
	cr_assert_eq(p->answers[0]->err.code, ERR_HELPER_DOWN);
	cr_assert(strstr(p->answers[0]->err.text, p->path), "%s", p->answers[0]->err.text);
	cr_assert(err_retryable(p->answers[0]->err.code));
	fake_listen(p); /* it has come up: the next question reaches it */
	ask(p, 1);
	await(p, 2);
	check_answer(p->answers[1], 0);
	place_down(p);
}

Test(helper_proxy, a_helper_that_makes_no_sense_is_left, .timeout = 60)
{
	static const struct {
		enum mood mood;
		enum err_code code;
		const char *words;
	} rows[] = {
		{ DUMB, ERR_HELPER_DOWN, "hello" },    { BABBLING, ERR_FRAME_TOO_BIG, "" },
		{ TWICE, ERR_HELPER_DOWN, "twice" },   { STRAY, ERR_HELPER_DOWN, "not asked" },
		{ MISSING, ERR_HELPER_DOWN, "fewer" }, { TURNING, ERR_HELPER_DOWN, "too many" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (uint64_t seed = 0; seed < SEEDS; seed++) {
			struct place *p = place_up(seed, rows[i].mood);

			p->fds = rows[i].mood == MISSING;
			fake_listen(p);
			ask(p, 0);
			for (int n = 0; p->connections < 2;
			     n++) { /* it hangs up, and tries again */
				cr_assert(n < TURNS && io_turn(p->io) == 0, "row %zu", i);
				if (p->nanswers > 0 && p->nanswers < QUESTIONS &&
				    p->connections < 2 && n % 50 == 49)
					ask(p, p->nanswers);
			}
			for (uint32_t k = 0; k < p->nanswers; k++)
				if (p->answers[k]->msg.res < 0 && rows[i].words[0] &&
				    p->answers[k]->err.code == rows[i].code)
					cr_assert(strstr(p->answers[k]->err.text, rows[i].words),
						  "row %zu: %s", i, p->answers[k]->err.text);
			place_down(p);
		}
}

Test(helper_proxy, the_end_answers_everybody, .timeout = 60)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct place *p = place_up(seed, SILENT);
		struct err e = { 0 };
		const struct helper_find_args args = { .vm = 4711 };

		fake_listen(p);
		for (uint32_t i = 0; i < QUESTIONS; i++)
			ask(p, i);
		for (uint64_t i = 0; i < 5 * seed; i++)
			cr_assert_eq(io_turn(p->io), 0);
		helper_end(p->h);
		await(p, QUESTIONS);
		for (uint32_t i = 0; i < QUESTIONS; i++)
			cr_assert_eq(p->answers[i]->err.code, ERR_DAEMON_STOPPING);
		cr_assert_lt(helper_ask(p->h,
					&(struct helper_question){ .method = HELPER_FIND_VMM,
								   .args = &args,
								   .owner = p->owner.id },
					&e),
			     0);
		cr_assert_eq(e.code, ERR_DAEMON_STOPPING);
		place_down(p);
	}
}
