#include "actors/gate.h"

#include "actors/msg.h"

void gate_init(struct gate *g, struct actors *actors, uint32_t max)
{
	ASSERT(max > 0);
	*g = (struct gate){ .actors = actors, .max = max };
	list_init(&g->waiting);
}

void gate_wait_init(struct gate_wait *w, const struct actor *owner)
{
	*w = (struct gate_wait){ .msg.type = MSG_PLAN_IO, .owner = owner->id };
}

static bool has_room(const struct gate *g, const struct gate_wait *w)
{
	return g->parts + w->parts <= g->max * GATE_PLACE;
}

static void take(struct gate *g, struct gate_wait *w)
{
	g->taken++;
	g->parts += w->parts;
	w->held = true;
}

bool gate_take(struct gate *g, struct gate_wait *w, uint32_t parts, uint32_t token)
{
	ASSERT(parts > 0 && parts <= GATE_PLACE);
	ASSERT(!w->held);
	ASSERT(!list_linked(&w->link));
	w->parts = parts;
	if (has_room(g, w) && list_empty(&g->waiting)) {
		take(g, w);
		return true;
	}
	w->msg.token = token;
	list_append(&g->waiting, &w->link);
	g->nwaiting++;
	return false;
}

static void admit_next(struct gate *g)
{
	struct list_node *n;

	while ((n = list_first(&g->waiting)) != NULL) {
		struct gate_wait *w = list_entry(n, struct gate_wait, link);

		if (!has_room(g, w))
			return;
		list_remove(n);
		g->nwaiting--;
		take(g, w);
		w->msg.res = 0;
		actor_post(g->actors, w->owner, &w->msg);
	}
}

void gate_set_max(struct gate *g, uint32_t max)
{
	ASSERT(max > 0);
	g->max = max;
	admit_next(g);
}

void gate_give(struct gate *g, struct gate_wait *w)
{
	if (list_linked(&w->link)) {
		list_remove(&w->link);
		g->nwaiting--;
	}
	if (!w->held)
		return;
	w->held = false;
	list_remove(&w->msg.link); /* admitted a moment ago and not told yet */
	ASSERT(g->taken > 0);
	g->taken--;
	g->parts -= w->parts;
	admit_next(g);
}
