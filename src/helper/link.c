/* link.c - messages with descriptors between supervisor and workers.
 *
 * #syscalls(workers,supervisor) sendmsg recvmsg close
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "helper/worker.h"

/* Room for the descriptors of the biggest message, aligned as a header must be. */
union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(HELPER_SLOTS_MAX * sizeof(int))];
};

ssize_t link_send(int link, const struct iovec *iov, size_t niov, const int *fds, uint32_t nfds)
{
	union control control = { .room = "" };
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = niov };
	ssize_t n;

	ASSERT(nfds <= HELPER_SLOTS_MAX);
	if (nfds > 0) {
		m.msg_control = control.room;
		m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		control.head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(nfds * sizeof(int)),
						 .cmsg_level = SOL_SOCKET,
						 .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.head), fds, nfds * sizeof(int));
	}
	do
		n = sendmsg(link, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static uint32_t take_fds(const struct msghdr *m, int *ret_fds, uint32_t max)
{
	const struct cmsghdr *const head = CMSG_FIRSTHDR(m);
	uint32_t n;

	if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
		return 0;
	n = (uint32_t)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	for (uint32_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(fd));
		if (i < max)
			ret_fds[i] = fd;
		else
			close(fd);
	}
	return n < max ? n : max;
}

ssize_t link_receive(int link, const struct iovec *iov, size_t niov, int *ret_fds, uint32_t max,
		     uint32_t *ret_nfds)
{
	union control control;
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov,
			    .msg_iovlen = niov,
			    .msg_control = control.room,
			    .msg_controllen = sizeof(control.room) };
	ssize_t n;

	do
		n = recvmsg(link, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	*ret_nfds = take_fds(&m, ret_fds, max);
	if (n == 0)
		return -EPIPE;
	return (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ? -EMSGSIZE : n;
}
