/* firecracker_version.c - which Firecracker it is, and whether we know it to work. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/firecracker.h"

#define BEFORE "Firecracker v"

struct version {
	unsigned int major, minor, patch;
};

/* The versions whose API and command line are the one that the driver speaks. */
static const struct version oldest = { 1, 5, 0 };
static const struct version newest = { 1, 16, 999 };

static const struct {
	struct version version;
	const char *why;
} bad[] = {
	{ { 1, 16, 0 },
	  "its jailer refuses control groups and network namespaces behind symbolic links, and "
	  "vsock "
	  "connections hang after a restore" },
};

static int compare(const struct version *a, const struct version *b)
{
	if (a->major != b->major)
		return a->major < b->major ? -1 : 1;
	if (a->minor != b->minor)
		return a->minor < b->minor ? -1 : 1;
	return a->patch < b->patch ? -1 : a->patch > b->patch;
}

static int version_check(const struct version *v, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (compare(v, &bad[i].version) == 0)
			return err_set(e, ERR_VMM_VERSION,
				       "firecracker %u.%u.%u is known to be bad: %s", v->major,
				       v->minor, v->patch, bad[i].why);
	if (compare(v, &oldest) < 0 || compare(v, &newest) > 0)
		return err_set(e, ERR_VMM_VERSION,
			       "firecracker %u.%u.%u is none of those that work: %u.%u to %u.%u",
			       v->major, v->minor, v->patch, oldest.major, oldest.minor,
			       newest.major, newest.minor);
	return 0;
}

/* "Firecracker v1.16.1", or "v1.16.1-dev" of one that somebody has built; then its log. */
int firecracker_version(const char *said, char ret_version[VMM_VERSION_MAX], struct err *e)
{
	const char *at = strstr(said, BEFORE);
	struct version v;

	if (!at || sscanf(at, BEFORE "%4u.%4u.%4u", &v.major, &v.minor, &v.patch) != 3)
		return err_set(e, ERR_VMM_VERSION,
			       "firecracker: --version says nothing that we know: "
			       "%.40s",
			       said);
	const int rc = version_check(&v, e);
	if (rc < 0)
		return rc;
	at += strlen(BEFORE);
	(void)snprintf(ret_version, VMM_VERSION_MAX, "%.*s", (int)strcspn(at, " \r\n\t"), at);
	return 0;
}
