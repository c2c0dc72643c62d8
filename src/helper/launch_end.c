/* launch_end.c */
#include "helper/launch_end.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

struct child {
	vm_id vm;       /* 0: none, nor after it */
	pid_t pid;      /* 0: it has ended */
	uint64_t ended; /* the how many-th that has */
	struct helper_end_view end;
};

static struct child children[LAUNCH_ENDS_MAX];
static uint64_t nended;

int launch_ends_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	const int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* The VM's, or else one that may be used for it; NULL: all run. */
static struct child *place_of(vm_id vm)
{
	struct child *oldest = NULL;

	for (size_t i = 0; i < LAUNCH_ENDS_MAX; i++) {
		struct child *const c = &children[i];

		if (c->vm == vm || c->vm == 0)
			return c;
		if (c->pid == 0 && (!oldest || c->ended < oldest->ended))
			oldest = c;
	}
	return oldest;
}

void launch_ends_begun(vm_id vm, pid_t pid)
{
	struct child *const c = place_of(vm);

	if (c)
		*c = (struct child){ .vm = vm, .pid = pid };
}

static void note_end(const siginfo_t *how)
{
	const uint32_t what = (uint32_t)how->si_status;
	const bool exited = how->si_code == CLD_EXITED;

	for (size_t i = 0; i < LAUNCH_ENDS_MAX && children[i].vm != 0; i++) {
		struct child *const c = &children[i];

		if (c->pid != how->si_pid)
			continue;
		c->pid = 0;
		c->ended = ++nended;
		c->end = (struct helper_end_view){ .ended = true,
						   .exit_status = exited ? what : 0,
						   .signal = exited ? 0 : what };
		return;
	}
}

void launch_ends_reap(int fd)
{
	struct signalfd_siginfo told;
	siginfo_t how = { .si_pid = 0 };

	IGNORE(read(fd, &told, sizeof(told)) < 0); /* one for however many */
	while (waitid(P_ALL, 0, &how, WEXITED | WNOHANG) == 0 && how.si_pid != 0) {
		note_end(&how);
		how.si_pid = 0;
	}
}

struct helper_end_view launch_ends_find(int fd, vm_id vm)
{
	launch_ends_reap(fd);
	for (size_t i = 0; i < LAUNCH_ENDS_MAX && children[i].vm != 0; i++)
		if (children[i].vm == vm)
			return children[i].end;
	return (struct helper_end_view){ .ended = false };
}
