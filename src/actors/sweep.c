#include "actors/sweep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "actors/catalog.h"
#include "actors/files.h"
#include "actors/limits.h"

enum {
	SWEEP_PLACES = 2, /* a directory can be moved within its file system only */
};

struct sweep {
	struct actor actor;
	struct node *node; /* borrowed; while the directories are looked at */
	struct env *env;   /* borrowed */
	struct io_op work;
	struct io_timer retry;
	uint32_t retry_ms;
	bool leaked; /* counted in env.leaks */
	const struct place *place;
	char trash[SWEEP_PLACES][ENV_PATH_MAX];
	uint32_t moved;
	struct err err; /* of the worker */
};

/* ---- who is known ---- */

typedef bool known_fn(const struct sweep *s, const char *name);

static struct vm *vm_of_dir(const struct sweep *s, const char *name)
{
	vm_id id;

	return vm_id_parse(name, &id) == 0 ? node_vm(s->node, id) : NULL;
}

static bool is_vm(const struct sweep *s, const char *name)
{
	return vm_of_dir(s, name) != NULL;
}

/* At rest it has no sockets; else they are its own to remove. */
static bool is_vm_at_work(const struct sweep *s, const char *name)
{
	const struct vm *vm = vm_of_dir(s, name);

	return vm && vm->run;
}

static bool is_image(const struct sweep *s, const char *name)
{
	return catalog_image(s->env->catalog, name) != NULL;
}

static bool is_kernel(const struct sweep *s, const char *name)
{
	return catalog_kernel(s->env->catalog, name) != NULL;
}

static bool is_nothing(const struct sweep *s, const char *name)
{
	(void)s;
	(void)name;
	return false;
}

static const struct place {
	bool runtime; /* else below the state directory */
	const char *dir;
	known_fn *known;
} places[] = {
	{ true, "vm", is_vm_at_work }, /* sockets */
	{ false, "vms", is_vm },       /* disks and logs */
	{ false, "images", is_image },    { false, "kernels", is_kernel },
	{ false, "staging", is_nothing }, /* of jobs that were cut short */
};

/* ---- moving ---- */

static int look_at(void *arg, const char *name)
{
	struct sweep *s = arg;
	const struct place *p = s->place;
	const struct conf *conf = &s->env->conf;
	const char *base = p->runtime ? conf->runtime_dir : conf->state_dir;
	char from[ENV_PATH_MAX + 288];
	char to[ENV_PATH_MAX + 32];
	struct err e = { 0 };

	if (p->known(s, name))
		return 0;
	(void)snprintf(from, sizeof(from), "%.900s/%s/%s", base, p->dir, name);
	(void)snprintf(to, sizeof(to), "%.1000s/%u", s->trash[p->runtime], s->moved);
	if (files_move(from, to, &e) < 0) {
		LOG_WARN(&s->actor.log, NULL, "sweep.failed", K("why", e.text));
		return 0;
	}
	LOG_NOTICE(&s->actor.log, NULL, "sweep.moved", K("path", from));
	s->moved++;
	return 0;
}

/* What an earlier start has moved and not removed is there already: names go on after it. */
static int count(void *arg, const char *name)
{
	struct sweep *s = arg;
	const unsigned long n = strtoul(name, NULL, 10);

	if (n >= s->moved && n < UINT32_MAX)
		s->moved = (uint32_t)n + 1;
	return 0;
}

static void look_around(struct sweep *s)
{
	char dir[ENV_PATH_MAX];
	struct err e = { 0 };

	for (int i = 0; i < SWEEP_PLACES; i++)
		IGNORE(files_each(s->trash[i], count, s, NULL) < 0);
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		const struct conf *conf = &s->env->conf;

		s->place = &places[i];
		(void)snprintf(dir, sizeof(dir), "%.900s/%s",
			       places[i].runtime ? conf->runtime_dir : conf->state_dir,
			       places[i].dir);
		if (files_each(dir, look_at, s, &e) < 0)
			LOG_WARN(&s->actor.log, NULL, "sweep.failed", K("why", e.text));
	}
}

/* ---- removing ---- */

static int remove_trash(void *arg, const bool *cancelled)
{
	struct sweep *s = arg;
	int rc = 0;

	(void)cancelled;
	for (int i = 0; i < SWEEP_PLACES && rc == 0; i++)
		rc = files_remove(s->trash[i], &s->err);
	return rc;
}

static void work(struct sweep *s)
{
	s->err = (struct err){ 0 };
	io_work(s->env->io, &s->work, IO_LANE_ANY, remove_trash, s);
}

static void handle(struct actor *a, struct msg *m)
{
	struct sweep *s = container_of(a, struct sweep, actor);

	if (m == &s->retry.msg) {
		work(s);
		return;
	}
	s->env->leaks -= s->leaked;
	s->leaked = m->res < 0;
	s->env->leaks += s->leaked;
	if (!s->leaked) {
		actor_fini(&s->actor);
		free(s);
		return;
	}
	LOG_WARN(&s->actor.log, NULL, "sweep.failed", K("why", s->err.text));
	s->retry_ms = s->retry_ms == 0 ? RETRY_FIRST_MS : s->retry_ms * 2;
	if (s->retry_ms > RETRY_MAX_MS)
		s->retry_ms = RETRY_MAX_MS;
	io_timer_set(s->env->io, &s->retry, s->retry_ms, 0);
}

int sweep_begin(struct node *n)
{
	struct sweep *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	if (actor_init(&s->actor, n->env->actors, handle) < 0) {
		free(s);
		return -ENOMEM;
	}
	(void)snprintf(s->actor.log.actor, sizeof(s->actor.log.actor), "sweep");
	s->node = n;
	s->env = n->env;
	io_op_init(&s->work, &s->actor, MSG_IO);
	io_timer_init(&s->retry, &s->actor, MSG_TIMER);
	(void)snprintf(s->trash[0], ENV_PATH_MAX, "%.900s/trash", n->env->conf.state_dir);
	(void)snprintf(s->trash[1], ENV_PATH_MAX, "%.900s/trash", n->env->conf.runtime_dir);
	look_around(s);
	work(s);
	return 0;
}
