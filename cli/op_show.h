/* op_show.h - one operation, for people and for a trace viewer. */
#pragma once

#include "options.h"
#include "proto/client.h"

int op_show(const struct options *o, const struct op_view *op, struct err *e) MUST_CHECK;
int op_trace(const struct op_view *op, struct err *e) MUST_CHECK;

static inline const struct op_step *op_step_at(const struct op_view *op, uint32_t i)
{
	return (const struct op_step *)op->steps.items + i;
}

/* The number of the first step of this VM (0: of the whole operation). */
uint32_t op_step_first(const struct op_view *op, vm_id vm);

/* Its name where it is among the operation's first VMs, else its id. */
void op_vm_name(const struct op_view *op, vm_id vm, char out[VM_NAME_MAX + 1]);
