/* run.c - `vm run`: create, then a command or a shell, then perhaps delete.
 *
 * With --rm the daemon holds a lease on this connection: it deletes the VMs also when we are
 * killed, and when it starts again after it was.  We delete them ourselves too, so that they are
 * gone when we return.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "create.h"
#include "human.h"
#include "report.h"
#include "session.h"
#include "stream.h"

/* What can be refused before anything is made. */
static int check(const struct options *o, struct err *e)
{
	if (o->detach && o->rm)
		return err_set(e, ERR_BAD_REQUEST,
			       "-d with --rm: a VM left running cannot be deleted at the end");
	if (o->detach && o->ntail > 0)
		return err_set(e, ERR_BAD_REQUEST,
			       "-d with a command: create with -d, then use `banger vm exec`");
	if (o->count > 1 && !o->detach && o->ntail == 0)
		return err_set(e, ERR_BAD_REQUEST, "-n %u needs a command, or -d", o->count);
	if (o->count > 1 && (o->tty || o->interactive))
		return err_set(e, ERR_BAD_REQUEST, "-i and -t are for one VM");
	return 0;
}

/* The VMs that came up, and how many did not. */
struct fleet {
	struct stream_target *v; /* owned */
	uint32_t n, failed;
	uint64_t ready_us; /* of the slowest */
};

static int fleet_fill(struct fleet *f, const struct targets_result *r, struct err *e)
{
	f->v = calloc(r->targets.n ? r->targets.n : 1, sizeof(*f->v));
	if (!f->v)
		return err_set(e, ERR_HOST_MEMORY, "list of VMs");
	for (uint32_t i = 0; i < r->targets.n; i++) {
		const struct target_result *t = target_at(r, i);

		if (t->code[0])
			continue;
		vm_id_text(t->id, f->v[f->n].ref);
		(void)snprintf(f->v[f->n].name, sizeof(f->v[f->n].name), "%s", t->name);
		if (t->ready_us > f->ready_us)
			f->ready_us = t->ready_us;
		f->n++;
	}
	return 0;
}

static int commands_run(struct session *s, const struct options *o, struct exec_args *args,
			const struct fleet *f)
{
	uint32_t failed;

	if (o->count <= 1) {
		(void)snprintf(args->ref, sizeof(args->ref), "%s", f->v[0].ref);
		return stream_one(s, args, NULL);
	}
	failed = f->failed + stream_many(s, args, f->v, f->n);
	if (s->signo)
		return STATUS_SIGNAL + s->signo;
	return (int)(failed < STATUS_COUNT_MAX ? failed : STATUS_COUNT_MAX);
}

/* Those that the lease has deleted already are as gone as we want them. */
static void deleted_report(struct session *s, const struct call *c)
{
	const struct targets_result *r = c->result;

	for (uint32_t i = 0; r && i < r->targets.n; i++) {
		const struct target_result *t = target_at(r, i);

		if (t->code[0] && err_by_name(t->code) != ERR_VM_NOT_FOUND)
			target_report(s, t, &c->op_id);
	}
}

/* The daemon died: another one is started, which ends leases first of all. */
static int session_again(struct session *s, const struct options *o)
{
	struct err e = { 0 };

	session_close(s);
	*s = (struct session)SESSION_INIT;
	if (session_open(s, o, true, &e) == 0)
		return 0;
	err_ctx(&e, "--rm: the VM is deleted when the daemon starts");
	report_error(o, &e, NULL, NULL, NULL);
	return err_errno(&e);
}

/* A failure here is told, and does not change what the command's status was. */
static void fleet_delete(struct session *s, const struct options *o, const struct fleet *f)
{
	CLEANUP_CALL struct call c = { 0 };
	struct targets_args args = { .force = true };

	if (s->lost && session_again(s, o) < 0)
		return;
	for (uint32_t i = 0; i < f->n; i++)
		if (strv_add(&args.refs, f->v[i].ref) < 0)
			break; /* no memory: the lease does it */
	if (args.refs.n > 0 && session_call(s, &c, METHOD_VM_DELETE, &args) < 0)
		(void)session_report(s, &c);
	deleted_report(s, &c);
	schema_fini(&targets_args_schema, &args);
}

static int fleet_run(struct session *s, const struct options *o, struct exec_args *args,
		     struct call *c)
{
	struct fleet f = { .failed = create_results(s, o, c, false) };
	char ready[HUMAN_MAX];
	struct err e = { 0 };
	int status = STATUS_OURS;

	if (fleet_fill(&f, c->result, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
	} else if (f.n > 0) {
		human_duration(f.ready_us, ready);
		if (f.ready_us && !o->json)
			report_note(o, "%s%sready in %s", f.n == 1 ? f.v[0].name : "",
				    f.n == 1 ? " " : "all ", ready);
		status = commands_run(s, o, args, &f);
		if (o->rm)
			fleet_delete(s, o, &f);
		else if (f.n == 1 && isatty(STDERR_FILENO))
			report_note(o, "%s runs on; `banger vm delete %s` ends it", f.v[0].name,
				    f.v[0].name);
	} else if (o->count > 1) {
		status = (int)(f.failed < STATUS_COUNT_MAX ? f.failed : STATUS_COUNT_MAX);
	}
	free(f.v);
	return status;
}

static int detached(struct session *s, const struct options *o, struct call *c)
{
	const uint32_t failed = create_results(s, o, c, !o->json);
	struct err e = { 0 };

	if (o->json && report_json(&targets_result_schema, c->result, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_OURS;
	}
	if (o->count <= 1)
		return failed ? STATUS_OURS : STATUS_OK;
	return (int)(failed < STATUS_COUNT_MAX ? failed : STATUS_COUNT_MAX);
}

int run_run(const struct options *o)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	CLEANUP_CALL struct call c = { 0 };
	struct exec_args args = { 0 };
	struct err e = { 0 };
	int status = STATUS_OURS;

	if (check(o, &e) < 0 || (!o->detach && stream_args(o, o->ntail == 0, &args, &e) < 0)) {
		report_error(o, &e, NULL, NULL, NULL);
	} else {
		status = create_vms(&s, o, &c);
		if (status == 0)
			status = o->detach ? detached(&s, o, &c) : fleet_run(&s, o, &args, &c);
	}
	schema_fini(&exec_args_schema, &args);
	return status;
}
