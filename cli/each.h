/* each.h - one question to each of several VMs, at once. */
#pragma once

#include "options.h"
#include "session.h"

struct question {
	char ref[REF_MAX + 1];
	struct call call;
};

struct questions {
	struct question *v; /* owned */
	uint32_t n, cap;
};

/* How one VM's answer is shown. */
typedef int each_show(void *arg, const void *result, struct err *e);

/* Asks `m` (whose arguments are struct guest_ask_args) of the VMs that the command's words name, or
 * of those that run and match -l or --all.  `show` gets the answers in that order; who did not
 * answer is reported in its place.  The exit status: STATUS_FAILED where there was one of those. */
int each_vm(const struct options *o, enum client_method m, each_show *show, void *arg);

/* The same in its parts, for those who ask again and again.  Whom to ask: 0, or the exit status
 * after having reported.  `everybody`: all that run, where the command's words do not say. */
int questions_gather(struct session *s, const struct options *o, bool everybody,
		     struct questions *q);
/* Returns once all have ended; `args->ref` is not looked at. */
void questions_ask(struct session *s, enum client_method m, const struct guest_ask_args *args,
		   struct questions *q);
void questions_report(struct session *s, struct question *q); /* of one that failed */
void questions_fini(struct questions *q);
