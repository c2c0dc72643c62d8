/* image.c - `image import|build|list|show|rm`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "human.h"
#include "object.h"
#include "report.h"
#include "rows.h"

static const struct column columns[] = {
	{ .head = "NAME", .shrink = true },
	{ .head = "KIND" },
	{ .head = "SIZE", .right = true },
	{ .head = "KERNEL", .shrink = true, .drop = 1 },
	{ .head = "SOURCE", .shrink = true, .drop = 3 },
	{ .head = "CREATED", .drop = 2 },
};

/* "rootfs.tar.gz" -> "rootfs" */
static void name_of_file(const char *path, char *out, size_t size)
{
	static const char *const endings[] = { ".gz",  ".xz",  ".zst",  ".bz2",
					       ".tar", ".tgz", ".ext4", ".img" };
	const char *slash = strrchr(path, '/');

	(void)snprintf(out, size, "%s", slash ? slash + 1 : path);
	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		const size_t len = strlen(out);
		const size_t end = strlen(endings[i]);

		if (len > end && strcmp(out + len - end, endings[i]) == 0)
			out[len - end] = '\0';
	}
}

/* Options were checked for length by object_name_check(). */
static int name_put(const char *what, const char *text, char *out, struct err *e)
{
	const int rc = object_name_check(what, text, e);

	if (rc == 0)
		(void)snprintf(out, OBJECT_NAME_MAX + 1, "%s", text);
	return rc;
}

static int made(const struct options *o, struct call *c)
{
	const struct image_view *image = c->result;
	char size[HUMAN_MAX];
	struct err e = { 0 };

	if (o->json && report_json(&image_view_schema, image, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_FAILED;
	}
	if (o->json)
		return STATUS_OK;
	human_bytes(image->bytes, size);
	report_note(o, "image %s: %s", image->name, size);
	(void)printf("%s\n", image->name);
	return STATUS_OK;
}

static int import_fill(const struct options *o, struct image_import_args *a, struct err *e)
{
	char name[OBJECT_NAME_MAX + 64];
	int rc = object_path(o->args[0], a->path, sizeof(a->path), e);

	name_of_file(o->args[0], name, sizeof(name));
	if (rc == 0)
		rc = name_put("--name", o->name ? o->name : name, a->name, e);
	if (rc == 0 && o->kernel)
		rc = name_put("--kernel", o->kernel, a->kernel, e);
	a->disk_bytes = o->disk_bytes;
	a->force = o->force;
	return rc;
}

int image_import_run(const struct options *o)
{
	CLEANUP_CALL struct call c = { 0 };
	struct image_import_args args = { 0 };
	struct err e = { 0 };
	int status;

	if (import_fill(o, &args, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_USAGE;
	}
	status = object_make(o, &c, METHOD_IMAGE_IMPORT, &args);
	return status ? status : made(o, &c);
}

int image_build_run(const struct options *o)
{
	CLEANUP_CALL struct call c = { 0 };
	struct image_build_args args = { .packages = o->packages, /* lent */
					 .disk_bytes = o->disk_bytes,
					 .force = o->force };
	struct err e = { 0 };
	int status;

	if (name_put("source", o->args[0], args.source, &e) < 0 ||
	    (o->name && name_put("--name", o->name, args.name, &e) < 0)) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_USAGE;
	}
	status = object_make(o, &c, METHOD_IMAGE_BUILD, &args);
	return status ? status : made(o, &c);
}

static int add_row(struct rows *r, const struct image_view *image, struct err *e)
{
	char size[HUMAN_MAX] = "";
	char created[HUMAN_MAX] = "";
	const char *const cells[] = { image->name,   image->kind,   size,
				      image->kernel, image->source, created };

	if (image->bytes)
		human_bytes(image->bytes, size);
	if (image->created_ms)
		human_time(image->created_ms, created);
	return rows_add(r, image, image->name, cells, e);
}

int image_list_run(const struct options *o)
{
	CLEANUP_CALL struct call c = { 0 };
	struct rows rows;
	struct err e = { 0 };
	int rc = 0;
	int status = rows_init(&rows, o, columns, ARRAY_LEN(columns), &image_view_schema);

	if (status != 0)
		return status;
	status = session_ask(o, &c, METHOD_IMAGE_LIST, &(struct none){ 0 });
	if (status == 0) {
		const struct image_list_result *r = c.result;
		const struct image_view *images = r->images.items;

		for (uint32_t i = 0; i < r->images.n && rc == 0; i++)
			rc = add_row(&rows, &images[i], &e);
	}
	return object_list_end(&rows, status, rc, &e);
}

int image_show_run(const struct options *o)
{
	return object_show(o, METHOD_IMAGE_SHOW);
}

int image_rm_run(const struct options *o)
{
	return object_rm(o, METHOD_IMAGE_RM);
}
