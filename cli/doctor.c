/* doctor.c - `doctor`: reads this host, changes nothing, starts nothing, says what to do.
 *
 * One row per check; a row is PASS, WARN (works, but not as well as it could) or FAIL.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/paths.h"
#include "command.h"
#include "daemon_start.h"
#include "human.h"
#include "report.h"
#include "session.h"

enum {
	FILES_PER_VM = 8,   /* descriptors that the daemon holds per VM: sockets, pidfd, logs */
	FLEET = 500,        /* VMs that the default limits should allow */
	URING_PARAMS = 120, /* sizeof(struct io_uring_params), io_uring_setup(2) */
	FIRST_LINE = 128,
};
#define FREE_WARN_BYTES (UINT64_C(10) << 30)

enum verdict {
	PASS,
	WARN,
	FAIL,
	NVERDICTS,
};

static const char *const verdicts[] = { "PASS", "WARN", "FAIL" };
static_assert(ARRAY_LEN(verdicts) == NVERDICTS, "one name per verdict");
static const char *const colors[] = { "\033[32m", "\033[33m", "\033[31m" };
static_assert(ARRAY_LEN(colors) == NVERDICTS, "one colour per verdict");

struct row {
	char check[32];
	char verdict[8];
	char found[ERR_TEXT_MAX];
	char advice[ERR_TEXT_MAX];
};

static const struct field row_fields[] = {
	FIELD(struct row, check, FIELD_STR, true, 0, 0, "what was looked at"),
	FIELD(struct row, verdict, FIELD_STR, true, 0, 0, "PASS, WARN or FAIL"),
	FIELD(struct row, found, FIELD_TEXT, true, 0, 0, "what was found"),
	FIELD(struct row, advice, FIELD_TEXT, true, 0, 0, "what to do, or empty"),
};
static const struct schema row_schema = SCHEMA("check", struct row, row_fields);

struct doctor {
	const struct options *o;
	struct paths paths;
	const struct info_result *info; /* NULL: no daemon runs; borrowed from a call */
	struct err no_daemon;           /* why */
};

struct finding {
	enum verdict verdict;
	char found[ERR_TEXT_MAX];
	const char *advice;
};

static PRINTF_LIKE(4, 5) void find(struct finding *f, enum verdict verdict, const char *advice,
				   const char *fmt, ...)
{
	va_list ap;

	f->verdict = verdict;
	f->advice = advice;
	va_start(ap, fmt);
	(void)vsnprintf(f->found, sizeof(f->found), fmt, ap);
	va_end(ap);
}

static void check_io_uring(const struct doctor *d, struct finding *f)
{
	uint8_t params[URING_PARAMS] = { 0 };
	CLEANUP_FD int fd = (int)syscall(SYS_io_uring_setup, 1, params);

	(void)d;
	if (fd >= 0)
		find(f, PASS, "", "permitted");
	else
		find(f, FAIL, err_hint(ERR_NO_IO_URING), "io_uring_setup: %s", err_sys_text(errno));
}

static void check_kvm(const struct doctor *d, struct finding *f)
{
	CLEANUP_FD int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	(void)d;
	if (fd >= 0)
		find(f, PASS, "", "/dev/kvm opens");
	else if (errno == EACCES)
		find(f, WARN,
		     "Join the group that owns it (usermod -aG kvm USER), then log in again.",
		     "/dev/kvm: %s; guests are emulated", err_sys_text(errno));
	else
		find(f, WARN, "Enable virtualisation in the firmware, or nested virtualisation.",
		     "/dev/kvm: %s; guests are emulated", err_sys_text(errno));
}

static bool program_find(const char *name, char *out, size_t size)
{
	const char *path = getenv("PATH");

	while (path && *path) {
		const size_t len = strcspn(path, ":");

		if ((size_t)snprintf(out, size, "%.*s/%s", (int)len, path, name) < size &&
		    access(out, X_OK) == 0)
			return true;
		path += len + (path[len] == ':');
	}
	return false;
}

/* The first line that the program prints about itself, or "". */
static void program_version(const char *path, char out[FIRST_LINE])
{
	char *const argv[] = { (char *)(uintptr_t)path, (char *)(uintptr_t) "--version", NULL };
	posix_spawn_file_actions_t actions;
	int pipe_fds[2];
	pid_t pid;
	int status;

	out[0] = '\0';
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	const int rc = posix_spawn(&pid, path, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(pipe_fds[1]);
	FILE *f = rc == 0 ? fdopen(pipe_fds[0], "re") : NULL;
	if (f && fgets(out, FIRST_LINE, f))
		out[strcspn(out, "\n")] = '\0';
	if (f)
		(void)fclose(f); /* the rest ends in EPIPE: one line is all that is wanted */
	else
		close(pipe_fds[0]);
	if (rc == 0)
		(void)waitpid(pid, &status, 0);
}

static void check_qemu(const struct doctor *d, struct finding *f)
{
	char path[PATHS_FILE_MAX];
	char version[FIRST_LINE];

	(void)d;
	if (!program_find("qemu-system-x86_64", path, sizeof(path))) {
		find(f, FAIL, err_hint(ERR_VMM_MISSING), "qemu-system-x86_64 is not in PATH");
		return;
	}
	program_version(path, version);
	if (version[0])
		find(f, PASS, "", "%s", version);
	else
		find(f, FAIL, "Reinstall qemu-system-x86.", "%.100s does not say its version",
		     path);
}

static void check_mmdebstrap(const struct doctor *d, struct finding *f)
{
	char path[PATHS_FILE_MAX];

	(void)d;
	if (program_find("mmdebstrap", path, sizeof(path)))
		find(f, PASS, "", "%.200s", path);
	else
		find(f, WARN, "apt-get install mmdebstrap",
		     "not in PATH: `banger image build` will not work");
}

static void check_daemon_program(const struct doctor *d, struct finding *f)
{
	char path[PATHS_FILE_MAX];
	struct err e = { 0 };

	(void)d;
	if (spawn_find(d->o, path, sizeof(path), &e) == 0)
		find(f, PASS, "", "%.200s", path);
	else
		find(f, FAIL, "Install bangerd, or set BANGER_DAEMON.", "%s", e.text);
}

static void check_files(const struct doctor *d, struct finding *f)
{
	struct rlimit limit = { 0 };
	const rlim_t wanted = FLEET * FILES_PER_VM;

	(void)d;
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max >= wanted)
		find(f, PASS, "", "%llu open files: enough for %llu VMs",
		     (unsigned long long)limit.rlim_max,
		     (unsigned long long)limit.rlim_max / FILES_PER_VM);
	else
		find(f, WARN, "Raise the hard limit: `ulimit -Hn`, /etc/security/limits.conf.",
		     "%llu open files: about %llu VMs", (unsigned long long)limit.rlim_max,
		     (unsigned long long)limit.rlim_max / FILES_PER_VM);
}

/* As paths_ensure_dir() looks at it, but nothing is created. */
static void check_dir(const char *dir, struct finding *f)
{
	CLEANUP_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		find(f, PASS, "", "%.200s: made when needed", dir);
	else if (fd < 0 || fstat(fd, &st) < 0)
		find(f, FAIL, "Remove it, or choose another with BANGER_*_DIR.", "%.160s: %s", dir,
		     err_sys_text(errno));
	else if (st.st_uid != geteuid())
		find(f, FAIL, "Remove it, or choose another with BANGER_*_DIR.",
		     "%.160s belongs to uid %u", dir, st.st_uid);
	else if (st.st_mode & 077)
		find(f, FAIL, "chmod 700 it.", "%.160s is open to others (mode %04o)", dir,
		     (unsigned)(st.st_mode & 07777));
	else
		find(f, PASS, "", "%.200s", dir);
}

static void check_runtime(const struct doctor *d, struct finding *f)
{
	check_dir(d->paths.runtime, f);
}

static void check_state(const struct doctor *d, struct finding *f)
{
	check_dir(d->paths.state, f);
}

/* Of the file system that holds the state, or will: its nearest directory that exists. */
static void check_space(const struct doctor *d, struct finding *f)
{
	char dir[sizeof(d->paths.state)];
	char text[HUMAN_MAX];
	struct statvfs fs;

	memcpy(dir, d->paths.state, sizeof(dir));
	while (statvfs(dir, &fs) < 0) {
		char *slash = strrchr(dir, '/');

		if (!slash || slash == dir) {
			find(f, WARN, "", "%.160s: %s", d->paths.state, err_sys_text(errno));
			return;
		}
		*slash = '\0';
	}
	const uint64_t bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	human_bytes(bytes, text);
	find(f, bytes < FREE_WARN_BYTES ? WARN : PASS,
	     bytes < FREE_WARN_BYTES ? "Free some space, or set BANGER_STATE_DIR." : "",
	     "%s free under %.160s", text, dir);
}

static void check_cgroup(const struct doctor *d, struct finding *f)
{
	char line[PATHS_FILE_MAX] = "";
	char path[PATHS_FILE_MAX + 32];
	FILE *own = fopen("/proc/self/cgroup", "re");
	bool unified = false;

	(void)d;
	/* cgroups(7): the line of version 2 begins with "0::". */
	while (own && !unified && fgets(line, sizeof(line), own))
		unified = strncmp(line, "0::", 3) == 0;
	if (own)
		(void)fclose(own);
	line[strcspn(line, "\n")] = '\0';
	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup%s", unified ? line + 3 : "");
	if (!unified || access("/sys/fs/cgroup/cgroup.controllers", F_OK) < 0)
		find(f, WARN, "Boot with systemd.unified_cgroup_hierarchy=1.",
		     "no cgroup v2: VMs run without CPU and memory limits of their own");
	else if (access(path, W_OK) < 0)
		find(f, WARN, "Run under `systemd-run --user --scope -p Delegate=yes`.",
		     "%.120s is not delegated to us: no limits per VM", path);
	else
		find(f, PASS, "", "%.200s is ours", path);
}

static void check_daemon(const struct doctor *d, struct finding *f)
{
	if (d->info)
		find(f, d->info->leaks ? WARN : PASS,
		     d->info->leaks ? "See `banger op list` for what failed to be undone." : "",
		     "%s, pid %u, %u VMs, %llu leaks", d->info->version, d->info->pid, d->info->vms,
		     (unsigned long long)d->info->leaks);
	else if (d->no_daemon.sys == ENOENT || d->no_daemon.sys == ECONNREFUSED)
		find(f, PASS, "", "does not run; the next command starts it");
	else
		find(f, FAIL, "See its log; `banger daemon stop` and try again.", "%s",
		     d->no_daemon.text);
}

static const char ask_daemon[] = "`banger daemon start`, then look again.";

static void check_accel(const struct doctor *d, struct finding *f)
{
	const char *slow =
		access("/dev/kvm", R_OK | W_OK) < 0
			? "Guests are emulated: they work, slowly.  See kvm, above."
			: "Guests are emulated: they work, slowly.  On a cloud's machine ask "
			  "for nested virtualisation, or for bare metal.";

	if (!d->info)
		find(f, WARN, ask_daemon, "not known while no daemon runs");
	else if (strcmp(d->info->accel, "kvm") == 0)
		find(f, PASS, "", "%s, kvm: %s", d->info->vmm, d->info->accel_reason);
	else
		find(f, WARN, slow, "%s, %s: %s", d->info->vmm, d->info->accel,
		     d->info->accel_reason);
}

static void check_images(const struct doctor *d, struct finding *f)
{
	if (!d->info)
		find(f, WARN, ask_daemon, "not known while no daemon runs");
	else if (d->info->images == 0)
		find(f, WARN, "banger image build debian:bookworm", "no image");
	else
		find(f, PASS, "", "%u", d->info->images);
}

static void check_kernels(const struct doctor *d, struct finding *f)
{
	if (!d->info)
		find(f, WARN, ask_daemon, "not known while no daemon runs");
	else if (d->info->kernels == 0)
		find(f, WARN, "banger kernel import", "no kernel");
	else
		find(f, PASS, "", "%u", d->info->kernels);
}

static void check_defaults(const struct doctor *d, struct finding *f)
{
	char host[HUMAN_MAX];
	char memory[HUMAN_MAX];
	char disk[HUMAN_MAX];

	if (!d->info) {
		find(f, WARN, ask_daemon, "not known while no daemon runs");
		return;
	}
	human_bytes(d->info->memory_bytes, host);
	human_bytes(d->info->vm_memory_bytes, memory);
	human_bytes(d->info->vm_disk_bytes, disk);
	find(f, PASS, "", "%u vcpu, %s memory, %s disk (config, else this host: %u CPUs, %s)",
	     d->info->vcpu, memory, disk, d->info->cpus, host);
}

struct check {
	const char *name;
	void (*run)(const struct doctor *d, struct finding *f);
};

static const struct check checks[] = {
	{ "io_uring", check_io_uring },
	{ "kvm", check_kvm },
	{ "qemu", check_qemu },
	{ "mmdebstrap", check_mmdebstrap },
	{ "open files", check_files },
	{ "runtime directory", check_runtime },
	{ "state directory", check_state },
	{ "disk space", check_space },
	{ "cgroup v2", check_cgroup },
	{ "bangerd", check_daemon_program },
	{ "daemon", check_daemon },
	{ "acceleration", check_accel },
	{ "images", check_images },
	{ "kernels", check_kernels },
	{ "defaults", check_defaults },
};

static void put_row(const struct row *row, enum verdict verdict, bool colored)
{
	(void)printf("%s%s%s  %-18s %s\n", colored ? colors[verdict] : "", row->verdict,
		     colored ? "\033[0m" : "", row->check, row->found);
	if (row->advice[0])
		(void)printf("      %-18s -> %s\n", "", row->advice);
}

static int put_check(const struct options *o, const struct doctor *d, size_t i,
		     enum verdict *ret_verdict)
{
	const bool colored = !o->no_color && !getenv("NO_COLOR") && isatty(STDOUT_FILENO);
	struct finding f = { 0 };
	struct row row = { 0 };
	struct err e = { 0 };

	checks[i].run(d, &f);
	(void)snprintf(row.check, sizeof(row.check), "%s", checks[i].name);
	(void)snprintf(row.verdict, sizeof(row.verdict), "%s", verdicts[f.verdict]);
	(void)snprintf(row.found, sizeof(row.found), "%s", f.found);
	(void)snprintf(row.advice, sizeof(row.advice), "%s", f.advice);
	*ret_verdict = f.verdict;
	if (o->json) {
		(void)fputs(i ? ",\n" : "[", stdout);
		return report_json_value(&row_schema, &row, &e);
	}
	if (!o->quiet || f.verdict == FAIL)
		put_row(&row, f.verdict, colored);
	return 0;
}

int doctor_run(const struct options *o)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	CLEANUP_CALL struct call c = { 0 };
	struct doctor d = { .o = o };
	struct err e = { 0 };
	int status = STATUS_OK;

	if (paths_session(&d.paths, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_FAILED;
	}
	if (session_open(&s, o, false, &d.no_daemon) == 0) {
		if (session_call(&s, &c, METHOD_INFO, &(struct info_args){ .measure = true }) < 0)
			d.no_daemon = c.err;
		d.info = c.result;
	}
	session_close(&s);
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		enum verdict verdict = FAIL;

		if (put_check(o, &d, i, &verdict) < 0 || verdict == FAIL)
			status = STATUS_FAILED;
	}
	if (o->json)
		(void)fputs("]\n", stdout);
	return status;
}
