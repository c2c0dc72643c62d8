#include "actors/fifo.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors/msg.h"
#include "base/cleanup.h"

/* On a worker: bytes written, 0 where there is no room, -errno. */
static int open_and_write(void *arg, const bool *cancelled)
{
	struct fifo *f = arg;

	(void)cancelled;
	if (f->fd < 0)
		f->fd = open(f->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (f->fd < 0)
		return -errno;
	const ssize_t n = f->len > 0 ? write(f->fd, f->chunk, f->len) : 0;
	return n < 0 && errno != EAGAIN ? -errno : n < 0 ? 0 : (int)n;
}

static void go_on(struct fifo *f)
{
	const size_t more = buf_len(&f->out);
	const size_t room = sizeof(f->chunk) - f->len;
	const size_t n = more < room ? more : room;

	if (io_op_busy(&f->work) || io_timer_pending(&f->again) || f->closing || f->error)
		return;
	if (n > 0) /* an empty buffer has no bytes to point to */
		memcpy(f->chunk + f->len, buf_data(&f->out), n);
	buf_consume(&f->out, n);
	f->len += n;
	if (f->len > 0)
		io_work(f->io, &f->work, IO_LANE_ANY, open_and_write, f);
}

int fifo_open(struct fifo *f, struct io *io, const struct actor *owner, const char *path)
{
	*f = (struct fifo){ .io = io, .fd = -EBADF, .path = strdup(path) };
	if (!f->path)
		return -ENOMEM;
	buf_init(&f->out, CONSOLE_WINDOW);
	io_op_init(&f->work, owner, MSG_IO);
	io_op_init(&f->end, owner, MSG_IO);
	io_timer_init(&f->again, owner, MSG_TIMER);
	io_work(io, &f->work, IO_LANE_ANY, open_and_write, f);
	return 0;
}

int fifo_put(struct fifo *f, const void *data, size_t len)
{
	const int rc = buf_append(&f->out, data, len);

	if (rc == 0)
		go_on(f);
	return rc;
}

size_t fifo_unsent(const struct fifo *f)
{
	return buf_len(&f->out) + f->len;
}

bool fifo_takes_no_more(const struct fifo *f)
{
	return fifo_unsent(f) == 0 || io_timer_pending(&f->again);
}

static enum fifo_news over(struct fifo *f, int error)
{
	f->error = error;
	return f->closing ? FIFO_NOTHING : FIFO_OVER;
}

static enum fifo_news worked(struct fifo *f, int res)
{
	if (res < 0)
		return over(f, res);
	if (!f->end.armed && !f->closing)
		io_poll(f->io, &f->end, f->fd, POLLERR);
	if (res == 0 && f->len > 0 && !f->closing)
		io_timer_set(f->io, &f->again, FIFO_AGAIN_MS, 0);
	f->len -= (size_t)res;
	memmove(f->chunk, f->chunk + res, f->len);
	go_on(f);
	return f->closing ? FIFO_NOTHING : FIFO_READY;
}

enum fifo_news fifo_message(struct fifo *f, const struct msg *m)
{
	if (!f->path)
		return FIFO_NOT_MINE;
	if (m == &f->work.msg)
		return worked(f, m->res);
	if (m == &f->end.msg)
		return over(f, 0);
	if (m != &f->again.msg)
		return FIFO_NOT_MINE;
	go_on(f);
	return FIFO_NOTHING;
}

void fifo_close(struct fifo *f)
{
	f->closing = true;
	io_timer_cancel(f->io, &f->again);
	if (f->end.armed)
		io_cancel(f->io, &f->end);
}

bool fifo_busy(const struct fifo *f)
{
	return f->path && (io_op_busy(&f->work) || io_op_busy(&f->end));
}

void fifo_fini(struct fifo *f)
{
	if (!f->path)
		return;
	ASSERT(!fifo_busy(f));
	close_fd(&f->fd);
	buf_fini(&f->out);
	free(f->path);
	f->path = NULL;
}
