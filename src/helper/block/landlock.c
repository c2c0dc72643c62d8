/* landlock.c - by uid and filter e2fsck could still open whatever everybody may read, and what it
 * reads it could write to the disk that a guest will have.
 *
 * #syscalls(tools) landlock_create_ruleset landlock_add_rule? landlock_restrict_self? openat close
 */
#include "helper/block/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Rights by the version of the kernel's Landlock: those that this header may not know yet. */
#define ACCESS_FIRST    (((uint64_t)LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define ACCESS_REFER    (UINT64_C(1) << 13) /* 2 */
#define ACCESS_TRUNCATE (UINT64_C(1) << 14) /* 3 */

#define READ  ((uint64_t)LANDLOCK_ACCESS_FS_READ_FILE)
#define WRITE ((uint64_t)LANDLOCK_ACCESS_FS_WRITE_FILE)
#define LIST  ((uint64_t)LANDLOCK_ACCESS_FS_READ_DIR)
#define RUN   ((uint64_t)LANDLOCK_ACCESS_FS_EXECUTE)

static int allow(int ruleset, int fd, uint64_t access)
{
	const struct landlock_path_beneath_attr rule = { .allowed_access = access,
							 .parent_fd = fd };

	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return -errno;
	return 0;
}

/* What is not there cannot be opened either. */
static int allow_path(int ruleset, const char *path, uint64_t access)
{
	CLEANUP_FD int fd = open(path, O_PATH | O_CLOEXEC);

	return fd < 0 ? 0 : allow(ruleset, fd, access);
}

int landlock_confine(int disk)
{
	static const struct {
		const char *path;
		uint64_t access;
	} paths[] = {
		{ "/usr", READ | LIST | RUN },
		{ "/etc/ld.so.cache", READ },
		{ "/dev/null", READ | WRITE },
		{ "/proc/self", READ | LIST },
		{ "/sys/devices/system/cpu", READ | LIST }, /* libc counts them */
	};
	const long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
				     LANDLOCK_CREATE_RULESET_VERSION);
	struct landlock_ruleset_attr attr = { .handled_access_fs = ACCESS_FIRST };
	int rc = 0;

	if (version < 1)
		return 0;
	if (version >= 2)
		attr.handled_access_fs |= ACCESS_REFER;
	if (version >= 3)
		attr.handled_access_fs |= ACCESS_TRUNCATE;
	CLEANUP_FD int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return -errno;
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(paths); i++)
		rc = allow_path(ruleset, paths[i].path, paths[i].access);
	if (rc == 0)
		rc = allow(ruleset, disk, READ | WRITE);
	if (rc == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		rc = -errno;
	return rc;
}
