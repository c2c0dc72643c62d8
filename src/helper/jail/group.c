/* group.c - the cgroup of a VM: its limits, and the one true list of its processes.
 *
 * Only root can put a process into it, and only the zygote does.
 *
 * #syscalls mkdirat openat newfstatat? read pread64 write poll unlinkat pidfd_open close
 * #syscalls clock_gettime?
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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
	long made = mkdirat(env->cgroup, t->jail.id, 0755);
	CLEANUP_FD int fd = -EBADF;

	/* In one that was killed before, whatever is cloned into it dies at once (seen with Linux
	 * 6.18, whose clone3 compares its kill_seq with that of the parent's cgroup): made anew. */
	if (made < 0 && errno == EEXIST && unlinkat(env->cgroup, t->jail.id, AT_REMOVEDIR) == 0)
		made = mkdirat(env->cgroup, t->jail.id, 0755);
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

/* The list of its processes, one a line: some 2000 of them; a VM has one, with threads. */
static int procs_read(int group, const char **ret_text)
{
	static char text[FILE_MAX];
	const int rc = file_read(group, "cgroup.procs", text, sizeof(text));

	*ret_text = text;
	return rc;
}

static const char *next_line(const char *at)
{
	at += strcspn(at, "\n");
	return at + (*at == '\n');
}

int group_has(const struct jail_env *env, const struct jail *j, pid_t pid, struct err *e)
{
	const char *at;
	CLEANUP_FD int group = group_open(env, j);
	const int rc = group < 0 ? group : procs_read(group, &at);

	if (rc == -ENOENT || rc == -ENODEV)
		return 0;
	if (rc < 0)
		return err_num(e, ERR_JAIL, rc, "cgroup: cgroup.procs");
	for (; *at; at = next_line(at))
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

/* A process of it by pidfd, if one can be had.  The kernel tells of changes of cgroup.events at
 * most each 10 ms (CGROUP_FILE_NOTIFY_MIN_INTV), of a process's end at once. */
static void watch_one(struct ending *x)
{
	const char *at;

	if (procs_read(x->group, &at) < 0)
		return;
	for (; *at && x->pidfd < 0; at = next_line(at))
		x->pidfd = (int)syscall(SYS_pidfd_open, (pid_t)strtol(at, NULL, 10), 0);
}

void ending_close(struct ending *x)
{
	close_fd(&x->pidfd);
	close_fd(&x->events);
	close_fd(&x->group);
}

int ending_begin(const struct jail_env *env, const struct jail *j, struct ending *ret,
		 struct err *e)
{
	struct ending x = { .group = group_open(env, j), .events = -EBADF, .pidfd = -EBADF };
	int rc = x.group < 0 ? x.group : 0;

	if (rc == -ENOENT)
		return 0;
	if (rc == 0)
		watch_one(&x);
	if (rc == 0)
		rc = value_write(x.group, "cgroup.kill", "1");
	if (rc < 0)
		rc = err_num(e, ERR_JAIL, rc, "cgroup: cgroup.kill");
	if (rc == 0) {
		x.events = openat(x.group, "cgroup.events", O_RDONLY | O_CLOEXEC);
		rc = x.events < 0 ? err_sys(e, ERR_JAIL, "cgroup: cgroup.events") : 0;
	}
	if (rc < 0) {
		ending_close(&x);
		return rc;
	}
	x.until_ms = now_ms() + JAIL_END_MS;
	*ret = x;
	return 1;
}

int ending_rest_ms(const struct ending *x)
{
	const uint64_t now = now_ms();

	return now < x->until_ms ? (int)(x->until_ms - now) : 0;
}

/* The file says whether anything is in it whenever it is read, and that alone counts. */
static int is_empty(const struct ending *x, struct err *e)
{
	char text[256];
	const ssize_t n = pread(x->events, text, sizeof(text) - 1, 0);

	if (n < 0)
		return errno == ENODEV ? 1 : err_sys(e, ERR_JAIL, "cgroup: cgroup.events");
	text[n] = '\0';
	return !says_populated(text);
}

int ending_look(struct ending *x, struct err *e)
{
	struct pollfd one = { .fd = x->pidfd, .events = POLLIN };
	const bool lives = x->pidfd >= 0 && poll(&one, 1, 0) == 0;
	const int rc = lives ? 0 : is_empty(x, e);

	if (rc != 0)
		return rc;
	if (!lives) {
		close_fd(&x->pidfd);
		watch_one(x);
	}
	return ending_rest_ms(x) > 0
		       ? 0
		       : err_set(e, ERR_JAIL, "cgroup: its processes were killed and do not end");
}

int group_kill(const struct jail_env *env, const struct jail *j, struct err *e)
{
	struct ending x;
	int rc = ending_begin(env, j, &x, e);

	if (rc <= 0)
		return rc;
	while ((rc = ending_look(&x, e)) == 0) {
		struct pollfd fds[] = { { .fd = x.pidfd, .events = POLLIN },
					{ .fd = x.events, .events = POLLPRI } };

		IGNORE(poll(fds, ARRAY_LEN(fds), ending_rest_ms(&x)));
	}
	ending_close(&x);
	return rc < 0 ? rc : 0;
}

int group_remove(const struct jail_env *env, const struct jail *j, struct err *e)
{
	if (unlinkat(env->cgroup, j->id, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return err_sys(e, ERR_JAIL, "cgroup");
}
