/* launch_ns.c - the mount namespace that jails are built in: nearly empty, so that a copy of it per
 * VM costs next to nothing, and private, so that nothing shows in it that is mounted elsewhere
 * later.
 *
 *   /state       the state directory; no devices, no programs, no set-uid
 *   /jails       jails/ in it, by what it is now: whoever renames it changes nothing here
 *   /cgroup      the directory of the VMs' cgroups
 *   /libraries   what VMMs are linked to, read-only
 *   /proc        processes only, read-only
 *   /root        where a VMM's root is put together
 */
#include "helper/launch_ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "helper/root.h"

enum {
	JAILS_MODE = 0711,
	ATTRS = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
};

/* What is taken along: where from, where to, how. */
struct piece {
	const char *to;
	uint64_t attr;
	int tree; /* owned */
};

/* A copy of the mount that the directory is on, from there on down; nothing that is mounted below
 * comes along. */
static int tree_take(int dir, const char *path, struct piece *p, struct err *e)
{
	struct mount_attr attr = { .attr_set = p->attr, .propagation = MS_PRIVATE };

	p->tree = open_tree(dir, path,
			    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
				    (path[0] ? 0U : (unsigned)AT_EMPTY_PATH));
	if (p->tree < 0)
		return err_sys(e, ERR_JAIL, "%s: open_tree", p->to);
	if (mount_setattr(p->tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return err_sys(e, ERR_JAIL, "%s: mount_setattr", p->to);
	return 0;
}

static int tree_put(struct piece *p, struct err *e)
{
	if (mkdir(p->to + 1, 0755) < 0)
		return err_sys(e, ERR_JAIL, "mkdir %s", p->to);
	if (p->tree >= 0 &&
	    move_mount(p->tree, "", AT_FDCWD, p->to + 1, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(e, ERR_JAIL, "%s: move_mount", p->to);
	close_fd(&p->tree);
	return 0;
}

/* ---- what must be there ---- */

/* jails/ in the state directory: made where it is missing, and root's own. */
static int jails_open(const struct helper_conf *conf, int *ret_fd, struct err *e)
{
	CLEANUP_FD int state = open(conf->state_dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP_FD int fd = -EBADF;
	struct stat st;

	if (state < 0)
		return err_sys(e, ERR_JAIL, "state_dir: %s", conf->state_dir);
	if (mkdirat(state, "jails", JAILS_MODE) < 0 && errno != EEXIST)
		return err_sys(e, ERR_JAIL, "mkdir %s/jails", conf->state_dir);
	fd = root_open_beneath(state, "jails", O_PATH | O_DIRECTORY | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_num(e, ERR_JAIL, fd < 0 ? fd : errno, "%s/jails", conf->state_dir);
	if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return err_set(e, ERR_HELPER_REFUSED,
			       "%s/jails: must be root's own and writable by nobody else",
			       conf->state_dir);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Controllers that the host does not have, or uses otherwise, are missed when a limit is asked for.
 */
static void controllers_enable(int dir)
{
	static const char *const wanted[] = { "+memory", "+cpu", "+pids" };
	CLEANUP_FD int fd = openat(dir, "cgroup.subtree_control", O_WRONLY | O_CLOEXEC);

	for (size_t i = 0; fd >= 0 && i < ARRAY_LEN(wanted); i++)
		IGNORE(write(fd, wanted[i], strlen(wanted[i])));
}

static int cgroup_open(const struct helper_conf *conf, int *ret_fd, struct err *e)
{
	CLEANUP_FD int fd = -EBADF;
	struct statfs fs;

	if (mkdir(conf->cgroup, 0755) < 0 && errno != EEXIST)
		return err_sys(e, ERR_JAIL, "cgroup: mkdir %s", conf->cgroup);
	fd = open(conf->cgroup, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return err_sys(e, ERR_JAIL, "cgroup: %s", conf->cgroup);
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return err_set(e, ERR_JAIL, "cgroup: %s is no directory of cgroup2", conf->cgroup);
	controllers_enable(fd);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* ---- the namespace ---- */

/* All that is under "/" is exchanged for a small tmpfs; what is in `pieces` is put into it. */
static int root_exchange(struct piece *pieces, size_t n, struct err *e)
{
	int rc = 0;

	if (mount("tmpfs", LAUNCH_SCAFFOLD, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "mode=0755,size=64k,nr_inodes=32") < 0 ||
	    chdir(LAUNCH_SCAFFOLD) < 0)
		return err_sys(e, ERR_JAIL, "tmpfs");
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = tree_put(&pieces[i], e);
	if (rc < 0)
		return rc;
	if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
		  "subset=pid") < 0)
		return err_sys(e, ERR_JAIL, "proc");
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_sys(e, ERR_JAIL, "pivot_root");
	if (mount(NULL, "/", NULL,
		  MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return err_sys(e, ERR_JAIL, "remount /");
	return 0;
}

static const char *libraries_of(const struct helper_conf *conf)
{
	for (uint32_t i = 0; i < conf->nvmms; i++)
		if (conf->vmms[i].libraries[0])
			return conf->vmms[i].libraries;
	return NULL;
}

static int build(const struct helper_conf *conf, struct err *e)
{
	struct piece pieces[] = {
		{ "/state", ATTRS | MOUNT_ATTR_NOEXEC, -EBADF },
		{ "/jails", ATTRS | MOUNT_ATTR_NOEXEC, -EBADF },
		{ "/cgroup", ATTRS | MOUNT_ATTR_NOEXEC, -EBADF },
		{ "/libraries", ATTRS | MOUNT_ATTR_RDONLY, -EBADF },
		{ "/proc", 0, -EBADF },
		{ "/root", 0, -EBADF },
	};
	CLEANUP_FD int jails = -EBADF;
	CLEANUP_FD int cgroup = -EBADF;
	int rc;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(e, ERR_JAIL, "private mounts");
	rc = jails_open(conf, &jails, e);
	if (rc == 0)
		rc = cgroup_open(conf, &cgroup, e);
	if (rc == 0)
		rc = tree_take(AT_FDCWD, conf->state_dir, &pieces[0], e);
	if (rc == 0)
		rc = tree_take(jails, "", &pieces[1], e);
	if (rc == 0)
		rc = tree_take(cgroup, "", &pieces[2], e);
	if (rc == 0 && libraries_of(conf))
		rc = tree_take(AT_FDCWD, libraries_of(conf), &pieces[3], e);
	if (rc == 0)
		rc = root_exchange(pieces, ARRAY_LEN(pieces), e);
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
		close_fd(&pieces[i].tree);
	return rc;
}

int launch_ns_open(const struct helper_conf *conf, int *ret_ns, struct err *e)
{
	CLEANUP_FD int outside = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	CLEANUP_FD int inside = -EBADF;
	int rc;

	if (outside < 0 || unshare(CLONE_NEWNS) < 0)
		return err_sys(e, ERR_JAIL, "mount namespace");
	rc = build(conf, e);
	if (rc == 0) {
		inside = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
		if (inside < 0)
			rc = err_sys(e, ERR_JAIL, "mount namespace");
	}
	if (setns(outside, CLONE_NEWNS) < 0 && rc == 0)
		rc = err_sys(e, ERR_JAIL, "mount namespace");
	if (rc == 0)
		*ret_ns = take_fd(&inside);
	return rc;
}
