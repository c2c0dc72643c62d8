/* logs.c - `vm logs`: what a VM's console, or its VMM, said; and goes on saying. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "command.h"
#include "list.h"
#include "logfile.h"
#include "report.h"

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
			rc = log_put(log, e);
		if (rc < 0 || (log->fd < 0 && log->dir_gone))
			return rc;
		if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
			return err_sys(e, ERR_HOST_IO, "poll");
		log_events_take(log);
	}
	return rc;
}

static int show_log(const struct options *o, const struct vm_view *vm, struct log *log,
		    struct err *e)
{
	int rc = log_init(log, vm, o->vmm_log, e);

	if (rc == 0 && o->follow)
		rc = log_follow(log, e);
	if (rc == 0)
		rc = log_open(log, e);
	if (rc == 0 && log->fd < 0 && o->vmm_log && !o->follow)
		return 0; /* none has said anything */
	if (rc == 0 && log->fd < 0 && !o->follow)
		return err_set(e, ERR_VM_STATE, "%s has no log: it was never started",
			       vm->spec.name);
	if (rc == 0 && log->fd >= 0 && o->tail_lines)
		rc = log_skip(log, o->tail_lines, e);
	if (rc == 0)
		rc = o->follow ? follow(log, e) : log_put(log, e);
	log_fini(log);
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
