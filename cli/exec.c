/* exec.c - `vm exec` and `vm shell`: a command in a VM that runs, or in every one that matches. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "list.h"
#include "report.h"
#include "session.h"
#include "stream.h"

struct matches {
	struct stream_target *v; /* owned */
	uint32_t n, cap;
};

static int match_add(void *arg, const struct vm_view *vm, struct err *e)
{
	struct matches *m = arg;
	struct stream_target *t;

	if (strcmp(vm->state, "running") != 0)
		return 0;
	if (m->n == m->cap) {
		const uint32_t cap = m->cap ? m->cap * 2 : 16;
		struct stream_target *v = reallocarray(m->v, cap, sizeof(*v));

		if (!v)
			return err_set(e, ERR_HOST_MEMORY, "list of VMs");
		m->v = v;
		m->cap = cap;
	}
	t = &m->v[m->n++];
	*t = (struct stream_target){ 0 };
	vm_id_text(vm->id, t->ref);
	(void)snprintf(t->name, sizeof(t->name), "%s", vm->spec.name);
	return 0;
}

static int exec_many(struct session *s, const struct options *o, const struct exec_args *args)
{
	struct matches m = { 0 };
	struct err e = { 0 };
	uint32_t failed = 0;
	int status = list_each(s, false, &o->labels, match_add, &m);

	if (status == 0 && m.n == 0) {
		err_set(&e, ERR_VM_NOT_FOUND, "no VM that runs matches");
		report_error(o, &e, NULL, NULL, NULL);
		status = STATUS_OURS;
	} else if (status == 0) {
		failed = stream_many(s, args, m.v, m.n);
		status = (int)(failed < STATUS_COUNT_MAX ? failed : STATUS_COUNT_MAX);
	}
	free(m.v);
	return s->signo ? STATUS_SIGNAL + s->signo : status;
}

static int check(const struct options *o, bool shell, struct err *e)
{
	const bool many = o->all || o->labels.n > 0;

	if (many && o->nargs > 0)
		return err_set(
			e, ERR_BAD_REQUEST,
			"unexpected word \"%s\": with -l or --all the command comes after --",
			o->args[0]);
	if (many && (o->tty || o->interactive))
		return err_set(e, ERR_BAD_REQUEST, "-i and -t are for one VM");
	if (!many && o->nargs == 0)
		return err_set(e, ERR_BAD_REQUEST, "which VM? give its name or id");
	if (!many && strlen(o->args[0]) > REF_MAX)
		return err_set(e, ERR_BAD_REQUEST, "\"%.40s...\" is no name or id of a VM",
			       o->args[0]);
	if (!shell && o->ntail == 0)
		return err_set(e, ERR_BAD_REQUEST,
			       "which command? `banger vm shell %s` opens a shell",
			       o->nargs ? o->args[0] : "REF");
	return 0;
}

static int guest_run(const struct options *o, bool shell)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	struct exec_args args = { 0 };
	struct err e = { 0 };
	int status = STATUS_OURS;

	if (check(o, shell, &e) < 0 || stream_args(o, shell, &args, &e) < 0 ||
	    session_open(&s, o, true, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
	} else if (o->all || o->labels.n > 0) {
		status = exec_many(&s, o, &args);
	} else {
		(void)snprintf(args.ref, sizeof(args.ref), "%s", o->args[0]);
		status = stream_one(&s, &args, &o->op_id);
	}
	schema_fini(&exec_args_schema, &args);
	return status;
}

int exec_run(const struct options *o)
{
	return guest_run(o, false);
}

int shell_run(const struct options *o)
{
	return guest_run(o, true);
}
