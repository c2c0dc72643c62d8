/* listener.c - accepted descriptors wait in a queue until their actor takes them.
 *
 * Multishot: the kernel goes on accepting until cancelled, so a full queue cancels, and what was
 * accepted meanwhile is kept too.  Without descriptors to give (EMFILE and the like) accepting
 * again at once would spin: it rests for IO_ACCEPT_BACKOFF_MS.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "io/core.h"

enum {
	FDS_MAX = (IO_ACCEPT_QUEUE + IO_LISTEN_BACKLOG) * (int)sizeof(int), /* bytes */
};

static size_t waiting(const struct listener *l)
{
	return buf_len(&l->fds) / sizeof(int);
}

static void listener_tell(struct listener *l)
{
	struct io_listener *pub = l->l;

	pub->msg.res = l->error ? l->error : (int)waiting(l);
	if (!list_linked(&pub->msg.link))
		actor_post(l->io->actors, pub->owner, &pub->msg);
}

void listener_rearm(struct listener *l)
{
	if (l->closing || l->error || l->backoff.set || req_busy(&l->accept) ||
	    waiting(l) >= IO_ACCEPT_QUEUE)
		return;
	req_submit(l->io, &l->accept, REQ_ACCEPT);
}

static int fd_pop(struct listener *l)
{
	int fd;

	memcpy(&fd, buf_data(&l->fds), sizeof(fd));
	buf_consume(&l->fds, sizeof(fd));
	return fd;
}

static void listener_finish_if_idle(struct listener *l)
{
	struct io *io = l->io;
	struct io_listener *pub = l->l;

	if (req_busy(&l->accept))
		return;
	io_timer_cancel(io, &l->backoff);
	while (waiting(l) > 0)
		kernel_close(io, fd_pop(l));
	buf_fini(&l->fds);
	kernel_close(io, pub->fd);
	pub->fd = -EBADF;
	l->error = 0;
	listener_tell(l);
	pub->closed = true;
	pub->impl = NULL;
	free(l);
	owner_release(io, pub->owner);
}

static void accepted(struct listener *l, int fd)
{
	if (l->closing || buf_append(&l->fds, &fd, sizeof(fd)) < 0) {
		kernel_close(l->io, fd);
		return;
	}
	listener_tell(l);
	if (waiting(l) >= IO_ACCEPT_QUEUE)
		req_cancel(l->io, &l->accept);
}

void listener_accept_done(struct listener *l, int res)
{
	switch (-res) {
	case ECANCELED:
	case ECONNABORTED:
	case EINTR:
	case EAGAIN:
		break;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EPERM: /* a firewall's or a security module's, as accept(2) says */
		if (!l->closing)
			io_timer_set(l->io, &l->backoff, IO_ACCEPT_BACKOFF_MS, 0);
		break;
	default:
		if (res >= 0) {
			accepted(l, res);
		} else if (!l->closing) {
			l->error = res;
			listener_tell(l);
		}
		break;
	}
	if (l->closing)
		listener_finish_if_idle(l);
	else
		listener_rearm(l);
}

int io_listener_open(struct io *io, struct io_listener *l, const struct actor *owner,
		     uint32_t msg_type, int fd)
{
	const int rc = kernel_adopt_fd(io, fd);

	if (rc < 0)
		return rc;
	struct listener *impl = calloc(1, sizeof(*impl));

	if (!impl)
		return -ENOMEM;
	impl->io = io;
	impl->l = l;
	impl->backoff.msg.type = TIMER_BACKOFF;
	buf_init(&impl->fds, FDS_MAX);
	*l = (struct io_listener){
		.msg = { .type = msg_type },
		.owner = owner->id,
		.fd = fd,
		.impl = impl,
	};
	owner_hold(io, l->owner);
	listener_rearm(impl);
	return 0;
}

int io_listener_next(struct io *io, struct io_listener *l)
{
	struct listener *impl = l->impl;

	(void)io;
	if (!impl || impl->closing)
		return -EAGAIN;
	if (waiting(impl) > 0) {
		const int fd = fd_pop(impl);

		if (waiting(impl) <= IO_ACCEPT_QUEUE / 2)
			listener_rearm(impl);
		return fd;
	}
	const int error = impl->error;

	impl->error = 0;
	return error ? error : -EAGAIN;
}

void io_listener_close(struct io *io, struct io_listener *l)
{
	struct listener *impl = l->impl;

	if (!impl || impl->closing)
		return;
	impl->closing = true;
	if (req_busy(&impl->accept))
		req_cancel(io, &impl->accept);
	else
		listener_finish_if_idle(impl);
}
