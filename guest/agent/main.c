/* main.c - banger-agent: does inside the guest what the daemon asks for (src/proto/guest.h).
 *
 *   banger-agent                          until the machine ends, on the way to the daemon that it
 *                                         has: the virtio-serial port banger.agent.0, else vsock
 *   banger-agent --fd N                   on an open socket, until its end
 *   banger-agent --vsock CID RING LISTEN  as on a machine with vsock, at other addresses
 *   banger-agent --net TAP N              no agent: frames between a tap and an open socket
 *
 * All but the first are for tests, and never power off.  One thread, one epoll set; nothing but
 * start-up waits.
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
#include "guest/agent/net.h"
#include "guest/agent/port.h"
#include "guest/agent/power.h"
#include "guest/agent/session.h"
#include "guest/agent/vsock.h"
#include "proto/guest.h"

static struct session session; /* large, and there is one */
static struct net_child network;

/* The agent is how a guest that is short of memory can be looked at. */
static void oom_score_lower(void)
{
	CLEANUP_FD int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		IGNORE(write(fd, "-1000", strlen("-1000")) < 0);
}

static int number_take(const char *what, const char *text, uint32_t *ret, struct err *e)
{
	char *end = NULL;
	const unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || n > INT32_MAX)
		return err_set(e, ERR_BAD_REQUEST, "%s %s: not a number", what, text);
	*ret = (uint32_t)n;
	return 0;
}

static int socket_take(const char *text, struct err *e)
{
	uint32_t fd = 0;
	const int rc = number_take("--fd", text, &fd, e);

	if (rc < 0)
		return rc;
	if (fcntl((int)fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0 ||
	    fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		return err_sys(e, ERR_BAD_REQUEST, "--fd %s", text);
	return (int)fd;
}

/* Unless what was asked for is the end. */
static bool goes_on(bool is_test)
{
	if (!session_powers_off(&session))
		return true;
	if (is_test)
		return false;
	power_off();
	session.power_off = false; /* asked; whoever is PID 1 will end us */
	return true;
}

static int sooner(int a_ms, int b_ms)
{
	return a_ms < 0 || (b_ms >= 0 && b_ms < a_ms) ? b_ms : a_ms;
}

/* All that can be done now; how long until there is more, at most until_ms. */
static int turn(int until_ms)
{
	const int network_ms = net_child_turn(&network, clock_ms());

	return sooner(sooner(session_turn(&session), network_ms), until_ms);
}

/* One way, until its end. */
static int serve_fd(int epoll, int fd, bool is_test, struct err *e)
{
	int rc;

	session_init(&session, epoll, is_test);
	rc = session_attach(&session, fd);
	if (rc < 0)
		(void)err_num(e, ERR_GUEST_BOOT, rc, "port");
	while (rc >= 0 && !session.channel.closed && goes_on(is_test)) {
		rc = watch_wait(epoll, turn(-1));
		if (rc < 0)
			(void)err_num(e, ERR_INTERNAL, rc, "epoll");
	}
	session_fini(&session);
	return rc < 0 ? rc : 0;
}

/* What there is to do about connections; how long until there is more. */
static int vsock_turn(struct vsock *v)
{
	const int64_t now_ms = clock_ms();
	int fd;

	if (session.channel.closed) {
		session_detach(&session);
		vsock_lost(v, now_ms);
	}
	fd = vsock_take(v, now_ms);
	if (fd >= 0 && session_attach(&session, fd) < 0)
		vsock_lost(v, now_ms);
	return vsock_timeout_ms(v, now_ms);
}

/* One connection after the other. */
static int serve_vsock(int epoll, const struct vsock_ends *ends, bool is_test, struct err *e)
{
	struct vsock v;
	int rc = vsock_init(&v, epoll, ends, e);

	if (rc < 0)
		return rc;
	session_init(&session, epoll, true);
	while (rc >= 0 && goes_on(is_test)) {
		rc = watch_wait(epoll, turn(vsock_turn(&v)));
		if (rc < 0)
			(void)err_num(e, ERR_INTERNAL, rc, "epoll");
	}
	session_fini(&session);
	vsock_fini(&v);
	return rc < 0 ? rc : 0;
}

static int serve_machine(int epoll, struct err *e)
{
	static const struct vsock_ends ends = {
		.cid = GUEST_VSOCK_HOST,
		.ring = GUEST_VSOCK_RING_PORT,
		.listen = GUEST_VSOCK_AGENT_PORT,
	};
	int fd = -EBADF;
	const int way = port_wait(GUEST_PORT_NAME, &fd, e);

	oom_score_lower();
	net_child_init(&network, epoll, net_child_wanted("/proc/cmdline"));
	if (way == PORT_VSOCK)
		return serve_vsock(epoll, &ends, false, e);
	return way < 0 ? way : serve_fd(epoll, fd, false, e);
}

static int serve(int epoll, int argc, char **argv, struct err *e)
{
	struct vsock_ends ends = { 0 };
	int fd;

	net_child_init(&network, epoll, false);
	if (argc == 1)
		return serve_machine(epoll, e);
	if (argc == 3 && strcmp(argv[1], "--fd") == 0) {
		fd = socket_take(argv[2], e);
		return fd < 0 ? fd : serve_fd(epoll, fd, true, e);
	}
	if (argc == 5 && strcmp(argv[1], "--vsock") == 0) {
		if (number_take("CID", argv[2], &ends.cid, e) < 0 ||
		    number_take("RING", argv[3], &ends.ring, e) < 0 ||
		    number_take("LISTEN", argv[4], &ends.listen, e) < 0)
			return -EINVAL;
		return serve_vsock(epoll, &ends, true, e);
	}
	if (argc == 4 && strcmp(argv[1], "--net") == 0) {
		fd = socket_take(argv[3], e);
		return fd < 0 ? fd : net_run(argv[2], fd, e);
	}
	return err_set(e, ERR_BAD_REQUEST,
		       "usage: banger-agent [--fd N | --vsock CID RING LISTEN | --net TAP N]");
}

int main(int argc, char **argv)
{
	CLEANUP_FD int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct err e = { 0 };

	(void)signal(SIGPIPE, SIG_IGN);
	if (serve(epoll, argc, argv, &e) < 0) {
		(void)fprintf(stderr, "banger-agent: %s\n", e.text);
		return 1;
	}
	return 0;
}
