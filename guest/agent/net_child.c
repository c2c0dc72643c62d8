/* net_child.c - the agent's look at the process that carries the guest's network. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent/limits.h"
#include "guest/agent/net.h"

#define CMDLINE_WORD "banger.net=vsock"

bool net_child_wanted(const char *cmdline_path)
{
	char text[NET_CMDLINE_MAX + 1];
	CLEANUP_FD int fd = open(cmdline_path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, text, NET_CMDLINE_MAX);
	char *save = NULL;

	text[n > 0 ? n : 0] = '\0';
	for (const char *w = strtok_r(text, " \n", &save); w; w = strtok_r(NULL, " \n", &save))
		if (strcmp(w, CMDLINE_WORD) == 0)
			return true;
	return false;
}

void net_child_init(struct net_child *c, int epoll, bool wanted)
{
	*c = (struct net_child){
		.epoll = epoll,
		.process.fd = -EBADF,
		.start_at_ms = wanted ? 0 : -1,
	};
}

/* One tap can be had once: a child whose agent has gone must not keep it from the next one's. */
static _Noreturn void child_main(pid_t agent)
{
	struct err e = { 0 };

	(void)prctl(PR_SET_NAME, "banger-net");
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != agent)
		_exit(EXIT_FAILURE);
	if (net_run(NET_INTERFACE, -EBADF, &e) < 0)
		(void)fprintf(stderr, "banger-agent: %s\n", e.text);
	_exit(EXIT_FAILURE);
}

static void child_start(struct net_child *c)
{
	const pid_t agent = getpid();
	const pid_t pid = fork();

	if (pid == 0)
		child_main(agent);
	const int fd = pid < 0 ? -errno : (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd >= 0)
		IGNORE(watch_add(c->epoll, &c->process, fd, EPOLLIN) < 0);
}

int net_child_turn(struct net_child *c, int64_t now_ms)
{
	siginfo_t si = { 0 };

	if (c->process.fd >= 0 && c->process.ready) {
		c->process.ready = false;
		if (waitid(P_PIDFD, (id_t)c->process.fd, &si, WEXITED | WNOHANG) == 0 &&
		    si.si_pid != 0) {
			watch_close(c->epoll, &c->process);
			c->start_at_ms = now_ms + NET_RESTART_MS;
		}
	}
	if (c->start_at_ms >= 0 && now_ms >= c->start_at_ms) {
		child_start(c);
		c->start_at_ms = c->process.fd >= 0 ? -1 : now_ms + NET_RESTART_MS;
	}
	return c->start_at_ms < 0 ? -1 : (int)(c->start_at_ms - now_ms);
}
