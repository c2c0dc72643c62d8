#include "actors/accel_host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

/* A boot has its processor, its kernel and whatever is below them to itself: another one may have
 * moved to another host.  "" where it cannot be read: then nothing is told apart by it. */
static void boot_id(char out[40])
{
	CLEANUP_FD int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, out, 36);

	out[n > 0 ? n : 0] = '\0';
}

void accel_host_look(const char *kvm, const char *qemu, struct accel_host *ret_host)
{
	CLEANUP_FD int fd = open(kvm, O_RDWR | O_CLOEXEC);
	struct accel_host h = { .usable = fd >= 0 };
	struct stat dev = { 0 };
	struct stat bin = { 0 };
	char boot[40];

	if (!h.usable)
		(void)snprintf(h.why, sizeof(h.why), "%.40s: %s", kvm, err_sys_text(errno));
	IGNORE(stat(kvm, &dev) < 0);
	IGNORE(stat(qemu, &bin) < 0);
	boot_id(boot);
	(void)snprintf(h.identity, sizeof(h.identity),
		       "boot=%s kvm=%lx:%o:%u:%u:%d qemu=%lx:%lx:%lx:%lx.%lx as=%u:%u", boot,
		       dev.st_rdev, dev.st_mode, dev.st_uid, dev.st_gid, h.usable, bin.st_dev,
		       bin.st_ino, bin.st_size, bin.st_mtim.tv_sec, bin.st_mtim.tv_nsec, geteuid(),
		       getegid());
	*ret_host = h;
}
