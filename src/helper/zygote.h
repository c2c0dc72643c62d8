/* zygote.h - the process that workers are forked from: the only one that stays privileged.
 *
 * It is forked before the supervisor confines itself, since a filter and a bounding set are
 * inherited and can only be narrowed.  It reads nothing but fixed-size messages from its own kin:
 * from the supervisor, which worker to fork, and from `jail`, which VMM to execute (launch.h).
 *  A worker is a child of the supervisor all the same
 * (CLONE_PARENT), which so learns how it ended.
 */
#pragma once

#include <sys/types.h>

#include "helper/conf.h"
#include "helper/filter.h"

struct zygote {
	pid_t pid; /* 0: none */
	int link;  /* owned; readable once it is gone */
};

int zygote_open(struct zygote *z, const struct helper_conf *conf, struct err *e) MUST_CHECK;
void zygote_close(struct zygote *z); /* ends it */

/* Forks the worker and waits until it has confined itself, which it does before it reads anything;
 * where it cannot start, why. */
int zygote_worker(const struct zygote *z, enum filter_role role, pid_t *ret_pid, int *ret_link,
		  struct err *e) MUST_CHECK;
