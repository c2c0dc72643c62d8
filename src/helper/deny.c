/* deny.c - what no child of the zygote needs, and thereby not the zygote itself.
 *
 * An error, not death: VMMs ask whether there is io_uring and live without.  Workers die all the
 * same, of their own filters.
 */
#include <errno.h>
#include <seccomp.h>
#include <sys/prctl.h>

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

static int calls_deny(struct err *e)
{
	const scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int rc = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(denied); i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
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
