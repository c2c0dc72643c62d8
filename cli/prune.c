/* prune.c - `vm prune`: shows the VMs that do not run, asks, deletes them.
 *
 * What starts between the question and its answer is not deleted: the daemon is asked to refuse.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "command.h"
#include "lifecycle.h"
#include "list.h"
#include "report.h"
#include "table.h"
#include "term.h"

static const struct column columns[] = {
	{ .head = "ID", .drop = 1 },
	{ .head = "NAME", .shrink = true },
	{ .head = "STATE" },
	{ .head = "IMAGE", .shrink = true, .drop = 2 },
};

struct pruning {
	struct strv ids;
	struct table table;
};

static bool runs_not(const char *state)
{
	static const char *const states[] = { "created", "stopped", "failed" };

	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		if (strcmp(states[i], state) == 0)
			return true;
	return false;
}

static int add_vm(void *arg, const struct vm_view *vm, struct err *e)
{
	struct pruning *p = arg;
	char id[VM_ID_CHARS + 1];
	const char *const cells[] = { id, vm->spec.name, vm->state, vm->spec.image };

	if (!runs_not(vm->state))
		return 0;
	vm_id_text(vm->id, id);
	if (strv_add(&p->ids, id) < 0)
		return err_set(e, ERR_HOST_MEMORY, "list of VMs");
	return table_row(&p->table, cells, ARRAY_LEN(cells), e);
}

/* Everything but yes is no. */
static bool confirmed(uint32_t n)
{
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;

	(void)fprintf(stderr, "Delete %s with all %s files? [y/N] ",
		      n == 1 ? "this VM" : "these VMs", n == 1 ? "its" : "their");
	if (getline(&line, &size, stdin) < 0) {
		(void)fputc('\n', stderr);
		return false;
	}
	line[strcspn(line, "\n")] = '\0';
	return strcasecmp(line, "y") == 0 || strcasecmp(line, "yes") == 0;
}

/* No session is open meanwhile: an interrupt of the question ends us, as usual. */
static int find(const struct options *o, struct pruning *p)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	struct err e = { 0 };

	if (session_open(&s, o, true, &e) == 0)
		return list_each(&s, true, &o->labels, add_vm, p);
	report_error(o, &e, NULL, NULL, NULL);
	return STATUS_FAILED;
}

/* As many at a time as a request may name. */
static int delete_some(struct session *s, const struct strv *ids)
{
	int status = STATUS_OK;

	for (uint32_t at = 0; at < ids->n; at += TARGETS_MAX) {
		const uint32_t left = ids->n - at;
		CLEANUP_CALL struct call c = { .op_id = s->o->op_id };
		const struct targets_args args = {
			.refs = { .v = ids->v + at, .n = left < TARGETS_MAX ? left : TARGETS_MAX },
			.stopped_only = true,
		};
		int rc;

		if (session_call(s, &c, METHOD_VM_DELETE, &args) < 0)
			rc = session_report(s, &c);
		else
			rc = lifecycle_results(s, &c);
		if (rc != STATUS_OK)
			status = rc;
	}
	return status;
}

static int delete_them(const struct options *o, const struct strv *ids)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	struct err e = { 0 };

	if (session_open(&s, o, true, &e) == 0)
		return delete_some(&s, ids);
	report_error(o, &e, NULL, NULL, NULL);
	return STATUS_FAILED;
}

static int prune(const struct options *o, struct pruning *p)
{
	const int status = find(o, p);

	if (status != STATUS_OK)
		return status;
	if (p->ids.n == 0) {
		report_note(o, "every VM runs%s", o->labels.n ? ", of those that match" : "");
		return STATUS_OK;
	}
	if (!o->force) {
		table_print(&p->table, stderr, term_width(STDERR_FILENO));
		if (!confirmed(p->ids.n)) {
			report_note(o, "nothing was deleted");
			return STATUS_FAILED;
		}
	}
	return delete_them(o, &p->ids);
}

int prune_run(const struct options *o)
{
	struct pruning p = { 0 };
	struct err e = { 0 };
	int status = STATUS_USAGE;

	table_init(&p.table, columns, ARRAY_LEN(columns));
	if (!o->force && !(isatty(STDIN_FILENO) && isatty(STDERR_FILENO))) {
		err_set(&e, ERR_BAD_REQUEST,
			"there is no terminal to ask on: give --force to delete without a "
			"question");
		report_error(o, &e, NULL, NULL, NULL);
	} else {
		status = prune(o, &p);
	}
	table_fini(&p.table);
	strv_fini(&p.ids);
	return status;
}
