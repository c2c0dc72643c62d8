/* process.c - the process of a VM: executed for us by the zygote, and known again by what was noted
 * then.
 *
 * A pid alone says nothing: it may be anybody's by now, and so may a name in a command line.  A
 * process is the VMM of a jail when it is in the VM's cgroup and runs the very file that was
 * executed; and it is held by a pidfd from before that was looked at until after.
 *
 * #syscalls symlinkat readlinkat unlinkat pidfd_open pidfd_send_signal sendmsg recvmsg
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "helper/jail/jail.h"
#include "helper/worker.h"

#define NOTE "vmm"

enum {
	NOTE_MAX = 96,
};

struct note {
	pid_t pid;
	uint64_t dev, ino; /* of its program */
};

/* ---- what the zygote is asked ---- */

static int zygote_ask(const struct launch_ask *ask, const struct wire_span *args, const int *fds,
		      uint32_t nfds, struct launch_told *ret_told, int *ret_pidfd, struct err *e)
{
	const struct iovec question[] = { { (void *)(uintptr_t)ask, sizeof(*ask) },
					  { (void *)(uintptr_t)args->data, args->len } };
	const struct iovec answer = { ret_told, sizeof(*ret_told) };
	uint32_t n = 0;

	if (link_send(JAIL_LAUNCH_FD, question, args->len > 0 ? 2 : 1, fds, nfds) < 0 ||
	    link_receive(JAIL_LAUNCH_FD, &answer, 1, ret_pidfd, 1, &n) !=
		    (ssize_t)sizeof(*ret_told))
		return err_set(e, ERR_HELPER_WORKER, "the zygote does not answer");
	if (ret_told->err.code == ERR_NONE)
		return 0;
	if (e)
		*e = ret_told->err;
	return err_errno(&ret_told->err);
}

/* ---- the note ---- */

static int note_put(int dir, const struct note *n, struct err *e)
{
	char text[NOTE_MAX];

	(void)snprintf(text, sizeof(text), "%d %lu %lu", n->pid, n->dev, n->ino);
	if (unlinkat(dir, NOTE, 0) < 0 && errno != ENOENT)
		return err_sys(e, ERR_JAIL, NOTE);
	return jail_did(symlinkat(text, dir, NOTE), NOTE, e);
}

/* 1: read; 0: there is none. */
static int note_get(int dir, struct note *ret, struct err *e)
{
	char text[NOTE_MAX];
	const ssize_t n = readlinkat(dir, NOTE, text, sizeof(text) - 1);

	if (n < 0)
		return errno == ENOENT ? 0 : err_sys(e, ERR_JAIL, NOTE);
	text[n] = '\0';
	if (sscanf(text, "%d %lu %lu", &ret->pid, &ret->dev, &ret->ino) != 3 || ret->pid <= 1)
		return err_set(e, ERR_JAIL, NOTE ": \"%s\" is nothing that we write", text);
	return 1;
}

/* ---- begin, find ---- */

int process_start(const struct vmm_target *t, int dir, const int *fds, uint32_t nfds,
		  pid_t *ret_pid, int *ret_pidfd, struct err *e)
{
	const struct launch_ask ask = {
		.kind = LAUNCH_START,
		.vmm = t->vmm,
		.vm = t->jail.vm,
		.uid = t->jail.uid,
		.nsockets = nfds - LAUNCH_FDS_FIXED - (t->stdio ? LAUNCH_FDS_STDIO : 0),
		.stdio = t->stdio,
		.args_len = (uint32_t)t->args.len,
		.snapshot = t->snapshot,
	};
	struct launch_told told = { .pid = 0 };
	CLEANUP_FD int pidfd = -EBADF;
	int rc = zygote_ask(&ask, &t->args, fds, nfds, &told, &pidfd, e);

	if (rc == 0)
		rc = jail_did(0, "launch", e);
	if (rc == 0)
		rc = note_put(dir, &(struct note){ told.pid, told.dev, told.ino }, e);
	if (rc < 0)
		return rc;
	*ret_pid = told.pid;
	*ret_pidfd = take_fd(&pidfd);
	return 0;
}

/* No reason to fail: it has ended, however. */
void process_end(vm_id vm, struct helper_end_view *ret)
{
	const struct launch_ask ask = { .kind = LAUNCH_END, .vm = vm };
	struct launch_told told = { .pid = 0 };
	int none = -EBADF;

	if (zygote_ask(&ask, &(struct wire_span){ NULL, 0 }, NULL, 0, &told, &none, NULL) == 0)
		*ret = told.end;
	close_fd(&none);
}

static bool lives(int pidfd)
{
	return syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0;
}

/* Asked while the pidfd is held, and the process still lives afterwards: so it was this one. */
static int is_what_was_executed(const struct jail_env *env, const struct jail *j,
				const struct note *n, int pidfd, struct err *e)
{
	const struct launch_ask ask = { .kind = LAUNCH_LOOK, .pid = n->pid };
	struct launch_told told = { .pid = 0 };
	int none = -EBADF;
	int rc = group_has(env, j, n->pid, e);

	if (rc == 0 && group_populated(env, j, e) == 0)
		return 0; /* it has ended, and its number is another's, or nobody has reaped it */
	if (rc == 0)
		return err_set(e, ERR_HELPER_REFUSED, "process: %d is not in the cgroup of %s",
			       n->pid, j->id);
	if (rc < 0)
		return rc;
	rc = zygote_ask(&ask, &(struct wire_span){ NULL, 0 }, NULL, 0, &told, &none, e);
	close_fd(&none);
	if (rc < 0)
		return rc;
	if (told.dev != n->dev || told.ino != n->ino)
		return err_set(e, ERR_HELPER_REFUSED,
			       "process: %d does not run the program that was executed for %s",
			       n->pid, j->id);
	return lives(pidfd);
}

int process_find(const struct jail_env *env, const struct jail *j, pid_t *ret_pid, int *ret_pidfd,
		 struct err *e)
{
	CLEANUP_FD int dir = jail_dir_open(env, j);
	CLEANUP_FD int pidfd = -EBADF;
	struct note n = { .pid = 0 };
	int rc;

	if (dir == -ENOENT)
		return 0;
	if (dir < 0)
		return err_num(e, ERR_HELPER_REFUSED, dir, "jail: %s", j->id);
	rc = note_get(dir, &n, e);
	if (rc <= 0)
		return rc;
	pidfd = (int)syscall(SYS_pidfd_open, n.pid, 0);
	if (pidfd < 0)
		return errno == ESRCH ? 0 : err_sys(e, ERR_JAIL, "pidfd_open");
	rc = is_what_was_executed(env, j, &n, pidfd, e);
	if (rc == -ESRCH || rc == -ENOENT || (rc < 0 && !lives(pidfd)))
		return 0; /* it ended meanwhile */
	if (rc <= 0)
		return rc;
	*ret_pid = n.pid;
	*ret_pidfd = take_fd(&pidfd);
	return 1;
}
