#include "guest/init/supervise.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"
#include "guest/init/root.h"

enum {
	AGENT_RESTART_MS = 1000, /* never faster than one start in this time */
	TERM_GRACE_MS = 2000,    /* between SIGTERM and SIGKILL when powering off */
	KILL_GRACE_MS = 1000,    /* for the kernel to let go of what was killed */
};

static const int off_signals[] = { SIGUSR2, SIGTERM, SIGINT, SIGPWR };

static sigset_t awaited(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < ARRAY_LEN(off_signals); i++)
		sigaddset(&set, off_signals[i]);
	return set;
}

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The next signal, or -1 at the deadline (< 0: none). */
static int signal_wait(int64_t deadline_ms)
{
	const sigset_t set = awaited();
	const int64_t left = deadline_ms - now_ms();
	const struct timespec t = { left > 0 ? left / 1000 : 0,
				    left > 0 ? left % 1000 * 1000000 : 0 };

	return deadline_ms < 0 ? sigwaitinfo(&set, NULL) : sigtimedwait(&set, NULL, &t);
}

void supervise_prepare(void)
{
	const sigset_t set = awaited();

	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)reboot(RB_DISABLE_CAD); /* ctrl-alt-del becomes SIGINT */
}

void supervise_release(void)
{
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

pid_t agent_start(void)
{
	const pid_t pid = fork();

	if (pid != 0)
		return pid < 0 ? -errno : pid;

	supervise_release();
	(void)setsid();
	(void)execl(AGENT_PATH, "banger-agent", (char *)NULL);
	perror("banger-init: " AGENT_PATH);
	_exit(127);
}

_Noreturn void machine_off(void)
{
	sync();
	/* Reset, not power-off: see docs; the VMM is told to end instead of starting again. */
	(void)reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

/* Reaps until no child is left or the deadline has come. */
static void reap_until(int64_t deadline_ms)
{
	for (;;) {
		const pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid < 0 && errno == ECHILD)
			return;
		if (pid == 0 && signal_wait(deadline_ms) < 0)
			return;
	}
}

static _Noreturn void power_off(void)
{
	(void)kill(-1, SIGTERM);
	(void)kill(-1, SIGCONT); /* a stopped process cannot end */
	reap_until(now_ms() + TERM_GRACE_MS);
	(void)kill(-1, SIGKILL);
	reap_until(now_ms() + KILL_GRACE_MS);
	sync();
	(void)mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
	machine_off();
}

/* True when the agent was among those that ended. */
static bool reap(pid_t agent)
{
	bool was = false;
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		was = was || pid == agent;
	return was;
}

_Noreturn void supervise(pid_t agent)
{
	int64_t started_ms = now_ms();
	int64_t restart_ms = -1; /* when to start the agent again; -1: it runs */

	for (;;) {
		const int signo = signal_wait(restart_ms);

		if (signo > 0 && signo != SIGCHLD)
			power_off();
		if (reap(agent))
			restart_ms = started_ms + AGENT_RESTART_MS;
		if (restart_ms >= 0 && now_ms() >= restart_ms) {
			agent = agent_start();
			started_ms = now_ms();
			restart_ms = agent < 0 ? started_ms + AGENT_RESTART_MS : -1;
		}
	}
}
