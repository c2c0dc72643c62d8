#include "tests/fuzz/net_world.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"

enum {
	TABLE_MAX = 1024, /* descriptors */
	SAYS_MAX = 65507, /* bytes: the longest datagram (udp(7)) */
	PORT_DNS = 53,
	TYPE_MASK = 0xf, /* of socket(2)'s type, without its flags */
};

#define STRANGER 0xc0000207 /* 192.0.2.7, who comes to published ports */

struct end {
	bool open, listens, datagrams;
	int peer; /* the world's end */
	struct sockaddr_in to;
	unsigned refusals; /* ICMP errors that wait */
};

static struct world {
	bool begun, host_loopback, ready;
	unsigned sockets, sockets_max;
	struct end ends[TABLE_MAX]; /* by descriptor */
	int fault;
	unsigned faults;
	uint64_t now_ms;
	unsigned long reached;
} world = { .now_ms = 1000000 };

static struct end *end_of(int fd)
{
	if (!world.begun || fd < 0 || fd >= TABLE_MAX || !world.ends[fd].open)
		return NULL;
	return &world.ends[fd];
}

static bool faulted(void)
{
	if (world.faults == 0)
		return false;
	world.faults--;
	errno = world.fault;
	return true;
}

/* ---- the oracle ---- */

static bool may_be_reached(uint32_t to, uint16_t port)
{
	if (to == WORLD_RESOLVER)
		return port == PORT_DNS; /* by the name server's address */
	if (to == INADDR_LOOPBACK)
		return world.host_loopback;
	if (to >> 24 == 127 || to >> 24 == 0 || to == INADDR_BROADCAST)
		return false;
	if (to >> 16 == 0xa9fe) /* 169.254/16 */
		return false;
	return to != 0x0a000202 && to != 0x0a000203; /* what is translated, is */
}

static void reach(struct end *e, const struct sockaddr *sa, socklen_t len)
{
	struct sockaddr_in to;

	ASSERT(sa->sa_family == AF_INET && len >= sizeof(to));
	memcpy(&to, sa, sizeof(to));
	ASSERT(may_be_reached(ntohl(to.sin_addr.s_addr), ntohs(to.sin_port)));
	e->to = to;
	world.reached++;
}

/* ---- the C library's names ---- */

static int end_make(int type)
{
	int fds[2];

	if (world.sockets >= world.sockets_max) {
		errno = EMFILE;
		return -1;
	}
	if (syscall(SYS_socketpair, AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	ASSERT(fds[0] < TABLE_MAX && fds[1] < TABLE_MAX);
	world.sockets++;
	world.ends[fds[0]] = (struct end){ .open = true,
					   .datagrams = type == SOCK_DGRAM,
					   .peer = fds[1] };
	return fds[0];
}

int socket(int domain, int type, int protocol)
{
	if (!world.begun)
		return (int)syscall(SYS_socket, domain, type, protocol);
	ASSERT(domain == AF_INET);
	if (faulted())
		return -1;
	if ((type & TYPE_MASK) == SOCK_RAW) {
		errno = EPERM;
		return -1;
	}
	return end_make(type & TYPE_MASK);
}

int close(int fd)
{
	struct end *e = end_of(fd);

	if (e) {
		if (e->peer >= 0)
			(void)syscall(SYS_close, e->peer);
		e->open = false;
		world.sockets--;
	}
	return (int)syscall(SYS_close, fd);
}

int connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct end *e = end_of(fd);

	if (!e)
		return (int)syscall(SYS_connect, fd, sa, len);
	reach(e, sa, len);
	if (!faulted())
		errno = EINPROGRESS;
	return -1;
}

int bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct end *e = end_of(fd);
	struct sockaddr_in to;

	if (!e)
		return (int)syscall(SYS_bind, fd, sa, len);
	memcpy(&to, sa, sizeof(to));
	ASSERT(to.sin_addr.s_addr == htonl(INADDR_LOOPBACK)); /* of published ports */
	e->to = to;
	return 0;
}

int listen(int fd, int backlog)
{
	struct end *e = end_of(fd);

	if (!e)
		return (int)syscall(SYS_listen, fd, backlog);
	e->listens = true;
	return 0;
}

static int name_get(const struct end *e, struct sockaddr *sa, socklen_t *len)
{
	memcpy(sa, &e->to, *len < sizeof(e->to) ? *len : sizeof(e->to));
	*len = sizeof(e->to);
	return 0;
}

int accept(int fd, struct sockaddr *sa, socklen_t *len)
{
	struct end *e = end_of(fd);
	char knock;

	if (!e)
		return (int)syscall(SYS_accept4, fd, sa, len, 0);
	ASSERT(e->listens);
	if (faulted())
		return -1;
	const int got = end_make(SOCK_STREAM);

	if (got < 0)
		return got;
	if (syscall(SYS_recvfrom, fd, &knock, 1, MSG_DONTWAIT, NULL, NULL) != 1) {
		(void)close(got);
		errno = EAGAIN;
		return -1;
	}
	world.ends[got].to = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(STRANGER),
		.sin_port = htons(40000),
	};
	return name_get(&world.ends[got], sa, len) < 0 ? -1 : got;
}

int getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
	const struct end *e = end_of(fd);

	return e ? name_get(e, sa, len) : (int)syscall(SYS_getsockname, fd, sa, len);
}

int getpeername(int fd, struct sockaddr *sa, socklen_t *len)
{
	const struct end *e = end_of(fd);

	if (!e)
		return (int)syscall(SYS_getpeername, fd, sa, len);
	if (e->peer < 0) { /* reset */
		errno = ENOTCONN;
		return -1;
	}
	return name_get(e, sa, len);
}

/* Datagrams are lost, which nobody can tell. */
ssize_t sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *sa,
	       socklen_t sa_len)
{
	struct end *e = end_of(fd);

	if (!e)
		return syscall(SYS_sendto, fd, data, len, flags, sa, sa_len);
	if (sa)
		reach(e, sa, sa_len);
	if (faulted())
		return -1;
	if (sa)
		return (ssize_t)len;
	return syscall(SYS_sendto, fd, data, len, (flags & ~MSG_OOB) | MSG_NOSIGNAL | MSG_DONTWAIT,
		       NULL, 0);
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
	return sendto(fd, data, len, flags, NULL, 0);
}

ssize_t recvfrom(int fd, void *data, size_t len, int flags, struct sockaddr *sa, socklen_t *sa_len)
{
	const struct end *e = end_of(fd);

	if (!e)
		return syscall(SYS_recvfrom, fd, data, len, flags, sa, sa_len);
	if (faulted())
		return -1;
	if (sa)
		(void)name_get(e, sa, sa_len);
	return syscall(SYS_recvfrom, fd, data, len, flags | MSG_DONTWAIT, NULL, NULL);
}

ssize_t recv(int fd, void *data, size_t len, int flags)
{
	return recvfrom(fd, data, len, flags, NULL, NULL);
}

/* An ICMP error, as Linux tells of it (ip(7), IP_RECVERR). */
static void refusal_put(struct msghdr *m)
{
	struct {
		struct sock_extended_err err;
		struct sockaddr_in from;
	} said = {
		.err = { .ee_errno = ECONNREFUSED,
			 .ee_origin = SO_EE_ORIGIN_ICMP,
			 .ee_type = 3,
			 .ee_code = 3 },
		.from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(STRANGER) },
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(m);

	ASSERT(c && m->msg_controllen >= CMSG_SPACE(sizeof(said)));
	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_RECVERR;
	c->cmsg_len = CMSG_LEN(sizeof(said));
	memcpy(CMSG_DATA(c), &said, sizeof(said));
	m->msg_controllen = CMSG_SPACE(sizeof(said));
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	struct end *e = end_of(fd);

	if (!e)
		return syscall(SYS_recvmsg, fd, m, flags);
	ASSERT((flags & MSG_ERRQUEUE) != 0);
	if (e->refusals == 0) {
		errno = EAGAIN;
		return -1;
	}
	e->refusals--;
	refusal_put(m);
	return 0;
}

int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	if (!world.begun)
		return (int)syscall(SYS_poll, fds, n, timeout_ms);
	int got = (int)syscall(SYS_poll, fds, n, 0);

	for (nfds_t i = 0; i < n; i++) { /* an error that waits is an event */
		const struct end *e = end_of(fds[i].fd);

		if (e && e->refusals > 0) {
			got += fds[i].revents == 0;
			fds[i].revents = (short)(fds[i].revents | POLLERR);
		}
	}
	world.ready = got != 0;
	if (got == 0)
		world.now_ms += timeout_ms > 0 ? (unsigned)timeout_ms : 0;
	return got;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	if (!world.begun || clock != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, clock, t);
	*t = (struct timespec){ (time_t)(world.now_ms / 1000),
				(long)(world.now_ms % 1000) * 1000000 };
	return 0;
}

static bool is_resolv_conf(const char *path)
{
	return world.begun && strcmp(path, "/etc/resolv.conf") == 0;
}

FILE *fopen64(const char *path, const char *mode)
{
	static char resolv[] = "# the host's\nnameserver 127.0.0.53\n";

	if (!is_resolv_conf(path)) {
		FILE *(*const theirs)(const char *, const char *) = dlsym(RTLD_NEXT, "fopen64");

		return theirs(path, mode);
	}
	return fmemopen(resolv, strlen(resolv), "r");
}

int stat64(const char *restrict path, struct stat64 *restrict st)
{
	if (!is_resolv_conf(path))
		return fstatat64(AT_FDCWD, path, st, 0);
	*st = (struct stat64){ .st_size = 1 };
	return 0;
}

/* ---- what happens there ---- */

void world_begin(bool host_loopback, unsigned sockets_max)
{
	ASSERT(!world.begun && world.sockets == 0);
	world.begun = true;
	world.host_loopback = host_loopback;
	world.sockets_max = sockets_max < WORLD_SOCKETS_MAX ? sockets_max : WORLD_SOCKETS_MAX;
	world.faults = 0;
}

void world_end(void)
{
	world.begun = false;
	ASSERT(world.sockets == 0);
}

static struct end *end_nth(unsigned which)
{
	if (world.sockets == 0)
		return NULL;
	which %= world.sockets;
	for (int fd = 0; fd < TABLE_MAX; fd++)
		if (world.ends[fd].open && which-- == 0)
			return &world.ends[fd];
	return NULL;
}

static void peer_close(struct end *e)
{
	if (e->peer >= 0)
		(void)syscall(SYS_close, take_fd(&e->peer));
}

void world_event(enum world_event what, unsigned which, size_t bytes)
{
	static uint8_t data[SAYS_MAX];
	struct end *e = end_nth(which);

	if (!e || e->peer < 0)
		return;
	switch (what) {
	case WORLD_SAYS:
		if (!e->listens)
			(void)syscall(SYS_sendto, e->peer, data,
				      bytes < sizeof(data) ? bytes : sizeof(data),
				      MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
		break;
	case WORLD_ENDS:
		if (!e->listens)
			(void)shutdown(e->peer, SHUT_WR);
		break;
	case WORLD_HANGS_UP:
		if (!e->listens)
			peer_close(e);
		break;
	case WORLD_REFUSES:
		e->refusals = e->datagrams; /* TCP's is an error of the connection */
		break;
	case WORLD_COMES:
		if (e->listens)
			(void)syscall(SYS_sendto, e->peer, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, NULL,
				      0);
		break;
	case WORLD_NEVENTS:
		break;
	}
}

void world_fault(int error, unsigned calls)
{
	world.fault = error;
	world.faults = calls;
}

void world_pass(uint32_t ms)
{
	world.now_ms += ms;
}

bool world_was_ready(void)
{
	return world.ready;
}

unsigned long world_reached(void)
{
	return world.reached;
}
