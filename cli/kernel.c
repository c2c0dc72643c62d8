/* kernel.c - `kernel import|list|show|rm`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "human.h"
#include "object.h"
#include "report.h"
#include "rows.h"

static const struct column columns[] = {
	{ .head = "NAME", .shrink = true }, { .head = "VERSION", .shrink = true },
	{ .head = "SIZE", .right = true },  { .head = "INITRD", .drop = 2 },
	{ .head = "CREATED", .drop = 1 },
};

static int args_fill(const struct options *o, struct kernel_import_args *a, struct err *e)
{
	int rc = 0;

	if (o->nargs > 0)
		rc = object_path(o->args[0], a->path, sizeof(a->path), e);
	else if (o->initrd || o->modules)
		return err_set(e, ERR_BAD_REQUEST,
			       "--initrd and --modules belong to a vmlinuz: "
			       "give its path");
	if (rc == 0 && o->initrd)
		rc = object_path(o->initrd, a->initrd, sizeof(a->initrd), e);
	if (rc == 0 && o->modules)
		rc = object_path(o->modules, a->modules, sizeof(a->modules), e);
	if (rc == 0 && o->name)
		rc = object_name_check("--name", o->name, e);
	if (rc < 0)
		return rc;
	(void)snprintf(a->name, sizeof(a->name), "%s", o->name ? o->name : "");
	a->force = o->force;
	return 0;
}

/* Three paths: too much for the stack. */
static int import(const struct options *o, struct kernel_import_args *args)
{
	CLEANUP_CALL struct call c = { 0 };
	const struct kernel_view *kernel;
	struct err e = { 0 };
	int status;

	if (args_fill(o, args, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_USAGE;
	}
	status = object_make(o, &c, METHOD_KERNEL_IMPORT, args);
	if (status != 0)
		return status;
	kernel = c.result;
	if (!o->json) {
		report_note(o, "kernel %s: %s", kernel->name, kernel->version);
		(void)printf("%s\n", kernel->name);
	} else if (report_json(&kernel_view_schema, kernel, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_FAILED;
	}
	return STATUS_OK;
}

int kernel_import_run(const struct options *o)
{
	struct kernel_import_args *args = calloc(1, sizeof(*args));
	struct err e = { 0 };
	int status = STATUS_FAILED;

	if (args) {
		status = import(o, args);
	} else {
		err_set(&e, ERR_HOST_MEMORY, "request");
		report_error(o, &e, NULL, NULL, NULL);
	}
	free(args);
	return status;
}

static int add_row(struct rows *r, const struct kernel_view *kernel, struct err *e)
{
	char size[HUMAN_MAX];
	char created[HUMAN_MAX];
	const char *const cells[] = { kernel->name, kernel->version, size,
				      kernel->initrd[0] ? "yes" : "no", created };

	human_bytes(kernel->bytes, size);
	human_time(kernel->created_ms, created);
	return rows_add(r, kernel, kernel->name, cells, e);
}

int kernel_list_run(const struct options *o)
{
	CLEANUP_CALL struct call c = { 0 };
	struct rows rows;
	struct err e = { 0 };
	int rc = 0;
	int status = rows_init(&rows, o, columns, ARRAY_LEN(columns), &kernel_view_schema);

	if (status != 0)
		return status;
	status = session_ask(o, &c, METHOD_KERNEL_LIST, &(struct none){ 0 });
	if (status == 0) {
		const struct kernel_list_result *r = c.result;
		const struct kernel_view *kernels = r->kernels.items;

		for (uint32_t i = 0; i < r->kernels.n && rc == 0; i++)
			rc = add_row(&rows, &kernels[i], &e);
	}
	return object_list_end(&rows, status, rc, &e);
}

int kernel_show_run(const struct options *o)
{
	return object_show(o, METHOD_KERNEL_SHOW);
}

int kernel_rm_run(const struct options *o)
{
	return object_rm(o, METHOD_KERNEL_RM);
}
