/* events.c - `events`: what happens, a line each, until interrupted.
 *
 * Our output may be slower than events come.  Then we stop reading, the daemon drops what it would
 * have to keep for us, and says how many that were.
 */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "human.h"
#include "proto/json.h"
#include "report.h"
#include "session.h"

enum {
	TEXT_MAX = 1024, /* bytes of one line */
	JSON_MAX = 1 << 20,
};

/* Any event's body. */
union event {
	struct vm_event vm;
	struct op_event op;
	struct object_event object;
	struct lost_event lost;
};

/* ---- a line for people: what it is about and what happened ---- */

static uint64_t vm_text(const union event *ev, char out[TEXT_MAX])
{
	char id[VM_ID_CHARS + 1];

	vm_id_text(ev->vm.id, id);
	(void)snprintf(out, TEXT_MAX, "%s  %s  %s", id, ev->vm.name, ev->vm.state);
	return ev->vm.wall_ms;
}

static void op_outcome(const struct op_event *op, char *out, size_t size)
{
	char took[HUMAN_MAX];

	if (strcmp(op->state, "running") == 0) {
		(void)snprintf(out, size, "begins");
		return;
	}
	human_duration(op->duration_us, took);
	if (op->code[0])
		(void)snprintf(out, size, "%s after %s: %s: %s", op->state, took, op->code,
			       op->message);
	else if (op->failed > 0)
		(void)snprintf(out, size, "%s in %s, %u of %u VMs failed", op->state, took,
			       op->failed, op->vms);
	else
		(void)snprintf(out, size, "%s in %s", op->state, took);
}

static uint64_t op_text(const union event *ev, char out[TEXT_MAX])
{
	char id[OP_ID_CHARS + 1];
	char outcome[TEXT_MAX / 2];

	op_id_text(&ev->op.op_id, id);
	op_outcome(&ev->op, outcome, sizeof(outcome));
	(void)snprintf(out, TEXT_MAX, "%s  %s  %s", id, ev->op.method, outcome);
	return ev->op.wall_ms;
}

static uint64_t object_text(const union event *ev, char out[TEXT_MAX])
{
	(void)snprintf(out, TEXT_MAX, "%s  %s", ev->object.name, ev->object.action);
	return ev->object.wall_ms;
}

static uint64_t lost_text(const union event *ev, char out[TEXT_MAX])
{
	(void)snprintf(out, TEXT_MAX, "%llu events, because they were not read in time",
		       (unsigned long long)ev->lost.events);
	return 0; /* not known; somewhere between its neighbours */
}

/* The line; returns its time.  NULL: none of ours. */
static uint64_t (*const texts[EVENT_NEVENTS])(const union event *ev, char out[TEXT_MAX]) = {
	[EVENT_VM] = vm_text,         [EVENT_OP] = op_text,     [EVENT_IMAGE] = object_text,
	[EVENT_KERNEL] = object_text, [EVENT_LOST] = lost_text,
};

/* ---- output ---- */

/* {"event":"vm", and the fields of its body} */
static void put_json(const char *name, const struct schema *schema, const union event *ev)
{
	struct buf text;

	buf_init(&text, JSON_MAX);
	if (schema_json(schema, ev, &text, false) == 0)
		(void)printf("{\"event\":\"%s\",%.*s\n", name, (int)buf_len(&text) - 1,
			     (const char *)buf_data(&text) + 1);
	buf_fini(&text);
}

static void put_line(const char *name, uint64_t wall_ms, char *text)
{
	char when[HUMAN_MAX] = "-";

	if (wall_ms)
		human_time(wall_ms, when);
	report_clean(text);
	(void)printf("%-19s  %-6s  %s\n", when, name, text);
}

static void on_event(struct call *c, const struct wire *w)
{
	const struct client_event_row *row;
	enum client_event type;
	char text[TEXT_MAX];
	union event ev;

	/* What a newer daemon tells besides is none of ours. */
	if (w->type != WIRE_EVENT || client_event_find(w->name, &type) < 0 || !texts[type])
		return;
	row = &client_events[type];
	if (schema_decode(row->body, w->body.data, w->body.len, &ev, NULL) < 0)
		return;
	if (c->o->json) {
		put_json(row->name, row->body, &ev);
	} else {
		const uint64_t wall_ms = texts[type](&ev, text);

		put_line(row->name, wall_ms, text);
	}
	(void)fflush(stdout);
}

int events_run(const struct options *o)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	CLEANUP_CALL struct call c = { .on_event = on_event, .op_id = o->op_id };
	struct watch_args args = { .types = o->types, .labels = o->labels }; /* lent */
	struct err e = { 0 };

	if (session_open(&s, o, true, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_FAILED;
	}
	if (session_begin(&s, &c, METHOD_WATCH, &args) < 0)
		return session_report(&s, &c);
	while (!c.ended && !ferror(stdout))
		session_turn(&s, NULL, 0);
	if (!c.ended)
		return STATUS_FAILED; /* nobody reads us; closing ends the watch */
	return c.err.code ? session_report(&s, &c) : STATUS_OK;
}
