/* launch_child.c
 *
 * Everything here happens in a process of its own, which ends where a step fails.  Its mounts are
 * in a namespace of its own and go with it: nobody has to take them away.
 */
#include "helper/launch_child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "helper/filter.h"
#include "helper/root.h"
#include "helper/worker.h"

enum {
	CHILD_PATH = 256,
	PARKED_FD = 32, /* sources are moved above here before targets are filled */
	NPROC = 512,    /* threads of this uid */
};

/* ---- its root ---- */

int child_namespace(const struct vmm_child *c, struct err *e)
{
	if (setns(c->place->ns, CLONE_NEWNS) < 0 || unshare(CLONE_NEWNS) < 0)
		return err_sys(e, ERR_JAIL, "mount namespace");
	return 0;
}

int child_node(const struct vmm_child *c, const char *name, mode_t kind, dev_t dev, struct err *e)
{
	char path[CHILD_PATH];

	(void)snprintf(path, sizeof(path), "%s%s", c->root, name);
	if (mknod(path, kind | 0600, dev) < 0 || lchown(path, c->uid, c->gid) < 0)
		return err_sys(e, ERR_JAIL, "%s", name);
	return 0;
}

static int nodes_make(const struct vmm_child *c, struct err *e)
{
	int rc = 0;

	if (mkdir(CHILD_ROOT "/dev", 0755) < 0 || mkdir(CHILD_ROOT "/dev/net", 0755) < 0)
		return err_sys(e, ERR_JAIL, "/dev");
	for (int i = 0; rc == 0 && i < c->place->nnodes; i++)
		rc = child_node(c, c->place->nodes[i].path, S_IFCHR, c->place->nodes[i].dev, e);
	if (rc == 0 && c->disk != 0)
		rc = child_node(c, LAUNCH_DISK, S_IFBLK, c->disk, e);
	return rc;
}

/* A copy of a mount of the namespace at a place in the new root. */
static int graft(const struct vmm_child *c, int dir, const char *path, const char *name,
		 struct err *e)
{
	char to[CHILD_PATH];
	const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
			       (path[0] ? 0U : (unsigned)AT_EMPTY_PATH);
	const int tree = open_tree(dir, path, flags);

	(void)snprintf(to, sizeof(to), "%s%s", c->root, name);
	if (tree < 0 || mkdir(to, 0755) < 0 ||
	    move_mount(tree, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(e, ERR_JAIL, "%s", name);
	close(tree);
	return 0;
}

static int jail_graft(const struct vmm_child *c, struct err *e)
{
	CLEANUP_FD int jails = open("/jails", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_FD int dir = root_open_beneath(jails, c->id, O_PATH | O_DIRECTORY | O_NOFOLLOW);

	return dir < 0 ? err_num(e, ERR_JAIL, dir, "jail: %s", c->id)
		       : graft(c, dir, "", LAUNCH_DIR, e);
}

static int libraries_graft(const struct vmm_child *c, struct err *e)
{
	char path[CHILD_PATH];

	if (!c->vmm->libraries[0])
		return 0;
	for (int i = 0; i < c->place->nlinks; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", c->root, c->place->links[i].name);
		if (symlink(c->place->links[i].to, path) < 0)
			return err_sys(e, ERR_JAIL, "/%s", c->place->links[i].name);
	}
	return graft(c, AT_FDCWD, "/libraries", c->vmm->libraries, e);
}

int child_graft_all(const struct vmm_child *c, struct err *e)
{
	const int rc = jail_graft(c, e);

	return rc < 0 ? rc : libraries_graft(c, e);
}

static int root_make(const struct vmm_child *c, struct err *e)
{
	if (mount("tmpfs", CHILD_ROOT, "tmpfs", MS_NOSUID | MS_NOEXEC,
		  "mode=0755,size=64k,nr_inodes=64") < 0)
		return err_sys(e, ERR_JAIL, "tmpfs");
	const int rc = nodes_make(c, e);
	return rc < 0 ? rc : child_graft_all(c, e);
}

static int root_enter(const struct vmm_child *c, struct err *e)
{
	(void)c;
	if (mount(NULL, CHILD_ROOT, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC,
		  NULL) < 0)
		return err_sys(e, ERR_JAIL, "remount /");
	if (chdir(CHILD_ROOT) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir(LAUNCH_DIR) < 0)
		return err_sys(e, ERR_JAIL, "pivot_root");
	return 0;
}

/* ---- its descriptors, limits, rights ---- */

/* Sources are parked above all targets first, so that none is overwritten. */
static int descriptors_set(const struct vmm_child *c, struct err *e)
{
	int parked[LAUNCH_FD_FIRST + LAUNCH_SOCKETS_MAX];
	const int n = LAUNCH_FD_FIRST + (int)c->nsockets;

	for (int i = 0; i < n; i++) {
		const int from = i < LAUNCH_FD_FIRST ? c->standard[i]
						     : c->sockets[i - LAUNCH_FD_FIRST];

		parked[i] = fcntl(from, F_DUPFD_CLOEXEC, PARKED_FD);
		if (parked[i] < 0)
			return err_sys(e, ERR_JAIL, "descriptors");
	}
	for (int i = 0; i < n; i++)
		if (syscall(SYS_dup3, parked[i], i, 0) < 0) /* kept by the exec */
			return err_sys(e, ERR_JAIL, "descriptors");
	return 0;
}

static int limits_set(const struct vmm_child *c, struct err *e)
{
	static const struct {
		int resource;
		rlim_t most;
	} limits[] = {
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_NOFILE, VMM_NOFILE },
		{ RLIMIT_NPROC, NPROC },
		{ RLIMIT_MSGQUEUE, 0 },
	};

	(void)c;
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		struct rlimit l;

		if (getrlimit((__rlimit_resource_t)limits[i].resource, &l) < 0)
			return err_sys(e, ERR_JAIL, "getrlimit");
		if (l.rlim_max > limits[i].most)
			l.rlim_max = limits[i].most;
		l.rlim_cur = l.rlim_max;
		if (setrlimit((__rlimit_resource_t)limits[i].resource, &l) < 0)
			return err_sys(e, ERR_JAIL, "setrlimit");
	}
	return 0;
}

static int signals_reset(const struct vmm_child *c, struct err *e)
{
	sigset_t none;

	(void)c;
	sigemptyset(&none);
	if (signal(SIGCHLD, SIG_DFL) == SIG_ERR || sigprocmask(SIG_SETMASK, &none, NULL) < 0 ||
	    setsid() < 0)
		return err_sys(e, ERR_JAIL, "signals");
	return 0;
}

static int rights_drop(const struct vmm_child *c, struct err *e)
{
	for (unsigned cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return err_sys(e, ERR_JAIL, "bounding set");
	if (setgroups(0, NULL) < 0 || setresgid(c->gid, c->gid, c->gid) < 0 ||
	    setresuid(c->uid, c->uid, c->uid) < 0)
		return err_sys(e, ERR_JAIL, "uid %u", c->uid);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, ERR_JAIL, "no_new_privs");
	return 0;
}

/* Whatever else is open goes with the exec. */
static int program_set(const struct vmm_child *c, struct err *e)
{
	if (dup3(c->jailer >= 0 ? c->jailer : c->program, FILTER_EXEC_FD, O_CLOEXEC) < 0)
		return err_sys(e, ERR_JAIL, "program");
	if (close_range(LAUNCH_FD_FIRST + c->nsockets, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return err_sys(e, ERR_JAIL, "close_range");
	return 0;
}

/* The last: after it only the exec is possible. */
static int calls_drop(const struct vmm_child *c, struct err *e)
{
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &c->place->calls) < 0)
		return err_sys(e, ERR_JAIL, "seccomp");
	return 0;
}

typedef int step(const struct vmm_child *c, struct err *e);

static step *const own_steps[] = {
	child_namespace, root_make,   root_enter,  descriptors_set, limits_set,
	signals_reset,   rights_drop, program_set, calls_drop,      NULL,
};

/* The jailer makes nodes, enters the root and changes the uid; what it cannot be told is done
 * before it. */
static step *const jailer_steps[] = {
	cell_make, descriptors_set, limits_set, signals_reset, cell_caps, program_set, NULL,
};

void vmm_child_main(const struct vmm_child *c)
{
	static char *const no_environment[] = { NULL };
	step *const *const steps = c->jailer >= 0 ? jailer_steps : own_steps;
	struct vmm_report told = { .dev = 0 };
	const struct iovec report = { &told, sizeof(told) };
	int rc = 0;

	for (size_t i = 0; rc == 0 && steps[i]; i++)
		rc = steps[i](c, &told.err);
	if (rc == 0) {
		(void)syscall(SYS_execveat, FILTER_EXEC_FD, "", c->argv, no_environment,
			      AT_EMPTY_PATH);
		(void)err_sys(&told.err, ERR_VMM_START, "exec %s", c->argv[0]);
	}
	IGNORE(link_send(c->report, &report, 1, NULL, 0));
	_exit(EXIT_FAILURE);
}
