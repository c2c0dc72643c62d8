/* test_io_sim.c - what only the simulated host can show: chance by seed, faults, its processes and
 * the daemon's death. */
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "io/sim.h"
#include "tests/unit/io_probe.h"

static struct probe *sim_probe_up(struct sim **ret_sim, const struct sim_config *conf)
{
	*ret_sim = sim_create(conf);
	sim_use(*ret_sim);
	return probe_up();
}

static void sim_probe_down(struct probe *p, struct sim *s)
{
	probe_down(p);
	sim_destroy(s);
}

/* ---- chance ---- */

static int answer_7(void *arg, const bool *cancelled)
{
	(void)arg;
	(void)cancelled;
	return 7;
}

/* Order and times of thirty jobs, as a number. */
static uint64_t trace_of(uint64_t seed)
{
	struct sim *s;
	struct probe *p = sim_probe_up(&s, &(struct sim_config){ .seed = seed });
	struct io_op ops[30];
	uint64_t h = 0;

	for (uint32_t i = 0; i < ARRAY_LEN(ops); i++) {
		io_op_init(&ops[i], &p->actor, PROBE_WORK);
		ops[i].msg.token = i;
		io_work(p->io, &ops[i], IO_LANE_ANY, answer_7, NULL);
	}
	for (size_t n = 0; n < ARRAY_LEN(ops); n = p->n) {
		cr_assert_eq(io_turn(p->io), 0);
		h = h * 31 + sim_now_us(s) * p->n + p->notes[n].token;
	}
	sim_probe_down(p, s);
	return h;
}

Test(io_sim, a_seed_is_a_run)
{
	cr_assert_eq(trace_of(1), trace_of(1));
	cr_assert_neq(trace_of(1), trace_of(2));
}

Test(io_sim, given_bytes_choose_until_they_end)
{
	const uint8_t bytes[] = { 5, 250, 3, 1, 1 };
	struct sim *s = sim_create(&(struct sim_config){ .choices = bytes, .nchoices = 5 });

	cr_assert_eq(sim_choose(s, 10), 5);
	cr_assert_eq(sim_choose(s, 100), 50);
	cr_assert_eq(sim_choose(s, 1000), (3 << 8 | 1) % 1000);
	cr_assert_eq(sim_choose(s, 1), 0, "no choice, no byte");
	cr_assert_eq(sim_choose(s, 10), 1);
	cr_assert_lt(sim_choose(s, 10), 10, "then the seed decides");
	sim_destroy(s);
}

Test(io_sim, time_jumps_to_what_is_due)
{
	struct sim *s;
	struct probe *p = sim_probe_up(&s, &(struct sim_config){ .steady = true });
	const uint64_t from_us = sim_now_us(s);
	struct io_timer t;

	io_timer_init(&t, &p->actor, PROBE_TIMER);
	io_timer_set(p->io, &t, 24 * 3600 * 1000, 0);
	for (int turns = 0; p->n == 0; turns++) {
		cr_assert_lt(turns, 3);
		cr_assert_eq(io_turn(p->io), 0);
	}
	cr_assert_eq((sim_now_us(s) - from_us) / 1000000, 24 * 3600);
	const uint64_t wall_ms = io_wall_ms(p->io);
	sim_wall_jump(s, -5000);
	cr_assert_eq(io_wall_ms(p->io), wall_ms - 5000);
	sim_probe_down(p, s);
}

/* ---- faults ---- */

struct rule {
	enum sim_effect effect;
	struct sim_verdict verdict;
};

static void by_rule(void *arg, const struct sim_call *call, struct sim_verdict *v)
{
	const struct rule *r = arg;

	if (call->effect == r->effect)
		*v = r->verdict;
}

Test(io_sim, what_is_to_fail_fails_and_nothing_happens)
{
	struct sim *s;
	struct probe *p = sim_probe_up(&s, &(struct sim_config){ .steady = true });
	struct rule rule = { SIM_CONNECT, { .error = -ENOMEM } };
	const char *path = probe_path("fail");
	struct err e = { 0 };
	struct io_op op;

	const int fd = io_listen_unix(p->io, path, &e);
	sim_policy(s, by_rule, &rule);
	io_op_init(&op, &p->actor, PROBE_CONNECT);
	io_connect_unix(p->io, &op, path);
	PROBE_UNTIL(p, p->n == 1);
	cr_assert_eq(p->notes[0].res, -ENOMEM);
	cr_assert_eq(sim_daemon_fds(s), 1);
	rule = (struct rule){ SIM_LISTEN, { .error = -EMFILE } };
	cr_assert_eq(io_listen_unix(p->io, probe_path("fail2"), &e), -EMFILE);
	cr_assert_eq(sim_listeners(s), 1);
	io_close(p->io, fd);
	sim_probe_down(p, s);
}

Test(io_sim, what_hangs_ends_when_it_is_cancelled)
{
	struct sim *s;
	struct probe *p = sim_probe_up(&s, &(struct sim_config){ .steady = true });
	struct rule rule = { SIM_CONNECT, { .hang = true } };
	const char *path = probe_path("hang");
	const int fd = io_listen_unix(p->io, path, NULL);
	struct io_timer t;
	struct io_op op;

	sim_policy(s, by_rule, &rule);
	io_op_init(&op, &p->actor, PROBE_CONNECT);
	io_timer_init(&t, &p->actor, PROBE_TIMER);
	io_connect_unix(p->io, &op, path);
	io_timer_set(p->io, &t, 3600 * 1000, 0);
	PROBE_UNTIL(p, probe_count(p, PROBE_TIMER) == 1);
	cr_assert_eq(probe_count(p, PROBE_CONNECT), 0);
	io_cancel(p->io, &op);
	PROBE_UNTIL(p, probe_count(p, PROBE_CONNECT) == 1);
	cr_assert_eq(op.msg.res, -ECANCELED);
	io_close(p->io, fd);
	sim_probe_down(p, s);
}

/* ---- processes ---- */

static void soon(struct sim_proc *p)
{
	sim_proc_exit(p, W_EXITCODE(3, 0));
}

static void brief_start(struct sim_proc *p)
{
	sim_proc_after(p, 5000, soon);
}

static const struct sim_program brief = { .name = "brief", .start = brief_start };
static const struct sim_program lasting = { .name = "lasting" };

struct child {
	struct strv argv;
	struct io_spawn sp;
	struct io_op op;
	struct io_op exit;
};

static int child_spawn(struct probe *p, struct child *c, const char *path, const char *word)
{
	cr_assert_eq(strv_add(&c->argv, path), 0);
	cr_assert_eq(strv_add(&c->argv, word), 0);
	c->sp = (struct io_spawn){ .argv = &c->argv, .cgroup_fd = -EBADF };
	io_op_init(&c->op, &p->actor, PROBE_SPAWN);
	io_op_init(&c->exit, &p->actor, PROBE_POLL);
	io_spawn(p->io, &c->op, &c->sp);
	PROBE_UNTIL(p, !io_op_busy(&c->op));
	strv_fini(&c->argv);
	return c->op.msg.res;
}

Test(io_sim, a_process_ends_is_seen_and_is_reaped_once)
{
	struct sim *s;
	struct probe *p = sim_probe_up(&s, &(struct sim_config){ .steady = true });
	struct child c = { 0 };
	int status = 0;

	sim_install(s, &brief);
	cr_assert_eq(child_spawn(p, &c, "/usr/bin/brief", "process=x"), 0);
	cr_assert_eq(io_reap(p->io, c.sp.pidfd, &status), -EAGAIN);
	const int found = io_find_process(p->io, "process=x");
	cr_assert_geq(found, 0);
	io_close(p->io, found);
	io_poll(p->io, &c.exit, c.sp.pidfd, POLLIN);
	PROBE_UNTIL(p, !io_op_busy(&c.exit));
	cr_assert_eq(sim_daemon_children(s), 1, "a zombie until then");
	cr_assert_eq(io_find_process(p->io, "process=x"), -ESRCH);
	cr_assert_eq(io_kill(p->io, c.sp.pidfd, SIGKILL), 0);
	cr_assert_eq(io_reap(p->io, c.sp.pidfd, &status), 0);
	cr_assert_eq(WEXITSTATUS(status), 3);
	cr_assert_eq(sim_daemon_children(s), 0);
	cr_assert_eq(io_kill(p->io, c.sp.pidfd, SIGKILL), -ESRCH);
	cr_assert_eq(io_reap(p->io, c.sp.pidfd, &status), -ECHILD);
	io_close(p->io, c.sp.pidfd);
	sim_probe_down(p, s);
}

Test(io_sim, a_program_that_is_not_installed_cannot_be_spawned)
{
	struct sim *s;
	struct probe *p = sim_probe_up(&s, &(struct sim_config){ .steady = true });
	struct child c = { 0 };

	cr_assert_eq(child_spawn(p, &c, "/usr/bin/nothing", "x"), -ENOENT);
	cr_assert_str_eq(c.sp.err.text, "spawn /usr/bin/nothing: exec: No such file or directory");
	sim_probe_down(p, s);
}

Test(io_sim, a_killed_daemon_leaves_its_children_and_the_next_one_finds_them)
{
	struct sim *s;
	struct probe *p = sim_probe_up(&s, &(struct sim_config){ .steady = true });
	struct child c = { 0 };
	int status;

	sim_install(s, &lasting);
	cr_assert_eq(child_spawn(p, &c, "lasting", "word"), 0);
	io_listen_unix(p->io, probe_path("left"), NULL);
	actor_fini(&p->actor);
	sim_kill(s);
	actors_fini(&p->actors);
	free(p);
	cr_assert_eq(sim_listeners(s), 0);
	cr_assert_not_null(sim_find(s, c.sp.pid));

	p = probe_up();
	cr_assert_eq(io_adopt(p->io, c.sp.pid, c.sp.start_ticks + 1, "word"), -ESRCH);
	cr_assert_eq(io_adopt(p->io, c.sp.pid, c.sp.start_ticks, "words"), -ESRCH);
	const int fd = io_adopt(p->io, c.sp.pid, c.sp.start_ticks, "word");
	cr_assert_geq(fd, 0);
	cr_assert_eq(io_kill(p->io, fd, SIGKILL), 0);
	io_poll(p->io, &c.exit, fd, POLLIN);
	c.exit.owner = p->actor.id;
	PROBE_UNTIL(p, !io_op_busy(&c.exit));
	cr_assert_eq(io_reap(p->io, fd, &status), -ECHILD);
	io_close(p->io, fd);
	sim_probe_down(p, s);
}

Test(io_sim, the_daemon_dies_before_the_effect_that_was_chosen)
{
	struct sim *s;
	struct probe *p = sim_probe_up(&s, &(struct sim_config){ .steady = true });
	const char *path = probe_path("dies");
	struct io_op op;

	const int fd = io_listen_unix(p->io, path, NULL);
	cr_assert_geq(fd, 0);
	sim_die_at(s, 2);
	cr_assert_geq(io_listen_unix(p->io, probe_path("dies1"), NULL), 0);
	io_op_init(&op, &p->actor, PROBE_CONNECT);
	io_connect_unix(p->io, &op, path);
	for (int i = 0; i < 10; i++)
		cr_assert_eq(io_turn(p->io), 0);
	cr_assert(sim_dead(s));
	cr_assert_eq(p->n, 0);
	cr_assert_eq(sim_daemon_fds(s), 2, "the connect has not happened");
	sim_kill(s);
	sim_destroy(s);
	/* Its memory is ours to free. */
	free(op.priv.connect);
	p->actor.inflight = 0;
	actor_fini(&p->actor);
	actors_fini(&p->actors);
	free(p);
}

/* ---- peers ---- */

struct peer {
	struct sim_conn conn;
	size_t got;
	int ended; /* 1 + -error */
};

static void peer_data(struct sim_conn *c, const uint8_t *data, size_t len)
{
	struct peer *peer = c->arg;

	peer->got += len;
	sim_conn_send(c, data, len);
}

static void peer_end(struct sim_conn *c, int error)
{
	((struct peer *)c->arg)->ended = 1 - error;
}

static const struct sim_conn_ops peer_ops = { peer_data, peer_end };

Test(io_sim, a_peer_that_echoes_is_not_told_apart_from_a_real_one)
{
	struct sim *s;
	struct probe *p = sim_probe_up(&s, &(struct sim_config){ .seed = 3 });
	static uint8_t block[100000];
	struct peer peer = { 0 };
	struct io_listener l;
	struct io_stream st;
	const uint8_t *data;
	size_t got = 0;
	size_t n;
	int fd = -EBADF;

	probe_listen(p, &l, probe_path("peer"));
	cr_assert_eq(sim_connect(s, &peer.conn, probe_path("nobody"), &peer_ops, &peer), -ENOENT);
	cr_assert_eq(sim_connect(s, &peer.conn, probe_path("peer"), &peer_ops, &peer), 0);
	PROBE_UNTIL(p, (fd = io_listener_next(p->io, &l)) >= 0);
	cr_assert_eq(io_stream_open(p->io, &st, &p->actor, PROBE_A, fd), 0);
	cr_assert_eq(buf_append(io_stream_out(&st), block, sizeof(block)), 0);
	io_stream_flush(p->io, &st);
	while (got < sizeof(block)) {
		cr_assert_eq(io_turn(p->io), 0);
		while ((n = io_stream_peek(&st, &data)) > 0) {
			cr_assert_eq(memcmp(data, block, n), 0, "not from a buffer given back");
			io_stream_consume(p->io, &st, n);
			got += n;
		}
	}
	cr_assert_eq(peer.got, sizeof(block));
	io_stream_close(p->io, &st, 0);
	io_listener_close(p->io, &l);
	PROBE_UNTIL(p, st.closed && l.closed && peer.ended != 0 && actors_idle(&p->actors));
	cr_assert_eq(peer.ended, 1);
	sim_conn_close(&peer.conn);
	sim_probe_down(p, s);
}
