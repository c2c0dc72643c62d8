#include "provide.h"

#include <stdio.h>
#include <string.h>

#include "command.h"
#include "progress.h"
#include "report.h"

static const char buildable_prefix[] = "debian:";

/* One long request.  That somebody else was quicker is as good. */
static int make(struct session *s, const struct options *o, enum client_method m, const void *args,
		enum err_code exists)
{
	CLEANUP_CALL struct call c = { 0 };
	struct progress progress;

	progress_init(&progress, o, 0);
	c.progress = &progress;
	const int rc = session_call(s, &c, m, args);

	c.progress = NULL;
	return rc < 0 && c.err.code != exists ? session_report(s, &c) : 0;
}

static int build_image(struct session *s, const struct options *o, const char *name)
{
	struct image_build_args args = { 0 };

	(void)snprintf(args.source, sizeof(args.source), "%s", name);
	report_note(o, "image %s is not here yet: building it from Debian's packages, once", name);
	return make(s, o, METHOD_IMAGE_BUILD, &args, ERR_IMAGE_EXISTS);
}

/* What was named: missing, or whether its VMs need a kernel of ours. */
static void named_image(struct session *s, const char *name, bool *ret_missing, bool *ret_kernel)
{
	CLEANUP_CALL struct call c = { 0 };
	struct name_args args = { 0 };

	(void)snprintf(args.name, sizeof(args.name), "%s", name);
	*ret_missing = session_call(s, &c, METHOD_IMAGE_SHOW, &args) < 0 &&
		       c.err.code == ERR_IMAGE_NOT_FOUND;
	const struct image_view *v = c.result;

	*ret_kernel = *ret_missing || (v && strcmp(v->kind, "disk") == 0 && !v->kernel[0]);
}

/* None was named: is there one with a disk at all? */
static void default_image(struct session *s, bool *ret_missing, bool *ret_kernel)
{
	CLEANUP_CALL struct call c = { 0 };
	const struct image_list_result *r;
	bool found = false;

	*ret_missing = false;
	*ret_kernel = true;
	if (session_call(s, &c, METHOD_IMAGE_LIST, &(struct none){ 0 }) < 0)
		return;
	r = c.result;
	for (uint32_t i = 0; i < r->images.n; i++)
		found = found ||
			strcmp(((const struct image_view *)r->images.items)[i].kind, "disk") == 0;
	*ret_missing = !found;
}

static bool kernel_missing(struct session *s)
{
	CLEANUP_CALL struct call c = { 0 };

	return session_call(s, &c, METHOD_KERNEL_LIST, &(struct none){ 0 }) == 0 &&
	       ((const struct kernel_list_result *)c.result)->kernels.n == 0;
}

/* What was asked for, else what the daemon's settings say; NULL when neither does. */
static const char *chosen(const char *asked, const char *setting)
{
	return asked ? asked : setting[0] ? setting : NULL;
}

int provide(struct session *s, const struct options *o, const struct info_result *info)
{
	static const struct kernel_import_args debians; /* too large for the stack */
	const char *named = chosen(o->image, info->image);
	const char *image = named ? named : PROVIDE_IMAGE;
	bool missing = false;
	bool kernel = false;
	int status = 0;

	if (o->pull && strcmp(o->pull, "never") == 0)
		return 0;
	if (strcmp(o->vmm ? o->vmm : info->vmm, "null") == 0 && !o->image)
		return 0;
	if (named)
		named_image(s, named, &missing, &kernel);
	else
		default_image(s, &missing, &kernel);
	if (missing && strncmp(image, buildable_prefix, sizeof(buildable_prefix) - 1) != 0)
		return 0; /* a name that only its owner knows: the create says that it is none */
	if (missing)
		status = build_image(s, o, image);
	if (status == 0 && kernel && !chosen(o->kernel, info->kernel) && kernel_missing(s)) {
		report_note(o, "there is no kernel yet: fetching Debian's, once");
		status = make(s, o, METHOD_KERNEL_IMPORT, &debians, ERR_KERNEL_EXISTS);
	}
	return status;
}
