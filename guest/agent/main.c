/* main.c - banger-agent: does inside the guest what the daemon asks for (src/proto/guest.h).
 *
 *   banger-agent          on the virtio-serial port banger.agent.0, until the machine ends
 *   banger-agent --fd N   on an open socket, until its end; for tests, never powers off
 *
 * One thread, one epoll set; nothing but start-up waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent/port.h"
#include "guest/agent/power.h"
#include "guest/agent/session.h"
#include "proto/guest.h"

static struct session session; /* large, and there is one */

/* The agent is how a guest that is short of memory can be looked at. */
static void oom_score_lower(void)
{
	CLEANUP_FD int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		IGNORE(write(fd, "-1000", strlen("-1000")) < 0);
}

static int socket_take(const char *text, struct err *e)
{
	char *end = NULL;
	const long fd = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || fd < 0 || fd > INT32_MAX)
		return err_set(e, ERR_BAD_REQUEST, "--fd %s: not a descriptor", text);
	if (fcntl((int)fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0 ||
	    fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		return err_sys(e, ERR_BAD_REQUEST, "--fd %s", text);
	return (int)fd;
}

static int serve(int epoll, int fd, bool is_socket, struct err *e)
{
	int rc = session_init(&session, epoll, fd, is_socket);

	if (rc < 0)
		return err_num(e, ERR_GUEST_BOOT, rc, "port");
	while (rc >= 0 && !session.channel.closed) {
		rc = watch_wait(epoll, session_turn(&session));
		if (session_powers_off(&session)) {
			if (is_socket)
				break;
			power_off();
			session.power_off = false; /* asked; whoever is PID 1 will end us */
		}
	}
	session_fini(&session);
	return rc < 0 ? err_num(e, ERR_INTERNAL, rc, "epoll") : 0;
}

int main(int argc, char **argv)
{
	const bool is_socket = argc == 3 && strcmp(argv[1], "--fd") == 0;
	CLEANUP_FD int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct err e = { 0 };
	int fd;

	if (argc != 1 && !is_socket) {
		(void)fprintf(stderr, "usage: banger-agent [--fd N]\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	if (!is_socket)
		oom_score_lower();
	fd = is_socket ? socket_take(argv[2], &e) : port_open(GUEST_PORT_NAME, &e);
	if (fd < 0 || serve(epoll, fd, is_socket, &e) < 0) {
		(void)fprintf(stderr, "banger-agent: %s\n", e.text);
		return 1;
	}
	return 0;
}
