/* create.h - creating VMs, as `vm create` and `vm run` share it. */
#pragma once

#include "options.h"
#include "proto/client.h"
#include "session.h"

/* The request that the options ask for; its vectors are lent by them. */
int create_args_fill(const struct options *o, struct create_args *ret_args,
		     struct err *e) MUST_CHECK;

/* Checks what the daemon would refuse anyway, says what will be made, creates with progress.  0
 * with c->result, or the exit status after having reported. */
int create_vms(struct session *s, const struct options *o, struct call *c);

/* One line per VM on stdout, failures on stderr with where to look; how many failed. */
uint32_t create_results(struct session *s, const struct options *o, struct call *c, bool lines);

static inline const struct target_result *target_at(const struct targets_result *r, uint32_t i)
{
	return (const struct target_result *)r->targets.items + i;
}

/* Prints why a target failed. */
void target_report(struct session *s, const struct target_result *t, const struct op_id *op);
