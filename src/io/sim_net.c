/* sim_net.c - sockets of the simulated host.
 *
 * A path is a real socket inode, which says nothing by itself: connecting looks the inode up, then
 * the listener that made it, so a removed or replaced path is what it would be.  A connection is
 * two ends, each with the bytes that it has not read yet.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/sim_host.h"

static void sock_readable(struct sim_sock *sock);
static void sock_writable(struct sim_sock *sock);

/* ---- ends ---- */

static struct sim_sock *sock_make(struct sim *s)
{
	struct sim_sock *sock = sim_alloc(sizeof(*sock));

	sock->sim = s;
	sock->refs = 1;
	buf_init(&sock->rx, SIM_SOCK_BYTES);
	list_init(&sock->pollers);
	list_append(&s->socks, &sock->link);
	return sock;
}

int sock_pair(struct sim *s, struct sim_sock *ret[2])
{
	ret[0] = sock_make(s);
	ret[1] = sock_make(s);
	ret[0]->peer = ret[1];
	ret[1]->peer = ret[0];
	return 0;
}

void sock_unref(struct sim_sock *sock)
{
	struct sim_sock *peer = sock->peer;

	ASSERT(sock->refs > 0);
	if (--sock->refs > 0)
		return;
	SIM_HOST_SCOPE;

	if (peer) {
		peer->peer = NULL;
		peer->eof = true;
		peer->reset = buf_len(&sock->rx) > 0;
		sock_readable(peer);
		sock_writable(peer);
	}
	ASSERT(!sock->recv);
	ASSERT(!sock->send);
	ASSERT(list_empty(&sock->pollers));
	for (uint32_t i = 0; i < sock->npassed; i++)
		sim_fd_drop(&sock->passed[i].what);
	free(sock->passed);
	list_remove(&sock->link);
	buf_fini(&sock->rx);
	free(sock);
}

static bool has_news(const struct sim_sock *sock)
{
	return buf_len(&sock->rx) > 0 || sock->eof || sock->reset;
}

static void sock_readable(struct sim_sock *sock)
{
	struct sim_conn *c = sock->conn;

	if (c && !c->paused && c->readable.slot == 0)
		sim_event_set(sock->sim, &c->readable, sim_usual_us(sock->sim, SIM_RECV));
	if (sock->recv)
		net_ready(sock->recv);
	list_for_each_safe (n, &sock->pollers)
		net_ready(list_entry(n, struct flight, wait));
}

/* There is room in the peer's queue, or no peer any more. */
static void sock_writable(struct sim_sock *sock)
{
	struct sim_conn *c = sock->conn;

	if (c && buf_len(&c->out) > 0 && c->writable.slot == 0)
		sim_event_set(sock->sim, &c->writable, sim_usual_us(sock->sim, SIM_SEND));
	if (sock->send)
		net_ready(sock->send);
}

static size_t room_for(const struct sim_sock *sock)
{
	return sock->peer ? SIM_SOCK_BYTES - buf_len(&sock->peer->rx) : 0;
}

static void sock_put(struct sim_sock *sock, const uint8_t *data, size_t len)
{
	SIM_HOST_SCOPE;
	const int rc = buf_append(&sock->peer->rx, data, len);

	ASSERT(rc == 0);
	sock_readable(sock->peer);
}

static void sock_took(struct sim_sock *sock, size_t len)
{
	SIM_HOST_SCOPE;

	buf_consume(&sock->rx, len);
	sock->taken += len;
	if (sock->peer)
		sock_writable(sock->peer);
}

void sock_pass(struct sim_sock *sock, uint64_t at, struct sim_fd what)
{
	struct sim_sock *to = sock->peer;

	if (!to) {
		sim_fd_drop(&what);
		return;
	}
	to->passed = realloc(to->passed, (to->npassed + 1) * sizeof(*to->passed));
	ASSERT(to->passed);
	to->passed[to->npassed++] = (struct sim_passed){ at, what };
}

/* A read ends before the byte that brings other descriptors. */
static size_t up_to_passed(const struct sim_sock *sock, size_t n)
{
	for (uint32_t i = 0; i < sock->npassed; i++)
		if (sock->passed[i].at > sock->taken && sock->passed[i].at - sock->taken < n)
			return (size_t)(sock->passed[i].at - sock->taken);
	return n;
}

/* Those of the byte that is read next; one who does not take any loses them. */
static void passed_arrive(struct sim_io *io, struct sim_sock *sock, struct stream *st)
{
	uint32_t n = 0;

	while (n < sock->npassed && sock->passed[n].at <= sock->taken) {
		const int fd = st->passing ? sim_fd_put(io, sock->passed[n].what) : -EMFILE;

		if (fd < 0)
			sim_fd_drop(&sock->passed[n].what);
		else
			stream_passed(st, fd);
		n++;
	}
	if (n == 0)
		return;
	sock->npassed -= n;
	memmove(sock->passed, sock->passed + n, sock->npassed * sizeof(*sock->passed));
}

/* As many as fit, or fewer: a stream socket may always give less. */
static size_t some_of(struct sim *s, size_t len)
{
	return len > 1 && !s->conf.steady && sim_chance(s, 6)
		       ? 1 + sim_choose(s, (uint32_t)(len - 1))
		       : len;
}

/* ---- listeners ---- */

struct sim_listener *listener_at(struct sim *s, const char *path, int *ret_error)
{
	struct stat st;

	*ret_error = -ECONNREFUSED;
	if (lstat(path, &st) < 0) {
		*ret_error = -errno;
		return NULL;
	}
	list_for_each (n, &s->listeners) {
		struct sim_listener *l = list_entry(n, struct sim_listener, link);

		if (l->ino == st.st_ino && l->dev == st.st_dev)
			return l;
	}
	return NULL;
}

static int unlink_stale(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static void offered(struct sim_event *ev)
{
	struct sim_listener *l = container_of(ev, struct sim_listener, offered);

	if (l->proc && !list_empty(&l->pending))
		l->on_accept(l->proc, l->number);
}

static int bind_path(struct sim *s, const char *path, struct sim_listener **ret_listener)
{
	struct stat st;
	int rc = unlink_stale(path);

	if (rc < 0)
		return rc;
	if (mknod(path, S_IFSOCK | 0600, 0) < 0 || lstat(path, &st) < 0)
		return -errno;
	/* A removed inode's number may be given again while its listener is still open. */
	list_for_each (n, &s->listeners) {
		struct sim_listener *old = list_entry(n, struct sim_listener, link);

		if (old->ino == st.st_ino && old->dev == st.st_dev)
			old->ino = 0;
	}
	struct sim_listener *l = sim_alloc(sizeof(*l));

	l->sim = s;
	l->path = strdup(path);
	ASSERT(l->path);
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	l->refs = 1;
	l->backlog = IO_LISTEN_BACKLOG;
	l->offered.fire = offered;
	list_init(&l->pending);
	list_init(&l->connecting);
	list_append(&s->listeners, &l->link);
	*ret_listener = l;
	return 0;
}

int io_listen_unix(struct io *io, const char *path, struct err *e)
{
	SIM_HOST_SCOPE;
	struct sim_io *sio = sim_io_of(io);
	struct sim_fd what = { .kind = SIM_FD_LISTENER };
	int rc = sim_ask(sio->sim, SIM_LISTEN, path);

	if (rc == 0)
		rc = bind_path(sio->sim, path, &what.listener);
	if (rc < 0)
		return err_num(e, ERR_HOST_IO, rc, "socket %s: bind", path);
	rc = sim_fd_put(sio, what);
	if (rc < 0) {
		listener_unref(what.listener);
		return err_num(e, ERR_HOST_FILES, rc, "socket %s", path);
	}
	return rc;
}

void io_listen_few(struct io *io, int fd, int backlog)
{
	const struct sim_fd *what = sim_fd_at(sim_io_of(io), fd);

	ASSERT(what);
	ASSERT(what->kind == SIM_FD_LISTENER);
	what->listener->backlog = (uint32_t)backlog;
}

void listener_unref(struct sim_listener *l)
{
	struct list_node *n;

	ASSERT(l->refs > 0);
	if (--l->refs > 0)
		return;
	SIM_HOST_SCOPE;

	ASSERT(!l->accept);
	sim_event_cancel(l->sim, &l->offered);
	while ((n = list_pop(&l->pending)) != NULL)
		sock_unref(list_entry(n, struct sim_sock, waiting));
	list_for_each_safe (f, &l->connecting) { /* refused now */
		struct flight *waiting = list_entry(f, struct flight, wait);

		list_remove(f);
		flight_answer(waiting, l->path);
	}
	list_remove(&l->link);
	free(l->path);
	free(l);
}

uint32_t sim_listeners(const struct sim *s)
{
	uint32_t n = 0;

	list_for_each (l, &s->listeners)
		n++;
	return n;
}

static void listener_offer(struct sim_listener *l)
{
	if (l->accept)
		net_ready(l->accept);
	if (l->proc && !list_empty(&l->pending) && l->offered.slot == 0)
		sim_event_set(l->sim, &l->offered, sim_usual_us(l->sim, SIM_ACCEPT));
}

struct sim_sock *sock_accept(struct sim_listener *l)
{
	struct list_node *n = list_pop(&l->pending);
	struct list_node *next;

	if (!n)
		return NULL;
	l->npending--;
	next = list_pop(&l->connecting);
	if (next)
		flight_answer(list_entry(next, struct flight, wait), l->path);
	return list_entry(n, struct sim_sock, waiting);
}

/* The connecting end, or NULL with -errno; -EAGAIN when the backlog is full. */
static struct sim_sock *sock_connect(struct sim *s, const char *path, int *ret_error,
				     struct sim_listener **ret_listener)
{
	struct sim_listener *l = listener_at(s, path, ret_error);
	struct sim_sock *pair[2];

	*ret_listener = l;
	if (!l)
		return NULL;
	*ret_error = -EAGAIN;
	if (l->npending >= l->backlog)
		return NULL;
	sock_pair(s, pair);
	list_append(&l->pending, &pair[1]->waiting);
	l->npending++;
	listener_offer(l);
	return pair[0];
}

/* ---- the daemon's requests ---- */

static bool is_ready(const struct flight *f)
{
	switch ((enum io_req_kind)f->req->kind) {
	case REQ_CONNECT:
		return true;
	case REQ_RECV:
	case REQ_POLL:
		return has_news(f->sock);
	case REQ_SEND:
		return !f->sock->peer || room_for(f->sock) > 0;
	case REQ_ACCEPT:
		return !list_empty(&f->listener->pending);
	case REQ_WORK:
	case REQ_WAKE:
		break;
	}
	ASSERT(!"no request of a socket");
	return false;
}

void net_ready(struct flight *f)
{
	if (f->ev.slot == 0 && is_ready(f))
		flight_answer(f, f->listener ? f->listener->path : "");
}

static bool connect_fire(struct flight *f)
{
	struct sim *s = f->io->sim;
	struct sim_fd what = { .kind = SIM_FD_SOCK };
	struct sim_listener *l;
	int error;

	what.sock = sock_connect(s, container_of(f->req, struct io_op, req)->priv.connect, &error,
				 &l);
	if (!what.sock && error == -EAGAIN) {
		list_append(&l->connecting, &f->wait);
		return false;
	}
	if (!what.sock) {
		flight_end(f, error, NO_BUF, false);
		return true;
	}
	const int fd = sim_fd_put(f->io, what);
	if (fd < 0)
		sock_unref(what.sock);
	flight_end(f, fd, NO_BUF, false);
	return true;
}

static int buffer_take(struct sim_io *io)
{
	if (io->nbufs == 0)
		return NO_BUF;
	return io->bufs[--io->nbufs];
}

static bool recv_fire(struct flight *f)
{
	struct sim_sock *sock = f->sock;
	struct sim *s = sock->sim;
	const size_t have = buf_len(&sock->rx);

	struct stream *st = container_of(f->req, struct stream, recv);

	if (have > 0 && st->passing) {
		const size_t most = have < sizeof(st->passing->data) ? have
								     : sizeof(st->passing->data);
		const size_t n = up_to_passed(sock, some_of(s, most));

		passed_arrive(f->io, sock, st);
		memcpy(st->passing->data, buf_data(&sock->rx), n);
		sock_took(sock, n);
		flight_end(f, (int)n, NO_BUF, false);
		return true;
	}
	if (have > 0) {
		const int bid = buffer_take(f->io);

		if (bid == NO_BUF) {
			flight_end(f, -ENOBUFS, NO_BUF, false);
			return true;
		}
		const size_t n = some_of(s, have < IO_BUF_BYTES ? have : IO_BUF_BYTES);
		const bool more = s->conf.steady || !sim_chance(s, 12);

		memcpy(pool_at(&f->io->io, bid), buf_data(&sock->rx), n);
		sock_took(sock, n);
		flight_end(f, (int)n, bid, more);
		return true;
	}
	if (sock->reset) {
		sock->reset = false;
		flight_end(f, -ECONNRESET, NO_BUF, false);
	} else if (sock->eof) {
		flight_end(f, 0, NO_BUF, false);
	} else {
		return false;
	}
	return true;
}

static bool send_fire(struct flight *f)
{
	struct sim_sock *sock = f->sock;
	size_t n = room_for(sock);

	if (!sock->peer) {
		flight_end(f, -EPIPE, NO_BUF, false);
		return true;
	}
	if (n == 0)
		return false;
	n = some_of(sock->sim, n < f->len ? n : f->len);
	sock_put(sock, f->data, n);
	flight_end(f, (int)n, NO_BUF, false);
	return true;
}

static bool accept_fire(struct flight *f)
{
	struct sim_listener *l = f->listener;
	struct sim_fd what = { .kind = SIM_FD_SOCK, .sock = sock_accept(l) };

	if (!what.sock)
		return false;
	const int fd = sim_fd_put(f->io, what);
	if (fd < 0) /* Linux has taken it off the queue by then, too */
		sock_unref(what.sock);
	flight_end(f, fd, NO_BUF, fd >= 0);
	return true;
}

bool net_fire(struct flight *f)
{
	switch ((enum io_req_kind)f->req->kind) {
	case REQ_CONNECT:
		return connect_fire(f);
	case REQ_RECV:
		return recv_fire(f);
	case REQ_SEND:
		return send_fire(f);
	case REQ_ACCEPT:
		return accept_fire(f);
	case REQ_POLL:
		flight_end(f, (int)container_of(f->req, struct io_op, req)->priv.poll.events,
			   NO_BUF, false);
		return true;
	case REQ_WORK:
	case REQ_WAKE:
		break;
	}
	ASSERT(!"no request of a socket");
	return false;
}

/* ---- peers ---- */

static void conn_readable(struct sim_event *ev)
{
	struct sim_conn *c = container_of(ev, struct sim_conn, readable);
	struct sim_sock *sock = c->sock;
	struct sim_proc *p = c->proc;
	struct buf taken;

	if (!sock || c->paused)
		return;
	if (p)
		p->refs++; /* it may end in there, and c is its memory */
	if (buf_len(&sock->rx) > 0) {
		/* Taken first: the callback may close the connection. */
		taken = sock->rx;
		buf_init(&sock->rx, SIM_SOCK_BYTES);
		if (sock->peer)
			sock_writable(sock->peer);
		c->ops->data(c, buf_data(&taken), buf_len(&taken));
		buf_fini(&taken);
		if (c->sock && has_news(c->sock))
			sock_readable(c->sock);
	} else if ((sock->eof || sock->reset) && !c->told_end) {
		c->told_end = true;
		c->ops->end(c, sock->reset ? -ECONNRESET : 0);
	}
	if (p)
		proc_unref(p);
}

static void conn_writable(struct sim_event *ev)
{
	struct sim_conn *c = container_of(ev, struct sim_conn, writable);
	size_t n = c->sock ? room_for(c->sock) : 0;

	if (!c->sock || !c->sock->peer) {
		buf_fini(&c->out);
		return;
	}
	if (n > buf_len(&c->out))
		n = buf_len(&c->out);
	if (n == 0)
		return;
	n = some_of(c->sim, n);
	sock_put(c->sock, buf_data(&c->out), n);
	buf_consume(&c->out, n);
	sock_writable(c->sock);
}

static void conn_begin(struct sim_conn *c, struct sim *s, struct sim_sock *sock,
		       const struct sim_conn_ops *ops, void *arg)
{
	*c = (struct sim_conn){
		.ops = ops,
		.arg = arg,
		.uid = geteuid(),
		.sim = s,
		.sock = sock,
		.readable = { .fire = conn_readable },
		.writable = { .fire = conn_writable },
	};
	buf_init(&c->out, SIM_OUT_MAX);
	sock->conn = c;
	list_append(&s->conns, &c->link);
	if (has_news(sock))
		sock_readable(sock);
}

int sim_connect(struct sim *s, struct sim_conn *c, const char *path, const struct sim_conn_ops *ops,
		void *arg)
{
	SIM_HOST_SCOPE;
	struct sim_listener *l;
	int error;
	struct sim_sock *sock = sock_connect(s, path, &error, &l);

	if (!sock)
		return error;
	conn_begin(c, s, sock, ops, arg);
	return 0;
}

bool sim_conn_open(const struct sim_conn *c)
{
	return c->sock != NULL;
}

void sim_conn_send(struct sim_conn *c, const void *data, size_t len)
{
	SIM_HOST_SCOPE;

	if (!c->sock)
		return;
	const int rc = buf_append(&c->out, data, len);
	ASSERT(rc == 0);
	sock_writable(c->sock);
}

void sim_conn_pause(struct sim_conn *c, bool paused)
{
	SIM_HOST_SCOPE;

	c->paused = paused;
	if (!paused && c->sock && has_news(c->sock))
		sock_readable(c->sock);
}

static void conn_pass(struct sim_conn *c, struct sim_fd what)
{
	const struct sim_sock *to = c->sock ? c->sock->peer : NULL;

	if (to)
		sock_pass(c->sock, to->taken + buf_len(&to->rx) + buf_len(&c->out), what);
	else
		sim_fd_drop(&what);
}

void sim_conn_pass_process(struct sim_conn *c, struct sim_proc *p)
{
	SIM_HOST_SCOPE;

	p->refs++;
	conn_pass(c, (struct sim_fd){ .kind = SIM_FD_PROC, .proc = p });
}

int sim_conn_pass_connection(struct sim_conn *c, const char *path)
{
	SIM_HOST_SCOPE;
	struct sim_listener *l;
	int error = 0;
	struct sim_sock *sock = sock_connect(c->sim, path, &error, &l);

	if (!sock)
		return error;
	conn_pass(c, (struct sim_fd){ .kind = SIM_FD_SOCK, .sock = sock });
	return 0;
}

int sim_conn_pass_listener(struct sim_conn *c, const char *path)
{
	SIM_HOST_SCOPE;
	struct sim_listener *l;
	const int rc = bind_path(c->sim, path, &l);

	if (rc < 0)
		return rc;
	conn_pass(c, (struct sim_fd){ .kind = SIM_FD_LISTENER, .listener = l });
	return 0;
}

void sim_conn_pass_pair(struct sim_conn *c, struct sim_proc *p, int number)
{
	SIM_HOST_SCOPE;
	struct sim_sock *pair[2];
	const int rc = sock_pair(c->sim, pair);

	ASSERT(rc == 0);
	ASSERT(p->nfds < SIM_PROC_FDS);
	p->fds[p->nfds++] = (struct sim_inherited){ .number = number, .sock = pair[0] };
	conn_pass(c, (struct sim_fd){ .kind = SIM_FD_SOCK, .sock = pair[1] });
}

void sim_conn_close(struct sim_conn *c)
{
	SIM_HOST_SCOPE;
	struct sim_sock *sock = c->sock;

	if (!sock)
		return;
	/* What it has written is with the other end, as far as there is room. */
	const size_t room = room_for(sock);
	const size_t n = buf_len(&c->out) < room ? buf_len(&c->out) : room;

	if (n > 0)
		sock_put(sock, buf_data(&c->out), n);
	c->sock = NULL;
	c->proc = NULL;
	list_remove(&c->link);
	sim_event_cancel(c->sim, &c->readable);
	sim_event_cancel(c->sim, &c->writable);
	buf_fini(&c->out);
	sock->conn = NULL;
	sock_unref(sock);
}

int sim_proc_use(struct sim_proc *p, int number, struct sim_conn *c, const struct sim_conn_ops *ops,
		 void *arg)
{
	SIM_HOST_SCOPE;

	for (uint32_t i = 0; i < p->nfds; i++) {
		struct sim_inherited *fd = &p->fds[i];

		if (fd->number != number || !fd->sock || fd->sock->conn)
			continue;
		fd->sock->refs++;
		conn_begin(c, p->sim, fd->sock, ops, arg);
		c->proc = p;
		return 0;
	}
	return -EBADF;
}

int sim_proc_accept(struct sim_proc *p, int number, struct sim_conn *c,
		    const struct sim_conn_ops *ops, void *arg)
{
	SIM_HOST_SCOPE;

	for (uint32_t i = 0; i < p->nfds; i++) {
		struct sim_inherited *fd = &p->fds[i];

		if (fd->number != number || !fd->listener)
			continue;
		struct sim_sock *sock = sock_accept(fd->listener);

		if (!sock)
			return -EAGAIN;
		conn_begin(c, p->sim, sock, ops, arg);
		c->proc = p;
		return 0;
	}
	return -EBADF;
}

int sim_proc_listen(struct sim_proc *p, int number, const char *path)
{
	SIM_HOST_SCOPE;
	struct sim_listener *l;
	const int rc = bind_path(p->sim, path, &l);

	if (rc < 0)
		return rc;
	ASSERT(p->nfds < SIM_PROC_FDS);
	p->fds[p->nfds++] = (struct sim_inherited){ .number = number, .listener = l };
	return 0;
}

void sim_proc_on_accept(struct sim_proc *p, int number, void (*fn)(struct sim_proc *p, int number))
{
	for (uint32_t i = 0; i < p->nfds; i++) {
		struct sim_listener *l = p->fds[i].listener;

		if (p->fds[i].number != number || !l)
			continue;
		l->proc = fn ? p : NULL;
		l->number = number;
		l->on_accept = fn;
		listener_offer(l);
	}
}

void sim_proc_unlink(struct sim_proc *p, int number)
{
	for (uint32_t i = 0; i < p->nfds; i++) {
		const struct sim_listener *l = p->fds[i].listener;
		struct stat st;

		if (p->fds[i].number == number && l && lstat(l->path, &st) == 0 &&
		    st.st_ino == l->ino)
			IGNORE(unlink(l->path) < 0);
	}
}

/* The power is gone: nobody is told. */
void sock_drop_all(struct sim *s)
{
	list_for_each_safe (n, &s->conns) {
		struct sim_conn *c = list_entry(n, struct sim_conn, link);
		void (*end)(struct sim_conn * c, int error) = c->ops->end;

		sim_conn_close(c);
		end(c, -ECONNRESET);
	}
	while (!list_empty(&s->listeners))
		listener_unref(list_entry(list_first(&s->listeners), struct sim_listener, link));
	ASSERT(list_empty(&s->socks));
}
