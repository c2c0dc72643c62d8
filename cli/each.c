#include "each.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "list.h"
#include "near.h"
#include "report.h"

enum {
	AT_ONCE_MAX = 256, /* questions under way on the connection */
};

static int add(struct questions *q, const char *ref, struct err *e)
{
	if (q->n == q->cap) {
		const uint32_t cap = q->cap ? 2 * q->cap : 16;
		struct question *v = reallocarray(q->v, cap, sizeof(*v));

		if (!v)
			return err_set(e, ERR_HOST_MEMORY, "list of VMs");
		q->v = v;
		q->cap = cap;
	}
	if (strlen(ref) > REF_MAX)
		return err_set(e, ERR_BAD_REQUEST, "\"%.40s...\" is no name or id of a VM", ref);
	q->v[q->n] = (struct question){ .call = { .method = METHOD_NMETHODS } };
	(void)snprintf(q->v[q->n++].ref, REF_MAX + 1, "%s", ref);
	return 0;
}

static int add_listed(void *arg, const struct vm_view *vm, struct err *e)
{
	return strcmp(vm->state, "running") == 0 ? add(arg, vm->spec.name, e) : 0;
}

static int check_words(const struct options *o, bool everybody, struct err *e)
{
	const int ways = (o->nargs > 0) + (o->labels.n > 0) + o->all;

	if (ways == 1 || (ways == 0 && everybody))
		return 0;
	return err_set(e, ERR_BAD_REQUEST,
		       ways == 0 ? "which VMs? give names or ids, -l KEY=VALUE, or --all"
				 : "give names or ids, or -l, or --all: one of them");
}

int questions_gather(struct session *s, const struct options *o, bool everybody,
		     struct questions *q)
{
	struct err e = { 0 };
	int rc = check_words(o, everybody, &e);

	if (rc == 0 && o->nargs == 0)
		return list_each(s, false, &o->labels, add_listed, q);
	for (uint32_t i = 0; i < o->nargs && rc == 0; i++)
		rc = add(q, o->args[i], &e);
	if (rc == 0)
		return 0;
	report_error(o, &e, NULL, NULL, NULL);
	return STATUS_USAGE;
}

/* All are asked, so many at once; none is moved any more. */
void questions_ask(struct session *s, enum client_method m, const struct guest_ask_args *args,
		   struct questions *q)
{
	struct guest_ask_args one = *args;

	for (uint32_t i = 0; i < q->n; i++) {
		struct call *c = &q->v[i].call;

		while (i >= AT_ONCE_MAX && !q->v[i - AT_ONCE_MAX].call.ended)
			session_turn(s, NULL, 0);
		(void)snprintf(one.ref, sizeof(one.ref), "%s", q->v[i].ref);
		if (session_begin(s, c, m, &one) < 0)
			c->ended = true;
	}
	for (uint32_t i = 0; i < q->n; i++)
		while (!q->v[i].call.ended)
			session_turn(s, NULL, 0);
}

void questions_fini(struct questions *q)
{
	for (uint32_t i = 0; i < q->n; i++)
		if (q->v[i].call.result)
			call_fini(&q->v[i].call);
	free(q->v);
	*q = (struct questions){ 0 };
}

/* The VM's name goes before what went wrong with it. */
void questions_report(struct session *s, struct question *q)
{
	struct call *c = &q->call;

	if (!strstr(c->err.text, q->ref))
		err_ctx(&c->err, "%s", q->ref);
	near_hint(s, &c->err, c->hint, sizeof(c->hint));
	report_error(s->o, &c->err, &c->op_id, c->hint, c->step);
}

static int show_all(struct session *s, const struct options *o, struct questions *q,
		    each_show *show, void *arg)
{
	int status = STATUS_OK;

	for (uint32_t i = 0; i < q->n; i++) {
		struct call *c = &q->v[i].call;
		struct err e = { 0 };

		if (c->err.code) {
			questions_report(s, &q->v[i]);
			status = STATUS_FAILED;
		} else if (show(arg, c->result, &e) < 0) {
			report_error(o, &e, NULL, NULL, NULL);
			status = STATUS_FAILED;
		}
	}
	return s->signo ? STATUS_SIGNAL + s->signo : status;
}

int each_vm(const struct options *o, enum client_method m, each_show *show, void *arg)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	const struct guest_ask_args args = { .deadline_ms = o->timeout_ms };
	struct questions q = { 0 };
	struct err e = { 0 };
	int status;

	if (check_words(o, false, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_USAGE;
	}
	if (session_open(&s, o, true, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_FAILED;
	}
	status = questions_gather(&s, o, false, &q);
	if (status == 0 && q.n == 0)
		report_note(o, "no VM that runs matches");
	if (status == 0 && o->nargs == 1)
		q.v[0].call.op_id = o->op_id;
	if (status == 0) {
		questions_ask(&s, m, &args, &q);
		status = show_all(&s, o, &q, show, arg);
	}
	questions_fini(&q);
	return status;
}
