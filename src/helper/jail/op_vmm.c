/* op_vmm.c - a VMM in its jail: up, found, signalled, ended, away. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "helper/jail/jail.h"

/* ---- launch ---- */

enum {
	ENDS_MAX = JAIL_NSOCKETS + 1, /* sockets, or what is read as a console; the listener */
};
static_assert(ENDS_MAX + 1 <= HELPER_FDS_MAX, "a reply holds them and a pidfd");

/* Descriptors of a launch: group and log, the sockets, standard input and output. */
struct parts {
	int dir;
	int fds[LAUNCH_FDS_FIXED + LAUNCH_SOCKETS_MAX + LAUNCH_FDS_STDIO];
	uint32_t nfds;
	int ends[ENDS_MAX]; /* the daemon's */
	uint32_t nends;
};

static void parts_close(struct parts *p)
{
	close_fd(&p->dir);
	for (size_t i = 0; i < ARRAY_LEN(p->fds); i++)
		close_fd(&p->fds[i]);
	for (size_t i = 0; i < ARRAY_LEN(p->ends); i++)
		close_fd(&p->ends[i]);
}

static int sockets_make(const struct vmm_target *t, struct parts *p, struct err *e)
{
	int rc = 0;

	for (int s = 0; rc == 0 && s < JAIL_NSOCKETS; s++) {
		if (!t->sockets[s])
			continue;
		rc = channel_make(&t->jail, p->dir, (enum jail_socket)s, &p->fds[p->nfds++], e);
		if (rc == 0)
			rc = channel_connect(p->dir, (enum jail_socket)s, &p->ends[p->nends++], e);
	}
	return rc;
}

static int stdio_make(const struct vmm_target *t, struct parts *p, struct err *e)
{
	const int rc = stage_input(&t->jail, p->dir, &p->fds[p->nfds++], e);

	if (rc < 0)
		return rc;
	return t->heard ? channel_pair(&p->ends[p->nends++], &p->fds[p->nfds++], e)
			: stage_open(p->dir, JAIL_OUTPUT, O_WRONLY | O_APPEND, &p->fds[p->nfds++],
				     e);
}

/* The daemon's ends of what is no socket of the VMM's. */
static int others_open(const struct vmm_target *t, struct parts *p, struct err *e)
{
	int rc = 0;

	if (t->stdio && !t->heard)
		rc = stage_open(p->dir, JAIL_INPUT, O_WRONLY | O_NONBLOCK, &p->ends[p->nends++], e);
	if (rc == 0 && t->listener)
		rc = channel_listen(p->dir, t->listener, &p->ends[p->nends++], e);
	return rc;
}

static int stage(const struct jail_env *env, const struct vmm_target *t, struct parts *p,
		 struct err *e)
{
	int rc = stage_slot(env, &t->jail, e);

	if (rc == 0)
		rc = ahead_take(env, t, e);
	if (rc == 0)
		rc = stage_dir(env, &t->jail, &p->dir, e);
	if (rc == 0)
		rc = stage_files(env, t, p->dir, e);
	if (rc == 0 && t->run)
		rc = stage_run(&t->jail, p->dir, e);
	if (rc == 0)
		rc = group_make(env, t, &p->fds[LAUNCH_FD_CGROUP], e);
	if (rc == 0)
		rc = stage_log(&t->jail, p->dir, &p->fds[LAUNCH_FD_LOG], e);
	if (rc == 0)
		rc = sockets_make(t, p, e);
	if (rc == 0 && t->stdio)
		rc = stdio_make(t, p, e);
	return rc < 0 ? rc : others_open(t, p, e);
}

static int launch(const struct jail_env *env, const struct vmm_target *t, struct parts *p,
		  pid_t *ret_pid, int *ret_pidfd, struct err *e)
{
	int rc = stage(env, t, p, e);

	if (rc < 0)
		return rc;
	rc = process_start(t, p->dir, p->fds, p->nfds, ret_pid, ret_pidfd, e);
	if (rc < 0)
		log_context(p->dir, e);
	return rc;
}

/* It runs already: new connections to the same sockets. */
static int join(const struct jail_env *env, const struct vmm_target *t, struct parts *p,
		struct err *e)
{
	int rc = stage_slot(env, &t->jail, e);

	if (rc == 0)
		rc = stage_dir(env, &t->jail, &p->dir, e);
	for (int s = 0; rc == 0 && s < JAIL_NSOCKETS; s++)
		if (t->sockets[s])
			rc = channel_connect(p->dir, (enum jail_socket)s, &p->ends[p->nends++], e);
	if (rc == 0 && t->heard) /* who has launched it hears it; nobody else will */
		rc = channel_pair(&p->ends[p->nends++], &p->fds[p->nfds], e);
	close_fd(&p->fds[p->nfds]);
	return rc < 0 ? rc : others_open(t, p, e);
}

int vmm_act(struct op_call *c, struct err *e)
{
	const struct jail_env *const env = c->env;
	const struct vmm_target *const t = &c->target.vmm;
	struct helper_vmm_view *const view = c->result;
	struct parts p = { .dir = -EBADF, .nfds = LAUNCH_FDS_FIXED };
	CLEANUP_FD int pidfd = -EBADF;
	pid_t pid = 0;
	int rc;

	memset(p.fds, -1, sizeof(p.fds));
	memset(p.ends, -1, sizeof(p.ends));
	rc = process_find(env, &t->jail, &pid, &pidfd, e);
	if (rc == 1)
		rc = join(env, t, &p, e);
	else if (rc == 0)
		rc = launch(env, t, &p, &pid, &pidfd, e);
	if (rc == 0) {
		view->pid = (uint32_t)pid;
		view->uid = t->jail.uid;
		c->fds[c->nfds++] = take_fd(&pidfd);
		for (uint32_t i = 0; i < p.nends; i++)
			c->fds[c->nfds++] = take_fd(&p.ends[i]);
	}
	parts_close(&p);
	return rc;
}

/* ---- absent ---- */

static int all_away(const struct jail_env *env, const struct jail *j, struct err *e)
{
	int rc = group_kill(env, j, e);

	if (rc == 0)
		rc = group_remove(env, j, e);
	return rc < 0 ? rc : clear_jail(env, j, e);
}

int vmm_undo(struct op_call *c, struct err *e)
{
	return all_away(c->env, &c->target.vmm.jail, e);
}

int cleanup_undo(struct op_call *c, struct err *e)
{
	const struct jail_env *const env = c->env;
	const struct jail *const j = &c->target.jail;
	int rc = group_populated(env, j, e);

	if (rc == 1)
		return err_set(e, ERR_BUSY, "jail: %s: its VMM lives", j->id);
	if (rc == 0)
		rc = group_remove(env, j, e);
	return rc < 0 ? rc : clear_jail(env, j, e);
}

/* ---- found, signalled ---- */

static int listen_again(const struct jail_env *env, const struct find_target *t, int *ret_listener,
			struct err *e)
{
	CLEANUP_FD int dir = jail_dir_open(env, &t->jail);

	return dir < 0 ? err_num(e, ERR_JAIL, dir, "jail: %s", t->jail.id)
		       : channel_listen(dir, t->listener, ret_listener, e);
}

int find_act(struct op_call *c, struct err *e)
{
	const struct find_target *const t = &c->target.find;
	struct helper_vmm_view *const view = c->result;
	CLEANUP_FD int pidfd = -EBADF;
	CLEANUP_FD int listener = -EBADF;
	pid_t pid = 0;
	int rc = process_find(c->env, &t->jail, &pid, &pidfd, e);

	if (rc <= 0)
		return rc;
	rc = t->listener ? listen_again(c->env, t, &listener, e) : 0;
	if (rc < 0)
		return rc;
	view->pid = (uint32_t)pid;
	view->uid = t->jail.uid;
	c->fds[c->nfds++] = take_fd(&pidfd);
	if (listener >= 0)
		c->fds[c->nfds++] = take_fd(&listener);
	return 0;
}

int signal_act(struct op_call *c, struct err *e)
{
	const struct signal_target *const t = &c->target.signal;
	CLEANUP_FD int pidfd = -EBADF;
	pid_t pid;
	const int rc = process_find(c->env, &t->jail, &pid, &pidfd, e);

	if (rc == 0)
		return err_set(e, ERR_HELPER_REFUSED, "vm: %s has no VMM", t->jail.id);
	if (rc < 0)
		return rc;
	return jail_did(syscall(SYS_pidfd_send_signal, pidfd, t->signal, NULL, 0), "signal", e);
}
