#include "create.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "command.h"
#include "human.h"
#include "near.h"
#include "progress.h"
#include "provide.h"
#include "report.h"

static int text_fill(const char *what, char *to, size_t size, const char *text, struct err *e)
{
	if (text && strlen(text) >= size)
		return err_set(e, ERR_BAD_REQUEST, "%s \"%.40s...\" is longer than %zu bytes", what,
			       text, size - 1);
	(void)snprintf(to, size, "%s", text ? text : "");
	return 0;
}

/* Vectors and ports are lent, not copied: the options outlive the request. */
static int spec_fill(const struct options *o, struct vm_spec *spec, struct err *e)
{
	int rc = o->name ? vm_name_check(o->name, e) : 0;

	if (rc == 0)
		rc = text_fill("--name", spec->name, sizeof(spec->name), o->name, e);
	if (rc == 0)
		rc = text_fill("--image", spec->image, sizeof(spec->image), o->image, e);
	if (rc == 0)
		rc = text_fill("--kernel", spec->kernel, sizeof(spec->kernel), o->kernel, e);
	if (rc == 0)
		rc = text_fill("--vmm", spec->vmm, sizeof(spec->vmm), o->vmm, e);
	if (rc == 0 && o->image)
		rc = object_name_check("--image", o->image, e);
	if (rc == 0 && o->kernel)
		rc = object_name_check("--kernel", o->kernel, e);
	if (rc < 0)
		return rc;
	spec->vcpu = o->vcpu;
	spec->memory_bytes = o->memory_bytes;
	spec->disk_bytes = o->disk_bytes;
	spec->disk_rate = o->disk_rate;
	spec->disk_iops = o->disk_iops;
	spec->net_rate = o->net_rate;
	spec->nat = o->nat;
	spec->labels = o->labels;
	spec->env = o->env;
	spec->publish = o->publish;
	return 0;
}

int create_args_fill(const struct options *o, struct create_args *ret_args, struct err *e)
{
	struct create_args a = { .count = o->count,
				 .no_start = o->no_start,
				 .lease = o->rm,
				 .boot_deadline_ms = o->timeout_ms };
	const int rc = spec_fill(o, &a.spec, e);

	if (rc < 0)
		return rc;
	if (o->count > 1 && o->publish.n > 0)
		return err_set(e, ERR_BAD_REQUEST,
			       "--publish with -n %u: one host port cannot reach %u VMs", o->count,
			       o->count);
	*ret_args = a;
	return 0;
}

/* "creating 3 VMs, each with 2 vcpu, 2 GiB memory, 8 GiB disk, image debian:bookworm (qemu)": as
 * the daemon fills in what was left open, which may take a moment on a host that it does not know
 * yet.  What it refuses, the create will be refused for. */
static int announce(struct session *s, const struct create_args *args)
{
	CLEANUP_CALL struct call c = { 0 };
	const uint32_t count = args->count > 1 ? args->count : 1;
	char memory[HUMAN_MAX];
	char disk[HUMAN_MAX] = "no";

	if (session_call(s, &c, METHOD_VM_RESOLVE, args) < 0)
		return c.err.code == ERR_CANCELLED ? session_report(s, &c) : 0;
	const struct vm_spec *spec = c.result;
	human_bytes(spec->memory_bytes, memory);
	if (spec->disk_bytes > 0)
		human_bytes(spec->disk_bytes, disk);
	report_note(s->o, "creating %u VM%s%s %u vcpu, %s memory, %s disk, image %s (%s)", count,
		    count > 1 ? "s, each" : "", count > 1 ? " with" : ":", spec->vcpu, memory, disk,
		    spec->image, spec->vmm);
	return 0;
}

/* Makes what is missing and says what will be. */
static int prepare(struct session *s, const struct options *o, const struct create_args *args)
{
	CLEANUP_CALL struct call c = { 0 };
	int status;

	if (session_call(s, &c, METHOD_INFO, &(struct info_args){ 0 }) < 0)
		return session_report(s, &c);
	status = provide(s, o, c.result);
	if (status == 0 && !o->quiet && !o->json)
		status = announce(s, args);
	return status;
}

int create_vms(struct session *s, const struct options *o, struct call *c)
{
	struct create_args args;
	struct progress progress;
	struct err e = { 0 };
	int status;

	if (create_args_fill(o, &args, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return o->command->guest ? STATUS_OURS : STATUS_USAGE;
	}
	if (session_open(s, o, true, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return command_failure(o->command);
	}
	status = prepare(s, o, &args);
	if (status != 0)
		return status;
	progress_init(&progress, o, o->count > 1 ? o->count : 1);
	c->op_id = o->op_id;
	c->progress = &progress;
	const int rc = session_call(s, c, METHOD_VM_CREATE, &args);
	c->progress = NULL;
	return rc < 0 ? session_report(s, c) : 0;
}

void target_report(struct session *s, const struct target_result *t, const struct op_id *op)
{
	char hint[ERR_TEXT_MAX] = "";
	struct err e = { .code = err_by_name(t->code) };
	const char *who = t->name[0] ? t->name : t->ref;
	const char *what = t->message[0] ? t->message : err_cause(e.code);

	if (who[0] && strncmp(what, who, strlen(who)) != 0)
		(void)snprintf(e.text, sizeof(e.text), "%s: %.180s", who, what);
	else
		(void)snprintf(e.text, sizeof(e.text), "%s", what);
	near_hint(s, &e, hint, sizeof(hint));
	report_error(s->o, &e, op, hint, t->step);
}

/* A VM that never came up is kept, so that one can see why. */
static void point_to_log(struct session *s, const struct options *o, const struct target_result *t)
{
	CLEANUP_CALL struct call c = { 0 };
	struct ref_args args = { 0 };
	const struct vm_view *vm;

	if (t->id == 0 || s->lost)
		return;
	vm_id_text(t->id, args.ref);
	if (session_call(s, &c, METHOD_VM_SHOW, &args) < 0)
		return; /* undone altogether: there is no log */
	vm = c.result;
	if (vm->console_log[0])
		report_note(o, "%s is kept; its console log: %s (remove it: banger vm delete %s)",
			    t->name, vm->console_log, t->name);
}

static void put_line(const struct options *o, const struct target_result *t)
{
	char id[VM_ID_CHARS + 1];
	char ready[HUMAN_MAX];

	vm_id_text(t->id, id);
	if (o->quiet) {
		(void)printf("%s\n", id);
		return;
	}
	human_duration(t->ready_us, ready);
	(void)printf("%s %s%s%s\n", id, t->name, t->ready_us ? " ready in " : " ",
		     t->ready_us ? ready : t->state);
}

uint32_t create_results(struct session *s, const struct options *o, struct call *c, bool lines)
{
	const struct targets_result *r = c->result;
	uint32_t failed = 0;

	for (uint32_t i = 0; i < r->targets.n; i++) {
		const struct target_result *t = target_at(r, i);

		if (t->code[0]) {
			failed++;
			target_report(s, t, &c->op_id);
			if (r->targets.n <= PROGRESS_ROWS_MAX)
				point_to_log(s, o, t);
		} else if (lines) {
			put_line(o, t);
		}
	}
	if (r->targets.n > 1)
		report_note(o, "%u of %u VMs are up%s", r->targets.n - failed, r->targets.n,
			    failed ? "; `banger vm list -a` shows the others" : "");
	return failed;
}

int create_run(const struct options *o)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	CLEANUP_CALL struct call c = { 0 };
	struct err e = { 0 };
	uint32_t failed;
	const int status = create_vms(&s, o, &c);

	if (status != 0)
		return status;
	failed = create_results(&s, o, &c, !o->json);
	if (o->json && report_json(&targets_result_schema, c.result, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_FAILED;
	}
	return (int)(failed < STATUS_COUNT_MAX ? failed : STATUS_COUNT_MAX);
}
