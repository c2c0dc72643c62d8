#include "logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"

enum {
	EVENTS_BYTES = 4096, /* of inotify, taken at once */
};

int log_init(struct log *log, const struct vm_view *vm, bool vmm, struct err *e)
{
	const char *path = vmm ? vm->vmm_log : vm->console_log;
	const char *slash = strrchr(path, '/');

	*log = (struct log){ .fd = -EBADF, .inotify = -EBADF };
	if (!slash)
		return err_set(e, ERR_VM_STATE, "%s has no process, and so no log", vm->spec.name);
	(void)snprintf(log->path, sizeof(log->path), "%s", path);
	(void)snprintf(log->dir, sizeof(log->dir), "%.*s", (int)(slash - path), path);
	return 0;
}

void log_fini(struct log *log)
{
	close_fd(&log->fd);
	close_fd(&log->inotify);
}

/* ---- reading ---- */

/* Moves to where the last n lines begin; a last line without an end counts too. */
static int skip_to(struct log *log, uint64_t n)
{
	const off_t size = lseek(log->fd, 0, SEEK_END);
	uint64_t lines = 0;
	off_t end = size;

	log->at = size;
	while (n > 0 && end > 0) {
		const off_t begin = end > LOG_BLOCK_BYTES ? end - LOG_BLOCK_BYTES : 0;

		if (lseek(log->fd, begin, SEEK_DATA) >= end)
			break; /* in a hole: what was there is gone */
		ssize_t got = pread(log->fd, log->block, (size_t)(end - begin), begin);

		if (got < 0)
			return -errno;
		for (; got > 0; got--)
			if (log->block[got - 1] == '\n' && begin + got < size && ++lines == n) {
				log->at = begin + got;
				return 0;
			}
		end = begin;
		log->at = begin;
	}
	return 0;
}

int log_skip(struct log *log, const char *tail, struct err *e)
{
	uint64_t lines = 0;
	int rc = 0;

	if (strcmp(tail, "all") == 0)
		return 0;
	rc = number_parse("--tail", tail, 0, UINT32_MAX, &lines, e);
	if (rc == 0) {
		rc = skip_to(log, lines);
		if (rc < 0)
			err_num(e, ERR_HOST_IO, rc, "read %s", log->path);
	}
	return rc;
}

/* The daemon takes the beginning of a log that has become too long, and leaves a hole: what follows
 * begins in the middle of a line, which is passed over too. */
static void skip_hole(struct log *log)
{
	const off_t data = lseek(log->fd, log->at, SEEK_DATA);
	const char *end = NULL;
	ssize_t n;

	if (data <= log->at)
		return; /* or there is nothing, or no such thing as a hole */
	log->at = data;
	while (!end && (n = pread(log->fd, log->block, LOG_BLOCK_BYTES, log->at)) > 0) {
		end = memchr(log->block, '\n', (size_t)n);
		log->at += end ? end + 1 - log->block : n;
	}
}

/* All from log.at to the end.  What was written is seen at once. */
int log_put(struct log *log, struct err *e)
{
	struct stat st;
	ssize_t n;

	if (fstat(log->fd, &st) < 0)
		return err_sys(e, ERR_HOST_IO, "%s", log->path);
	if (st.st_size < log->at)
		log->at = 0; /* it was cut and begins anew */
	skip_hole(log);
	while ((n = pread(log->fd, log->block, LOG_BLOCK_BYTES, log->at)) > 0) {
		log->at += n;
		if (fwrite(log->block, 1, (size_t)n, stdout) != (size_t)n)
			return 0; /* report_end() says so */
	}
	if (n < 0)
		return err_sys(e, ERR_HOST_IO, "read %s", log->path);
	(void)fflush(stdout);
	return 0;
}

/* ---- following ---- */

static int watch_add(const struct log *log, const char *path, uint32_t mask, int *ret_watch,
		     struct err *e)
{
	const int wd = inotify_add_watch(log->inotify, path, mask);

	if (wd < 0)
		return err_sys(e, errno == ENOSPC ? ERR_HOST_FILES : ERR_HOST_IO, "watch %s", path);
	*ret_watch = wd;
	return 0;
}

int log_follow(struct log *log, struct err *e)
{
	log->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (log->inotify < 0)
		return err_sys(e, ERR_HOST_FILES, "inotify");
	return watch_add(log, log->dir, IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_ONLYDIR,
			 &log->dir_watch, e);
}

/* Opens the log where it is there.  Watched first: what is written meanwhile wakes us. */
int log_open(struct log *log, struct err *e)
{
	struct err why = { 0 };

	if (log->fd >= 0)
		return 0;
	if (log->inotify >= 0 &&
	    watch_add(log, log->path, IN_MODIFY | IN_ATTRIB, &log->file_watch, &why) < 0) {
		if (why.sys == ENOENT)
			return 0; /* the directory's watch tells when it comes */
		*e = why;
		return err_errno(e);
	}
	log->fd = open(log->path, O_RDONLY | O_CLOEXEC);
	if (log->fd < 0 && errno != ENOENT)
		return err_sys(e, ERR_HOST_IO, "open %s", log->path);
	log->at = 0;
	return 0;
}

/* A log without a name is not written to any more: another takes its place, or none. */
void log_drop_if_gone(struct log *log)
{
	struct stat st;

	if (log->fd < 0 || fstat(log->fd, &st) < 0 || st.st_nlink > 0)
		return;
	close_fd(&log->fd);
	(void)inotify_rm_watch(log->inotify, log->file_watch);
}

/* Only that something happened matters: the files say what. */
void log_events_take(struct log *log)
{
	char bytes[EVENTS_BYTES] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	while ((n = read(log->inotify, bytes, sizeof(bytes))) > 0) {
		for (ssize_t i = 0; i < n;) {
			const struct inotify_event *ev = (void *)(bytes + i);

			if (ev->wd == log->dir_watch && (ev->mask & (IN_DELETE_SELF | IN_IGNORED)))
				log->dir_gone = true;
			i += (ssize_t)(sizeof(*ev) + ev->len);
		}
	}
}
