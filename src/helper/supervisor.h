/* supervisor.h - one loop over the listener, the connections and the workers.
 *
 * It reads envelopes, to know which worker a request is for, and no more of them than that:
 * arguments are first looked at by the confined worker.
 */
#pragma once

#include "base/err.h"
#include "base/notify.h"
#include "helper/conf.h"

/* Serves until SIGTERM or SIGINT, which the caller has blocked; what is under way is finished.
 * `listener` is the caller's. */
int supervisor_run(const struct helper_conf *conf, int listener, const struct notify *notify,
		   struct err *e) MUST_CHECK;
