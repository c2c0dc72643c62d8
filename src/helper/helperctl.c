/* helperctl.c - banger-helperctl: sends the root helper one request and prints the answer.
 *
 *   banger-helperctl create_tap bridge=br-fc slot=3
 *
 * A developer's tool: the daemon speaks for itself, and users speak to the daemon.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/suggest.h"
#include "helper/ask.h"
#include "proto/json.h"

enum {
	STATUS_USAGE = 2,
	JSON_MAX = 4 << 20,
};

static const char usage_text[] =
	"usage: banger-helperctl [--socket PATH] OPERATION [FIELD=VALUE...]\n"
	"       banger-helperctl --list [OPERATION]\n"
	"\n"
	"  --socket PATH  of the root helper; else " HELPER_SOCKET "\n"
	"  --list         the operations, or one with its fields\n"
	"\n"
	"Prints the result as JSON.  See bangerd-root(8).\n";

/* ---- what there is ---- */

static void list_operations(void)
{
	for (int i = 0; i < HELPER_NMETHODS; i++)
		(void)printf("%-24s %s\n", helper_methods[i].name, helper_methods[i].doc);
}

static void list_fields(const struct client_method_row *row)
{
	(void)printf("%s: %s\n", row->name, row->doc);
	for (uint32_t i = 0; i < row->args->nfields; i++) {
		const struct field *const f = &row->args->fields[i];

		(void)printf("  %-12s %s%s\n", f->name, f->doc, f->required ? "" : " (optional)");
	}
}

static const struct client_method_row *row_find(const char *name)
{
	struct suggest near = { .word = name };
	const int i = method_find(helper_methods, HELPER_NMETHODS, name);

	if (i >= 0)
		return &helper_methods[i];
	for (int k = 0; k < HELPER_NMETHODS; k++)
		suggest_offer(&near, helper_methods[k].name);
	(void)fprintf(stderr, "banger-helperctl: no operation \"%s\"%s%s%s\n", name,
		      near.best ? "; did you mean \"" : "", near.best ? near.best : "",
		      near.best ? "\"?" : "");
	return NULL;
}

/* ---- FIELD=VALUE ---- */

static int set_number(const struct field *f, const char *text, void *member, struct err *e)
{
	uint64_t n;
	const uint64_t type_max = f->kind == FIELD_U32 ? UINT32_MAX : UINT64_MAX;
	const int rc = number_parse(f->name, text, 0, type_max, &n,
				    e); /* its bounds are the helper's to tell */

	if (rc < 0)
		return rc;
	if (f->kind == FIELD_U32)
		*(uint32_t *)member = (uint32_t)n;
	else
		*(uint64_t *)member = n;
	return 0;
}

static int set_bool(const struct field *f, const char *text, bool *member, struct err *e)
{
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return err_set(e, ERR_BAD_REQUEST, "%s: \"%s\" is neither true nor false", f->name,
			       text);
	*member = text[0] == 't';
	return 0;
}

static int set_field(const struct field *f, const char *text, void *member, struct err *e)
{
	if (f->kind == FIELD_BOOL)
		return set_bool(f, text, member, e);
	if (f->kind == FIELD_U32 || f->kind == FIELD_U64)
		return set_number(f, text, member, e);
	if (f->kind == FIELD_VM_ID)
		return vm_id_parse(text, member) < 0
			       ? err_set(e, ERR_BAD_REQUEST, "%s: \"%s\" is no VM's id", f->name,
					 text)
			       : 0;
	if (f->kind != FIELD_STR && f->kind != FIELD_TEXT)
		return err_set(e, ERR_BAD_REQUEST, "%s: cannot be written on a command line",
			       f->name);
	if (strlen(text) >= f->size)
		return err_set(e, ERR_BAD_REQUEST, "%s: has more than %u bytes", f->name,
			       f->size - 1U);
	(void)snprintf(member, f->size, "%s", text);
	return 0;
}

/* The field that a word names, and what it is to be; NULL. */
static const struct field *field_find(const struct schema *s, const char *word,
				      const char **ret_value)
{
	const char *const equals = strchr(word, '=');

	for (uint32_t i = 0; equals && i < s->nfields; i++) {
		const struct field *const f = &s->fields[i];

		if (strlen(f->name) == (size_t)(equals - word) &&
		    strncmp(f->name, word, strlen(f->name)) == 0) {
			*ret_value = equals + 1;
			return f;
		}
	}
	return NULL;
}

static int set_all(const struct schema *s, char **words, void *args, struct err *e)
{
	uint64_t given = 0; /* mask of fields */
	int rc = 0;

	for (; rc == 0 && *words; words++) {
		const char *value;
		const struct field *const f = field_find(s, *words, &value);

		if (!f)
			return err_set(e, ERR_BAD_REQUEST,
				       "\"%s\" is no FIELD=VALUE of it; see --list", *words);
		given |= BIT(f - s->fields);
		rc = set_field(f, value, (char *)args + f->offset, e);
	}
	for (uint32_t i = 0; rc == 0 && i < s->nfields; i++)
		if (s->fields[i].required && (given & BIT(i)) == 0)
			rc = err_set(e, ERR_BAD_REQUEST, "%s: missing", s->fields[i].name);
	return rc;
}

/* ---- the request ---- */

static int print_result(const struct schema *s, const void *result, struct err *e)
{
	struct buf out;
	int rc;

	buf_init(&out, JSON_MAX);
	rc = schema_json(s, result, &out, true);
	if (rc == 0 &&
	    (fwrite(buf_data(&out), 1, buf_len(&out), stdout) < buf_len(&out) || puts("") < 0))
		rc = -EIO;
	buf_fini(&out);
	return rc < 0 ? err_num(e, ERR_HOST_IO, rc, "output") : 0;
}

static int ask_and_print(const char *path, const struct client_method_row *row, const void *args,
			 struct err *e)
{
	void *const result = calloc(1, row->result->size);
	struct ask a;
	int rc;

	if (!result)
		return err_num(e, ERR_HOST_MEMORY, ENOMEM, "result");
	rc = ask_open(&a, path, e);
	if (rc == 0)
		rc = ask_helper(&a, (enum helper_method)(row - helper_methods), args, result, e);
	if (rc == 0) {
		rc = print_result(row->result, result, e);
		schema_fini(row->result, result);
	}
	if (rc == 0 && a.nfds > 0)
		(void)fprintf(stderr, "banger-helperctl: %u descriptors came along, closed\n",
			      a.nfds);
	ask_close(&a);
	free(result);
	return rc;
}

static int tell(const struct err *e)
{
	(void)fprintf(stderr, "banger-helperctl: %s: %s\n", err_name(e->code), e->text);
	if (err_hint(e->code)[0] != '\0')
		(void)fprintf(stderr, "  %s\n", err_hint(e->code));
	return EXIT_FAILURE;
}

static int run(const char *path, const struct client_method_row *row, char **words)
{
	void *const args = calloc(1, row->args->size);
	struct err e = { 0 };
	int rc;

	if (!args) {
		(void)err_num(&e, ERR_HOST_MEMORY, ENOMEM, "arguments");
		return tell(&e);
	}
	rc = set_all(row->args, words, args, &e);
	if (rc == 0)
		rc = ask_and_print(path, row, args, &e);
	free(args);
	return rc < 0 ? tell(&e) : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "list", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	const char *path = HELPER_SOCKET;
	const struct client_method_row *row;
	bool list = false;
	int c;

	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (c == 's') {
			path = optarg;
		} else if (c == 'l') {
			list = true;
		} else if (c == 'h' || c == 'v') {
			(void)fputs(c == 'h' ? usage_text : "banger-helperctl " BANGER_VERSION "\n",
				    stdout);
			return EXIT_SUCCESS;
		} else {
			return STATUS_USAGE;
		}
	}
	if (list && optind == argc) {
		list_operations();
		return EXIT_SUCCESS;
	}
	if (optind == argc) {
		(void)fputs(usage_text, stderr);
		return STATUS_USAGE;
	}
	row = row_find(argv[optind]);
	if (!row)
		return STATUS_USAGE;
	if (list)
		list_fields(row);
	return list ? EXIT_SUCCESS : run(path, row, argv + optind + 1);
}
