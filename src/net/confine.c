#include "net/confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "net/limits.h"

#define RESOLV_CONF "/etc/resolv.conf"

static int limits_set(struct err *e)
{
	static const struct {
		__rlimit_resource_t what;
		rlim_t most;
	} limits[] = {
		{ RLIMIT_NOFILE, NET_SOCKETS_MAX },
		{ RLIMIT_FSIZE, NET_LOG_BYTES },
		{ RLIMIT_CORE, 0 },
#if !defined(__SANITIZE_ADDRESS__)
		{ RLIMIT_DATA, NET_MEMORY_BYTES }, /* its shadow would count */
#endif
	};

	(void)signal(SIGXFSZ, SIG_IGN); /* a log that is full takes no more, and that is all */
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		struct rlimit now;

		if (getrlimit(limits[i].what, &now) < 0)
			return err_sys(e, ERR_NETWORK, "getrlimit");
		if (now.rlim_max > limits[i].most)
			now.rlim_max = limits[i].most;
		now.rlim_cur = now.rlim_max;
		if (setrlimit(limits[i].what, &now) < 0)
			return err_sys(e, ERR_NETWORK, "setrlimit");
	}
	return 0;
}

/* ---- files (Documentation/userspace-api/landlock.rst) ---- */

/* What is not there cannot be opened either. */
static int rule_add(int ruleset, const char *path)
{
	CLEANUP_FD int fd = open(path, O_PATH | O_CLOEXEC);
	const struct landlock_path_beneath_attr rule = {
		.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE,
		.parent_fd = fd,
	};

	if (fd < 0)
		return 0;
	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
		       ? -errno
		       : 0;
}

/* The file itself, which may be mounted there, and the folders of it and of what it is a link to:
 * one that is put in its place has another inode. */
static int rules_add(int ruleset)
{
	CLEANUP_FREE char *target = realpath(RESOLV_CONF, NULL);
	int rc = rule_add(ruleset, RESOLV_CONF);

	if (rc == 0)
		rc = rule_add(ruleset, "/etc");
	if (rc < 0 || !target)
		return rc;
	*strrchr(target, '/') = '\0';
	return target[0] ? rule_add(ruleset, target) : 0;
}

static int files_forbid(struct err *e)
{
	/* What the first version knows: a newer kernel's other rights need what seccomp denies. */
	const struct landlock_ruleset_attr attr = {
		.handled_access_fs = ((uint64_t)LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1,
	};
	CLEANUP_FD int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (ruleset < 0) {
		if (errno == ENOSYS || errno == EOPNOTSUPP)
			return 0; /* the kernel has none */
		return err_sys(e, ERR_NETWORK, "landlock_create_ruleset");
	}
	const int rc = rules_add(ruleset);
	if (rc < 0)
		return err_num(e, ERR_NETWORK, rc, "landlock_add_rule");
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return err_sys(e, ERR_NETWORK, "landlock_restrict_self");
	return 0;
}

/* ---- system calls ---- */

/* clang-format off */
static const int allowed[] = {
	/* sockets of a kind that was allowed to be made */
	SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4),
	SCMP_SYS(shutdown), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(sendmsg),
	SCMP_SYS(ioctl), SCMP_SYS(fcntl), SCMP_SYS(poll), SCMP_SYS(ppoll),
	/* resolv.conf, the log */
	SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(close),
	SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(stat), SCMP_SYS(lseek),
	/* memory, time, the end */
	SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(mprotect),
	SCMP_SYS(futex), SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(time),
	SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(tgkill), SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack), SCMP_SYS(sched_yield),
	SCMP_SYS(exit), SCMP_SYS(exit_group),
};
/* clang-format on */

#define WRITES ((uint64_t)(O_WRONLY | O_RDWR | O_CREAT | O_TRUNC))

static int calls_allow(scmp_filter_ctx ctx)
{
	int rc = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(allowed); i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				      SCMP_A0_64(SCMP_CMP_EQ, AF_INET));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
				      SCMP_A2_64(SCMP_CMP_MASKED_EQ, WRITES, 0));
	return rc == 0 ? seccomp_load(ctx) : rc;
}

/* What is not allowed is an error, not death: a library's rare path shall not cost the guest its
 * network. */
static int calls_forbid(struct err *e)
{
	const scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	const int rc = calls_allow(ctx);

	seccomp_release(ctx);
	return rc < 0 ? err_num(e, ERR_NETWORK, rc, "seccomp") : 0;
}

int confine(struct err *e)
{
	int rc = limits_set(e);

	if (rc < 0)
		return rc;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, ERR_NETWORK, "prctl");
	rc = files_forbid(e);
	if (rc < 0)
		return rc;
	capng_clear(CAPNG_SELECT_BOTH);
	rc = capng_apply(CAPNG_SELECT_CAPS);
	if (rc < 0)
		return err_set(e, ERR_NETWORK, "capabilities: capng_apply: %d", rc);
	return calls_forbid(e);
}
