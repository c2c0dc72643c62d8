/* spawn.c - starts a child process.  Blocks until its execve(2): called on a worker thread.
 *
 * clone3(2) with CLONE_VM | CLONE_VFORK: no page tables are copied and nothing of ours is touched
 * by both at once, since the calling thread sleeps until the child executes or exits.  The child
 * runs on a stack that is that thread's own, all signals blocked as they are there (workers_up()),
 * and shares memory with every other thread, so between clone and exec it makes plain system calls,
 * takes no lock, and writes to nothing but its stack, errno of the thread that sleeps, and struct
 * child.  Everything that can be worked out beforehand is.
 *
 * Sources: clone3(2), clone(2), vfork(2), close_range(2), signal-safety(7); System V ABI for x86-64
 * for the registers that a system call keeps.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "io/uring.h"

#ifndef __x86_64__
#error "spawn.c: write clone_on_stack() for this processor"
#endif

enum {
	STACK_BYTES = 64 << 10,
	STACK_ALIGN = 16, /* System V ABI */
	STDIO_FDS = 3,
	FDS_MAX = IO_SPAWN_FDS + STDIO_FDS,
	NSIGNALS = 64,
	KERNEL_SIGSET_BYTES = NSIGNALS / 8,
	EXIT_NO_EXEC = 127,
};

/* The kernel's struct sigaction, which is not the C library's. */
struct kernel_sigaction {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

/* What the child does, prepared by the parent; it writes `error` and `stage` only. */
struct child {
	char *const *argv;
	char *const *envp;
	struct {
		int from;
		int to;
		int moved; /* where `from` is while targets are filled */
	} fds[FDS_MAX];    /* by target, ascending */
	int nfds;
	int above; /* lowest number that is neither a source nor a target */
	bool new_session;
	uint64_t nofile;
	int error;
	const char *stage; /* a literal: what failed */
};

/* ---- in the child ---- */

/* The sanitizers' bookkeeping is shared with the parent thread and would not survive the exec. */
#define IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined"), noinline))

IN_CHILD static long child_fail(struct child *c, const char *stage)
{
	c->error = errno;
	c->stage = stage;
	return -1;
}

IN_CHILD static long child_signals(struct child *c)
{
	const struct kernel_sigaction dfl = { .handler = SIG_DFL };
	const uint64_t none = 0;

	/* Handlers are gone already (CLONE_CLEAR_SIGHAND), but what we ignore stays ignored. */
	for (int sig = 1; sig <= NSIGNALS; sig++)
		syscall(SYS_rt_sigaction, sig, &dfl, NULL, KERNEL_SIGSET_BYTES);
	if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, KERNEL_SIGSET_BYTES) < 0)
		return child_fail(c, "signal mask");
	return 0;
}

/* Sources and targets may overlap in any way: first move every source above them all. */
IN_CHILD static long child_fds(struct child *c)
{
	unsigned next = 0;

	for (int i = 0; i < c->nfds; i++) {
		c->fds[i].moved = (int)syscall(SYS_fcntl, c->fds[i].from, F_DUPFD, c->above);
		if (c->fds[i].moved < 0)
			return child_fail(c, "descriptor");
	}
	for (int i = 0; i < c->nfds; i++) {
		const unsigned to = (unsigned)c->fds[i].to;

		if (syscall(SYS_dup3, c->fds[i].moved, to, 0) < 0)
			return child_fail(c, "descriptor");
		if (to > next && syscall(SYS_close_range, next, to - 1, 0) < 0)
			return child_fail(c, "close_range");
		next = to + 1;
	}
	/* The rest goes with the exec, not before: the store's lock is among them, so that a daemon
	 * that takes it after we were killed here finds a program with a name, not half a child. */
	if (syscall(SYS_close_range, next, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return child_fail(c, "close_range");
	return 0;
}

IN_CHILD static long child_limits(struct child *c)
{
	struct rlimit lim;

	if (c->nofile == 0)
		return 0;
	if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &lim) < 0)
		return child_fail(c, "RLIMIT_NOFILE");
	lim.rlim_cur = c->nofile < lim.rlim_max ? c->nofile : lim.rlim_max;
	if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &lim, NULL) < 0)
		return child_fail(c, "RLIMIT_NOFILE");
	return 0;
}

IN_CHILD static long child_main(struct child *c)
{
	if (c->new_session && syscall(SYS_setsid) < 0)
		return child_fail(c, "setsid");
	if (child_fds(c) < 0 || child_limits(c) < 0 || child_signals(c) < 0)
		return EXIT_NO_EXEC;
	syscall(SYS_execve, c->argv[0], c->argv, c->envp);
	child_fail(c, "exec");
	return EXIT_NO_EXEC;
}

/* The child starts with an empty stack, so it cannot return from here: it calls and exits. */
IN_CHILD static long clone_on_stack(struct clone_args *args, struct child *c)
{
	long rc;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %[child], %%rdi\n\t"
			 "call *%[entry]\n\t"
			 "mov %%eax, %%edi\n\t"
			 "mov %[nr_exit], %%eax\n\t"
			 "syscall\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(rc)
			 : "0"((long)SYS_clone3), "D"(args), "S"(sizeof(*args)), [child] "r"(c),
			   [entry] "r"(child_main), [nr_exit] "i"(SYS_exit_group)
			 : "rcx", "r11", "memory", "cc");
	return rc;
}

/* ---- in the parent ---- */

static void child_add_fd(struct child *c, int from, int to)
{
	int at = c->nfds++;

	for (; at > 0 && c->fds[at - 1].to > to; at--)
		c->fds[at] = c->fds[at - 1];
	c->fds[at].from = from;
	c->fds[at].to = to;
	c->above = from >= c->above ? from + 1 : c->above;
	c->above = to >= c->above ? to + 1 : c->above;
}

static int child_plan_fds(struct child *c, const struct io_spawn *sp)
{
	bool named[STDIO_FDS] = { false };

	if (sp->nfds > IO_SPAWN_FDS)
		return -EINVAL;
	for (uint32_t i = 0; i < sp->nfds; i++) {
		const int to = sp->fds[i].target;

		if (to < 0 || sp->fds[i].fd < 0)
			return -EBADF;
		if (to < STDIO_FDS)
			named[to] = true;
		child_add_fd(c, sp->fds[i].fd, to);
	}
	for (int to = 0; to < STDIO_FDS; to++)
		if (!named[to])
			child_add_fd(c, sp->null_fd, to);
	return 0;
}

static long child_clone(struct child *c, const struct io_spawn *sp, void *stack, int *pidfd)
{
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
		.pidfd = (uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)stack,
		.stack_size = STACK_BYTES,
	};

	if (sp->cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (unsigned)sp->cgroup_fd;
	}
	return clone_on_stack(&args, c);
}

/* It never became the program: nobody but us has seen it. */
static int child_failed(const struct child *c, struct io_spawn *sp, int pidfd)
{
	siginfo_t si;

	while (waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED) < 0 && errno == EINTR)
		continue;
	close(pidfd);
	return err_num(&sp->err, ERR_HOST_IO, c->error, "spawn %s: %s", c->argv[0], c->stage);
}

static int spawn_on(struct io_spawn *sp, struct child *c, void *stack)
{
	int pidfd = -EBADF;
	const long pid = child_clone(c, sp, stack, &pidfd);

	if (pid < 0)
		return err_num(&sp->err, pid == -EMFILE ? ERR_HOST_FILES : ERR_HOST_IO, (int)pid,
			       "spawn %s: clone3", c->argv[0]);
	if (c->error)
		return child_failed(c, sp, pidfd);
	sp->pid = (pid_t)pid;
	sp->pidfd = pidfd;
	/* Cannot fail before we reap it: a zombie has its line in /proc too. */
	IGNORE(process_start_ticks(sp->pid, &sp->start_ticks) < 0);
	return 0;
}

int spawn_run(struct io_spawn *sp)
{
	static char *const no_env[] = { NULL };
	static _Thread_local _Alignas(
		STACK_ALIGN) char stack[STACK_BYTES]; /* idle once it has executed */
	struct child c = {
		.argv = sp->argv->v,
		.envp = sp->envp && sp->envp->v ? sp->envp->v : no_env,
		.above = STDIO_FDS,
		.new_session = sp->new_session,
		.nofile = sp->nofile,
	};
	const int rc = child_plan_fds(&c, sp);

	if (rc < 0)
		return err_num(&sp->err, ERR_INTERNAL, rc, "spawn %s: descriptors", c.argv[0]);
	return spawn_on(sp, &c, stack);
}
