/* job.c - what every job needs: its paths, its durability, its confinement. */
#include "image/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "image/fault.h"
#include "image/jobs.h"
#include "image/report.h"
#include "image/upper.h"

#define JOB_MEMORY_MAX (UINT64_C(2) << 30) /* bytes of address space: xz may ask for 1.5 GiB */

int job_path(const struct job *job, const char *name, char **ret_path, struct err *e)
{
	char *path;

	if (asprintf(&path, "%s/%s", job->staging, name) < 0)
		return err_set(e, ERR_HOST_MEMORY, "no memory for a path");
	*ret_path = path;
	return 0;
}

int job_sync(const struct job *job, struct err *e)
{
	CLEANUP_FD int fd = open(job->staging, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return fault_sys(e, "fsync %s", job->staging);
	return 0;
}

int job_finish_root(const struct job *job, const char *root, const char *sha256, struct err *e)
{
	struct stat st;
	int rc = stat(root, &st) < 0 ? fault_sys(e, "stat %s", root) : 0;

	if (rc == 0)
		rc = upper_make(job, (uint64_t)st.st_size, e);
	if (rc == 0)
		rc = job_sync(job, e);
	if (rc < 0)
		return rc;
	report_result(IMAGE_RESULT_SHA256, "%s", sha256);
	report_result(IMAGE_RESULT_BYTES, "%lld", (long long)st.st_size);
	report_result(IMAGE_RESULT_SOURCE, "%s", job->source);
	return 0;
}

int job_confine(const struct job *job, struct err *e)
{
	(void)job;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, ERR_HOST_IO, "no_new_privs");
#ifndef __SANITIZE_ADDRESS__ /* whose shadow takes terabytes of address space */
	const struct rlimit memory = { JOB_MEMORY_MAX, JOB_MEMORY_MAX };

	/* A lower hard limit of our user is fine, and the reason why this may be refused. */
	(void)setrlimit(RLIMIT_AS, &memory);
#endif
	return 0;
}
