/* launch_cell.c - for a VMM that Firecracker's jailer launches: the root that the jailer is to find
 * half made, and what it may do.
 *
 *   /root/firecracker                         the program that was checked, mounted by descriptor
 *   /root/base/firecracker/ID/root/           becomes the VMM's root
 *     firecracker                             empty: the jailer copies the program into it, so it
 *                                             is known which file it will be
 *     dev/                                    nodes that the jailer does not make
 *     vm/                                     the jail's directory
 *
 * All on a tmpfs in a mount namespace of the child's own: nothing of it is on disk or outlives the
 * VMM, so there is no chroot of the jailer's to clean up.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "helper/launch_child.h"
#include "helper/worker.h"

/* Seen before the namespace is entered: a mount can be copied by those alone who have it. */
static int program_tree(const struct vmm_child *c, int *ret_tree, struct err *e)
{
	*ret_tree = open_tree(c->program, "",
			      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (unsigned)AT_EMPTY_PATH);
	return *ret_tree < 0 ? err_sys(e, ERR_JAIL, "program: open_tree") : 0;
}

static int directories_make(const struct vmm_child *c, struct err *e)
{
	char path[sizeof(CELL_BASE "/firecracker/") + VM_ID_CHARS];

	(void)snprintf(path, sizeof(path), CELL_BASE "/firecracker/%s", c->id);
	if (mkdir(CELL_BASE, 0755) < 0 || mkdir(CELL_BASE "/firecracker", 0755) < 0 ||
	    mkdir(path, 0755) < 0 || mkdir(c->root, 0755) < 0)
		return err_sys(e, ERR_JAIL, CELL_BASE);
	return 0;
}

static int program_put(int tree, struct err *e)
{
	CLEANUP_FD int to = open(CELL_PROGRAM, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);

	if (to < 0 || move_mount(tree, "", AT_FDCWD, CELL_PROGRAM, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(e, ERR_JAIL, CELL_PROGRAM);
	return 0;
}

/* The file that the jailer fills, and which one that is, for whoever asks later what runs. */
static int copy_prepare(const struct vmm_child *c, struct err *e)
{
	char path[sizeof(CELL_BASE "/firecracker//root/firecracker") + VM_ID_CHARS];
	struct vmm_report told = { .dev = 0 };
	const struct iovec report = { &told, sizeof(told) };
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/firecracker", c->root);
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, ERR_JAIL, "program");
	told.dev = st.st_dev;
	told.ino = st.st_ino;
	if (link_send(c->report, &report, 1, NULL, 0) < 0)
		return err_sys(e, ERR_JAIL, "report");
	return 0;
}

/* null, zero and random: the jailer makes the others, and fails where they are already. */
static int nodes_make(const struct vmm_child *c, struct err *e)
{
	static const char *const jailers[] = { "/dev/kvm", "/dev/net/tun", "/dev/urandom" };
	char path[sizeof(CELL_BASE "/firecracker//root/dev") + VM_ID_CHARS];
	int rc = 0;

	(void)snprintf(path, sizeof(path), "%s/dev", c->root);
	if (mkdir(path, 0755) < 0)
		return err_sys(e, ERR_JAIL, "/dev");
	for (int i = 0; rc == 0 && i < c->place->nnodes; i++) {
		bool its = false;

		for (size_t k = 0; k < ARRAY_LEN(jailers); k++)
			its = its || strcmp(jailers[k], c->place->nodes[i].path) == 0;
		if (!its)
			rc = child_node(c, c->place->nodes[i].path, S_IFCHR, c->place->nodes[i].dev,
					e);
	}
	if (rc == 0 && c->disk != 0)
		rc = child_node(c, LAUNCH_DISK, S_IFBLK, c->disk, e);
	return rc;
}

int cell_make(const struct vmm_child *c, struct err *e)
{
	CLEANUP_FD int tree = -EBADF;
	int rc = program_tree(c, &tree, e);

	if (rc == 0)
		rc = child_namespace(c, e);
	if (rc == 0 &&
	    mount("tmpfs", CHILD_ROOT, "tmpfs", MS_NOSUID, "mode=0755,size=32m,nr_inodes=64") < 0)
		rc = err_sys(e, ERR_JAIL, "tmpfs");
	if (rc == 0)
		rc = directories_make(c, e);
	if (rc == 0)
		rc = program_put(tree, e);
	if (rc == 0)
		rc = copy_prepare(c, e);
	if (rc == 0)
		rc = nodes_make(c, e);
	return rc < 0 ? rc : child_graft_all(c, e);
}

/* Mounts, nodes, owners, uid; it leaves them behind with the uid, and nothing gets them back. */
int cell_caps(const struct vmm_child *c, struct err *e)
{
	static const uint64_t needed = BIT(CAP_SYS_ADMIN) | BIT(CAP_SYS_CHROOT) | BIT(CAP_MKNOD) |
				       BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_SETUID) |
				       BIT(CAP_SETGID);

	(void)c;
	for (unsigned cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if ((needed & BIT(cap)) == 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return err_sys(e, ERR_JAIL, "bounding set");
	return 0;
}
