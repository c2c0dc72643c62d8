/* fault.c - compiled into the helper of the tests only. */
#include "helper/fault.h"

#ifdef HELPER_FAULTS
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"

static volatile struct fault_plan *plan;
static bool armed[FAULT_BEHIND + 1];

void fault_open(const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDWR | O_CLOEXEC);

	ASSERT(fd >= 0);
	void *const at = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT(at != MAP_FAILED);
	plan = at;
}

void fault_arm(enum fault_where where, bool on)
{
	armed[where] = on;
	if (plan && on && plan->where == where)
		plan->passed = 0;
}

int fault_point(const char *what, struct err *e)
{
	if (!plan || plan->where > FAULT_BEHIND || !armed[plan->where])
		return 0;
	plan->passed = plan->passed + 1;
	if (plan->passed != plan->at)
		return 0;
	if (plan->action == FAULT_DIE)
		__builtin_trap();
	while (plan->action == FAULT_HANG) {
	}
	if (plan->action >= FAULT_CALL)
		(void)syscall(plan->action - FAULT_CALL, 0, 0, 0, 0, 0, 0);
	return err_num(e, ERR_NET_FAILED, plan->action, "%s: injected", what);
}
#endif
