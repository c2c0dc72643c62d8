#include "guest/init/root.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/common/uevent.h"
#include "guest/init/grow.h"

#define BANGER_DIR       ROOT_MOUNT "/run/banger"
#define RESOLVER_PATH    ROOT_MOUNT "/etc/resolv.conf"
#define RESOLVER_SOURCE  BANGER_DIR "/resolv.conf"
#define ROOT_FILE_SYSTEM "ext4"

/* Of a root in two parts, in the initrd. */
#define LOWER_MOUNT     "/lower"
#define UPPER_MOUNT     "/upper"
#define UPPER_FILES     UPPER_MOUNT "/files"
#define UPPER_WORK      UPPER_MOUNT "/work"
#define OVERLAY_OPTIONS "lowerdir=" LOWER_MOUNT ",upperdir=" UPPER_FILES ",workdir=" UPPER_WORK

enum {
	ROOT_WAIT_MS = 30000,
	DELETE_DEPTH_MAX = 32, /* directories of an initrd within each other */
};

/* ---- the root device ---- */

static bool device_found(void *arg)
{
	return access(arg, F_OK) == 0;
}

static int dir_make(const char *path, struct err *e)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_sys(e, ERR_GUEST_BOOT, "mkdir %s", path);
	return 0;
}

static int device_mount(const char *option, const char *at, unsigned long flags, int uevent_fd,
			struct err *e)
{
	char device[OPTION_PATH_MAX + 1];
	int rc;

	(void)snprintf(device, sizeof(device), "%s", option);
	rc = uevent_wait(uevent_fd, device_found, device, device, ROOT_WAIT_MS, e);
	if (rc == 0)
		rc = dir_make(at, e);
	if (rc < 0)
		return rc;
	if (mount(device, at, ROOT_FILE_SYSTEM, flags, NULL) < 0)
		return err_sys(e, ERR_GUEST_BOOT, "mount %s", device);
	return 0;
}

/* To the size of its disk.  As small as it was, it is a root all the same. */
static void device_grow(const char *device, const char *at)
{
	struct err why = { 0 };

	if (root_grow(device, at, &why) < 0)
		(void)fprintf(stderr, "banger-init: %s\n", why.text);
}

/* The root that many VMs share is below and read only; what this one writes is on its own disk.
 * Both file systems stay mounted out of sight, held by the third. */
static int overlay_mount(const struct options *o, int uevent_fd, struct err *e)
{
	int rc = device_mount(o->root, LOWER_MOUNT, MS_RDONLY, uevent_fd, e);

	if (rc == 0)
		rc = device_mount(o->upper, UPPER_MOUNT, 0, uevent_fd, e);
	if (rc == 0)
		device_grow(o->upper, UPPER_MOUNT);
	if (rc == 0)
		rc = dir_make(UPPER_FILES, e);
	if (rc == 0)
		rc = dir_make(UPPER_WORK, e);
	if (rc == 0)
		rc = dir_make(ROOT_MOUNT, e);
	if (rc < 0)
		return rc;
	if (mount("overlay", ROOT_MOUNT, "overlay", 0, OVERLAY_OPTIONS) < 0)
		return err_sys(e, ERR_GUEST_BOOT, "mount %s over %s", o->upper, o->root);
	return 0;
}

int root_mount(const struct options *o, int uevent_fd, struct err *e)
{
	if (o->upper[0] != '\0')
		return overlay_mount(o, uevent_fd, e);

	const int rc = device_mount(o->root, ROOT_MOUNT, 0, uevent_fd, e);

	if (rc == 0)
		device_grow(o->root, ROOT_MOUNT);
	return rc;
}

/* ---- what the image is given in memory ---- */

int root_install_agent(const char *source, struct err *e)
{
	CLEANUP_FD int in = open(source, O_RDONLY | O_CLOEXEC);
	CLEANUP_FD int out = -EBADF;
	struct stat st;
	ssize_t n = 1;
	int rc;

	if (in < 0 || fstat(in, &st) < 0)
		return err_sys(e, ERR_GUEST_BOOT, "open %s", source);
	rc = dir_make(BANGER_DIR, e);
	if (rc < 0)
		return rc;
	out = open(ROOT_MOUNT AGENT_PATH, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	if (out < 0)
		return err_sys(e, ERR_GUEST_BOOT, "open %s", AGENT_PATH);
	for (off_t left = st.st_size; n > 0 && left > 0; left -= n)
		n = sendfile(out, in, NULL, (size_t)left);
	if (n <= 0)
		return err_sys(e, ERR_GUEST_BOOT, "copy to %s", AGENT_PATH);
	return 0;
}

static int text_write(const char *path, const char *text, struct err *e)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	const size_t len = strlen(text);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len)
		return err_sys(e, ERR_GUEST_BOOT, "write %s", path);
	return 0;
}

/* A symbolic link is left alone: systemd-resolved and its like fill its target in /run. */
static bool resolver_wanted(void)
{
	struct stat st;

	if (lstat(RESOLVER_PATH, &st) < 0)
		return errno == ENOENT;
	return S_ISREG(st.st_mode) && st.st_size == 0;
}

int root_resolver(const struct options *o, struct err *e)
{
	char text[sizeof("nameserver \n") + INET_ADDRSTRLEN];
	char address[INET_ADDRSTRLEN];
	int rc;

	if (o->dns.s_addr == INADDR_ANY || !resolver_wanted())
		return 0;
	rc = dir_make(BANGER_DIR, e);
	if (rc < 0)
		return rc;
	(void)inet_ntop(AF_INET, &o->dns, address, sizeof(address));
	(void)snprintf(text, sizeof(text), "nameserver %s\n", address);
	rc = text_write(RESOLVER_SOURCE, text, e);
	if (rc < 0)
		return rc;

	/* Something to mount on. */
	const int fd = open(RESOLVER_PATH, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0) /* no /etc: an image of one program, which resolves nothing */
		return errno == ENOENT ? 0 : err_sys(e, ERR_GUEST_BOOT, "open %s", RESOLVER_PATH);
	close(fd);
	if (mount(RESOLVER_SOURCE, RESOLVER_PATH, NULL, MS_BIND, NULL) < 0)
		return err_sys(e, ERR_GUEST_BOOT, "mount %s", RESOLVER_PATH);
	return 0;
}

/* ---- leaving the initrd ---- */

/* Removes what is below the directory, staying on its file system.  Takes the descriptor.  What
 * cannot be removed only keeps its memory. */
// NOLINTNEXTLINE(misc-no-recursion): bounded by DELETE_DEPTH_MAX
static void delete_below(int fd, dev_t device, unsigned depth)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *d;

	if (!dir) {
		close(fd);
		return;
	}
	while ((d = readdir(dir)) != NULL) {
		struct stat st;

		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != device)
			continue;
		if (S_ISDIR(st.st_mode) && depth < DELETE_DEPTH_MAX) {
			const int sub = openat(fd, d->d_name,
					       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			if (sub >= 0)
				delete_below(sub, device, depth + 1);
		}
		(void)unlinkat(fd, d->d_name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
	}
	closedir(dir);
}

/* Only ever an initrd: a file system in memory that the image is not on. */
static int initrd_open(dev_t *ret_device)
{
	const int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;
	struct stat st;

	if (fd >= 0 && fstatfs(fd, &fs) == 0 && fstat(fd, &st) == 0 &&
	    (fs.f_type == RAMFS_MAGIC || fs.f_type == TMPFS_MAGIC)) {
		*ret_device = st.st_dev;
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -EBADF;
}

int root_switch(struct err *e)
{
	dev_t device = 0;
	const int initrd = initrd_open(&device);

	if (chdir(ROOT_MOUNT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0) {
		const int rc = err_sys(e, ERR_GUEST_BOOT, "switch to %s", ROOT_MOUNT);

		if (initrd >= 0)
			close(initrd);
		return rc;
	}
	if (initrd >= 0)
		delete_below(initrd, device, 0);
	return 0;
}
