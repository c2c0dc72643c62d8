/* mounts.c - the mounts that every guest has: the kernel's, and those in memory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/init/root.h"

struct mount_row {
	const char *path;
	const char *type; /* NULL: moved there from the initrd */
	unsigned long flags;
	const char *data;
	mode_t mode; /* of the mount point, where it must be made */
	bool optional;
};

/* clang-format off */
static const struct mount_row early[] = {
	{ "/proc", "proc",     MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL,        0555, false },
	{ "/sys",  "sysfs",    MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL,        0555, false },
	{ "/dev",  "devtmpfs", MS_NOSUID,                        "mode=0755", 0755, false },
};

static const struct mount_row late[] = {
	{ "/proc",          NULL,      0,                                NULL,           0555, false },
	{ "/sys",           NULL,      0,                                NULL,           0555, false },
	{ "/dev",           NULL,      0,                                NULL,           0755, false },
	{ "/dev/pts",       "devpts",  MS_NOSUID | MS_NOEXEC,            "gid=5,mode=0620,ptmxmode=0666", 0755, false },
	{ "/dev/shm",       "tmpfs",   MS_NOSUID | MS_NODEV,             "mode=1777",    0755, false },
	{ "/run",           "tmpfs",   MS_NOSUID | MS_NODEV,             "mode=0755",    0755, false },
	{ "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, "nsdelegate",   0755, true  },
};

/* udev makes these where there is one; shells and test suites expect them. */
static const struct {
	const char *path, *target;
} dev_links[] = {
	{ "/dev/fd",     "/proc/self/fd" },
	{ "/dev/stdin",  "/proc/self/fd/0" },
	{ "/dev/stdout", "/proc/self/fd/1" },
	{ "/dev/stderr", "/proc/self/fd/2" },
};
/* clang-format on */

static int mount_one(const struct mount_row *m, const char *root, struct err *e)
{
	char at[64];

	(void)snprintf(at, sizeof(at), "%s%s", root, m->path);
	(void)mkdir(at, m->mode); /* its failure shows in the mount's */
	const int rc = m->type ? mount(m->type, at, m->type, m->flags, m->data)
			       : mount(m->path, at, NULL, MS_MOVE, NULL);

	if (rc < 0 && !m->optional)
		return err_sys(e, ERR_GUEST_BOOT, "mount %s", at);
	return 0;
}

static int mount_all(const struct mount_row *rows, size_t n, const char *root, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = mount_one(&rows[i], root, e);
	return rc;
}

/* The kernel gives PID 1 no descriptors when the initrd has no /dev/console of its own. */
static int console_open(struct err *e)
{
	const int fd = open("/dev/console", O_RDWR | O_NOCTTY);

	if (fd < 0)
		return err_sys(e, ERR_GUEST_BOOT, "open /dev/console");
	for (int i = 0; i <= STDERR_FILENO; i++)
		if (fd != i && dup2(fd, i) < 0)
			return err_sys(e, ERR_GUEST_BOOT, "console: dup2");
	if (fd > STDERR_FILENO)
		close(fd);
	return 0;
}

int root_early(struct err *e)
{
	const int rc = mount_all(early, ARRAY_LEN(early), "", e);

	return rc < 0 ? rc : console_open(e);
}

int root_furnish(struct err *e)
{
	const int rc = mount_all(late, ARRAY_LEN(late), ROOT_MOUNT, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(dev_links); i++) {
		char at[64];

		(void)snprintf(at, sizeof(at), "%s%s", ROOT_MOUNT, dev_links[i].path);
		if (symlink(dev_links[i].target, at) < 0 && errno != EEXIST)
			return err_sys(e, ERR_GUEST_BOOT, "link %s", at);
	}
	return 0;
}
