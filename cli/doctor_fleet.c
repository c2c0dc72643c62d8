/* doctor_fleet.c - how many VMs this host would take, and what stops the next one.
 *
 * Every limit is asked of where the kernel keeps it; what a VM takes of it was measured, with a
 * Debian guest on QEMU 7.2.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "doctor.h"
#include "human.h"

enum {
	DAEMON_FILES = 3,    /* of the daemon's, a VM: its exit, its agent, its control channel */
	DAEMON_OTHERS = 256, /* ... of its own, of clients and of VMs that start */
	VMM_FILES = 16,      /* of a VMM */
	VMM_THREADS = 6,     /* of a VMM, besides its vCPUs */
	VM_FILES = 5,        /* inodes: directories, disk, logs */
	LINE_BYTES = 512,
};
#define VMM_BYTES       (UINT64_C(24) << 20)  /* of a VMM, besides its guest's memory */
#define VM_REST_BYTES   (UINT64_C(192) << 20) /* of a guest that does nothing */
#define DISK_REST_BYTES (UINT64_C(1) << 20)   /* of a disk that was booted from */

static uint64_t less(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a == UINT64_MAX ? a : a > b ? a - b : 0;
}

/* How many of `each` fit; nothing bounds what has no bound. */
static uint64_t share(uint64_t of, uint64_t each)
{
	return of == UINT64_MAX ? of : of / each;
}

/* The number in a file below /proc or /sys; UINT64_MAX: "max", or it cannot be read. */
static uint64_t number_of(const char *path)
{
	CLEANUP_FILE FILE *f = fopen(path, "re");
	uint64_t n;

	return f && fscanf(f, "%" SCNu64, &n) == 1 ? n : UINT64_MAX;
}

static void bytes_text(uint64_t bytes, char out[HUMAN_MAX])
{
	if (bytes == UINT64_MAX)
		(void)snprintf(out, HUMAN_MAX, "no bound");
	else
		human_bytes(bytes, out);
}

/* ---- cgroups ---- */

/* Our own: "0::/a/b" of version 2, "7:pids:/a/b" of version 1.  False: it is in none. */
static bool cgroup_of(const char *controller, char out[PATHS_FILE_MAX])
{
	CLEANUP_FILE FILE *f = fopen("/proc/self/cgroup", "re");
	char line[LINE_BYTES];
	bool found = false;

	while (f && fgets(line, sizeof(line), f)) {
		char *names = strchr(line, ':');
		char *path = names ? strchr(names + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		if (strcmp(names + 1, controller) == 0) { /* version 1 has it, so 2 has not */
			(void)snprintf(out, PATHS_FILE_MAX, "/sys/fs/cgroup/%s%s", controller,
				       path);
			return true;
		}
		if (names[1] == '\0') {
			(void)snprintf(out, PATHS_FILE_MAX, "/sys/fs/cgroup%s", path);
			found = true;
		}
	}
	return found;
}

/* What is left of max - current in a cgroup and in all above it. */
static uint64_t cgroup_left(const char *controller, const char *max, const char *current)
{
	char dir[PATHS_FILE_MAX];
	char path[PATHS_FILE_MAX + 64];
	uint64_t left = UINT64_MAX;

	if (!cgroup_of(controller, dir))
		return left;
	for (char *slash; strlen(dir) >= strlen("/sys/fs/cgroup"); *slash = '\0') {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, max);
		const uint64_t most = number_of(path);

		(void)snprintf(path, sizeof(path), "%s/%s", dir, current);
		const uint64_t used = number_of(path);

		left = less(left, minus(most, used == UINT64_MAX ? 0 : used));
		slash = strrchr(dir, '/');
	}
	return left;
}

/* ---- the limits ---- */

static uint32_t running(const struct doctor *d)
{
	return d->info ? d->info->running : 0;
}

/* The daemon's own, where one runs: it may have been started by somebody else. */
static void limit_files(const struct doctor *d, const struct fleet_vm *vm, struct fleet_limit *l)
{
	struct rlimit rl = { .rlim_max = RLIM_INFINITY };

	(void)vm;
	(void)prlimit(d->info ? (pid_t)d->info->pid : 0, RLIMIT_NOFILE, NULL, &rl);
	l->vms = share(minus(rl.rlim_max, DAEMON_OTHERS), DAEMON_FILES);
	(void)snprintf(l->found, sizeof(l->found), "%llu for the daemon, %d for each VM",
		       (unsigned long long)rl.rlim_max, DAEMON_FILES);
}

static void limit_file_max(const struct doctor *d, const struct fleet_vm *vm, struct fleet_limit *l)
{
	CLEANUP_FILE FILE *f = fopen("/proc/sys/fs/file-nr", "re");
	uint64_t used = 0;
	uint64_t max = UINT64_MAX;

	(void)vm;
	if (f && fscanf(f, "%" SCNu64 " %*u %" SCNu64, &used, &max) != 2)
		max = UINT64_MAX;
	l->vms = share(minus(max, used), DAEMON_FILES + VMM_FILES);
	if (l->vms != UINT64_MAX)
		l->vms += running(d);
	(void)snprintf(l->found, sizeof(l->found),
		       "%llu of the machine, %llu in use, %d for each VM", (unsigned long long)max,
		       (unsigned long long)used, DAEMON_FILES + VMM_FILES);
}

/* The kernel does not hold it against root. */
static void limit_nproc(const struct doctor *d, const struct fleet_vm *vm, struct fleet_limit *l)
{
	struct rlimit rl = { .rlim_max = RLIM_INFINITY };
	const uint64_t each = VMM_THREADS + vm->vcpu;

	(void)prlimit(d->info ? (pid_t)d->info->pid : 0, RLIMIT_NPROC, NULL, &rl);
	if (geteuid() != 0 && rl.rlim_max != RLIM_INFINITY)
		l->vms = share(rl.rlim_max, each);
	if (l->vms == UINT64_MAX)
		(void)snprintf(l->found, sizeof(l->found), "no bound for this user");
	else
		(void)snprintf(l->found, sizeof(l->found),
			       "%llu threads of this user, %llu for each VM",
			       (unsigned long long)rl.rlim_max, (unsigned long long)each);
}

/* "0.34 0.51 0.47 2/1043 12345": threads that there are stand behind the slash */
static uint64_t threads_now(void)
{
	CLEANUP_FILE FILE *f = fopen("/proc/loadavg", "re");
	uint64_t n;

	return f && fscanf(f, "%*s %*s %*s %*u/%" SCNu64, &n) == 1 ? n : 0;
}

static void limit_threads(const struct doctor *d, const struct fleet_vm *vm, struct fleet_limit *l)
{
	const uint64_t max = less(number_of("/proc/sys/kernel/pid_max"),
				  number_of("/proc/sys/kernel/threads-max"));
	const uint64_t each = VMM_THREADS + vm->vcpu;

	l->vms = share(minus(max, threads_now()), each);
	if (l->vms != UINT64_MAX)
		l->vms += running(d);
	(void)snprintf(l->found, sizeof(l->found),
		       "%llu of the machine, %llu in use, %llu for each VM",
		       (unsigned long long)max, (unsigned long long)threads_now(),
		       (unsigned long long)each);
}

static void limit_pids(const struct doctor *d, const struct fleet_vm *vm, struct fleet_limit *l)
{
	const uint64_t left = cgroup_left("pids", "pids.max", "pids.current");
	const uint64_t each = VMM_THREADS + vm->vcpu;

	l->vms = share(left, each);
	if (left == UINT64_MAX) {
		(void)snprintf(l->found, sizeof(l->found), "no bound for this cgroup");
		return;
	}
	l->vms += running(d);
	(void)snprintf(l->found, sizeof(l->found),
		       "%llu threads left for this cgroup, %llu for each VM",
		       (unsigned long long)left, (unsigned long long)each);
}

/* "MemAvailable:   16315764 kB" */
static uint64_t memory_available(void)
{
	CLEANUP_FILE FILE *f = fopen("/proc/meminfo", "re");
	char line[LINE_BYTES];
	uint64_t kib;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
			return kib << 10;
	return UINT64_MAX;
}

static uint64_t memory_left(void)
{
	const uint64_t v2 = cgroup_left("", "memory.max", "memory.current");
	const uint64_t v1 = cgroup_left("memory", "memory.limit_in_bytes", "memory.usage_in_bytes");

	return less(memory_available(), less(v1, v2));
}

static void memory_limit(const struct doctor *d, uint64_t each, const char *when,
			 struct fleet_limit *l)
{
	const uint64_t left = memory_left();
	char available[HUMAN_MAX];
	char one[HUMAN_MAX];

	l->vms = share(left, each);
	if (l->vms != UINT64_MAX)
		l->vms += running(d);
	bytes_text(left, available);
	human_bytes(each, one);
	(void)snprintf(l->found, sizeof(l->found), "%s available, %s for each VM%s", available, one,
		       when);
}

static void limit_memory_rest(const struct doctor *d, const struct fleet_vm *vm,
			      struct fleet_limit *l)
{
	memory_limit(d, VMM_BYTES + less(vm->memory_bytes, VM_REST_BYTES), " at rest", l);
}

static void limit_memory(const struct doctor *d, const struct fleet_vm *vm, struct fleet_limit *l)
{
	memory_limit(d, VMM_BYTES + vm->memory_bytes, " that uses all it was given", l);
}

/* Of the file system that holds the state, or will: its nearest directory that exists. */
static bool state_fs(const struct doctor *d, struct statvfs *fs)
{
	char dir[sizeof(d->paths.state)];
	char *slash = dir;

	text_copy(dir, sizeof(dir), d->paths.state);
	while (statvfs(dir, fs) < 0) {
		slash = strrchr(dir, '/');
		if (!slash || slash == dir)
			return false;
		*slash = '\0';
	}
	return true;
}

static void disk_limit(const struct doctor *d, uint64_t each, const char *when,
		       struct fleet_limit *l)
{
	char available[HUMAN_MAX];
	char one[HUMAN_MAX];
	struct statvfs fs;

	if (!state_fs(d, &fs)) {
		(void)snprintf(l->found, sizeof(l->found), "not known");
		return;
	}
	const uint64_t left = (uint64_t)fs.f_bavail * fs.f_frsize;
	l->vms = share(left, each) + (d->info ? d->info->vms : 0);
	human_bytes(left, available);
	human_bytes(each, one);
	(void)snprintf(l->found, sizeof(l->found), "%s free, %s for each VM%s", available, one,
		       when);
}

static void limit_disk_rest(const struct doctor *d, const struct fleet_vm *vm,
			    struct fleet_limit *l)
{
	(void)vm;
	disk_limit(d, DISK_REST_BYTES, " that has booted", l);
}

static void limit_disk(const struct doctor *d, const struct fleet_vm *vm, struct fleet_limit *l)
{
	disk_limit(d, vm->disk_bytes, " that fills its disk", l);
}

static void limit_records(const struct doctor *d, const struct fleet_vm *vm, struct fleet_limit *l)
{
	struct statvfs fs;

	(void)vm;
	l->vms = d->conf->vms_max;
	if (state_fs(d, &fs) && fs.f_files > 0)
		l->vms = less(l->vms, fs.f_favail / VM_FILES + (d->info ? d->info->vms : 0));
	(void)snprintf(l->found, sizeof(l->found), "limits.vms_max is %u", d->conf->vms_max);
	if (l->vms < d->conf->vms_max)
		(void)snprintf(l->found, sizeof(l->found), "%llu inodes free, %d for each VM",
			       (unsigned long long)fs.f_favail, VM_FILES);
}

static const struct {
	const char *name;
	void (*look)(const struct doctor *d, const struct fleet_vm *vm, struct fleet_limit *l);
	bool soft;
	const char *advice;
} kinds[] = {
	{ "open files", limit_files, false,
	  "Raise its hard limit (LimitNOFILE= of its unit, nofile in /etc/security/limits.conf), "
	  "then "
	  "`banger daemon stop`." },
	{ "files", limit_file_max, false, "sysctl -w fs.file-max=4194304" },
	{ "processes", limit_nproc, false,
	  "Raise nproc in /etc/security/limits.conf, or LimitNPROC= of the unit." },
	{ "threads", limit_threads, false,
	  "sysctl -w kernel.pid_max=4194304 kernel.threads-max=4194304" },
	{ "cgroup pids", limit_pids, false,
	  "Raise pids.max of the cgroup, or TasksMax= of its unit." },
	{ "memory", limit_memory_rest, false, "Add memory, or stop what else needs it." },
	{ "memory, all used", limit_memory, true,
	  "Give VMs less (--memory, defaults.memory in banger.conf), or add memory or swap." },
	{ "disk", limit_disk_rest, false, "Free some space, or set BANGER_STATE_DIR." },
	{ "disk, all used", limit_disk, true,
	  "Give VMs less (--disk, defaults.disk in banger.conf), or free some space." },
	{ "records", limit_records, false,
	  "Raise limits.vms_max in banger.conf, or use a file system with more inodes." },
};
static_assert(ARRAY_LEN(kinds) <= FLEET_LIMITS, "callers have room for all");

struct fleet_vm fleet_vm_of(const struct doctor *d)
{
	const struct options *o = d->o;
	const struct info_result *i = d->info;

	return (struct fleet_vm){
		.vcpu = o->vcpu ? o->vcpu
			: i     ? i->vcpu
				: d->conf->vcpu,
		.memory_bytes = o->memory_bytes ? o->memory_bytes
				: i             ? i->vm_memory_bytes
						: d->conf->memory_bytes,
		.disk_bytes = o->disk_bytes ? o->disk_bytes
			      : i           ? i->vm_disk_bytes
					    : d->conf->disk_bytes,
	};
}

uint32_t fleet_limits(const struct doctor *d, const struct fleet_vm *vm,
		      struct fleet_limit limits[FLEET_LIMITS])
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		limits[i] = (struct fleet_limit){ .name = kinds[i].name,
						  .vms = UINT64_MAX,
						  .soft = kinds[i].soft,
						  .advice = kinds[i].advice };
		kinds[i].look(d, vm, &limits[i]);
	}
	return ARRAY_LEN(kinds);
}

const struct fleet_limit *fleet_first(const struct fleet_limit *limits, uint32_t n, bool soft)
{
	const struct fleet_limit *first = NULL;

	for (uint32_t i = 0; i < n; i++)
		if (limits[i].soft == soft && (!first || limits[i].vms < first->vms))
			first = &limits[i];
	return first;
}
