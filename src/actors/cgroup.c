/* cgroup.c - the files of cgroupfs: Documentation/admin-guide/cgroup-v2.rst of Linux. */
#include "actors/cgroup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "base/text.h"
#include "vmm/vmm.h"

#define OURS "daemon" /* the group that we and our neighbours move to */

enum {
	FILE_BYTES = 2048,  /* of a file that is read */
	GROUP_BYTES = 1024, /* of our own group's path; a longer one is not found */
	PATH_BYTES = GROUP_BYTES + 64,
	EVACUATIONS = 8,            /* rounds: who is moved may fork meanwhile, and are many */
	CGROUP2_MAGIC = 0x63677270, /* CGROUP2_SUPER_MAGIC of linux/magic.h */
};

static const char *const controller_names[] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_CPU] = "cpu",
	[CGROUP_PIDS] = "pids",
};
static_assert(ARRAY_LEN(controller_names) == CGROUP_NCONTROLLERS, "each controller has its name");

static const char *const mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

/* ---- files ---- */

static void file_of(const char *group, const char *name, char out[PATH_BYTES])
{
	(void)snprintf(out, PATH_BYTES, "%.1020s/%.60s", group, name);
}

/* The whole of it, as text; how many bytes. */
static ssize_t file_read(const char *group, const char *name, char out[FILE_BYTES])
{
	char path[PATH_BYTES];

	file_of(group, name, path);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, out, FILE_BYTES - 1);

	out[n > 0 ? n : 0] = '\0';
	return n < 0 ? -errno : n;
}

static int file_write(const char *group, const char *name, const char *text)
{
	char path[PATH_BYTES];

	file_of(group, name, path);
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static bool has_word(const char *text, const char *word)
{
	const size_t len = strlen(word);

	for (; *text; text += strspn(text, " \n")) {
		const size_t n = strcspn(text, " \n");

		if (n == len && memcmp(text, word, len) == 0)
			return true;
		text += n;
	}
	return false;
}

static uint64_t controllers_in(const char *group, const char *name)
{
	char text[FILE_BYTES];
	uint64_t found = 0;

	if (file_read(group, name, text) < 0)
		return 0;
	for (uint32_t i = 0; i < CGROUP_NCONTROLLERS; i++)
		if (has_word(text, controller_names[i]))
			found |= BIT(i);
	return found;
}

/* ---- ours to use? ---- */

/* Where this process is, by the line of version 2 in /proc/self/cgroup: "0::/PATH". */
static int own_group(char out[GROUP_BYTES])
{
	char text[FILE_BYTES];

	if (file_read("/proc/self", "cgroup", text) < 0)
		return -ENOENT;
	const char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");

	if (!line)
		return -ENOENT;
	line = strstr(line, "::") + 2;
	for (size_t i = 0; i < ARRAY_LEN(mounts); i++) {
		struct statfs fs;

		if (statfs(mounts[i], &fs) < 0 || fs.f_type != CGROUP2_MAGIC)
			continue;
		(void)snprintf(out, GROUP_BYTES, "%s%.*s", mounts[i], (int)strcspn(line, "\n"),
			       line);
		size_t len = strlen(out);

		while (len > 1 && out[len - 1] == '/')
			out[--len] = '\0';
		return 0;
	}
	return -ENOENT;
}

/* systemd marks what it delegates: systemd.resource-control(5), Delegate=. */
static bool is_marked(const char *group)
{
	static const char *const marks[] = { "trusted.delegate", "user.delegate" };
	char value[2];

	for (size_t i = 0; i < ARRAY_LEN(marks); i++)
		if (getxattr(group, marks[i], value, sizeof(value)) == 1 && value[0] == '1')
			return true;
	return false;
}

static bool is_writable(const char *group)
{
	static const char *const files[] = { "cgroup.procs", "cgroup.subtree_control" };
	char path[PATH_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		file_of(group, files[i], path);
		if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0)
			return false;
	}
	return faccessat(AT_FDCWD, group, W_OK, AT_EACCESS) == 0;
}

/* A process moves only by leave of the group above both: where ours is not below the root. */
static bool may_move_into(const char *root)
{
	char own[GROUP_BYTES];
	char path[PATH_BYTES];
	size_t same = 0;

	if (own_group(own) < 0)
		return true; /* not cgroupfs at all: it will say so itself */
	for (size_t i = 0; own[i] && own[i] == root[i]; i++)
		if (own[i + 1] == '/' || !own[i + 1])
			same = root[i + 1] == '/' || !root[i + 1] ? i + 1 : same;
	own[same] = '\0';
	file_of(own, "cgroup.procs", path);
	return same == 0 || faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}

/* ---- made ready ---- */

/* Ourselves, or everybody, into a group below. */
static int evacuate(const char *root, bool everybody)
{
	char leaf[PATH_BYTES];
	char text[FILE_BYTES];
	char *rest;

	file_of(root, OURS, leaf);
	if (mkdir(leaf, 0755) < 0 && errno != EEXIST)
		return -errno;
	int rc = file_write(leaf, "cgroup.procs", "0");
	if (rc < 0 || !everybody || file_read(root, "cgroup.procs", text) < 0)
		return rc;
	for (const char *pid = strtok_r(text, "\n", &rest); pid; pid = strtok_r(NULL, "\n", &rest))
		IGNORE(file_write(leaf, "cgroup.procs", pid) < 0); /* it has ended, or stays */
	return 0;
}

static int enable(const char *root, uint64_t controllers)
{
	const uint64_t missing = controllers & ~controllers_in(root, "cgroup.subtree_control");
	char text[64] = "";

	for (uint32_t i = 0; i < CGROUP_NCONTROLLERS; i++)
		if (missing & BIT(i))
			(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), " +%s",
				       controller_names[i]);
	return missing ? file_write(root, "cgroup.subtree_control", text + 1) : 0;
}

/* Limits for the children of a group that may be used. */
static int make_ready(struct cgroup_root *r, bool everybody, struct err *e)
{
	const uint64_t have = controllers_in(r->path, "cgroup.controllers");
	int rc = -EBUSY;

	if (!is_writable(r->path) || !may_move_into(r->path))
		return err_num(e, ERR_CONFIG_BAD, EACCES, "%s", r->path);
	if (!have)
		return err_set(e, ERR_CONFIG_BAD,
			       "%s has no controllers: its parent's cgroup.subtree_control is to "
			       "have memory, cpu and pids",
			       r->path);
	rc = enable(r->path, have);
	for (int i = 0; i < EVACUATIONS && rc == -EBUSY; i++) {
		rc = evacuate(r->path, everybody);
		if (rc == 0)
			rc = enable(r->path, have);
	}
	if (rc < 0)
		return err_num(e, ERR_CONFIG_BAD, rc, "%s: cgroup.subtree_control", r->path);
	r->controllers = have;
	return 0;
}

static void tell(struct cgroup_root *r)
{
	size_t used = 0;

	for (uint32_t i = 0; i < CGROUP_NCONTROLLERS; i++)
		if (r->controllers & BIT(i))
			used += (size_t)snprintf(r->text + used, sizeof(r->text) - used, "%s%s",
						 used ? ", " : "", controller_names[i]);
	(void)snprintf(r->text + used, sizeof(r->text) - used, " of each VM, in %.110s", r->path);
}

static PRINTF_LIKE(2, 3) void tell_none(struct cgroup_root *r, const char *fmt, ...)
{
	char why[sizeof(r->text)];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	*r = (struct cgroup_root){ 0 };
	(void)snprintf(r->text, sizeof(r->text), "none: %.150s", why);
}

/* Our own, or the one above it where an earlier daemon of this group has moved us out of the way.
 */
static void find_own(struct cgroup_root *r)
{
	char own[GROUP_BYTES];
	struct err e = { 0 };
	struct stat st;

	if (own_group(own) < 0) {
		tell_none(r, "no cgroup v2 on this host");
		return;
	}
	char *last = strrchr(own, '/');

	if (!is_marked(own) && last && strcmp(last + 1, OURS) == 0)
		*last = '\0';
	const bool marked = is_marked(own);
	const bool owned = stat(own, &st) == 0 && geteuid() != 0 && st.st_uid == geteuid();

	if ((!marked && !owned) || strlen(own) > CGROUP_ROOT_MAX) {
		tell_none(r, "no cgroup is delegated to the daemon");
		return;
	}
	TEXT_SET(r->path, own);
	if (make_ready(r, marked, &e) < 0)
		tell_none(r, "%s", e.text);
	else
		tell(r);
}

static int find_named(const char *path, struct cgroup_root *r, struct err *e)
{
	if (strlen(path) > CGROUP_ROOT_MAX)
		return err_set(e, ERR_CONFIG_BAD, "limits.cgroup: a path of more than %d bytes",
			       CGROUP_ROOT_MAX);
	TEXT_SET(r->path, path);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_sys(e, ERR_CONFIG_BAD, "limits.cgroup: %s", path);
	const int rc = make_ready(r, true, e);

	if (rc < 0)
		err_ctx(e, "limits.cgroup");
	else
		tell(r);
	return rc;
}

int cgroup_find(const char *setting, struct cgroup_root *ret_root, struct err *e)
{
	struct cgroup_root r = { 0 };
	int rc = 0;

	if (strcmp(setting, "none") == 0)
		tell_none(&r, "as configured");
	else if (setting[0])
		rc = find_named(setting, &r, e);
	else
		find_own(&r);
	if (rc == 0)
		*ret_root = r;
	return rc;
}

/* ---- one VM ---- */

void cgroup_path(const struct cgroup_root *root, vm_id id, const char *home,
		 char out[CGROUP_PATH_MAX + 1])
{
	char text[VM_ID_CHARS + 1];

	vm_id_text(id, text);
	(void)snprintf(out, CGROUP_PATH_MAX + 1, "%.*s/bg-%s.%.12s", CGROUP_ROOT_MAX, root->path,
		       text, home);
}

struct limit {
	enum cgroup_controller controller;
	const char *file;
	bool wanted; /* a kernel without it is too old */
	char text[48];
};

static int limit_set(const char *path, const struct limit *l, struct err *e)
{
	const int rc = file_write(path, l->file, l->text);

	if (rc == -ENOENT && !l->wanted)
		return 0;
	return rc < 0 ? err_num(e, ERR_HOST_CGROUP, rc, "%s: %s", path, l->file) : 0;
}

int cgroup_make(const char *path, uint64_t controllers, const struct cgroup_limits *limits,
		struct err *e)
{
	struct limit table[] = {
		{ CGROUP_MEMORY, "memory.max", true, "" },
		{ CGROUP_MEMORY, "memory.oom.group", false, "1" },
		{ CGROUP_CPU, "cpu.max", true, "" },
		{ CGROUP_PIDS, "pids.max", true, "" },
	};

	(void)snprintf(table[0].text, sizeof(table[0].text), "%lu", limits->memory_bytes);
	(void)snprintf(table[2].text, sizeof(table[2].text), "%lu %d",
		       (limits->vcpu * 100UL + CGROUP_CPU_EXTRA) * CGROUP_CPU_PERIOD_US / 100,
		       CGROUP_CPU_PERIOD_US);
	(void)snprintf(table[3].text, sizeof(table[3].text), "%u",
		       limits->vcpu + CGROUP_PIDS_EXTRA);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_sys(e, ERR_HOST_CGROUP, "mkdir %s", path);
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const int rc = controllers & BIT(table[i].controller)
				       ? limit_set(path, &table[i], e)
				       : 0;

		if (rc < 0)
			return rc;
	}
	const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_sys(e, ERR_HOST_CGROUP, "open %s", path) : fd;
}

bool cgroup_ran_out(const char *path)
{
	char text[FILE_BYTES];
	const char *kills = file_read(path, "memory.events", text) > 0 ? strstr(text, "oom_kill ")
								       : NULL;

	return kills && strtoul(kills + strlen("oom_kill "), NULL, 10) > 0;
}

/* cgroup.events says so by POLLPRI; "populated 0" is its last state. */
static void wait_until_empty(const char *path)
{
	char events[PATH_BYTES];
	char text[FILE_BYTES];

	file_of(path, "cgroup.events", events);
	CLEANUP_FD int fd = open(events, O_RDONLY | O_CLOEXEC);
	struct pollfd p = { .fd = fd, .events = POLLPRI };

	while (fd >= 0 && pread(fd, text, FILE_BYTES - 1, 0) > 0 &&
	       strncmp(text, "populated 1", strlen("populated 1")) == 0)
		if (poll(&p, 1, CGROUP_EMPTY_MS) <= 0)
			return;
}

int cgroup_remove(const char *path, struct err *e)
{
	if (rmdir(path) == 0 || errno == ENOENT)
		return 0;
	if (errno != EBUSY)
		return err_sys(e, ERR_HOST_CGROUP, "rmdir %s", path);
	/* Since Linux 5.14; where it is missing only the VMM itself has been killed. */
	IGNORE(file_write(path, "cgroup.kill", "1") < 0);
	wait_until_empty(path);
	if (rmdir(path) < 0 && errno != ENOENT)
		return err_sys(e, ERR_HOST_CGROUP, "rmdir %s", path);
	return 0;
}
