/* filter.c - capabilities by libcap-ng, then system calls by libseccomp. */
#include "helper/filter.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
/* What the sanitizer's own allocator asks for; builds for users have no such list. */
static const int sanitizer_calls[] = {
	SCMP_SYS(brk),         SCMP_SYS(futex),       SCMP_SYS(getpid),
	SCMP_SYS(gettid),      SCMP_SYS(madvise),     SCMP_SYS(mmap),
	SCMP_SYS(mprotect),    SCMP_SYS(munmap),      SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(sched_yield), SCMP_SYS(sigaltstack),
};

/* Its search for leaks at the end would clone and trace. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

int filter_keep_caps(uint64_t keep, struct err *e)
{
	capng_setpid(getpid()); /* it remembers that of whom we were forked from */
	capng_clear(CAPNG_SELECT_BOTH);
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++)
		if ((keep & BIT(cap)) != 0 &&
		    capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
				 cap) < 0)
			return err_set(e, ERR_INTERNAL, "capabilities: %u cannot be kept", cap);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_sys(e, ERR_INTERNAL, "capabilities: ambient set");
	const int rc = capng_apply(CAPNG_SELECT_BOTH);
	if (rc < 0)
		return err_set(e, ERR_INTERNAL, "capabilities: capng_apply: %d", rc);
	return 0;
}

static int allow(scmp_filter_ctx ctx, const struct filter_call *c)
{
	if (!c->only)
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, c->number, 0);
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, c->number, 1,
				SCMP_CMP64(c->arg, SCMP_CMP_EQ, c->value));
}

/* The context is not released: by then the filter may forbid what free() asks for. */
static int calls_keep(enum filter_role role, struct err *e)
{
	const struct filter *const f = &filters[role];
	const scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int rc;

	if (!ctx)
		return err_set(e, ERR_HOST_MEMORY, "seccomp: no memory");
	for (size_t i = 0; i < f->ncalls; i++) {
		rc = allow(ctx, &f->calls[i]);
		if (rc < 0)
			return err_num(e, ERR_INTERNAL, rc, "seccomp: %s", f->calls[i].name);
	}
#if defined(__SANITIZE_ADDRESS__)
	for (size_t i = 0; i < ARRAY_LEN(sanitizer_calls); i++)
		IGNORE(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, sanitizer_calls[i], 0));
#endif
	rc = seccomp_load(ctx);
	if (rc < 0)
		return err_num(e, ERR_INTERNAL, rc, "seccomp: load");
	return 0;
}

int filter_confine(enum filter_role role, struct err *e)
{
	int rc;

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(e, ERR_INTERNAL, "PR_SET_DUMPABLE");
	rc = filter_keep_caps(filters[role].caps, e);
	if (rc < 0)
		return rc;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, ERR_INTERNAL, "PR_SET_NO_NEW_PRIVS");
	return calls_keep(role, e);
}

int filter_confine_as(enum filter_role role, uid_t uid, struct err *e)
{
	int rc;

	capng_clear(CAPNG_SELECT_ALL);
	rc = capng_change_id((int)uid, (int)uid,
			     CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING | CAPNG_CLEAR_AMBIENT);
	if (rc < 0)
		return err_set(e, ERR_INTERNAL, "uid %u: capng_change_id: %d", uid, rc);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(e, ERR_INTERNAL, "PR_SET_DUMPABLE");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, ERR_INTERNAL, "PR_SET_NO_NEW_PRIVS");
	return calls_keep(role, e);
}

int filter_narrow(enum filter_role role, struct err *e)
{
	return calls_keep(role, e);
}
