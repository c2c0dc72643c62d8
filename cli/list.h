/* list.h - every VM that a question matches, page by page. */
#pragma once

#include "options.h"
#include "session.h"

typedef int list_fn(void *arg, const struct vm_view *vm, struct err *e);

/* Calls fn for each VM in the daemon's order.  0, or the exit status after having reported. */
int list_each(struct session *s, bool all, const struct strv *labels, list_fn *fn, void *arg);

/* The command's one word as a reference. */
int ref_args_fill(const struct options *o, struct ref_args *ret_args, struct err *e) MUST_CHECK;

/* vm.show of the command's one word: 0 with c->result, or the exit status. */
int list_show(const struct options *o, struct call *c);
