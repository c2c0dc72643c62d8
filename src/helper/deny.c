/* deny.c - what no child of the zygote needs, and thereby not the zygote itself; and what no VMM
 * needs besides.
 *
 * An error, not death: VMMs ask whether there is io_uring and live without.  Workers die all the
 * same, of their own filters.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#include "helper/filter.h"

/* clang-format off */
static const int denied[] = {
	/* What a filter does not see: operations asked for through a ring, programs in the kernel. */
	SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
	SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd),
	/* Other processes' memory. */
	SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(kcmp),
	SCMP_SYS(process_madvise),
	/* Files by number instead of by path. */
	SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at),
	/* The kernel itself, the clock, the machine. */
	SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load), SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(acct),
	SCMP_SYS(syslog), SCMP_SYS(quotactl), SCMP_SYS(settimeofday), SCMP_SYS(clock_settime),
	SCMP_SYS(clock_adjtime), SCMP_SYS(adjtimex), SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(vhangup),
	SCMP_SYS(sethostname), SCMP_SYS(setdomainname), SCMP_SYS(lookup_dcookie),
	/* Keys are not within any namespace. */
	SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl),
};
/* clang-format on */

/* A VMM brings a filter of its own, or none: these are gone whatever it brings.  It has one program
 * to execute, which is its own, and no names to make but of files and sockets. */
/* clang-format off */
static const int denied_to_vmms[] = {
	SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(fsopen),
	SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(fspick), SCMP_SYS(open_tree), SCMP_SYS(move_mount),
	SCMP_SYS(mount_setattr), SCMP_SYS(unshare), SCMP_SYS(setns),
	SCMP_SYS(execve), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(mknod), SCMP_SYS(mknodat),
	SCMP_SYS(symlink), SCMP_SYS(symlinkat), SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(pidfd_open),
	SCMP_SYS(pidfd_getfd), SCMP_SYS(memfd_secret), SCMP_SYS(mq_open), SCMP_SYS(fanotify_init),
};

static const int new_namespaces[] = {
	CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP,
};
/* clang-format on */

static int deny_all(scmp_filter_ctx ctx, const int *calls, size_t n)
{
	int rc = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), calls[i], 0);
	return rc;
}

/* What depends on arguments.  clone3 hides its flags from a filter: where it is missing, the C
 * library takes clone. */
static int deny_some(scmp_filter_ctx ctx)
{
	const uint32_t refuse = SCMP_ACT_ERRNO(EPERM);
	int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(new_namespaces); i++) {
		const uint64_t flag = (uint64_t)(uint32_t)new_namespaces[i];

		rc = seccomp_rule_add(ctx, refuse, SCMP_SYS(clone), 1,
				      SCMP_A0_64(SCMP_CMP_MASKED_EQ, flag, flag));
	}
	if (rc == 0)
		rc = seccomp_rule_add(ctx, refuse, SCMP_SYS(socket), 1,
				      SCMP_A0_64(SCMP_CMP_NE, AF_UNIX));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, refuse, SCMP_SYS(execveat), 1,
				      SCMP_A0_64(SCMP_CMP_NE, FILTER_EXEC_FD));
	return rc;
}

/* The program as the kernel takes it, in memory of our own: a child must not build it each time. */
static int calls_export(scmp_filter_ctx ctx, struct sock_fprog *ret)
{
	CLEANUP_FD int fd = memfd_create("filter", MFD_CLOEXEC);
	struct stat st;
	int rc;

	if (fd < 0)
		return -errno;
	rc = seccomp_export_bpf(ctx, fd);
	if (rc < 0)
		return rc;
	if (fstat(fd, &st) < 0)
		return -errno;
	void *const at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	ret->filter = at;
	ret->len = (unsigned short)((size_t)st.st_size / sizeof(struct sock_filter));
	return 0;
}

int filter_vmm_calls(struct sock_fprog *ret, struct err *e)
{
	const scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int rc = deny_all(ctx, denied_to_vmms, ARRAY_LEN(denied_to_vmms));

	if (rc == 0)
		rc = deny_some(ctx);
	if (rc == 0)
		rc = calls_export(ctx, ret);
	seccomp_release(ctx);
	return rc < 0 ? err_num(e, ERR_INTERNAL, rc, "seccomp: the filter of VMMs") : 0;
}

static int calls_deny(struct err *e)
{
	const scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int rc = deny_all(ctx, denied, ARRAY_LEN(denied));

	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc < 0 ? err_num(e, ERR_INTERNAL, rc, "seccomp: the zygote's filter") : 0;
}

int filter_confine_zygote(struct err *e)
{
	int rc;

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(e, ERR_INTERNAL, "PR_SET_DUMPABLE");
	rc = filter_keep_caps(filter_zygote_caps, e);
	if (rc < 0)
		return rc;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, ERR_INTERNAL, "PR_SET_NO_NEW_PRIVS");
	return calls_deny(e);
}
