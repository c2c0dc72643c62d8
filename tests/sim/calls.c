/* calls.c - the daemon's system calls on files, and its commits: each may fail, or be the last.
 *
 * Sent here by the linker (--wrap).  Outside of the daemon's work on a worker thread they are the
 * real ones, but for syncing, which is never done: nobody pulls this plug.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/sim/world.h"

enum {
	FDS_MAX = 1024,
};

static bool ours[FDS_MAX]; /* descriptors that the daemon has opened */

int __real_mkdir(const char *path, mode_t mode);
int __real_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int __real_rmdir(const char *path);
int __real_unlink(const char *path);
int __real_unlinkat(int dir, const char *name, int flags);
int __real_open64(const char *path, int flags, ...);
int __real_close(int fd);
ssize_t __real_write(int fd, const void *data, size_t len);
int __real_store_apply(struct store *s, const struct store_batch *b, struct err *e);

static bool refused(const char *what)
{
	const int rc = sim_ask(the_world->sim, SIM_FILE, what);

	errno = -rc;
	return rc < 0;
}

static bool fails(const char *what)
{
	return sim_working && sim_daemon_runs && refused(what);
}

/* ---- cgroupfs: a group comes and goes with its files, and not while somebody is in it ---- */

static const char *const group_files[] = { "memory.max", "memory.oom.group", "cpu.max",
					   "pids.max",   "cgroup.kill",      "cgroup.events" };

/* Not by world_path(), whose one buffer the path may be in. */
static bool is_group(const char *path)
{
	const size_t root = the_world ? strlen(the_world->root) : 0;

	return root > 0 && strncmp(path, the_world->root, root) == 0 &&
	       strncmp(path + root, "/cgroup/bg-", strlen("/cgroup/bg-")) == 0;
}

static void group_file(const char *group, size_t i, char out[WORLD_PATH * 2])
{
	(void)snprintf(out, WORLD_PATH * 2, "%s/%s", group, group_files[i]);
}

static void group_fill(const char *group)
{
	char path[WORLD_PATH * 2];

	for (size_t i = 0; i < ARRAY_LEN(group_files); i++) {
		group_file(group, i, path);
		IGNORE(__real_close(__real_open64(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) < 0);
	}
}

static int group_empty(const char *group)
{
	char text[VM_ID_CHARS + 1] = "";
	char path[WORLD_PATH * 2];
	vm_id id;

	(void)snprintf(text, sizeof(text), "%s", strrchr(group, '/') + strlen("/bg-"));
	if (vm_id_parse(text, &id) == 0 && world_processes(the_world, id) > 0) {
		errno = EBUSY;
		return -1;
	}
	for (size_t i = 0; i < ARRAY_LEN(group_files); i++) {
		group_file(group, i, path);
		IGNORE(__real_unlink(path) < 0);
	}
	return 0;
}

int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode)
{
	if (fails(path))
		return -1;
	const int rc = __real_mkdir(path, mode);

	if (rc == 0 && is_group(path))
		group_fill(path);
	return rc;
}

int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	/* Also on the reactor's thread: the sweep's. */
	if (sim_daemon_runs && refused(to))
		return -1;
	return __real_renameat2(from_dir, from, to_dir, to, flags);
}

int __wrap_rmdir(const char *path);
int __wrap_rmdir(const char *path)
{
	if (fails(path) || (is_group(path) && group_empty(path) < 0))
		return -1;
	return __real_rmdir(path);
}

int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
	return fails(path) ? -1 : __real_unlink(path);
}

int __wrap_unlinkat(int dir, const char *name, int flags);
int __wrap_unlinkat(int dir, const char *name, int flags)
{
	return fails(name) ? -1 : __real_unlinkat(dir, name, flags);
}

int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
	va_list ap;

	va_start(ap, flags);
	const mode_t mode = va_arg(ap, mode_t);
	va_end(ap);
	if ((flags & O_ACCMODE) != O_RDONLY && fails(path))
		return -1;
	const int fd = __real_open64(path, flags, mode); /* NOLINT: flags has O_CLOEXEC */

	if (fd >= 0 && sim_daemon_runs) {
		ASSERT(fd < FDS_MAX);
		ours[fd] = true;
	}
	return fd;
}

int __wrap_close(int fd);
int __wrap_close(int fd)
{
	if (fd >= 0 && fd < FDS_MAX)
		ours[fd] = false;
	return __real_close(fd);
}

uint32_t calls_open(void)
{
	uint32_t n = 0;

	for (int fd = 0; fd < FDS_MAX; fd++)
		n += ours[fd];
	return n;
}

void calls_close_all(void)
{
	for (int fd = 0; fd < FDS_MAX; fd++)
		if (ours[fd])
			__wrap_close(fd);
}

ssize_t __wrap_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len)
{
	if (!fails("write"))
		return __real_write(fd, data, len);
	if (errno == ENOSPC) { /* a disk that fills up takes the first part */
		IGNORE(__real_write(fd, data, len / 2) < 0);
		errno = ENOSPC;
	}
	return -1;
}

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	(void)fd;
	return fails("fsync") ? -1 : 0;
}

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	(void)fd;
	return fails("fdatasync") ? -1 : 0;
}

int __wrap_store_apply(struct store *s, const struct store_batch *b, struct err *e);
int __wrap_store_apply(struct store *s, const struct store_batch *b, struct err *e)
{
	if (!sim_working || b->n == 0)
		return __real_store_apply(s, b, e);
	const int rc = sim_ask(the_world->sim, SIM_FILE, "commit");

	if (rc == -ENOSPC)
		return err_set(e, ERR_STORE_FULL, "store: commit: no space left");
	if (rc < 0)
		return err_num(e, ERR_STORE, rc, "store: commit");
	return __real_store_apply(s, b, e);
}
