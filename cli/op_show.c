/* op_show.c - where an operation's time went: a bar per step on its time line.
 *
 * Steps come in the order in which they began, those of all VMs mixed.  Few VMs get a table each;
 * of many, equal steps are put together.
 */
#include "op_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "human.h"
#include "report.h"
#include "table.h"
#include "term.h"

enum {
	EACH_VMS_MAX = 4, /* VMs that get a table each without --all */
	BAR_MIN = 8,      /* columns */
	BAR_MAX = 48,
	BAR_BYTES = 3 * BAR_MAX + 1, /* a column is a character of up to three bytes */
	TIME_COLUMNS = 7,            /* of AT and TOOK: "3.1 ms" to "59.9 s" */
	GAPS = 8,                    /* blanks between five columns */
	KINDS_MAX = 64,              /* different steps */
};

uint32_t op_step_first(const struct op_view *op, vm_id vm)
{
	uint32_t i = 0;

	while (i < op->steps.n && op_step_at(op, i)->vm != vm)
		i++;
	return i;
}

void op_vm_name(const struct op_view *op, vm_id vm, char out[VM_NAME_MAX + 1])
{
	const struct target_result *t = op->targets.items;

	vm_id_text(vm, out);
	for (uint32_t i = 0; i < op->targets.n; i++)
		if (t[i].id == vm && t[i].name[0])
			(void)snprintf(out, VM_NAME_MAX + 1, "%s", t[i].name);
}

/* ---- texts ---- */

enum {
	STEP_TEXT_MAX = sizeof(((struct op_step *)0)->name) + sizeof("undo "),
};

static void step_text(const struct op_step *s, char out[STEP_TEXT_MAX])
{
	(void)snprintf(out, STEP_TEXT_MAX, "%s%s", s->undo ? "undo " : "", s->name);
}

static const char *result_text(const struct op_step *s)
{
	return s->running ? "under way" : s->result < 0 ? err_sys_text(s->result) : "ok";
}

/* ---- bars ---- */

struct scale {
	uint64_t total_us; /* what a whole bar stands for */
	unsigned columns;
};

static unsigned max_of(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

/* The bar gets what the other columns leave. */
static struct scale scale_of(const struct op_view *op)
{
	const unsigned width = term_width(STDOUT_FILENO);
	struct scale s = { .total_us = op->duration_us, .columns = BAR_MAX };
	unsigned name = 0;
	unsigned result = table_width("RESULT");

	for (uint32_t i = 0; i < op->steps.n; i++) {
		const struct op_step *step = op_step_at(op, i);
		char text[STEP_TEXT_MAX];

		step_text(step, text);
		name = max_of(name, table_width(text));
		result = max_of(result, table_width(result_text(step)));
		if (step->begin_us + step->duration_us > s.total_us)
			s.total_us = step->begin_us + step->duration_us;
	}
	const unsigned others = name + 2 * TIME_COLUMNS + result + GAPS;

	if (width > 0 && width < others + BAR_MAX)
		s.columns = width > others + BAR_MIN ? width - others : BAR_MIN;
	return s;
}

static unsigned column_of(const struct scale *s, uint64_t us)
{
	return s->total_us ? (unsigned)(us * s->columns / s->total_us) : 0;
}

/* What takes less than a column still shows where it was. */
static void bar_text(const struct scale *s, uint64_t begin_us, uint64_t end_us, bool undo,
		     char out[BAR_BYTES])
{
	unsigned from = column_of(s, begin_us);
	const unsigned to = column_of(s, end_us);
	size_t len = 0;

	if (from >= s->columns)
		from = s->columns - 1;
	for (unsigned i = 0; i < from; i++)
		out[len++] = ' ';
	for (unsigned i = from; i < to || i == from; i++) {
		const char *cell = to == from ? "▏" : undo ? "▒" : "█";

		memcpy(out + len, cell, strlen(cell));
		len += strlen(cell);
	}
	out[len] = '\0';
}

/* ---- each VM's steps ---- */

static const struct column step_columns[] = {
	{ .head = "STEP" },
	{ .head = "AT", .right = true, .drop = 1 },
	{ .head = "TOOK", .right = true },
	{ .head = "" },
	{ .head = "RESULT", .shrink = true },
};

static int add_step(struct table *t, const struct scale *scale, const struct op_step *s,
		    struct err *e)
{
	char name[STEP_TEXT_MAX];
	char at[HUMAN_MAX];
	char took[HUMAN_MAX];
	char bar[BAR_BYTES];
	const char *const cells[] = { name, at, took, bar, result_text(s) };

	step_text(s, name);
	human_duration(s->begin_us, at);
	human_duration(s->duration_us, took);
	bar_text(scale, s->begin_us, s->begin_us + s->duration_us, s->undo, bar);
	return table_row(t, cells, ARRAY_LEN(cells), e);
}

static int show_vm(const struct op_view *op, const struct scale *scale, vm_id vm, struct err *e)
{
	char name[VM_NAME_MAX + 1];
	struct table t;
	int rc = 0;

	if (vm) {
		op_vm_name(op, vm, name);
		(void)printf("\n%s\n", name);
	} else {
		(void)putchar('\n');
	}
	table_init(&t, step_columns, ARRAY_LEN(step_columns));
	for (uint32_t i = 0; i < op->steps.n && rc == 0; i++)
		if (op_step_at(op, i)->vm == vm)
			rc = add_step(&t, scale, op_step_at(op, i), e);
	if (rc == 0)
		table_print(&t, stdout, term_width(STDOUT_FILENO));
	table_fini(&t);
	return rc;
}

static int show_each(const struct op_view *op, const struct scale *scale, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; i < op->steps.n && rc == 0; i++) {
		const vm_id vm = op_step_at(op, i)->vm;

		if (op_step_first(op, vm) == i)
			rc = show_vm(op, scale, vm, e);
	}
	return rc;
}

/* ---- the steps of many VMs together ---- */

static const struct column kind_columns[] = {
	{ .head = "STEP" },
	{ .head = "COUNT", .right = true, .drop = 1 },
	{ .head = "LEAST", .right = true, .drop = 2 },
	{ .head = "MEDIAN", .right = true },
	{ .head = "MOST", .right = true },
	{ .head = "FAILED", .right = true },
};

static int compare_u64(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a;
	const uint64_t y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool same_kind(const struct op_step *a, const struct op_step *b)
{
	return a->undo == b->undo && strcmp(a->name, b->name) == 0;
}

/* All steps of the kind of number `first`; `took` has room for every step. */
static int add_kind(struct table *t, const struct op_view *op, uint32_t first, uint64_t *took,
		    struct err *e)
{
	const struct op_step *kind = op_step_at(op, first);
	char name[STEP_TEXT_MAX];
	char texts[5][HUMAN_MAX];
	const char *const cells[] = { name, texts[0], texts[1], texts[2], texts[3], texts[4] };
	uint32_t n = 0;
	uint32_t failed = 0;

	for (uint32_t i = first; i < op->steps.n; i++) {
		const struct op_step *s = op_step_at(op, i);

		if (!same_kind(s, kind))
			continue;
		took[n++] = s->duration_us;
		failed += s->result < 0;
	}
	qsort(took, n, sizeof(*took), compare_u64);
	step_text(kind, name);
	(void)snprintf(texts[0], HUMAN_MAX, "%u", n);
	human_duration(took[0], texts[1]);
	human_duration(took[n / 2], texts[2]);
	human_duration(took[n - 1], texts[3]);
	(void)snprintf(texts[4], HUMAN_MAX, "%u", failed);
	return table_row(t, cells, ARRAY_LEN(cells), e);
}

static bool first_of_kind(const struct op_view *op, uint32_t at)
{
	for (uint32_t i = 0; i < at; i++)
		if (same_kind(op_step_at(op, i), op_step_at(op, at)))
			return false;
	return true;
}

static int show_together(const struct op_view *op, struct err *e)
{
	uint64_t *took = calloc(op->steps.n, sizeof(*took));
	struct table t;
	int rc = took ? 0 : err_set(e, ERR_HOST_MEMORY, "steps");

	table_init(&t, kind_columns, ARRAY_LEN(kind_columns));
	for (uint32_t i = 0; i < op->steps.n && rc == 0; i++)
		if (first_of_kind(op, i))
			rc = add_kind(&t, op, i, took, e);
	if (rc == 0) {
		(void)putchar('\n');
		table_print(&t, stdout, term_width(STDOUT_FILENO));
	}
	table_fini(&t);
	free(took);
	return rc;
}

/* The VM whose last step ended last. */
static void put_slowest(const struct op_view *op)
{
	const struct op_step *last = op_step_at(op, 0);
	char name[VM_NAME_MAX + 1];
	char when[HUMAN_MAX];

	for (uint32_t i = 1; i < op->steps.n; i++) {
		const struct op_step *s = op_step_at(op, i);

		if (s->begin_us + s->duration_us > last->begin_us + last->duration_us)
			last = s;
	}
	op_vm_name(op, last->vm, name);
	human_duration(last->begin_us + last->duration_us, when);
	(void)printf("\nThe last one was %s, after %s. With --all each VM's steps are shown.\n",
		     name, when);
}

/* ---- the whole ---- */

static void put_head(const struct op_view *op)
{
	char id[OP_ID_CHARS + 1];
	char began[HUMAN_MAX];
	char took[HUMAN_MAX];
	char commit[HUMAN_MAX];

	op_id_text(&op->op_id, id);
	human_time(op->wall_ms, began);
	human_duration(op->duration_us, took);
	human_duration(op->commit_us, commit);
	(void)printf("%s\n%s: %s\n", id, op->method, op->state);
	(void)printf("began %s, took %s", began, took);
	if (op->commit_us)
		(void)printf(" and %s to be durable", commit);
	(void)putchar('\n');
	if (op->vms > 0)
		(void)printf("%u VM%s, %u failed\n", op->vms, op->vms > 1 ? "s" : "", op->failed);
}

/* "web-1: guest.boot: ..." */
static void put_failure(const char *who, const char *code, const char *step, const char *message)
{
	char text[ERR_TEXT_MAX + 256];

	(void)snprintf(text, sizeof(text), "%s%s%s: %s%s%s", who, who[0] ? ": " : "", code, step,
		       step[0] ? ": " : "", message);
	report_clean(text);
	(void)printf("%s\n", text);
}

static void put_failures(const struct op_view *op)
{
	const struct target_result *t = op->targets.items;

	if (op->code[0])
		put_failure("", op->code, "", op->message);
	for (uint32_t i = 0; i < op->targets.n; i++)
		if (t[i].code[0])
			put_failure(t[i].name[0] ? t[i].name : t[i].ref, t[i].code, t[i].step,
				    t[i].message);
}

int op_show(const struct options *o, const struct op_view *op, struct err *e)
{
	const struct scale scale = scale_of(op);
	int rc = 0;

	put_head(op);
	put_failures(op);
	if (op->steps.n > 0 && (o->all || op->vms <= EACH_VMS_MAX)) {
		rc = show_each(op, &scale, e);
	} else if (op->steps.n > 0) {
		rc = show_together(op, e);
		if (rc == 0)
			put_slowest(op);
	}
	if (op->steps_lost > 0)
		(void)printf("\n%u more steps were not kept.\n", op->steps_lost);
	return rc;
}
