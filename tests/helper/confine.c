/* confine.c - each role confines itself, then makes one system call: what its list lacks is death,
 * what it holds is not.  As root; TAP.
 *
 * Built without sanitizers, whose own calls the filters of their builds allow.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/loop.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "helper/block/landlock.h"
#include "helper/filter.h"

enum {
	STATUS_NOT_CONFINED = 3,
	STATUS_SKIP = 77,
};

#define BIT_OF(role) (1U << (role))
#define WORKERS      (BIT_OF(FILTER_SUPERVISOR) - 1)
#define EVERYONE     (BIT_OF(FILTER_NROLES) - 1)
#define CHILDREN     (BIT_OF(FILTER_FSCK) | BIT_OF(FILTER_EXT4))
#define TOOLS        (BIT_OF(FILTER_TOOLS) | CHILDREN)
#define RUNS         (BIT_OF(FILTER_TOOLS) | BIT_OF(FILTER_FSCK))
#define HEAP         (BIT_OF(FILTER_RESOLVER) | TOOLS)
#define BUT_JAIL     (EVERYONE & ~BIT_OF(FILTER_JAIL))
#define BUT_FILES    (BUT_JAIL & ~BIT_OF(FILTER_BLOCK)) /* those two open files */

/* A call, its first arguments, and the roles that die of it; the others must live. */
struct row {
	const char *name;
	long number;
	long args[3];
	unsigned deadly; /* mask of roles */
};

/* clang-format off */
static const struct row rows[] = {
	{ "io_uring_setup",     SYS_io_uring_setup,    { 0 },                    EVERYONE },
	{ "io_uring_enter",     SYS_io_uring_enter,    { -1 },                   EVERYONE },
	{ "io_uring_register",  SYS_io_uring_register, { -1 },                   EVERYONE },
	{ "execve",             SYS_execve,            { 0 },                    EVERYONE & ~RUNS },
	{ "execveat",           SYS_execveat,          { -1 },                   EVERYONE },
	{ "ptrace",             SYS_ptrace,            { 0 },                    EVERYONE },
	{ "process_vm_writev",  SYS_process_vm_writev, { 0 },                    EVERYONE },
	{ "bpf",                SYS_bpf,               { 0 },                    EVERYONE },
	{ "mount",              SYS_mount,             { 0 },                    EVERYONE },
	{ "unshare",            SYS_unshare,           { 0 },                    EVERYONE },
	{ "setns",              SYS_setns,             { -1 },                   EVERYONE },
	{ "init_module",        SYS_init_module,       { 0 },                    EVERYONE },
	{ "kexec_load",         SYS_kexec_load,        { 0 },                    EVERYONE },
	{ "chmod",              SYS_chmod,             { 0 },                    EVERYONE },
	{ "open",               SYS_open,              { 0 },                    EVERYONE },
	{ "openat",             SYS_openat,            { AT_FDCWD },             (WORKERS & BUT_JAIL) | BIT_OF(FILTER_EXT4) },
	{ "openat2",            SYS_openat2,           { AT_FDCWD },             BUT_FILES },
	{ "clone",              SYS_clone,             { -1 },                   EVERYONE & ~BIT_OF(FILTER_TOOLS) },
	{ "clone3",             SYS_clone3,            { 0 },                    EVERYONE },
	{ "kill",               SYS_kill,              { 0, 0 },                 WORKERS | CHILDREN },
	{ "prctl",              SYS_prctl,             { PR_GET_DUMPABLE },      EVERYONE & ~TOOLS },
	{ "socket AF_INET",     SYS_socket,            { AF_INET, SOCK_STREAM }, EVERYONE },
	{ "socket AF_UNIX",     SYS_socket,            { AF_UNIX, -1 },          BUT_JAIL & ~BIT_OF(FILTER_RESOLVER) },
	{ "socket AF_NETLINK",  SYS_socket,            { AF_NETLINK, -1 },       EVERYONE },
	{ "bind",               SYS_bind,              { -1 },                   BUT_JAIL },
	{ "mmap",               SYS_mmap,              { 0 },                    EVERYONE & ~HEAP },
	{ "brk",                SYS_brk,               { 0 },                    EVERYONE & ~HEAP },
	{ "ioctl TIOCSTI",      SYS_ioctl,             { -1, 0x5412 },           EVERYONE },
	{ "ioctl TUNSETIFF",    SYS_ioctl,             { -1, TUNSETIFF },        EVERYONE & ~BIT_OF(FILTER_NET) },
	{ "ioctl DM_DEV_REMOVE", SYS_ioctl,            { -1, DM_DEV_REMOVE },    EVERYONE & ~BIT_OF(FILTER_BLOCK) },
	{ "ioctl DM_REMOVE_ALL", SYS_ioctl,            { -1, DM_REMOVE_ALL },    EVERYONE },
	{ "ioctl LOOP_CONFIGURE", SYS_ioctl,           { -1, LOOP_CONFIGURE },   EVERYONE & ~BIT_OF(FILTER_BLOCK) },
	{ "ioctl LOOP_CLR_FD",  SYS_ioctl,             { -1, LOOP_CLR_FD },      EVERYONE },
	{ "ioctl BLKDISCARD",   SYS_ioctl,             { -1, BLKDISCARD },       EVERYONE },
	{ "mknodat",            SYS_mknodat,           { -1 },                   BUT_FILES },
	{ "ioctl TUNSETIFF and more", SYS_ioctl,       { -1, (long)(1UL << 32 | TUNSETIFF) }, EVERYONE },
	{ "close",              SYS_close,             { -1 },                   0 },
	{ "recvmsg",            SYS_recvmsg,           { -1 },                   CHILDREN },
};
/* clang-format on */

static int number; /* of the test */
static int failures;

static void tell(bool passed, const char *role, const char *what, int status)
{
	number++;
	failures += passed ? 0 : 1;
	(void)printf("%sok %d - %s: %s\n", passed ? "" : "not ", number, role, what);
	if (!passed)
		(void)printf("# wait status %#x\n", (unsigned)status);
}

static void call(const struct row *r)
{
	errno = 0;
	(void)syscall(r->number, r->args[0], r->args[1], r->args[2], 0, 0, 0);
}

static int in_child(enum filter_role role, const struct row *r)
{
	const pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		if (filter_confine(role, NULL) < 0)
			_exit(STATUS_NOT_CONFINED);
		call(r);
		_exit(0);
	}
	(void)waitpid(pid, &status, 0);
	return status;
}

/* What the zygote, and so everybody, is refused.  It must live on: VMMs ask for some of it. */
static const struct row refused[] = {
	{ "io_uring_setup", SYS_io_uring_setup, { 0 }, 0 },
	{ "io_uring_enter", SYS_io_uring_enter, { -1 }, 0 },
	{ "io_uring_register", SYS_io_uring_register, { -1 }, 0 },
	{ "ptrace", SYS_ptrace, { 0 }, 0 },
	{ "process_vm_writev", SYS_process_vm_writev, { 0 }, 0 },
	{ "bpf", SYS_bpf, { 0 }, 0 },
	{ "perf_event_open", SYS_perf_event_open, { 0 }, 0 },
	{ "init_module", SYS_init_module, { 0 }, 0 },
	{ "kexec_load", SYS_kexec_load, { 0 }, 0 },
	{ "open_by_handle_at", SYS_open_by_handle_at, { -1 }, 0 },
	{ "keyctl", SYS_keyctl, { 0 }, 0 },
	{ "reboot", SYS_reboot, { 0 }, 0 },
};

static int in_zygote(const struct row *r)
{
	const pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		if (filter_confine_zygote(NULL) < 0)
			_exit(STATUS_NOT_CONFINED);
		call(r);
		_exit(errno);
	}
	(void)waitpid(pid, &status, 0);
	return status;
}

/* ---- Landlock, in the child that becomes e2fsck ---- */

static const struct {
	const char *path;
	int flags;
	int error; /* that opening it must give */
} opens[] = {
	{ "/etc/passwd", O_RDONLY, EACCES },
	{ "/etc/hostname", O_RDONLY, EACCES },
	{ "/", O_RDONLY | O_DIRECTORY, EACCES },
	{ "/proc/1/status", O_RDONLY, EACCES },
	{ "/dev/urandom", O_RDONLY, EACCES },
	{ "/tmp/landlocked", O_WRONLY | O_CREAT, EACCES },
	{ "/usr/lib", O_RDONLY | O_DIRECTORY, 0 },
	{ "/usr/bin/env", O_RDONLY, 0 },
	{ "/usr/bin/env", O_WRONLY, EACCES },
	{ "/dev/null", O_RDWR, 0 },
	{ "/proc/self/mounts", O_RDONLY, 0 },
	{ "/proc/self/fd/3", O_RDWR, 0 }, /* its disk */
};

static int in_landlock(int disk, const char *path, int flags)
{
	const pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		if (dup2(disk, 3) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    landlock_confine(3) < 0)
			_exit(STATUS_NOT_CONFINED);
		errno = 0;
		(void)open(path, flags | O_CLOEXEC, 0600);
		_exit(errno);
	}
	(void)waitpid(pid, &status, 0);
	return status;
}

/* As root: what everybody may open is not enough to be refused. */
static void landlock_holds(void)
{
	const bool there = syscall(SYS_landlock_create_ruleset, NULL, 0, 1) >= 1;
	char name[] = "/tmp/banger-landlock-XXXXXX";
	const int disk = mkstemp(name);

	(void)unlink(name);
	for (size_t i = 0; i < ARRAY_LEN(opens); i++) {
		char what[80];
		(void)fflush(stdout);
		const int status = in_landlock(disk, opens[i].path, opens[i].flags);

		(void)snprintf(what, sizeof(what), "open %s %s%s", opens[i].path,
			       opens[i].error ? "is refused" : "is allowed",
			       there ? "" : " # SKIP this kernel has no Landlock");
		tell(!there || (WIFEXITED(status) && WEXITSTATUS(status) == opens[i].error),
		     "landlock", what, status);
	}
	close(disk);
}

int main(void)
{
	if (geteuid() != 0) {
		(void)puts("1..0 # SKIP needs root");
		return STATUS_SKIP;
	}
	(void)printf("1..%d\n", (int)(FILTER_NROLES * ARRAY_LEN(rows) + ARRAY_LEN(refused) +
				      ARRAY_LEN(opens)));
	for (int role = 0; role < FILTER_NROLES; role++)
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			char what[80];
			const bool deadly = (rows[i].deadly & BIT_OF(role)) != 0;
			(void)fflush(stdout);
			const int status = in_child((enum filter_role)role, &rows[i]);
			const bool died = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
			const bool lived = WIFEXITED(status) && WEXITSTATUS(status) == 0;

			(void)snprintf(what, sizeof(what), "%s is %s", rows[i].name,
				       deadly ? "death" : "allowed");
			tell(deadly ? died : lived, filters[role].name, what, status);
		}
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		char what[80];
		(void)fflush(stdout);
		const int status = in_zygote(&refused[i]);

		(void)snprintf(what, sizeof(what), "%s is refused", refused[i].name);
		tell(WIFEXITED(status) && WEXITSTATUS(status) == EPERM, "zygote", what, status);
	}
	landlock_holds();
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
