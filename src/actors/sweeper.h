/* sweeper.h - what those have in common that look for what no record names: sweep.c in directories
 * and among processes, host_sweep.c at the root helper.
 *
 * One that could not finish is counted among the leaks, and tries again: after a second, doubling
 * up to a minute.
 */
#pragma once

#include "actors/node.h"

struct sweeper {
	struct actor actor;
	struct node *node; /* borrowed: it lives as long as the daemon */
	struct env *env;   /* borrowed */
	struct io_timer retry;
	uint32_t retry_ms;
	bool leaked; /* counted in env.leaks */
};

/* `name`: in the log.  -ENOMEM. */
int sweeper_init(struct sweeper *w, struct node *n, actor_handler *handle,
		 const char *name) MUST_CHECK;

/* How it went this time. */
void sweeper_ended(struct sweeper *w, bool leaked);
/* After one that leaked: w->retry comes. */
void sweeper_retry(struct sweeper *w);
