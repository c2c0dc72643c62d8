/* build.c - image-build: mmdebstrap makes a Debian, whose tar flows through a pipe into ext4. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/strv.h"
#include "image/apt.h"
#include "image/child.h"
#include "image/ext4.h"
#include "image/fault.h"
#include "image/job.h"
#include "image/jobs.h"
#include "image/report.h"
#include "image/source.h"
#include "image/tar_ext4.h"

#define BUILD_PREFIX   "debian:"
#define BUILD_INCLUDE  "iproute2,procps" /* what makes a minimal guest bearable */
#define BUILD_TEMP_DIR "build"

enum {
	EXIT_NO_PROGRAM = 127, /* as child.c reports it */
};

static const char word_chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/* mmdebstrap leaves the builder's own there, which is of no use to a guest: banger-init gives it
 * one where there is none. */
#define NO_RESOLVER "--customize-hook=rm -f \"$1/etc/resolv.conf\""

/* Neither an option nor anything that mmdebstrap would take apart further. */
static bool is_word(const char *text, const char *more)
{
	size_t n = strspn(text, word_chars);

	if (n == 0)
		return false;
	while (text[n]) {
		if (!strchr(word_chars, text[n]) && !strchr(more, text[n]))
			return false;
		n++;
	}
	return true;
}

static int include_add(struct strv *argv, char *const *packages, struct err *e)
{
	CLEANUP_FREE char *list = strdup("--include=" BUILD_INCLUDE);

	for (; list && *packages; packages++) {
		char *longer;

		if (!is_word(*packages, "+.-:~="))
			return err_set(e, ERR_BAD_REQUEST, "package \"%s\": no such name",
				       *packages);
		if (asprintf(&longer, "%s,%s", list, *packages) < 0)
			longer = NULL;
		free(list);
		list = longer;
	}
	if (!list || strv_add(argv, list) < 0)
		return err_set(e, ERR_HOST_MEMORY, "no memory for a command line");
	return 0;
}

static int argv_fill(struct strv *argv, const struct job *job, struct err *e)
{
	const char *suite = job->source + strlen(BUILD_PREFIX);
	int rc;

	if (strncmp(job->source, BUILD_PREFIX, strlen(BUILD_PREFIX)) != 0 || !is_word(suite, "-"))
		return err_set(e, ERR_BAD_REQUEST, "\"%s\": write " BUILD_PREFIX "SUITE",
			       job->source);
	if (strv_add(argv, "mmdebstrap") < 0 || strv_add(argv, "--variant=minbase") < 0 ||
	    strv_add(argv, "--format=tar") < 0 || strv_add(argv, NO_RESOLVER) < 0 ||
	    strv_addf(argv, "--mode=%s", geteuid() == 0 ? "root" : "unshare") < 0)
		return err_set(e, ERR_HOST_MEMORY, "no memory for a command line");
	rc = include_add(argv, job->rest, e);
	if (rc < 0)
		return rc;
	if (strv_add(argv, suite) < 0 || strv_add(argv, "-") < 0)
		return err_set(e, ERR_HOST_MEMORY, "no memory for a command line");
	return apt_sources_add(argv, suite, e);
}

/* The tool's own failure explains a tar that ends early; any other failure of ours comes first. */
static int outcome(const struct job *job, const struct source *src, int status, int rc,
		   struct err *e)
{
	char words[CHILD_LINE_MAX];

	if (status == 0 || (rc < 0 && !src->ended))
		return rc;
	if (status == EXIT_NO_PROGRAM)
		return err_set(e, ERR_IMAGE_BUILD,
			       "mmdebstrap is not installed: apt-get install mmdebstrap");
	child_last_words(job, words);
	return err_set(e, ERR_IMAGE_BUILD, "mmdebstrap ended with status %d: %s", status, words);
}

static int tar_take(const struct job *job, struct child *c, const char *path,
		    char ret_sha256[SOURCE_SHA256_CHARS + 1], struct err *e)
{
	struct source src;
	int status = 0;
	int rc = source_adopt(&src, take_fd(&c->out), c->name, "build", e);

	if (rc == 0)
		rc = job_confine(job, e);
	if (rc == 0)
		rc = tar_to_ext4(&src, path, job->disk_bytes ? job->disk_bytes : EXT4_DISK_DEFAULT,
				 e);
	if (rc == 0)
		rc = source_finish(&src, ret_sha256, e);
	source_close(&src); /* before waiting: the tool must not wait for us to read */
	const int late = child_wait(c, &status, rc < 0 ? NULL : e);
	return rc < 0 || late == 0 ? outcome(job, &src, status, rc, e) : late;
}

/* As root its temporary tree lies in STAGING, which the daemon removes; as a user it would belong
 * to subordinate ids that the daemon may not touch, so the tool's own clean-up has to do. */
static int temp_make(const struct job *job, char **ret_dir, struct err *e)
{
	if (geteuid() != 0) {
		const char *dir = getenv("TMPDIR");

		*ret_dir = strdup(dir ? dir : "/tmp");
		return *ret_dir ? 0 : err_set(e, ERR_HOST_MEMORY, "no memory for a path");
	}
	const int rc = job_path(job, BUILD_TEMP_DIR, ret_dir, e);
	if (rc < 0)
		return rc;
	return mkdir(*ret_dir, 0700) < 0 ? fault_sys(e, "make %s", *ret_dir) : 0;
}

static int build_run(const struct job *job, const struct strv *argv, const char *path,
		     char ret_sha256[SOURCE_SHA256_CHARS + 1], struct err *e)
{
	CLEANUP_FREE char *temp = NULL;
	struct child c;
	int rc = temp_make(job, &temp, e);

	if (rc < 0)
		return rc;
	report_progress("bootstrap", 0, 0);
	rc = child_start(&c, argv->v, temp, e);
	if (rc == 0)
		rc = tar_take(job, &c, path, ret_sha256, e);
	if (rc == 0 && geteuid() == 0 && rmdir(temp) < 0)
		rc = fault_sys(e, "remove %s", temp);
	return rc;
}

/* As the daemon of system mode is.  mmdebstrap would say that newuidmap has failed. */
static int privilege_check(struct err *e)
{
	if (geteuid() == 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 0;
	return err_set(e, ERR_IMAGE_BUILD,
		       "the daemon may not gain privilege, and mmdebstrap maps user ids by a "
		       "set-uid program: build the image in a session (--session) or as a tar, "
		       "and import it");
}

int image_build(const struct job *job, struct err *e)
{
	CLEANUP_FREE char *path = NULL;
	char sha256[SOURCE_SHA256_CHARS + 1];
	struct strv argv = { 0 };
	int rc = argv_fill(&argv, job, e);

	if (rc == 0)
		rc = privilege_check(e);
	if (rc == 0)
		rc = job_path(job, IMAGE_FILE_ROOT, &path, e);
	if (rc == 0)
		rc = build_run(job, &argv, path, sha256, e);
	strv_fini(&argv);
	return rc < 0 ? rc : job_finish_root(job, path, sha256, e);
}
