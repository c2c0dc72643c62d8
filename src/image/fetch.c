#include "image/fetch.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "image/child.h"
#include "image/fault.h"
#include "image/report.h"

#define FETCH_PACKAGE "linux-image-cloud-amd64"

enum {
	FETCH_TEXT_MAX = 16384, /* bytes of a tool's answer */
	FETCH_NAME_MAX = 128,   /* bytes of a package's name */
};

/* Runs a tool to its end; its output, cut at FETCH_TEXT_MAX, is in `out`. */
static int tool_run(const struct job *job, char *const *argv, char out[FETCH_TEXT_MAX],
		    struct err *e)
{
	char words[CHILD_LINE_MAX];
	struct child c;
	size_t len = 0;
	ssize_t n;
	int status;
	int rc = child_start(&c, argv, job->staging, e);

	if (rc < 0)
		return rc;
	while ((n = read(c.out, out + len, FETCH_TEXT_MAX - 1 - len)) > 0 ||
	       (n < 0 && errno == EINTR))
		len += n > 0 ? (size_t)n : 0;
	out[len] = '\0';
	rc = child_wait(&c, &status, e);
	if (rc < 0 || status == 0)
		return rc;
	child_last_words(job, words);
	return err_set(e, ERR_HOST_IO, "%s ended with status %d: %s", argv[0], status, words);
}

/* The line "  Depends: NAME" of apt-cache's answer. */
static int package_find(const char *text, char out[FETCH_NAME_MAX], struct err *e)
{
	static const char key[] = "Depends: linux-image-";
	const char *at = strstr(text, key);

	if (at) {
		at += sizeof("Depends: ") - 1;
		const size_t n = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789+.-");

		if (n < FETCH_NAME_MAX && (at[n] == '\n' || at[n] == '\0')) {
			memcpy(out, at, n);
			out[n] = '\0';
			return 0;
		}
	}
	return err_set(e, ERR_KERNEL_NOT_FOUND, "apt knows no package " FETCH_PACKAGE);
}

static int file_find(const struct job *job, char **ret_path, struct err *e)
{
	DIR *dir = opendir(job->staging);
	struct dirent *d;
	int rc = -ENOENT;

	if (!dir)
		return fault_sys(e, "open %s", job->staging);
	while (rc == -ENOENT && (d = readdir(dir)) != NULL) {
		const size_t len = strlen(d->d_name);

		if (len > 4 && strcmp(d->d_name + len - 4, ".deb") == 0)
			rc = job_path(job, d->d_name, ret_path, e);
	}
	(void)closedir(dir);
	if (rc == -ENOENT)
		return err_set(e, ERR_KERNEL_NOT_FOUND, "apt-get download left no package");
	return rc;
}

/* execvp's argv is not const; the words are never written. */
#define WORD(text) ((char *)(uintptr_t)(text))

int fetch_kernel(const struct job *job, char **ret_path, struct err *e)
{
	static char text[FETCH_TEXT_MAX];
	char package[FETCH_NAME_MAX];
	char *ask[] = { WORD("apt-cache"), WORD("depends"), WORD(FETCH_PACKAGE), NULL };
	char *get[] = { WORD("apt-get"), WORD("download"), package, NULL };
	int rc;

	report_progress("fetch", 0, 0);
	rc = tool_run(job, ask, text, e);
	if (rc == 0)
		rc = package_find(text, package, e);
	if (rc == 0)
		rc = tool_run(job, get, text, e);
	if (rc == 0)
		rc = file_find(job, ret_path, e);
	return rc;
}
