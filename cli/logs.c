/* logs.c - `vm logs`: what a VM's console, or its VMM, said; and goes on saying.
 *
 * The logs are files of the daemon's owner, who we are: they are read here, and followed by
 * inotify(7), so that neither the daemon's end nor the VM's stop ends it.  A log whose last name is
 * gone belongs to a VM that is deleted.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "command.h"
#include "list.h"
#include "report.h"

enum {
	BLOCK_BYTES = 16384,
	EVENTS_BYTES = 4096, /* of inotify, taken at once */
};

struct log {
	char dir[PATH_BYTES_MAX + 1];
	char path[PATH_BYTES_MAX + 1];
	int fd;      /* -EBADF: not there yet */
	int inotify; /* -EBADF: not followed */
	int dir_watch, file_watch;
	bool dir_gone;
	off_t at;
	char block[BLOCK_BYTES];
};

/* ---- reading ---- */

/* Moves to where the last n lines begin; a last line without an end counts too. */
static int skip_to(struct log *log, uint64_t n)
{
	const off_t size = lseek(log->fd, 0, SEEK_END);
	uint64_t lines = 0;
	off_t end = size;

	log->at = size;
	while (n > 0 && end > 0) {
		const off_t begin = end > BLOCK_BYTES ? end - BLOCK_BYTES : 0;
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

/* All from log.at to the end.  What was written is seen at once. */
static int put_rest(struct log *log, struct err *e)
{
	struct stat st;
	ssize_t n;

	if (fstat(log->fd, &st) < 0)
		return err_sys(e, ERR_HOST_IO, "%s", log->path);
	if (st.st_size < log->at)
		log->at = 0; /* it was cut and begins anew */
	while ((n = pread(log->fd, log->block, BLOCK_BYTES, log->at)) > 0) {
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

static int follow_begin(struct log *log, struct err *e)
{
	log->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (log->inotify < 0)
		return err_sys(e, ERR_HOST_FILES, "inotify");
	return watch_add(log, log->dir, IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_ONLYDIR,
			 &log->dir_watch, e);
}

/* Opens the log where it is there.  Watched first: what is written meanwhile wakes us. */
static int log_open(struct log *log, struct err *e)
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
static void log_drop_if_gone(struct log *log)
{
	struct stat st;

	if (log->fd < 0 || fstat(log->fd, &st) < 0 || st.st_nlink > 0)
		return;
	close_fd(&log->fd);
	(void)inotify_rm_watch(log->inotify, log->file_watch);
}

/* Only that something happened matters: the files say what. */
static void events_take(struct log *log)
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

/* Until the VM is gone, or nobody reads us any more. */
static int follow(struct log *log, struct err *e)
{
	struct pollfd fds[] = { { .fd = log->inotify, .events = POLLIN },
				{ .fd = STDOUT_FILENO, .events = 0 } };
	int rc = 0;

	while (rc == 0 && !ferror(stdout) && !(fds[1].revents & POLLERR)) {
		log_drop_if_gone(log);
		rc = log_open(log, e);
		if (rc == 0 && log->fd >= 0)
			rc = put_rest(log, e);
		if (rc < 0 || (log->fd < 0 && log->dir_gone))
			return rc;
		if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
			return err_sys(e, ERR_HOST_IO, "poll");
		events_take(log);
	}
	return rc;
}

/* ---- the command ---- */

static int log_of(const struct options *o, const struct vm_view *vm, struct log *log, struct err *e)
{
	const char *path = o->vmm_log ? vm->vmm_log : vm->console_log;
	const char *slash = strrchr(path, '/');

	if (!slash)
		return err_set(e, ERR_VM_STATE, "%s has no process, and so no log", vm->spec.name);
	*log = (struct log){ .fd = -EBADF, .inotify = -EBADF };
	(void)snprintf(log->path, sizeof(log->path), "%s", path);
	(void)snprintf(log->dir, sizeof(log->dir), "%.*s", (int)(slash - path), path);
	return 0;
}

static int skip_to_tail(struct log *log, const char *tail, struct err *e)
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

static int show_log(const struct options *o, const struct vm_view *vm, struct log *log,
		    struct err *e)
{
	int rc = log_of(o, vm, log, e);

	if (rc == 0 && o->follow)
		rc = follow_begin(log, e);
	if (rc == 0)
		rc = log_open(log, e);
	if (rc == 0 && log->fd < 0 && o->vmm_log && !o->follow)
		return 0; /* none has said anything */
	if (rc == 0 && log->fd < 0 && !o->follow)
		return err_set(e, ERR_VM_STATE, "%s has no log: it was never started",
			       vm->spec.name);
	if (rc == 0 && log->fd >= 0 && o->tail_lines)
		rc = skip_to_tail(log, o->tail_lines, e);
	if (rc == 0)
		rc = o->follow ? follow(log, e) : put_rest(log, e);
	close_fd(&log->fd);
	close_fd(&log->inotify);
	return rc;
}

int logs_run(const struct options *o)
{
	CLEANUP_CALL struct call c = { 0 };
	CLEANUP_FREE struct log *log = calloc(1, sizeof(*log)); /* large */
	struct err e = { 0 };
	int status = list_show(o, &c);

	if (status != 0)
		return status;
	if (!log)
		err_set(&e, ERR_HOST_MEMORY, "log");
	else if (show_log(o, c.result, log, &e) == 0)
		return STATUS_OK;
	report_error(o, &e, NULL, NULL, NULL);
	return STATUS_FAILED;
}
