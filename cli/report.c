#include "report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "proto/json.h"

enum {
	JSON_MAX = 64 << 20, /* bytes of one JSON text */
	NOTE_MAX = 1024,
};

struct error_view {
	char code[64];
	char message[ERR_TEXT_MAX];
	char step[64];
	char hint[ERR_TEXT_MAX];
	char op_id[OP_ID_CHARS + 1];
	bool retryable;
};

static const struct field error_fields[] = {
	FIELD(struct error_view, code, FIELD_STR, true, 0, 0, "as in docs/errors.md"),
	FIELD(struct error_view, message, FIELD_TEXT, true, 0, 0, "the cause"),
	FIELD(struct error_view, step, FIELD_STR, false, 0, 0, "the plan's step that failed"),
	FIELD(struct error_view, hint, FIELD_TEXT, false, 0, 0, "what to do next"),
	FIELD(struct error_view, op_id, FIELD_STR, false, 0, 0, "the operation"),
	FIELD(struct error_view, retryable, FIELD_BOOL, false, 0, 0, "may succeed later"),
};

static const struct schema error_schema = SCHEMA("error", struct error_view, error_fields);

static int put_json(FILE *out, const struct schema *s, const void *obj, bool pretty, struct err *e)
{
	struct buf text;

	buf_init(&text, JSON_MAX);
	int rc = schema_json(s, obj, &text, pretty);
	if (rc < 0) {
		rc = err_num(e, ERR_HOST_MEMORY, rc, "JSON of %s", s->name);
	} else if (fwrite(buf_data(&text), 1, buf_len(&text), out) != buf_len(&text)) {
		rc = err_sys(e, ERR_HOST_IO, "write");
	} else {
		rc = 0;
	}
	buf_fini(&text);
	return rc;
}

int report_json_value(const struct schema *s, const void *obj, struct err *e)
{
	return put_json(stdout, s, obj, false, e);
}

int report_json(const struct schema *s, const void *obj, struct err *e)
{
	const int rc = put_json(stdout, s, obj, true, e);

	if (rc == 0)
		(void)fputc('\n', stdout);
	return rc;
}

/* A message is one line; what could drive a terminal becomes "?". */
void report_clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = *text == '\n' || *text == '\t' ? ' ' : '?';
}

static void error_fill(struct error_view *v, const struct options *o, const struct err *e,
		       const struct op_id *op, const char *hint, const char *step)
{
	(void)snprintf(v->code, sizeof(v->code), "%s", err_name(e->code));
	(void)snprintf(v->message, sizeof(v->message), "%s", e->text);
	(void)snprintf(v->step, sizeof(v->step), "%s", step ? step : "");
	(void)snprintf(v->hint, sizeof(v->hint), "%s", hint && hint[0] ? hint : err_hint(e->code));
	if (!hint && e->code == ERR_BAD_REQUEST) /* refused here, for its words */
		(void)snprintf(v->hint, sizeof(v->hint), "See `banger %s%s--help`.",
			       o->command ? o->command->name : "", o->command ? " " : "");
	if (op && !op_id_is_zero(op))
		op_id_text(op, v->op_id);
	v->retryable = err_retryable(e->code);
	report_clean(v->message);
	report_clean(v->hint);
	report_clean(v->step);
}

void report_error(const struct options *o, const struct err *e, const struct op_id *op,
		  const char *hint, const char *step)
{
	struct error_view v = { 0 };

	error_fill(&v, o, e, op, hint, step);
	(void)fflush(stdout); /* so that the two do not swap places on a terminal */
	if (o->json && put_json(stderr, &error_schema, &v, false, NULL) == 0) {
		(void)fputc('\n', stderr);
		return;
	}
	(void)fprintf(stderr, "banger: %s (%s", v.message, v.code);
	if (v.step[0])
		(void)fprintf(stderr, ", step %s", v.step);
	if (v.op_id[0])
		(void)fprintf(stderr, ", op %s", v.op_id);
	(void)fputs(")\n", stderr);
	if (v.hint[0])
		(void)fprintf(stderr, "  %s\n", v.hint);
}

void report_note(const struct options *o, const char *fmt, ...)
{
	char text[NOTE_MAX];
	va_list ap;

	if (o->quiet)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	report_clean(text);
	(void)fprintf(stderr, "banger: %s\n", text);
}

int report_end(const struct options *o, int status)
{
	struct err e = { 0 };

	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	if (errno != EPIPE) { /* who closed the pipe knows it */
		err_sys(&e, ERR_HOST_IO, "write to standard output");
		report_error(o, &e, NULL, NULL, NULL);
	}
	return status == STATUS_OK ? command_failure(o->command) : status;
}
