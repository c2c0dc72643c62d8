#include "actors/sweeper.h"

#include <stdio.h>

#include "actors/limits.h"
#include "actors/msg.h"

int sweeper_init(struct sweeper *w, struct node *n, actor_handler *handle, const char *name)
{
	const int rc = actor_init(&w->actor, n->env->actors, handle);

	if (rc < 0)
		return rc;
	(void)snprintf(w->actor.log.actor, sizeof(w->actor.log.actor), "%s", name);
	w->node = n;
	w->env = n->env;
	io_timer_init(&w->retry, &w->actor, MSG_TIMER);
	return 0;
}

void sweeper_ended(struct sweeper *w, bool leaked)
{
	w->env->leaks -= w->leaked;
	w->leaked = leaked;
	w->env->leaks += w->leaked;
	w->retry_ms = !leaked ? 0 : w->retry_ms == 0 ? RETRY_FIRST_MS : w->retry_ms * 2;
	if (w->retry_ms > RETRY_MAX_MS)
		w->retry_ms = RETRY_MAX_MS;
}

void sweeper_retry(struct sweeper *w)
{
	io_timer_set(w->env->io, &w->retry, w->retry_ms, 0);
}
