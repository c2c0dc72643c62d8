/* lifecycle.c - start, stop, restart, kill, delete, wait and set: one request for any number of
 * VMs.
 *
 * The good ones proceed when others are missing; the answers come in the order asked.
 */
#include "lifecycle.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "command.h"
#include "create.h"
#include "progress.h"
#include "report.h"
#include "session.h"

struct verb {
	const char *command;
	enum client_method method;
};

static const struct verb verbs[] = {
	{ "vm start", METHOD_VM_START },     { "vm stop", METHOD_VM_STOP },
	{ "vm restart", METHOD_VM_RESTART }, { "vm kill", METHOD_VM_KILL },
	{ "vm delete", METHOD_VM_DELETE },   { "vm wait", METHOD_VM_WAIT },
};

static enum client_method method_of(const struct options *o)
{
	size_t i = 0;

	while (i < ARRAY_LEN(verbs) && strcmp(verbs[i].command, o->command->name) != 0)
		i++;
	ASSERT(i < ARRAY_LEN(verbs));
	return verbs[i].method;
}

static int args_fill(const struct options *o, struct targets_args *a, struct err *e)
{
	const int ways = (o->nargs > 0) + (o->labels.n > 0) + o->all;

	if (ways != 1)
		return err_set(e, ERR_BAD_REQUEST,
			       ways == 0 ? "which VMs? give names or ids, -l KEY=VALUE, or --all"
					 : "give names or ids, or -l, or --all: one of them");
	for (uint32_t i = 0; i < o->nargs; i++)
		if (strv_add(&a->refs, o->args[i]) < 0)
			return err_set(e, ERR_HOST_MEMORY, "references");
	if (strv_copy(&a->labels, &o->labels) < 0)
		return err_set(e, ERR_HOST_MEMORY, "labels");
	if (o->state && strlen(o->state) >= sizeof(a->state))
		return err_set(e, ERR_BAD_REQUEST, "--state \"%.40s\" is no state of a VM",
			       o->state);
	(void)snprintf(a->state, sizeof(a->state), "%s", o->state ? o->state : "");
	a->all = o->all;
	a->force = o->force;
	a->signo = o->signo;
	a->deadline_ms = o->timeout_ms;
	return 0;
}

int lifecycle_results(struct session *s, struct call *c)
{
	const struct options *o = s->o;
	const struct targets_result *r = c->result;
	struct err e = { 0 };

	for (uint32_t i = 0; i < r->targets.n; i++) {
		const struct target_result *t = target_at(r, i);

		if (t->code[0])
			target_report(s, t, &c->op_id);
		else if (!o->json && !o->quiet)
			(void)printf("%s\n", t->name[0] ? t->name : t->ref);
	}
	if (o->json && report_json(&targets_result_schema, r, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_FAILED;
	}
	if (r->targets.n == 0)
		report_note(o, "no VM matches");
	if (r->omitted > 0)
		report_note(o, "and %u more; %u failed in all", r->omitted, r->failed);
	return r->failed ? STATUS_FAILED : STATUS_OK;
}

int lifecycle_ask(const struct options *o, enum client_method m, const struct targets_args *args)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	CLEANUP_CALL struct call c = { .op_id = o->op_id };
	struct progress progress;
	struct err e = { 0 };

	if (session_open(&s, o, true, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_FAILED;
	}
	progress_init(&progress, o, o->nargs ? o->nargs : PROGRESS_UNKNOWN);
	progress.plain = false; /* one line per VM follows anyway */
	c.progress = &progress;
	const int rc = session_call(&s, &c, m, args);
	c.progress = NULL;
	return rc < 0 ? session_report(&s, &c) : lifecycle_results(&s, &c);
}

int lifecycle_run(const struct options *o)
{
	struct targets_args args = { 0 };
	struct err e = { 0 };
	int status = STATUS_USAGE;

	if (args_fill(o, &args, &e) < 0)
		report_error(o, &e, NULL, NULL, NULL);
	else
		status = lifecycle_ask(o, method_of(o), &args);
	schema_fini(&targets_args_schema, &args);
	return status;
}

/* ---- vm set ---- */

/* "disk-rate" is "disk_rate" on the wire. */
static int limits_drop(const struct strv *from, struct strv *to)
{
	int rc = strv_copy(to, from);

	for (uint32_t i = 0; rc == 0 && i < to->n; i++)
		for (char *c = to->v[i]; *c; c++)
			*c = *c == '-' ? '_' : *c;
	return rc;
}

static bool sets_anything(const struct vm_change *set)
{
	return set->vcpu || set->memory_bytes || set->disk_bytes || set->disk_rate ||
	       set->disk_iops || set->net_rate || set->drop_limits.n > 0 || set->labels.n > 0 ||
	       set->drop_labels.n > 0 || set->nat[0];
}

/* Labels are what is set here, not what selects. */
static int set_fill(const struct options *o, struct targets_args *a, struct err *e)
{
	struct vm_change *set = &a->set;

	if ((o->nargs > 0) == o->all)
		return err_set(e, ERR_BAD_REQUEST, "which VMs? give names or ids, or --all");
	for (uint32_t i = 0; i < o->nargs; i++)
		if (strv_add(&a->refs, o->args[i]) < 0)
			return err_set(e, ERR_HOST_MEMORY, "references");
	if (o->nat && o->no_nat)
		return err_set(e, ERR_BAD_REQUEST, "--nat and --no-nat: which?");
	if (o->nat || o->no_nat)
		(void)snprintf(set->nat, sizeof(set->nat), "%s", o->nat ? "on" : "off");
	if (strv_copy(&set->labels, &o->labels) < 0 ||
	    strv_copy(&set->drop_labels, &o->unlabels) < 0)
		return err_set(e, ERR_HOST_MEMORY, "labels");
	if (limits_drop(&o->unlimits, &set->drop_limits) < 0)
		return err_set(e, ERR_HOST_MEMORY, "limits");
	a->all = o->all;
	set->vcpu = o->vcpu;
	set->memory_bytes = o->memory_bytes;
	set->disk_bytes = o->disk_bytes;
	set->disk_rate = o->disk_rate;
	set->disk_iops = o->disk_iops;
	set->net_rate = o->net_rate;
	if (!sets_anything(set))
		return err_set(e, ERR_BAD_REQUEST,
			       "set what? --vcpu, --memory, --disk, --disk-rate, --disk-iops, "
			       "--net-rate, --unlimit, --label, --unlabel, --nat or --no-nat");
	return 0;
}

int set_run(const struct options *o)
{
	struct targets_args args = { 0 };
	struct err e = { 0 };
	int status = STATUS_USAGE;

	if (set_fill(o, &args, &e) < 0)
		report_error(o, &e, NULL, NULL, NULL);
	else
		status = lifecycle_ask(o, METHOD_VM_SET, &args);
	schema_fini(&targets_args_schema, &args);
	return status;
}
