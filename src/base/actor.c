#include "base/actor.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"

enum {
	ACTORS_FIRST = 64, /* slots */
};

void actors_init(struct actors *s)
{
	*s = (struct actors){ 0 };
	list_init(&s->runnable);
	list_init(&s->last);
}

void actors_fini(struct actors *s)
{
	ASSERT(s->nfree == s->nslots);
	free((void *)s->slots);
	free(s->gens);
	free(s->free_slots);
	*s = (struct actors){ 0 };
}

static int actors_grow(struct actors *s)
{
	const uint32_t n = s->nslots ? s->nslots * 2 : ACTORS_FIRST;
	struct actor **slots = realloc((void *)s->slots, n * sizeof(struct actor *));

	if (!slots)
		return -ENOMEM;
	s->slots = slots;
	uint32_t *gens = realloc(s->gens, n * sizeof(uint32_t));
	if (!gens)
		return -ENOMEM;
	s->gens = gens;
	uint32_t *free_slots = realloc(s->free_slots, n * sizeof(uint32_t));
	if (!free_slots)
		return -ENOMEM;
	s->free_slots = free_slots;
	for (uint32_t i = n; i > s->nslots; i--) {
		s->slots[i - 1] = NULL;
		s->gens[i - 1] = 0;
		s->free_slots[s->nfree++] = i - 1;
	}
	s->nslots = n;
	return 0;
}

int actor_init(struct actor *a, struct actors *s, actor_handler *handle)
{
	if (s->nfree == 0) {
		const int rc = actors_grow(s);

		if (rc < 0)
			return rc;
	}
	const uint32_t slot = s->free_slots[--s->nfree];

	if (++s->gens[slot] == 0) /* wrapped: 0 stays "never" */
		s->gens[slot] = 1;
	*a = (struct actor){
		.id = { slot, s->gens[slot] },
		.handle = handle,
		.system = s,
	};
	list_init(&a->mailbox);
	s->slots[slot] = a;
	return 0;
}

static void msg_drop(struct actors *s, struct msg *m)
{
	s->dropped++;
	if (m->drop)
		m->drop(m);
}

void actor_fini(struct actor *a)
{
	struct actors *s = a->system;
	struct list_node *n;

	if (!s)
		return;
	ASSERT(a->inflight == 0);
	s->slots[a->id.slot] = NULL;
	s->free_slots[s->nfree++] = a->id.slot;
	list_remove(&a->runnable);
	while ((n = list_pop(&a->mailbox)) != NULL)
		msg_drop(s, list_entry(n, struct msg, link));
	a->system = NULL;
	a->id = (struct actor_id){ 0 };
}

void actor_drain(struct actor *a)
{
	struct list_node *n;

	while ((n = list_pop(&a->mailbox)) != NULL)
		a->handle(a, list_entry(n, struct msg, link));
}

struct actor *actor_find(const struct actors *s, struct actor_id id)
{
	if (id.slot >= s->nslots || id.gen == 0 || s->gens[id.slot] != id.gen)
		return NULL;
	return s->slots[id.slot];
}

static bool post(struct actors *s, struct list *line, struct actor_id to, struct msg *m)
{
	struct actor *a = actor_find(s, to);

	if (!a) {
		msg_drop(s, m);
		return false;
	}
	list_append(&a->mailbox, &m->link);
	if (!list_linked(&a->runnable))
		list_append(line, &a->runnable);
	return true;
}

bool actor_post(struct actors *s, struct actor_id to, struct msg *m)
{
	return post(s, &s->runnable, to, m);
}

bool actor_post_last(struct actors *s, struct actor_id to, struct msg *m)
{
	return post(s, &s->last, to, m);
}

/* Who becomes runnable meanwhile is for the next round. */
static void actors_round(struct actors *s, struct list *line)
{
	struct list round;
	struct list_node *n;

	list_init(&round);
	list_splice(&round, line);
	while ((n = list_pop(&round)) != NULL) {
		struct actor *a = list_entry(n, struct actor, runnable);
		const struct actor_id id = a->id;

		for (int i = 0; i < ACTOR_TURN_MAX; i++) {
			struct list_node *m = list_pop(&a->mailbox);

			if (!m)
				break;
			s->handled++;
			a->handle(a, list_entry(m, struct msg, link));
			a = actor_find(s, id); /* the handler may have ended its actor */
			if (!a)
				break;
		}
		if (a && !list_empty(&a->mailbox) && !list_linked(&a->runnable))
			list_append(&s->runnable, &a->runnable);
	}
}

bool actors_run(struct actors *s)
{
	for (int i = 0; i < ACTOR_ROUNDS_MAX && !list_empty(&s->runnable); i++)
		actors_round(s, &s->runnable);
	actors_round(s, &s->last);
	return !actors_idle(s);
}
