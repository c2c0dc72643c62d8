/* io_probe.h - an actor for tests of io/: it notes every message, and may be told what to do. */
#pragma once

#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"
#ifdef PROBE_SEED /* linked with io_sim: a host on which chance decides */
#include "io/sim.h"
#endif

enum {
	PROBE_NOTES = 4096,
	PROBE_TURNS = 200000, /* a test that needs more hangs */
};

struct probe {
	struct actors actors;
	struct actor actor;
	struct io *io;
	struct note {
		uint32_t type;
		uint32_t token;
		int res;
	} notes[PROBE_NOTES];
	size_t n;
	void (*act)(struct probe *p, struct msg *m);
	void *arg;
};

static inline void probe_handle(struct actor *a, struct msg *m)
{
	struct probe *p = container_of(a, struct probe, actor);

	if (p->n < PROBE_NOTES)
		p->notes[p->n] = (struct note){ m->type, m->token, m->res };
	p->n++;
	if (p->act)
		p->act(p, m);
}

static inline struct probe *probe_up(void)
{
	struct probe *p = calloc(1, sizeof(*p));
	struct err e = { 0 };

#ifdef PROBE_SEED
	sim_use(sim_create(&(struct sim_config){ .seed = PROBE_SEED }));
#endif
	actors_init(&p->actors);
	cr_assert_eq(actor_init(&p->actor, &p->actors, probe_handle), 0);
	cr_assert_eq(io_create(NULL, &p->actors, &p->io, &e), 0, "%s", e.text);
	return p;
}

static inline void probe_down(struct probe *p)
{
	cr_assert_eq(p->actor.inflight, 0, "%u in flight", p->actor.inflight);
	actor_fini(&p->actor);
	io_destroy(p->io);
	actors_fini(&p->actors);
	free(p);
}

/* Turns until cond holds. */
#define PROBE_UNTIL(p, cond)                                                                       \
	do {                                                                                       \
		int turns_ = 0;                                                                    \
		while (!(cond)) {                                                                  \
			cr_assert_lt(turns_++, PROBE_TURNS, "hangs: %s", #cond);                   \
			cr_assert_eq(io_turn((p)->io), 0);                                         \
		}                                                                                  \
	} while (0)

/* Two connected streams over a unix socket: a is the one that connected. */
struct probe_pair {
	struct io_listener listener;
	struct io_op connect;
	struct io_stream a;
	struct io_stream b;
	int accepted;
};

enum probe_msg {
	PROBE_TIMER = 1,
	PROBE_ACCEPT,
	PROBE_CONNECT,
	PROBE_A,
	PROBE_B,
	PROBE_WORK,
	PROBE_POLL,
	PROBE_SPAWN,
};

static inline size_t probe_count(const struct probe *p, uint32_t type)
{
	size_t count = 0;

	for (size_t i = 0; i < p->n; i++)
		count += p->notes[i].type == type;
	return count;
}

static inline const struct note *probe_last(const struct probe *p, uint32_t type)
{
	for (size_t i = p->n; i > 0; i--)
		if (p->notes[i - 1].type == type)
			return &p->notes[i - 1];
	return NULL;
}

static inline void probe_listen(struct probe *p, struct io_listener *l, const char *path)
{
	struct err e = { 0 };
	const int fd = io_listen_unix(p->io, path, &e);

	cr_assert_geq(fd, 0, "%s", e.text);
	cr_assert_eq(io_listener_open(p->io, l, &p->actor, PROBE_ACCEPT, fd), 0);
}

static inline void probe_connect(struct probe *p, struct probe_pair *pair, const char *path)
{
	*pair = (struct probe_pair){ .accepted = -EBADF };
	probe_listen(p, &pair->listener, path);
	io_op_init(&pair->connect, &p->actor, PROBE_CONNECT);
	io_connect_unix(p->io, &pair->connect, path);
	PROBE_UNTIL(p, probe_last(p, PROBE_CONNECT) != NULL &&
			       (pair->accepted >= 0 ||
				(pair->accepted = io_listener_next(p->io, &pair->listener)) >= 0));
	cr_assert_geq(pair->connect.msg.res, 0);
	cr_assert_eq(io_stream_open(p->io, &pair->a, &p->actor, PROBE_A, pair->connect.msg.res), 0);
	cr_assert_eq(io_stream_open(p->io, &pair->b, &p->actor, PROBE_B, pair->accepted), 0);
	io_listener_close(p->io, &pair->listener);
	PROBE_UNTIL(p, pair->listener.closed);
}

static inline void probe_hang_up(struct probe *p, struct probe_pair *pair)
{
	io_stream_close(p->io, &pair->a, 0);
	io_stream_close(p->io, &pair->b, 0);
	PROBE_UNTIL(p, pair->a.closed && pair->b.closed && list_empty(&p->actors.runnable));
}

static char probe_dir[] = "/tmp/io-test-XXXXXX";

static inline int probe_remove_one(const char *path, const struct stat *st, int type,
				   struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

/* Each test is a process, which ends by exit(3) or, where an assertion fails, as well. */
static inline void probe_remove_dir(void)
{
	(void)nftw(probe_dir, probe_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A path in a directory of the test's own. */
static inline const char *probe_path(const char *name)
{
	static char path[256];
	static bool made;

	if (!made) {
		cr_assert_not_null(mkdtemp(probe_dir));
		cr_assert_eq(atexit(probe_remove_dir), 0);
	}
	made = true;
	snprintf(path, sizeof(path), "%s/%s", probe_dir, name);
	return path;
}
