#include "guest/agent/vsock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
/* Needs sa_family_t, and so comes after. */
#include <linux/vm_sockets.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent/limits.h"

/* With a driver but without its device the answer is VMADDR_CID_ANY (net/vmw_vsock of Linux). */
bool vsock_present(void)
{
	CLEANUP_FD int fd = open("/dev/vsock", O_RDONLY | O_CLOEXEC);
	unsigned int cid = VMADDR_CID_ANY;

	return fd >= 0 && ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) == 0 &&
	       cid != VMADDR_CID_ANY;
}

static int vsock_socket(void)
{
	const int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static struct sockaddr_vm vsock_address(uint32_t cid, uint32_t port)
{
	return (struct sockaddr_vm){ .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
}

int vsock_connect(uint32_t cid, uint32_t port, bool *ret_done, struct err *e)
{
	const struct sockaddr_vm to = vsock_address(cid, port);
	CLEANUP_FD int fd = vsock_socket();

	if (fd < 0)
		return err_num(e, ERR_GUEST_BOOT, fd, "vsock: socket");
	const bool done = connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0;

	if (!done && errno != EINPROGRESS)
		return err_sys(e, ERR_GUEST_BOOT, "vsock: connect to port %u", port);
	*ret_done = done;
	return take_fd(&fd);
}

static int listener_open(struct vsock *v, struct err *e)
{
	const struct sockaddr_vm at = vsock_address(VMADDR_CID_ANY, v->ends.listen);
	CLEANUP_FD int fd = vsock_socket();

	if (fd < 0)
		return err_num(e, ERR_GUEST_BOOT, fd, "vsock: socket");
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, VSOCK_BACKLOG) < 0)
		return err_sys(e, ERR_GUEST_BOOT, "vsock: listen on port %u", v->ends.listen);
	const int rc = watch_add(v->epoll, &v->listener, take_fd(&fd), EPOLLIN);

	return rc < 0 ? err_num(e, ERR_GUEST_BOOT, rc, "vsock: watch") : 0;
}

int vsock_init(struct vsock *v, int epoll, const struct vsock_ends *ends, struct err *e)
{
	*v = (struct vsock){
		.epoll = epoll,
		.ends = *ends,
		.listener.fd = -EBADF,
		.ringing.fd = -EBADF,
	};
	return listener_open(v, e);
}

void vsock_fini(struct vsock *v)
{
	watch_close(v->epoll, &v->ringing);
	watch_close(v->epoll, &v->listener);
}

/* The newest of the host's that waits; those before it are closed.  Whoever else reaches our port
 * (a process of the guest, where its kernel has a loopback for vsock) is no daemon. */
static int accept_newest(struct vsock *v)
{
	CLEANUP_FD int newest = -EBADF;

	while (v->listener.ready) {
		struct sockaddr_vm from = { 0 };
		socklen_t len = sizeof(from);
		CLEANUP_FD int fd = accept4(v->listener.fd, (struct sockaddr *)&from, &len,
					    SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno != EINTR && errno != ECONNABORTED)
				v->listener.ready = false;
		} else if (from.svm_cid == v->ends.cid) {
			close_fd(&newest);
			newest = take_fd(&fd);
		}
	}
	return newest < 0 ? -EAGAIN : take_fd(&newest);
}

static void ring(struct vsock *v, int64_t now_ms)
{
	struct err why;
	bool done;
	const int fd = vsock_connect(v->ends.cid, v->ends.ring, &done, &why);

	v->ring_at_ms = now_ms + VSOCK_RING_MS;
	if (fd >= 0)
		IGNORE(watch_add(v->epoll, &v->ringing, fd, EPOLLOUT) < 0); /* ready either way */
}

/* Heard or not, it is said: who was not there yet is rung again. */
static void ring_over(struct vsock *v)
{
	struct sockaddr_vm peer;
	socklen_t peer_len = sizeof(peer);
	int error = 0;
	socklen_t len = sizeof(error);

	if (v->ringing.fd < 0 || !v->ringing.ready)
		return;
	v->ringing.ready = false;
	if (getsockopt(v->ringing.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error != 0 ||
	    getpeername(v->ringing.fd, (struct sockaddr *)&peer, &peer_len) == 0)
		watch_close(v->epoll, &v->ringing); /* else `ready` was only a guess */
}

int vsock_take(struct vsock *v, int64_t now_ms)
{
	const int fd = accept_newest(v);

	if (fd >= 0) {
		watch_close(v->epoll, &v->ringing);
		v->ring_at_ms = -1;
		return fd;
	}
	ring_over(v);
	if (v->ringing.fd < 0 && v->ring_at_ms >= 0 && now_ms >= v->ring_at_ms)
		ring(v, now_ms);
	return fd;
}

void vsock_lost(struct vsock *v, int64_t now_ms)
{
	v->ring_at_ms = now_ms + VSOCK_RING_MS;
}

int vsock_timeout_ms(const struct vsock *v, int64_t now_ms)
{
	if (v->ringing.fd >= 0)
		return v->ringing.ready ? 0 : -1;
	if (v->ring_at_ms < 0)
		return -1;
	return v->ring_at_ms > now_ms ? (int)(v->ring_at_ms - now_ms) : 0;
}
