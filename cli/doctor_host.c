/* doctor_host.c - the checks of this host and of the daemon on it; one function a row. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "daemon_start.h"
#include "doctor.h"
#include "human.h"

enum {
	FIRST_LINE = 128,
};
#define FREE_WARN_BYTES (UINT64_C(10) << 30)

void find(struct finding *f, enum verdict verdict, const char *advice, const char *fmt, ...)
{
	va_list ap;

	f->verdict = verdict;
	f->advice = advice;
	va_start(ap, fmt);
	(void)vsnprintf(f->found, sizeof(f->found), fmt, ap);
	va_end(ap);
}

/* As the daemon sets up its own: two flags came with Linux 6.0 and 6.1. */
static void check_io_uring(const struct doctor *d, struct finding *f)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};
	CLEANUP_FD int fd = (int)syscall(SYS_io_uring_setup, 1, &params);

	(void)d;
	if (fd >= 0)
		find(f, PASS, "", "permitted");
	else if (errno == EINVAL)
		find(f, FAIL, "Boot Linux 6.1 or later.", "this kernel's is too old");
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

static bool firecracker_find(const struct doctor *d, char *out, size_t size)
{
	if (!d->conf->firecracker[0])
		return program_find("firecracker", out, size);
	text_copy(out, size, d->conf->firecracker);
	return true;
}

/* One of it and Firecracker has to be there. */
static void check_qemu(const struct doctor *d, struct finding *f)
{
	char path[PATHS_FILE_MAX];
	char version[FIRST_LINE];

	if (!program_find("qemu-system-x86_64", path, sizeof(path))) {
		if (firecracker_find(d, path, sizeof(path)))
			find(f, PASS, "", "not in PATH: Firecracker runs all VMs");
		else
			find(f, FAIL, err_hint(ERR_VMM_MISSING),
			     "qemu-system-x86_64 is not in PATH");
		return;
	}
	program_version(path, version);
	if (version[0])
		find(f, PASS, "", "%s", version);
	else
		find(f, FAIL, "Reinstall qemu-system-x86.", "%.100s does not say its version",
		     path);
}

/* One that may be absent where QEMU is, which does all that it does. */
static void check_firecracker(const struct doctor *d, struct finding *f)
{
	char path[PATHS_FILE_MAX];
	char version[FIRST_LINE];

	if (!firecracker_find(d, path, sizeof(path)))
		path[0] = '\0';
	version[0] = '\0';
	if (path[0])
		program_version(path, version);
	if (!path[0])
		find(f, PASS, "", "not in PATH: QEMU runs all VMs");
	else if (version[0])
		find(f, PASS, "", "%.100s", version);
	else
		find(f, WARN, "Install a release of Firecracker, or set paths.firecracker.",
		     "%.100s does not say its version", path);
}

/* Which network a new VM gets, and why. */
static void check_network(const struct doctor *d, struct finding *f)
{
	const struct conf *c = d->conf;
	const bool open = strcmp(c->host_loopback, "yes") == 0;
	const char *loopback = open ? "; VMs reach the host's loopback, as configured" : "";
	char path[PATHS_FILE_MAX];

	(void)snprintf(path, sizeof(path), "%.900s/banger-net", c->libexec_dir);
	if (c->system)
		find(f, PASS, "", "interfaces of their own, by the root helper");
	else if (strcmp(c->network, "passt") == 0 && (!c->passt[0] || access(c->passt, X_OK) < 0))
		find(f, FAIL, "apt-get install passt", "passt is not there, and `network = passt`");
	else if (strcmp(c->network, "passt") == 0)
		find(f, PASS, "", "passt, as configured, and so QEMU: %.150s%s", c->passt,
		     loopback);
	else if (access(path, X_OK) < 0)
		find(f, FAIL, "Install banger again.", "%.200s: %s", path, err_sys_text(errno));
	else if (strcmp(c->network, "user") == 0)
		find(f, PASS, "",
		     "QEMU's own where it runs a VM, as configured: such VMs reach the host's "
		     "loopback; else banger-net");
	else
		find(f, PASS, "", "banger-net, a process beside each VM%s", loopback);
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

/* As paths_ensure_dir() looks at it, but nothing is created.  The system's are its owner's. */
static void check_dir(const struct doctor *d, const char *dir, struct finding *f)
{
	CLEANUP_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		find(f, PASS, "", "%.200s: made when needed", dir);
	else if (fd < 0 && errno == EACCES && d->system)
		find(f, PASS, "", "%.200s: the owner's, closed to us", dir);
	else if (fd < 0 || fstat(fd, &st) < 0)
		find(f, FAIL, "Remove it, or choose another with BANGER_*_DIR.", "%.160s: %s", dir,
		     err_sys_text(errno));
	else if (st.st_uid != geteuid() && !d->system)
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
	struct stat st;

	check_dir(d, d->paths.runtime, f);
	if (f->verdict == PASS && lstat(d->paths.socket, &st) == 0 && (st.st_mode & 077))
		find(f, FAIL, "`banger daemon stop`, then look who changed its mode.",
		     "%.160s is open to others (mode %04o)", d->paths.socket,
		     (unsigned)(st.st_mode & 07777));
}

static void check_state(const struct doctor *d, struct finding *f)
{
	check_dir(d, d->paths.state, f);
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

static const char ask_daemon[] = "`banger daemon start`, then look again.";

static void check_limits(const struct doctor *d, struct finding *f)
{
	static const char advice[] =
		"`systemd-run --user --scope -p Delegate=yes banger daemon start` gives it a "
		"group; see limits.cgroup in banger.conf(5).";

	if (!d->info)
		find(f, WARN, ask_daemon, "not known while no daemon runs");
	else if (strncmp(d->info->limits, "none", strlen("none")) == 0)
		find(f, WARN, advice, "VMs run without limits of their own: %s",
		     d->info->limits + (strncmp(d->info->limits, "none: ", 6) == 0 ? 6 : 0));
	else
		find(f, PASS, "", "%s", d->info->limits);
}

static void check_daemon(const struct doctor *d, struct finding *f)
{
	if (d->info)
		find(f, d->info->leaks ? WARN : PASS,
		     d->info->leaks ? "See `banger op list` for what failed to be undone." : "",
		     "%s, pid %u, %u VM%s, %llu leaks", d->info->version, d->info->pid,
		     d->info->vms, d->info->vms == 1 ? "" : "s",
		     (unsigned long long)d->info->leaks);
	else if (d->system)
		find(f, FAIL, "`systemctl status bangerd.service bangerd.socket` says more.", "%s",
		     d->no_daemon.text);
	else if (d->no_daemon.sys == ENOENT || d->no_daemon.sys == ECONNREFUSED)
		find(f, PASS, "", "does not run; the next command starts it");
	else
		find(f, FAIL, "See its log; `banger daemon stop` and try again.", "%s",
		     d->no_daemon.text);
}

static void check_helper(const struct doctor *d, struct finding *f)
{
	if (!d->info)
		find(f, PASS, "", "not known while no daemon runs");
	else if (!d->info->helper[0])
		find(f, PASS, "", "not asked: VMs of a session need no root");
	else if (d->info->helper_up)
		find(f, PASS, "", "%s", d->info->helper);
	else
		find(f, FAIL,
		     "`systemctl status bangerd-root.service bangerd-root.socket` says more.",
		     "no VM can be made: %s", d->info->helper);
}

/* What a new VM gets, and why. */
static void check_vmm(const struct doctor *d, struct finding *f)
{
	if (!d->info)
		find(f, WARN, ask_daemon, "not known while no daemon runs");
	else
		find(f, PASS, "", "a new VM runs on %s: %s", d->info->vmm, d->info->vmm_reason);
}

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
		find(f, PASS, "", "kvm: %s", d->info->accel_reason);
	else
		find(f, WARN, slow, "%s: %s", d->info->accel, d->info->accel_reason);
}

/* What is missing is made when it is first needed. */
static void check_objects(const struct doctor *d, struct finding *f, uint32_t n)
{
	if (!d->info)
		find(f, PASS, "", "not known while no daemon runs; made when first needed");
	else if (n == 0)
		find(f, PASS, "", "none yet: the first `banger vm run` makes one");
	else
		find(f, PASS, "", "%u", n);
}

static void check_images(const struct doctor *d, struct finding *f)
{
	check_objects(d, f, d->info ? d->info->images : 0);
}

static void check_kernels(const struct doctor *d, struct finding *f)
{
	check_objects(d, f, d->info ? d->info->kernels : 0);
}

/* "2.9 GiB memory (host)" */
static void default_text(const struct doctor *d, enum conf_key key, const char *value, char *out,
			 size_t size)
{
	const enum conf_source source = d->conf->origins[key].source;
	char where[CONF_TEXT_MAX];

	if (source == CONF_BUILT_IN || source == CONF_HOST)
		text_copy(where, sizeof(where), conf_source_name(source));
	else
		conf_where(d->conf, key, where, sizeof(where));
	(void)snprintf(out, size, "%s (%.50s)", value, where);
}

static void check_defaults(const struct doctor *d, struct finding *f)
{
	const struct fleet_vm vm = fleet_vm_of(d);
	char number[3][HUMAN_MAX];
	char text[3][2 * HUMAN_MAX + 64];

	(void)snprintf(number[0], HUMAN_MAX, "%u vcpu", vm.vcpu);
	human_bytes(vm.memory_bytes, number[1]);
	human_bytes(vm.disk_bytes, number[2]);
	default_text(d, CONF_VCPU, number[0], text[0], sizeof(text[0]));
	default_text(d, CONF_MEMORY, number[1], text[1], sizeof(text[1]));
	default_text(d, CONF_DISK, number[2], text[2], sizeof(text[2]));
	find(f, PASS, "", "%s, memory %s, disk %s", text[0], text[1], text[2]);
}

static void check_config(const struct doctor *d, struct finding *f)
{
	const struct conf_problems *p = d->problems;

	if (p->n == 0)
		find(f, PASS, "", "%u file%s read", d->conf->nfiles,
		     d->conf->nfiles == 1 ? "" : "s");
	else
		find(f, p->fatal ? FAIL : WARN, "`banger config check` lists all that is wrong.",
		     "%.100s: %.120s", p->v[0].where, p->v[0].text);
}

/* What a fleet could be here; with --fleet each limit has a row of its own. */
static void check_fleet(const struct doctor *d, struct finding *f)
{
	struct fleet_limit limits[FLEET_LIMITS];
	const struct fleet_vm vm = fleet_vm_of(d);
	const uint32_t n = fleet_limits(d, &vm, limits);
	const struct fleet_limit *hard = fleet_first(limits, n, false);
	const struct fleet_limit *soft = fleet_first(limits, n, true);

	f->vms = hard->vms;
	find(f, PASS, "",
	     "%llu VMs, then %s ends; %llu that use all they are given; --fleet N says more",
	     (unsigned long long)hard->vms, hard->name, (unsigned long long)soft->vms);
}

const struct check doctor_checks[] = {
	{ "io_uring", check_io_uring },
	{ "kvm", check_kvm },
	{ "qemu", check_qemu },
	{ "firecracker", check_firecracker },
	{ "network", check_network },
	{ "mmdebstrap", check_mmdebstrap },
	{ "runtime directory", check_runtime },
	{ "state directory", check_state },
	{ "disk space", check_space },
	{ "limits", check_limits },
	{ "bangerd", check_daemon_program },
	{ "daemon", check_daemon },
	{ "root helper", check_helper },
	{ "vmm", check_vmm },
	{ "acceleration", check_accel },
	{ "images", check_images },
	{ "kernels", check_kernels },
	{ "configuration", check_config },
	{ "defaults", check_defaults },
	{ "fleet", check_fleet },
};
const uint32_t doctor_nchecks = ARRAY_LEN(doctor_checks);
