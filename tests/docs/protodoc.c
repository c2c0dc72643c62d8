/* protodoc.c - the tables of docs/protocol.md and docs/errors.md, from the tables of the code.
 *
 *   protodoc --check FILE    fails when the file is not current
 *   protodoc --write FILE    brings it up to date
 *
 * Text between "<!-- begin NAME -->" and "<!-- end -->" is ours; the rest is left as it is.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "cli/command.h"
#include "proto/client.h"
#include "proto/guest.h"
#include "proto/helper.h"
#include "proto/wire.h"

enum {
	FILE_MAX_BYTES = 1 << 20,
	SCHEMAS_MAX = 96,
};

#define BEGIN "<!-- begin "
#define END   "<!-- end -->"

/* Every schema that has been named, in order, so that each is described once. */
struct seen {
	const struct schema *list[SCHEMAS_MAX];
	size_t n;
};

static void see(struct seen *seen, const struct schema *s)
{
	if (s->nfields == 0)
		return;
	for (size_t i = 0; i < seen->n; i++)
		if (seen->list[i] == s)
			return;
	ASSERT(seen->n < SCHEMAS_MAX);
	seen->list[seen->n++] = s;
	for (uint32_t i = 0; i < s->nfields; i++)
		if (s->fields[i].sub)
			see(seen, s->fields[i].sub);
}

/* ---- fields ---- */

static void put_bounds(FILE *to, const struct field *f)
{
	if (f->max)
		(void)fprintf(to, ", %" PRIu64 "..%" PRIu64, f->min, f->max);
	else if (f->min)
		(void)fprintf(to, ", at least %" PRIu64, f->min);
}

static void put_str(FILE *to, const struct field *f)
{
	const unsigned most = f->size - 1U;

	if (f->min)
		(void)fprintf(to, "str, %" PRIu64 "..%u bytes", f->min, most);
	else
		(void)fprintf(to, "str, at most %u bytes", most);
}

static void put_type(FILE *to, const struct field *f)
{
	switch (f->kind) {
	case FIELD_BOOL:
		(void)fputs("bool", to);
		break;
	case FIELD_I32:
		(void)fputs("int32", to);
		put_bounds(to, f);
		break;
	case FIELD_U32:
		(void)fputs("uint32", to);
		put_bounds(to, f);
		break;
	case FIELD_U64:
		(void)fputs("uint64", to);
		put_bounds(to, f);
		break;
	case FIELD_STR:
	case FIELD_TEXT:
		put_str(to, f);
		break;
	case FIELD_BYTES:
	case FIELD_SPAN:
		(void)fprintf(to, "bin, at most %" PRIu64 " bytes", f->max);
		break;
	case FIELD_OP_ID:
		(void)fprintf(to, "bin of %d bytes", OP_ID_BYTES);
		break;
	case FIELD_VM_ID:
		(void)fprintf(to, "str of %d characters", VM_ID_CHARS);
		break;
	case FIELD_STRV:
		(void)fprintf(to, "array of str, at most %" PRIu64, f->max);
		break;
	case FIELD_PAIRS:
		(void)fprintf(to, "map of str to str, at most %" PRIu64, f->max);
		break;
	case FIELD_STRUCT:
		(void)fprintf(to, "[%s](#%s)", f->sub->name, f->sub->name);
		break;
	case FIELD_LIST:
	case FIELD_ROWS:
		(void)fprintf(to, "array of [%s](#%s), at most %" PRIu64, f->sub->name,
			      f->sub->name, f->max);
		break;
	case FIELD_MAP:
		(void)fputs("map", to);
		break;
	case FIELD_NKINDS:
		break;
	}
}

static void put_fields(FILE *to, const struct schema *s)
{
	(void)fputs("\n| field | type | must be there | what |\n|---|---|---|---|\n", to);
	if (s->tagged)
		(void)fprintf(to, "| `type` | str | yes | \"%s\" |\n", s->name);
	for (uint32_t i = 0; i < s->nfields; i++) {
		const struct field *f = &s->fields[i];

		(void)fprintf(to, "| `%s` | ", f->name);
		put_type(to, f);
		(void)fprintf(to, " | %s | %s |\n", f->required ? "yes" : "", f->doc);
	}
}

static void put_schema(FILE *to, const struct schema *s)
{
	(void)fprintf(to, "\n### %s\n", s->name);
	if (s->open)
		(void)fputs("\nOpen: skip fields that you do not know.\n", to);
	put_fields(to, s);
}

/* ---- sections ---- */

static void put_envelopes(FILE *to)
{
	for (int i = 0; i < WIRE_NTYPES; i++)
		put_schema(to, &wire_schemas[i]);
	put_schema(to, &wire_error_schema);
}

static void put_link(FILE *to, const struct schema *s)
{
	if (s->nfields == 0)
		(void)fputs("`{}`", to);
	else
		(void)fprintf(to, "[%s](#%s)", s->name, s->name);
}

static void put_methods(FILE *to, const struct client_method_row *rows, size_t n)
{
	(void)fputs("\n| method | args | result | what |\n|---|---|---|---|\n", to);
	for (size_t i = 0; i < n; i++) {
		(void)fprintf(to, "| `%s` | ", rows[i].name);
		put_link(to, rows[i].args);
		(void)fputs(" | ", to);
		put_link(to, rows[i].result);
		(void)fprintf(to, " | %s |\n", rows[i].doc);
	}
	(void)fputc('\n', to);
}

static void put_client_methods(FILE *to)
{
	put_methods(to, client_methods, METHOD_NMETHODS);
}

static void put_client_events(FILE *to)
{
	(void)fputs("\n| event | body | what |\n|---|---|---|\n", to);
	for (int i = 0; i < EVENT_NEVENTS; i++) {
		const struct client_event_row *row = &client_events[i];

		(void)fprintf(to, "| `%s` | [%s](#%s) | %s |\n", row->name, row->body->name,
			      row->body->name, row->doc);
	}
	(void)fputc('\n', to);
}

static void put_guest_methods(FILE *to)
{
	put_methods(to, guest_methods, GUEST_METHOD_NMETHODS);
}

static void put_helper_methods(FILE *to)
{
	put_methods(to, helper_methods, HELPER_NMETHODS);
}

static void put_types(FILE *to)
{
	struct seen seen = { .n = 0 };

	for (size_t i = 0; i < METHOD_NMETHODS; i++) {
		see(&seen, client_methods[i].args);
		see(&seen, client_methods[i].result);
	}
	for (size_t i = 0; i < EVENT_NEVENTS; i++)
		see(&seen, client_events[i].body);
	for (size_t i = 0; i < GUEST_METHOD_NMETHODS; i++) {
		see(&seen, guest_methods[i].args);
		see(&seen, guest_methods[i].result);
	}
	for (size_t i = 0; i < HELPER_NMETHODS; i++) {
		see(&seen, helper_methods[i].args);
		see(&seen, helper_methods[i].result);
	}
	for (size_t i = 0; i < seen.n; i++)
		put_schema(to, seen.list[i]);
	(void)fputc('\n', to);
}

static void put_errors(FILE *to)
{
	(void)fputs("\n| code | cause | retryable | hint |\n|---|---|---|---|\n", to);
	for (int i = ERR_NONE + 1; i < ERR_NCODES; i++) {
		const enum err_code code = (enum err_code)i;

		(void)fprintf(to, "| `%s` | %s | %s | %s |\n", err_name(code), err_cause(code),
			      err_retryable(code) ? "yes" : "", err_hint(code));
	}
	(void)fputc('\n', to);
}

static void put_exit_statuses(FILE *to)
{
	(void)fputs("\n| status | of `vm run`, `vm exec`, `vm shell` | of all else | meaning |\n"
		    "|---|---|---|---|\n",
		    to);
	for (size_t i = 0; i < nexit_statuses; i++) {
		const struct exit_status *s = &exit_statuses[i];

		(void)fprintf(to, "| %s | %s | %s | %s |\n", s->status, s->guest ? "yes" : "",
			      s->other ? "yes" : "", s->doc);
	}
	(void)fputc('\n', to);
}

static const struct {
	const char *name;
	void (*put)(FILE *to);
} sections[] = {
	{ "envelopes", put_envelopes },
	{ "client-methods", put_client_methods },
	{ "client-events", put_client_events },
	{ "guest-methods", put_guest_methods },
	{ "helper-methods", put_helper_methods },
	{ "types", put_types },
	{ "errors", put_errors },
	{ "exit-statuses", put_exit_statuses },
};

/* ---- the file ---- */

static char *read_whole(const char *path)
{
	CLEANUP_FILE FILE *f = fopen(path, "re");
	char *const text = calloc(1, FILE_MAX_BYTES);

	if (f && text && fread(text, 1, FILE_MAX_BYTES - 1, f) < FILE_MAX_BYTES - 1)
		return text;
	free(text);
	return NULL;
}

static int put_section(FILE *to, const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(sections); i++)
		if (strlen(sections[i].name) == len && strncmp(sections[i].name, name, len) == 0) {
			sections[i].put(to);
			return 0;
		}
	return -ENOENT;
}

/* The old text with each section written anew. */
static int renew(const char *old, FILE *to)
{
	for (;;) {
		const char *const begin = strstr(old, BEGIN);

		if (!begin)
			break;
		const char *const name = begin + strlen(BEGIN);
		const char *const line_end = strchr(begin, '\n');
		const char *const end = strstr(begin, END);
		if (!line_end || !end || end < line_end)
			return -EINVAL;
		(void)fprintf(to, "%.*s\n", (int)(line_end - old), old);
		if (put_section(to, name, strcspn(name, " ")) < 0)
			return -ENOENT;
		old = end;
		(void)fputs(END, to);
		old += strlen(END);
	}
	(void)fputs(old, to);
	return 0;
}

static int write_whole(const char *path, const char *text)
{
	CLEANUP_FILE FILE *f = fopen(path, "we");

	if (!f)
		return -errno;
	return fputs(text, f) < 0 ? -EIO : 0;
}

int main(int argc, char **argv)
{
	CLEANUP_FREE char *old = NULL;
	CLEANUP_FREE char *current = NULL;
	size_t size = 0;

	if (argc != 3 || (strcmp(argv[1], "--check") != 0 && strcmp(argv[1], "--write") != 0)) {
		(void)fprintf(stderr, "usage: protodoc --check|--write FILE\n");
		return EXIT_FAILURE;
	}
	old = read_whole(argv[2]);
	FILE *const to = open_memstream(&current, &size);
	if (!old || !to) {
		(void)fprintf(stderr, "%s: cannot be read\n", argv[2]);
		return EXIT_FAILURE;
	}
	const int rc = renew(old, to);
	(void)fclose(to);
	if (rc < 0) {
		(void)fprintf(stderr, "%s: a section is unknown or has no end\n", argv[2]);
		return EXIT_FAILURE;
	}
	if (strcmp(argv[1], "--write") == 0)
		return write_whole(argv[2], current) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	if (strcmp(old, current) == 0)
		return EXIT_SUCCESS;
	(void)fprintf(stderr, "%s is not current: run protodoc --write on it\n", argv[2]);
	return EXIT_FAILURE;
}
