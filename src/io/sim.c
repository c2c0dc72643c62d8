#include "io/sim.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "io/sim_host.h"

bool sim_daemon_runs;
bool sim_working;

enum {
	HEAP_FIRST = 64,
	TIE_BITS = 16,
};

#define WALL_FIRST_MS UINT64_C(1800000000000) /* of a host at its first boot: January 2027 */

/* How long things take, microseconds: at least, usually, and once in a while. */
/* clang-format off */
static const struct sim_pace {
	const char *name;
	uint32_t least_us, usual_us, most_us;
} paces[SIM_NEFFECTS] = {
	[SIM_LISTEN]  = { "listen",     0,    0,      0 },
	[SIM_CONNECT] = { "connect",   10,   50,   2000 },
	[SIM_ACCEPT]  = { "accept",    10,   50,   2000 },
	[SIM_OPEN]    = { "open",       0,    0,      0 },
	[SIM_RECV]    = { "recv",       5,   20,   5000 },
	[SIM_SEND]    = { "send",       5,   20,   5000 },
	[SIM_POLL]    = { "poll",       5,   20,   3000 },
	[SIM_PAIR]    = { "pair",       0,    0,      0 },
	[SIM_WORK]    = { "work",      50, 1000,  50000 },
	[SIM_STORE]   = { "store",    100,  300,  20000 },
	[SIM_SPAWN]   = { "spawn",    500, 2000,  50000 },
	[SIM_KILL]    = { "kill",      10,  100,   5000 },
	[SIM_ADOPT]   = { "adopt",      0,    0,      0 },
	[SIM_FILE]    = { "file",       0,    0,      0 },
	[SIM_MEMORY]  = { "memory",     0,    0,      0 },
	[SIM_HELPER]  = { "helper",     0,    0,      0 },
};
/* clang-format on */

const char *sim_effect_name(enum sim_effect e)
{
	return paces[e].name;
}

void *sim_alloc(size_t bytes)
{
	SIM_HOST_SCOPE;
	void *mem = calloc(1, bytes);

	ASSERT(mem); /* the machine that simulates is short of memory, not the simulated one */
	return mem;
}

bool sim_host_enter(void)
{
	const bool was = sim_daemon_runs;

	sim_daemon_runs = false;
	return was;
}

void sim_host_leave(const bool *was)
{
	sim_daemon_runs = *was;
}

/* ---- chance ---- */

/* splitmix64, public domain, by Sebastiano Vigna. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint32_t sim_choose(struct sim *s, uint32_t n)
{
	if (n < 2)
		return 0;
	if (s->conf.nchoices == 0)
		return (uint32_t)(next_random(&s->rng) % n);
	/* Given bytes decide while they last: two where one is too small. */
	uint32_t v = *s->conf.choices++;

	s->conf.nchoices--;
	if (n > 256 && s->conf.nchoices > 0) {
		v = v << 8 | *s->conf.choices++;
		s->conf.nchoices--;
	}
	return v % n;
}

bool sim_chance(struct sim *s, uint32_t one_in)
{
	return sim_choose(s, one_in) == 0;
}

uint64_t sim_usual_us(struct sim *s, enum sim_effect e)
{
	const struct sim_pace *p = &paces[e];

	if (s->conf.steady || p->most_us == 0)
		return p->usual_us;
	if (sim_chance(s, 16)) /* something was in its way */
		return p->usual_us + sim_choose(s, p->most_us - p->usual_us + 1);
	return p->least_us + sim_choose(s, 2 * (p->usual_us - p->least_us) + 1);
}

void io_random(struct io *io, void *buf, size_t len)
{
	struct sim *s = sim_io_of(io)->sim;
	uint8_t *at = buf;

	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)next_random(&s->random);
}

/* ---- time ---- */

uint64_t sim_now_us(const struct sim *s)
{
	return s->now_us;
}

uint64_t io_wall_ms(const struct io *io)
{
	const struct sim *s = ((const struct sim_io *)(const void *)io)->sim;

	return (uint64_t)((int64_t)(WALL_FIRST_MS + s->now_us / 1000) + s->wall_off_ms);
}

void sim_wall_jump(struct sim *s, int64_t ms)
{
	s->wall_off_ms += ms;
}

static bool sooner(const struct sim_event *a, const struct sim_event *b)
{
	return a->at_us < b->at_us || (a->at_us == b->at_us && a->tie < b->tie);
}

static void heap_put(struct sim *s, uint32_t at, struct sim_event *ev)
{
	s->heap[at] = ev;
	ev->slot = at + 1;
}

static void heap_up(struct sim *s, uint32_t at, struct sim_event *ev)
{
	while (at > 0 && sooner(ev, s->heap[(at - 1) / 2])) {
		heap_put(s, at, s->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_put(s, at, ev);
}

static void heap_down(struct sim *s, uint32_t at, struct sim_event *ev)
{
	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child + 1 < s->nheap && sooner(s->heap[child + 1], s->heap[child]))
			child++;
		if (child >= s->nheap || !sooner(s->heap[child], ev))
			break;
		heap_put(s, at, s->heap[child]);
		at = child;
	}
	heap_put(s, at, ev);
}

void sim_event_cancel(struct sim *s, struct sim_event *ev)
{
	if (ev->slot == 0)
		return;
	const uint32_t at = ev->slot - 1;
	struct sim_event *last = s->heap[--s->nheap];

	ev->slot = 0;
	if (last == ev)
		return;
	if (at > 0 && sooner(last, s->heap[(at - 1) / 2]))
		heap_up(s, at, last);
	else
		heap_down(s, at, last);
}

void sim_event_set(struct sim *s, struct sim_event *ev, uint64_t delay_us)
{
	SIM_HOST_SCOPE;

	sim_event_cancel(s, ev);
	if (s->nheap == s->heap_cap) {
		s->heap_cap = s->heap_cap ? s->heap_cap * 2 : HEAP_FIRST;
		s->heap = realloc((void *)s->heap, s->heap_cap * sizeof(*s->heap));
		ASSERT(s->heap);
	}
	ev->at_us = s->now_us + delay_us;
	ev->tie = ++s->seq;
	if (!s->conf.steady) /* who comes first at the same time is chance too */
		ev->tie |= (uint64_t)sim_choose(s, 1 << TIE_BITS) << (64 - TIE_BITS);
	s->nheap++;
	heap_up(s, s->nheap - 1, ev);
}

bool sim_next_us(const struct sim *s, uint64_t *ret_at_us)
{
	if (s->nheap == 0)
		return false;
	*ret_at_us = s->heap[0]->at_us;
	return true;
}

void sim_fire_due(struct sim *s)
{
	while (!s->dead && s->nheap > 0 && s->heap[0]->at_us <= s->now_us) {
		struct sim_event *ev = s->heap[0];

		sim_event_cancel(s, ev);
		ev->fire(ev);
	}
}

bool sim_idle(const struct sim *s)
{
	return s->nheap == 0;
}

void sim_run(struct sim *s, uint64_t for_us)
{
	const uint64_t until_us = s->now_us + for_us;
	uint64_t at_us;

	ASSERT(!s->daemon);
	while (sim_next_us(s, &at_us) && at_us <= until_us) {
		s->now_us = at_us;
		sim_fire_due(s);
	}
	s->now_us = until_us;
}

/* ---- what fails, and the daemon's end ---- */

void sim_policy(struct sim *s, sim_policy_fn *fn, void *arg)
{
	s->policy = fn;
	s->policy_arg = arg;
}

void sim_judge(struct sim *s, enum sim_effect e, const char *what, struct sim_verdict *v)
{
	SIM_HOST_SCOPE;
	const struct sim_call call = { .effect = e, .what = what };

	*v = (struct sim_verdict){ 0 };
	if (s->policy)
		s->policy(s->policy_arg, &call, v);
}

bool sim_act(struct sim *s)
{
	if (!s->dead && s->die_at > 0 && --s->die_at == 0)
		s->dead = true;
	if (s->dead)
		return false;
	s->acts++;
	return true;
}

int sim_ask(struct sim *s, enum sim_effect effect, const char *what)
{
	struct sim_verdict v;

	sim_judge(s, effect, what, &v);
	if (v.error)
		return v.error;
	if (effect == SIM_MEMORY)
		return s->dead ? -ENOMEM : 0;
	return sim_act(s) ? 0 : -EIO;
}

void sim_die_at(struct sim *s, uint64_t n)
{
	s->die_at = n;
}

bool sim_dead(const struct sim *s)
{
	return s->dead;
}

uint64_t sim_acts(const struct sim *s)
{
	return s->acts;
}

/* ---- life ---- */

struct sim *sim_create(const struct sim_config *conf)
{
	struct sim *s = sim_alloc(sizeof(*s));

	s->conf = *conf;
	s->rng = conf->seed;
	s->random = ~conf->seed;
	s->now_us = 1000000; /* some time after its boot */
	s->last_pid = SIM_PID_FIRST;
	list_init(&s->listeners);
	list_init(&s->socks);
	list_init(&s->conns);
	list_init(&s->procs);
	return s;
}

void sim_kill(struct sim *s)
{
	SIM_HOST_SCOPE;

	if (s->daemon)
		sim_io_drop(s->daemon);
	s->daemon = NULL;
	proc_orphan_all(s);
	s->dead = false;
	s->die_at = 0;
}

void sim_power_loss(struct sim *s)
{
	SIM_HOST_SCOPE;

	sim_kill(s);
	proc_drop_all(s);
	sock_drop_all(s);
	s->last_pid = SIM_PID_FIRST;
	s->now_us += 1000000;
	s->boot_us = s->now_us;
}

void sim_destroy(struct sim *s)
{
	if (!s)
		return;
	SIM_HOST_SCOPE;

	ASSERT(!s->daemon);
	proc_drop_all(s);
	sock_drop_all(s);
	ASSERT(list_empty(&s->listeners));
	free((void *)s->heap);
	free(s);
}
