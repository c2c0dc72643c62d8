/* config.h - the settings in force: shown, and read again on request.
 *
 * Files are read on a worker thread into settings of their own; what may change while the daemon
 * runs is then taken over at once, between two messages, so no actor sees half of it.  When
 * anything is wrong all stays as it was.  One reload at a time.
 */
#pragma once

#include "actors/env.h"
#include "actors/op.h"

struct config;

/* With the settings of the daemon's start and what was ignored in them; env->conf is already set.
 * input and problems are copied. */
int config_create(struct env *env, const struct conf_input *input,
		  const struct conf_problems *problems, struct config **ret_config);

void config_show(struct env *env, struct op *op);
/* op NULL: nobody waits for the answer (SIGHUP). */
void config_reload(struct env *env, struct op *op);

/* Settings that are not in env->conf alone. */
void config_apply(struct env *env);
