/* group.c - the cgroup of a VM: its limits, and the one true list of its processes.
 *
 * Only root can put a process into it, and only the zygote does.
 *
 * #syscalls mkdirat openat newfstatat? read pread64 write poll? unlinkat close clock_gettime?
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "helper/jail/jail.h"

enum {
	PIDS_MAX = 512,
	CPU_PERIOD_US = 100000,
	FILE_MAX = 16384, /* bytes read of a file of the kernel's */
};

static int group_open(const struct jail_env *env, const struct jail *j)
{
	const int fd = openat(env->cgroup, j->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* ---- limits ---- */

static int value_write(int group, const char *file, const char *text)
{
	CLEANUP_FD int fd = openat(group, file, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int limit(int group, const char *file, const char *field, const char *text, struct err *e)
{
	const int rc = value_write(group, file, text);

	if (rc == -ENOENT)
		return err_set(e, ERR_JAIL,
			       "%s: the controller of %s is not enabled for the VMs' cgroup", field,
			       file);
	return rc < 0 ? err_num(e, ERR_JAIL, rc, "%s", file) : jail_did(0, file, e);
}

static int limits_set(const struct vmm_target *t, int group, struct err *e)
{
	char text[64];
	int rc = 0;

	(void)snprintf(text, sizeof(text), "%d", PIDS_MAX);
	const int pids = value_write(group, "pids.max", text);
	if (pids < 0 && pids != -ENOENT) /* RLIMIT_NPROC is there as well */
		return err_num(e, ERR_JAIL, pids, "pids.max");
	if (t->memory_max > 0) {
		(void)snprintf(text, sizeof(text), "%lu", t->memory_max);
		rc = limit(group, "memory.max", "memory_max", text, e);
	}
	if (rc == 0 && t->cpu_max > 0) {
		(void)snprintf(text, sizeof(text), "%u %u", t->cpu_max * (CPU_PERIOD_US / 100),
			       CPU_PERIOD_US);
		rc = limit(group, "cpu.max", "cpu_max", text, e);
	}
	return rc;
}

int group_make(const struct jail_env *env, const struct vmm_target *t, int *ret_group,
	       struct err *e)
{
	const long made = mkdirat(env->cgroup, t->jail.id, 0755);
	CLEANUP_FD int fd = -EBADF;
	int rc = made < 0 && errno == EEXIST ? 0 : jail_did(made, "cgroup", e);

	if (rc < 0)
		return rc;
	fd = group_open(env, &t->jail);
	if (fd < 0)
		return err_num(e, ERR_JAIL, fd, "cgroup");
	rc = limits_set(t, fd, e);
	if (rc == 0)
		*ret_group = take_fd(&fd);
	return rc;
}

/* ---- who is in it ---- */

/* The whole file as text; it is short. */
static int file_read(int dir, const char *file, char *out, size_t size)
{
	CLEANUP_FD int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (n > 0 && len < size - 1) {
		n = read(fd, out + len, size - 1 - len);
		if (n < 0)
			return -errno;
		len += (size_t)n;
	}
	out[len] = '\0';
	return 0;
}

static bool says_populated(const char *events)
{
	return strstr(events, "populated 1") != NULL;
}

int group_populated(const struct jail_env *env, const struct jail *j, struct err *e)
{
	char text[256];
	CLEANUP_FD int group = group_open(env, j);
	const int rc = group < 0 ? group : file_read(group, "cgroup.events", text, sizeof(text));

	if (rc == -ENOENT || rc == -ENODEV)
		return 0;
	return rc < 0 ? err_num(e, ERR_JAIL, rc, "cgroup: cgroup.events") : says_populated(text);
}

int group_has(const struct jail_env *env, const struct jail *j, pid_t pid, struct err *e)
{
	static char text[FILE_MAX]; /* some 2000 processes; a VM has one, with threads */
	CLEANUP_FD int group = group_open(env, j);
	const int rc = group < 0 ? group : file_read(group, "cgroup.procs", text, sizeof(text));

	if (rc == -ENOENT || rc == -ENODEV)
		return 0;
	if (rc < 0)
		return err_num(e, ERR_JAIL, rc, "cgroup: cgroup.procs");
	for (const char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n')
		if (strtol(at, NULL, 10) == pid)
			return 1;
	return 0;
}

/* ---- its end ---- */

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The kernel says when cgroup.events changes. */
static int await_empty(int group, struct err *e)
{
	CLEANUP_FD int fd = openat(group, "cgroup.events", O_RDONLY | O_CLOEXEC);
	const uint64_t until = now_ms() + JAIL_END_MS;
	char text[256];

	if (fd < 0)
		return err_sys(e, ERR_JAIL, "cgroup: cgroup.events");
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLPRI };
		const ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
		const uint64_t now = now_ms();

		if (n < 0)
			return err_sys(e, ERR_JAIL, "cgroup: cgroup.events");
		text[n] = '\0';
		if (!says_populated(text))
			return 0;
		if (now >= until)
			return err_set(e, ERR_JAIL,
				       "cgroup: its processes were killed and do not end");
		IGNORE(poll(&p, 1, (int)(until - now)));
	}
}

int group_kill(const struct jail_env *env, const struct jail *j, struct err *e)
{
	CLEANUP_FD int group = group_open(env, j);
	int rc;

	if (group == -ENOENT)
		return 0;
	rc = group < 0 ? group : value_write(group, "cgroup.kill", "1");
	return rc < 0 ? err_num(e, ERR_JAIL, rc, "cgroup: cgroup.kill") : await_empty(group, e);
}

int group_remove(const struct jail_env *env, const struct jail *j, struct err *e)
{
	if (unlinkat(env->cgroup, j->id, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return err_sys(e, ERR_JAIL, "cgroup");
}
