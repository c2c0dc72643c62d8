/* root.c
 *
 * #syscalls(block) openat2 newfstatat close
 */
#include "helper/root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

int root_path_check(const char *field, const char *path, size_t max, struct err *e)
{
	const size_t len = strlen(path);

	if (len == 0 || len > max)
		return err_set(e, ERR_HELPER_REFUSED, "%s: has %zu bytes, 1 to %zu are allowed",
			       field, len, max);
	for (const char *at = path; at; at = strchr(at, '/')) {
		at += *at == '/' && at != path ? 1 : 0;
		const size_t n = strcspn(at, "/");

		if (n == 0 || (n <= 2 && strncmp(at, "..", n) == 0))
			return err_set(e, ERR_HELPER_REFUSED,
				       "%s: \"%s\" is no plain path below the state directory",
				       field, path);
	}
	return 0;
}

static int open_how(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	const struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = resolve | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	const long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

int root_open_beneath(int dir, const char *path, uint64_t flags)
{
	return open_how(dir, path, flags, RESOLVE_BENEATH | RESOLVE_NO_XDEV);
}

int root_open_plain(const char *path, uint64_t flags)
{
	return open_how(AT_FDCWD, path, flags, 0);
}

int root_open(const struct helper_conf *conf, const char *field, const char *path, int flags,
	      int *ret_fd, struct stat *ret_st, struct err *e)
{
	CLEANUP_FD int root = open_how(AT_FDCWD, conf->state_dir, O_PATH | O_DIRECTORY, 0);
	CLEANUP_FD int fd = -EBADF;

	if (root < 0)
		return err_num(e, ERR_HELPER_REFUSED, root, "state_dir: %s", conf->state_dir);
	/* Not to wait for somebody at the other end, if it is a FIFO. */
	fd = root_open_beneath(root, path, (uint64_t)(unsigned)flags | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return err_num(e, ERR_HELPER_REFUSED, fd, "%s: %s", field, path);
	if (fstat(fd, ret_st) < 0)
		return err_sys(e, ERR_HOST_IO, "%s: %s", field, path);
	if (!S_ISREG(ret_st->st_mode))
		return err_set(e, ERR_HELPER_REFUSED, "%s: %s is no regular file", field, path);
	if (ret_st->st_uid != conf->owner)
		return err_set(e, ERR_HELPER_REFUSED, "%s: %s belongs to uid %u, not to %u", field,
			       path, ret_st->st_uid, conf->owner);
	*ret_fd = take_fd(&fd);
	return 0;
}
