#include "object.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "progress.h"
#include "report.h"

int object_make(const struct options *o, struct call *c, enum client_method m, const void *args)
{
	struct progress progress;
	int status;

	progress_init(&progress, o, 0);
	c->progress = &progress;
	status = session_ask(o, c, m, args);
	c->progress = NULL;
	return status;
}

static int name_fill(const char *word, struct name_args *ret_args, struct err *e)
{
	const int rc = object_name_check("name", word, e);

	if (rc == 0)
		(void)snprintf(ret_args->name, sizeof(ret_args->name), "%s", word);
	return rc;
}

int object_show(const struct options *o, enum client_method m)
{
	CLEANUP_CALL struct call c = { 0 };
	struct name_args args = { 0 };
	struct err e = { 0 };
	int status = STATUS_USAGE;

	if (name_fill(o->args[0], &args, &e) == 0) {
		status = session_ask(o, &c, m, &args);
		if (status != 0)
			return status;
		if (report_json(client_methods[m].result, c.result, &e) == 0)
			return STATUS_OK;
		status = STATUS_FAILED;
	}
	report_error(o, &e, NULL, NULL, NULL);
	return status;
}

int object_rm(const struct options *o, enum client_method m)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	struct err e = { 0 };
	int status = STATUS_OK;

	if (o->nargs > 1 && !op_id_is_zero(&o->op_id)) {
		err_set(&e, ERR_BAD_REQUEST, "--op-id is for one name: each is an operation");
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_USAGE;
	}
	if (session_open(&s, o, true, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_FAILED;
	}
	for (uint32_t i = 0; i < o->nargs && !s.signo; i++) {
		CLEANUP_CALL struct call c = { .op_id = o->op_id };
		struct name_args args = { 0 };

		if (name_fill(o->args[i], &args, &c.err) < 0 || session_call(&s, &c, m, &args) < 0)
			status = session_report(&s, &c);
		else if (!o->quiet && !o->json)
			(void)printf("%s\n", args.name);
	}
	return status;
}

int object_path(const char *path, char *out, size_t size, struct err *e)
{
	char *real = realpath(path, NULL);
	int rc = 0;

	if (!real)
		return err_sys(e, ERR_HOST_IO, "%s", path);
	if ((size_t)snprintf(out, size, "%s", real) >= size)
		rc = err_set(e, ERR_BAD_REQUEST, "the path of %.80s is too long", path);
	free(real);
	return rc;
}

int object_list_end(struct rows *r, int status, int rc, const struct err *e)
{
	const struct options *o = r->o;

	rows_end(r, status != 0 || rc < 0);
	if (rc == 0)
		return status;
	report_error(o, e, NULL, NULL, NULL);
	return STATUS_FAILED;
}
