/* op_trace.c - an operation as trace events: one row for the whole, one per VM.
 *
 * The format is that of Chrome's trace viewer ("Trace Event Format", JSON object form), which
 * about:tracing and ui.perfetto.dev open.  Times are microseconds of Unix time.
 */
#include <stdio.h>
#include <string.h>

#include "op_show.h"
#include "report.h"

enum {
	TRACE_PID = 1,
	WHOLE_TID = 0,
};

struct trace_event {
	char name[VM_NAME_MAX + 1];
	char cat[16];
	char ph[2]; /* "X": complete, "M": a name for a row */
	uint64_t ts, dur;
	uint32_t pid, tid;
	struct strv args; /* k=v */
};

static const struct field event_fields[] = {
	FIELD(struct trace_event, name, FIELD_STR, true, 0, 0, "of the step"),
	FIELD(struct trace_event, cat, FIELD_STR, true, 0, 0, "category"),
	FIELD(struct trace_event, ph, FIELD_STR, true, 0, 0, "phase"),
	FIELD(struct trace_event, ts, FIELD_U64, true, 0, 0, "begin, us"),
	FIELD(struct trace_event, dur, FIELD_U64, true, 0, 0, "us"),
	FIELD(struct trace_event, pid, FIELD_U32, true, 0, 0, "the operation"),
	FIELD(struct trace_event, tid, FIELD_U32, true, 0, 0, "0: the whole; else a VM"),
	FIELD(struct trace_event, args, FIELD_PAIRS, true, 0, 0, "more"),
};
static const struct schema event_schema = SCHEMA("trace_event", struct trace_event, event_fields);

/* What is being written; the first failure stays in rc. */
struct trace {
	const struct op_view *op;
	uint64_t begin_us; /* Unix time */
	uint32_t n;
	int rc;
	struct err e;
};

static void put(struct trace *t, struct trace_event *ev)
{
	ev->pid = TRACE_PID;
	if (t->rc == 0) {
		(void)fputs(t->n++ ? ",\n" : "\n", stdout);
		t->rc = report_json_value(&event_schema, ev, &t->e);
	}
	strv_fini(&ev->args);
}

static void add_arg(struct trace *t, struct trace_event *ev, const char *key, const char *value)
{
	if (t->rc == 0 && value[0] && strv_addf(&ev->args, "%s=%s", key, value) < 0)
		t->rc = err_set(&t->e, ERR_HOST_MEMORY, "trace");
}

static void put_name(struct trace *t, const char *what, uint32_t tid, const char *name)
{
	struct trace_event ev = { .ph = "M", .cat = "__metadata", .tid = tid };

	(void)snprintf(ev.name, sizeof(ev.name), "%s", what);
	add_arg(t, &ev, "name", name);
	put(t, &ev);
}

static void put_whole(struct trace *t)
{
	struct trace_event ev = { .ph = "X",
				  .cat = "op",
				  .ts = t->begin_us,
				  .dur = t->op->duration_us,
				  .tid = WHOLE_TID };
	struct trace_event commit = { .name = "commit",
				      .ph = "X",
				      .cat = "op",
				      .ts = t->begin_us + t->op->duration_us,
				      .dur = t->op->commit_us,
				      .tid = WHOLE_TID };

	(void)snprintf(ev.name, sizeof(ev.name), "%s", t->op->method);
	add_arg(t, &ev, "state", t->op->state);
	add_arg(t, &ev, "code", t->op->code);
	add_arg(t, &ev, "message", t->op->message);
	put(t, &ev);
	if (t->op->commit_us)
		put(t, &commit);
}

static void put_step(struct trace *t, const struct op_step *s, uint32_t tid)
{
	struct trace_event ev = {
		.ph = "X", .ts = t->begin_us + s->begin_us, .dur = s->duration_us, .tid = tid
	};

	(void)snprintf(ev.name, sizeof(ev.name), "%s%s", s->undo ? "undo " : "", s->name);
	(void)snprintf(ev.cat, sizeof(ev.cat), "%s", s->undo ? "undo" : "step");
	add_arg(t, &ev, "result",
		s->running      ? "under way"
		: s->result < 0 ? err_sys_text(s->result)
				: "ok");
	put(t, &ev);
}

int op_trace(const struct op_view *op, struct err *e)
{
	struct trace t = { .op = op, .begin_us = op->wall_ms * 1000 };
	char id[OP_ID_CHARS + 1];

	op_id_text(&op->op_id, id);
	(void)printf("{\"displayTimeUnit\":\"ms\",\"otherData\":{\"op_id\":\"%s\",\"steps_lost\":"
		     "%u},\"traceEvents\":[",
		     id, op->steps_lost);
	put_name(&t, "process_name", WHOLE_TID, id);
	put_name(&t, "thread_name", WHOLE_TID, op->method);
	put_whole(&t);
	for (uint32_t i = 0; i < op->steps.n; i++) {
		const struct op_step *s = op_step_at(op, i);
		const uint32_t first = op_step_first(op, s->vm);
		char name[VM_NAME_MAX + 1];

		if (s->vm && first == i) {
			op_vm_name(op, s->vm, name);
			put_name(&t, "thread_name", i + 1, name);
		}
		put_step(&t, s, s->vm ? first + 1 : WHOLE_TID);
	}
	(void)fputs("\n]}\n", stdout);
	*e = t.e;
	return t.rc;
}
