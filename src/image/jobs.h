/* jobs.h - the jobs of banger-imager: what argv says, one function each.
 *
 * Each writes its files into job->staging, durably, and reports result lines; it leaves cleaning up
 * after an error to the daemon, which removes the staging directory.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"

struct job {
	const char *staging; /* all borrowed from argv */
	const char *source;
	uint64_t disk_bytes; /* 0: the default */
	char *const *rest;   /* arguments after those of job.h's line, NULL-terminated */
	const char *initrd;
	const char *modules;
	const char *init;
	const char *agent;
};

int image_import(const struct job *job, struct err *e);
int image_build(const struct job *job, struct err *e);
int kernel_import(const struct job *job, struct err *e);

/* "staging/name", owned by the caller. */
int job_path(const struct job *job, const char *name, char **ret_path, struct err *e);

/* fsync of the staging directory itself, and of a file that is open. */
int job_sync(const struct job *job, struct err *e);

/* The image's root file system is made, its source had this digest: what goes with it, durability,
 * and the result lines. */
int job_finish_root(const struct job *job, const char *root, const char *sha256, struct err *e);

/* From here on foreign bytes are parsed: bounds memory, and takes away what exec could give. */
int job_confine(const struct job *job, struct err *e);
