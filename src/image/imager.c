/* imager.c - the program banger-imager: one job, named on its command line (job.h). */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "image/fault.h"
#include "image/job.h"
#include "image/jobs.h"
#include "image/report.h"

enum {
	EXIT_DONE = 0,
	EXIT_ERROR = 1, /* an error line was written */
	EXIT_USAGE = 2,
};

static int bytes_parse(const char *text, uint64_t *ret_bytes)
{
	char *end;

	errno = 0;
	const unsigned long long n = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-')
		return -EINVAL;
	*ret_bytes = n;
	return 0;
}

static int args_image(char *const *argv, struct job *job)
{
	job->rest = argv + 1;
	return bytes_parse(argv[0], &job->disk_bytes);
}

static int args_kernel(char *const *argv, struct job *job)
{
	job->initrd = argv[0];
	job->modules = argv[1];
	job->init = argv[2];
	job->agent = argv[3];
	return 0;
}

/* argv of a job: NAME STAGING SOURCE, then `min` to `max` arguments of its own. */
static const struct job_kind {
	const char *name;
	int min;
	int max;
	int (*args)(char *const *argv, struct job *job);
	int (*run)(const struct job *job, struct err *e);
} job_kinds[] = {
	{ "image-import", 1, 1, args_image, image_import },
	{ "image-build", 1, 257, args_image, image_build },
	{ "kernel-import", 4, 4, args_kernel, kernel_import },
};

static const struct job_kind *kind_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(job_kinds); i++) {
		if (strcmp(job_kinds[i].name, name) == 0)
			return &job_kinds[i];
	}
	return NULL;
}

/* stderr becomes STAGING/log: of this program, its libraries, and the programs that it runs. */
static int log_open(const struct job *job, struct err *e)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FD int fd = -EBADF;
	const int rc = job_path(job, IMAGE_FILE_LOG, &path, e);

	if (rc < 0)
		return rc;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
		return fault_sys(e, "open %s", path);
	return 0;
}

static int job_run(const struct job_kind *kind, const struct job *job, struct err *e)
{
	int rc = log_open(job, e);

	if (rc == 0)
		rc = kind->run(job, e);
	return rc;
}

int main(int argc, char **argv)
{
	struct err e = { 0 };

	/* libarchive turns the UTF-8 names of pax headers into the locale's. */
	(void)setlocale(LC_CTYPE, "C.UTF-8");
	(void)umask(077);
	(void)signal(SIGXFSZ, SIG_IGN); /* EFBIG is an error to report, not an end */

	const struct job_kind *kind = argc >= 4 ? kind_find(argv[1]) : NULL;
	struct job job = { .staging = kind ? argv[2] : NULL, .source = kind ? argv[3] : NULL };

	/* Tools run elsewhere than in our working directory: STAGING must be absolute. */
	if (!kind || job.staging[0] != '/' || argc - 4 < kind->min || argc - 4 > kind->max ||
	    kind->args(argv + 4, &job) < 0) {
		(void)fprintf(stderr, "usage: banger-imager JOB STAGING SOURCE ARGUMENT...\n"
				      "A part of bangerd, which starts it; see image/job.h.\n");
		return EXIT_USAGE;
	}
	if (job_run(kind, &job, &e) < 0) {
		report_error(&e);
		return EXIT_ERROR;
	}
	return EXIT_DONE;
}
