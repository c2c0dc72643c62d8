/* io_sim.c - io.h on a simulated host: what is asked goes up as a flight, and comes down when the
 * host says so. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "io/sim_host.h"

enum {
	SLACK_US = 200, /* for how long a busy daemon is not woken */
	TURN_US = 40,   /* that its handlers take */
	POISON = 0xdb,  /* in receive buffers that are nobody's */
};

static struct sim *host; /* of the next io_create() */

void sim_use(struct sim *s)
{
	host = s;
}

/* ---- the daemon's descriptors ---- */

int sim_fd_put(struct sim_io *io, struct sim_fd what)
{
	uint32_t at = 0;

	while (at < io->nfds && io->fds[at].kind != SIM_FD_FREE)
		at++;
	if (at == SIM_FDS_MAX)
		return -EMFILE;
	if (at == io->nfds) {
		SIM_HOST_SCOPE;

		io->fds = realloc(io->fds, (io->nfds + 1) * sizeof(*io->fds));
		ASSERT(io->fds);
		io->nfds++;
	}
	io->fds[at] = what;
	io->nopen++;
	return SIM_FD_BASE + (int)at;
}

struct sim_fd *sim_fd_at(struct sim_io *io, int fd)
{
	const int at = fd - SIM_FD_BASE;

	if (at < 0 || (uint32_t)at >= io->nfds || io->fds[at].kind == SIM_FD_FREE)
		return NULL;
	return &io->fds[at];
}

void sim_fd_drop(struct sim_fd *what)
{
	const struct sim_fd was = *what;

	*what = (struct sim_fd){ .kind = SIM_FD_FREE };
	switch (was.kind) {
	case SIM_FD_SOCK:
		sock_unref(was.sock);
		break;
	case SIM_FD_LISTENER:
		listener_unref(was.listener);
		break;
	case SIM_FD_PROC:
		proc_unref(was.proc);
		break;
	case SIM_FD_FREE:
		break;
	}
}

static void fd_close(struct sim_io *io, struct sim_fd *fd)
{
	io->nopen--;
	sim_fd_drop(fd);
}

void sim_pass(struct io *io, struct io_stream *s, int fd)
{
	struct sim_io *sio = sim_io_of(io);
	struct sim_fd *from = sim_fd_at(sio, fd);
	const uint64_t at = io_stream_appended(s);
	SIM_HOST_SCOPE;

	ASSERT(from);
	sock_pass(sim_fd_at(sio, s->fd)->sock, at, *from);
	*from = (struct sim_fd){ .kind = SIM_FD_FREE };
	sio->nopen--;
}

/* They came with the bytes: see recv_fire(). */
void kernel_passed(struct io *io, struct stream *st)
{
	(void)io;
	(void)st;
}

void kernel_close(struct io *io, int fd)
{
	SIM_HOST_SCOPE;

	if (fd < 0)
		return;
	if (fd < SIM_FD_BASE) {
		close(fd);
		return;
	}
	struct sim_fd *open = sim_fd_at(sim_io_of(io), fd);

	ASSERT(open); /* closed twice, or never opened */
	fd_close(sim_io_of(io), open);
}

void io_close(struct io *io, int fd)
{
	kernel_close(io, fd);
}

int kernel_adopt_fd(struct io *io, int fd)
{
	ASSERT(sim_fd_at(sim_io_of(io), fd));
	return sim_ask(sim_io_of(io)->sim, SIM_OPEN, "");
}

int io_pair(struct io *io, int ret_fd[2])
{
	SIM_HOST_SCOPE;
	struct sim_io *sio = sim_io_of(io);
	struct sim_sock *pair[2];
	const int rc = sim_ask(sio->sim, SIM_PAIR, "");

	if (rc < 0)
		return rc;
	sock_pair(sio->sim, pair);
	for (int i = 0; i < 2; i++)
		ret_fd[i] = sim_fd_put(sio,
				       (struct sim_fd){ .kind = SIM_FD_SOCK, .sock = pair[i] });
	return 0;
}

int io_peer_uid(struct io *io, int fd, uid_t *ret_uid)
{
	SIM_HOST_SCOPE;
	const struct sim_fd *f = sim_fd_at(sim_io_of(io), fd);
	const struct sim_sock *peer;

	ASSERT(f && f->kind == SIM_FD_SOCK);
	peer = f->sock->peer;
	*ret_uid = peer && peer->conn ? peer->conn->uid : geteuid();
	return 0;
}

bool sim_daemon_rests(const struct sim *s)
{
	if (!s->daemon)
		return true;
	list_for_each (l, &s->daemon->flights) {
		const enum sim_effect e = list_entry(l, struct flight, link)->effect;

		if (e != SIM_RECV && e != SIM_ACCEPT && e != SIM_POLL)
			return false;
	}
	return list_empty(&s->daemon->io.queue) && list_empty(&s->daemon->io.late);
}

uint32_t sim_daemon_fds(const struct sim *s)
{
	return s->daemon ? s->daemon->nopen : 0;
}

/* ---- flights ---- */

static void flight_fire(struct sim_event *ev)
{
	struct flight *f = container_of(ev, struct flight, ev);

	if (f->cancelled) {
		flight_end(f, -ECANCELED, NO_BUF, false);
	} else if (f->verdict.error && f->effect != SIM_SPAWN) {
		flight_end(f, f->verdict.error, NO_BUF, false);
	} else if (!sim_act(f->io->sim)) {
		return;
	} else if (f->req->kind == REQ_WORK) {
		work_fire(f);
	} else if (!net_fire(f) && f->cancel_after) { /* else it waits for the next occasion */
		flight_end(f, -ECANCELED, NO_BUF, false);
	}
}

struct flight *flight_make(struct sim_io *io, struct io_req *r, enum sim_effect e)
{
	struct flight *f = sim_alloc(sizeof(*f));

	f->io = io;
	f->req = r;
	f->effect = e;
	f->ev.fire = flight_fire;
	list_append(&io->flights, &f->link);
	return f;
}

void flight_answer(struct flight *f, const char *what)
{
	struct sim *s = f->io->sim;

	if (!f->asked)
		sim_judge(s, f->effect, what, &f->verdict);
	f->asked = true;
	if (f->verdict.hang)
		return;
	sim_event_set(s, &f->ev,
		      f->verdict.delay_us ? f->verdict.delay_us : sim_usual_us(s, f->effect));
}

void flight_free(struct flight *f)
{
	SIM_HOST_SCOPE;

	sim_event_cancel(f->io->sim, &f->ev);
	list_remove(&f->link);
	list_remove(&f->wait);
	if (f->sock && f->sock->recv == f)
		f->sock->recv = NULL;
	if (f->sock && f->sock->send == f)
		f->sock->send = NULL;
	if (f->listener && f->listener->accept == f)
		f->listener->accept = NULL;
	free(f);
}

void flight_end(struct flight *f, int res, int bid, bool more)
{
	struct sim_io *io = f->io;
	struct io_req *r = f->req;

	if (more) {
		f->asked = false;
		f->verdict = (struct sim_verdict){ 0 };
		f->cancelled = f->cancel_after;
		if (f->cancelled)
			sim_event_set(io->sim, &f->ev, sim_usual_us(io->sim, f->effect));
		else
			net_ready(f);
	} else {
		flight_free(f);
	}
	const bool was = sim_daemon_runs;

	sim_daemon_runs = true;
	io_req_done(&io->io, r, res, bid, more);
	sim_daemon_runs = was;
}

static struct flight *flight_of(struct sim_io *io, const struct io_req *r)
{
	list_for_each (n, &io->flights) {
		struct flight *f = list_entry(n, struct flight, link);

		if (f->req == r)
			return f;
	}
	return NULL;
}

static struct sim_sock *sock_at(struct sim_io *io, int fd)
{
	const struct sim_fd *open = sim_fd_at(io, fd);

	ASSERT(open && open->kind == SIM_FD_SOCK);
	return open->sock;
}

static void submit_poll(struct sim_io *io, struct io_req *r)
{
	struct flight *f = flight_make(io, r, SIM_POLL);
	const struct sim_fd *fd = sim_fd_at(io, container_of(r, struct io_op, req)->priv.poll.fd);

	ASSERT(fd);
	if (fd->kind == SIM_FD_PROC) {
		f->proc = fd->proc;
		list_append(&f->proc->pollers, &f->wait);
		if (f->proc->exited)
			flight_answer(f, f->proc->program->name);
		return;
	}
	ASSERT(fd->kind == SIM_FD_SOCK);
	f->sock = fd->sock;
	list_append(&f->sock->pollers, &f->wait);
	net_ready(f);
}

static void submit_recv(struct sim_io *io, struct io_req *r)
{
	struct flight *f = flight_make(io, r, SIM_RECV);

	f->sock = sock_at(io, container_of(r, struct stream, recv)->s->fd);
	ASSERT(!f->sock->recv);
	f->sock->recv = f;
	net_ready(f);
}

static void submit_send(struct sim_io *io, struct io_req *r)
{
	struct flight *f = flight_make(io, r, SIM_SEND);
	struct stream *st = container_of(r, struct stream, send);

	f->len = stream_send_begin(st, &f->data);
	f->sock = sock_at(io, st->s->fd);
	ASSERT(!f->sock->send);
	f->sock->send = f;
	net_ready(f);
}

static void submit_accept(struct sim_io *io, struct io_req *r)
{
	struct flight *f = flight_make(io, r, SIM_ACCEPT);
	const struct sim_fd *fd = sim_fd_at(io, container_of(r, struct listener, accept)->l->fd);

	ASSERT(fd && fd->kind == SIM_FD_LISTENER);
	f->listener = fd->listener;
	ASSERT(!f->listener->accept);
	f->listener->accept = f;
	net_ready(f);
}

bool kernel_submit(struct io *io, struct io_req *r)
{
	struct sim_io *sio = sim_io_of(io);
	SIM_HOST_SCOPE;

	switch ((enum io_req_kind)r->kind) {
	case REQ_POLL:
		submit_poll(sio, r);
		break;
	case REQ_CONNECT:
		flight_answer(flight_make(sio, r, SIM_CONNECT),
			      container_of(r, struct io_op, req)->priv.connect);
		break;
	case REQ_RECV:
		submit_recv(sio, r);
		break;
	case REQ_SEND:
		submit_send(sio, r);
		break;
	case REQ_ACCEPT:
		submit_accept(sio, r);
		break;
	case REQ_WORK:
	case REQ_WAKE:
		ASSERT(!"never comes here");
	}
	return true;
}

/* Its own answer may still come first. */
bool kernel_cancel(struct io *io, struct io_req *r)
{
	SIM_HOST_SCOPE;
	struct sim *s = sim_io_of(io)->sim;
	struct flight *f = flight_of(sim_io_of(io), r);

	ASSERT(f);
	if (f->ev.slot != 0 && (s->conf.steady || sim_chance(s, 2))) {
		f->cancel_after = true;
		return true;
	}
	f->cancelled = true;
	sim_event_set(s, &f->ev, sim_usual_us(s, SIM_POLL));
	return true;
}

void kernel_buffer(struct io *io, int bid)
{
	struct sim_io *sio = sim_io_of(io);

	ASSERT(sio->nbufs < IO_BUFS);
	memset(pool_at(io, bid), POISON, IO_BUF_BYTES);
	sio->bufs[sio->nbufs++] = (uint16_t)bid;
}

/* ---- connecting ---- */

void io_connect_unix(struct io *io, struct io_op *op, const char *path)
{
	op_arm(io, op);
	op->req.kind = REQ_CONNECT;
	op->priv.connect = strdup(path);
	if (!op->priv.connect)
		op_end(io, op, -ENOMEM);
	else
		req_submit(io, &op->req, REQ_CONNECT);
}

int kernel_connected(struct io_op *op, int res)
{
	free(take_ptr(&op->priv.connect));
	return res;
}

void kernel_drop_result(struct io_op *op)
{
	if (op->msg.res < 0)
		return;
	if (op->req.kind == REQ_CONNECT)
		kernel_close(&host->daemon->io, op->msg.res);
	else if (op->req.kind == REQ_WORK && op->priv.work.spawn)
		kernel_close(&host->daemon->io, op->priv.work.spawn->pidfd);
}

/* ---- life ---- */

int io_create(const struct io_config *conf, struct actors *actors, struct io **ret_io,
	      struct err *e)
{
	static const struct sim_config steady = { .seed = 1, .steady = true };
	SIM_HOST_SCOPE;
	struct sim_io *io = sim_alloc(sizeof(*io));

	(void)conf;
	(void)e;
	if (core_init(&io->io, actors) < 0)
		ASSERT(!"memory");
	io->own_sim = !host;
	io->sim = host ? host : sim_create(&steady);
	host = io->sim;
	list_init(&io->flights);
	for (size_t i = 0; i < ARRAY_LEN(io->lanes); i++) {
		list_init(&io->lanes[i].queue);
		io->lanes[i].max = i == IO_LANE_STORE ? 1 : IO_LANE_THREADS;
	}
	ASSERT(!io->sim->daemon);
	io->sim->daemon = io;
	io->io.now_us = io->sim->now_us;
	*ret_io = &io->io;
	return 0;
}

void sim_io_drop(struct sim_io *io)
{
	while (!list_empty(&io->flights))
		flight_free(list_entry(list_first(&io->flights), struct flight, link));
	for (uint32_t i = 0; i < io->nfds; i++)
		fd_close(io, &io->fds[i]);
	free(io->fds);
	core_fini(&io->io);
	free(io);
}

void io_destroy(struct io *io)
{
	if (!io)
		return;
	SIM_HOST_SCOPE;
	struct sim *s = sim_io_of(io)->sim;
	const bool own = sim_io_of(io)->own_sim;

	ASSERT(list_empty(&sim_io_of(io)->flights));
	sim_kill(s);
	if (!own)
		return;
	host = NULL;
	sim_destroy(s);
}

/* ---- the turn ---- */

/* Nothing to do: to whatever comes next.  Else only as far as the handlers took. */
static void clock_advance(struct sim_io *io)
{
	struct sim *s = io->sim;
	uint64_t at_us = UINT64_MAX;
	uint64_t due_us;

	s->now_us++; /* no turn is for nothing */
	if (!actors_idle(io->io.actors) || !list_empty(&io->io.late) ||
	    !list_empty(&io->io.queue)) {
		s->now_us += s->conf.steady ? 0 : sim_choose(s, TURN_US);
		return;
	}
	IGNORE(!sim_next_us(s, &at_us));
	if (timer_next(&io->io, &due_us) && due_us < at_us)
		at_us = due_us;
	if (at_us == UINT64_MAX)
		return; /* nothing ever comes: a real one would sleep for good */
	if (at_us > s->now_us)
		s->now_us = at_us;
	if (!s->conf.steady)
		s->now_us += sim_choose(s, SLACK_US);
}

int io_turn(struct io *io)
{
	SIM_HOST_SCOPE;
	struct sim_io *sio = sim_io_of(io);
	struct sim *s = sio->sim;

	if (s->dead)
		return 0;
	sim_daemon_runs = true;
	core_flush(io);
	sim_daemon_runs = false;
	clock_advance(sio);
	io->now_us = s->now_us;
	core_announce(io);
	sim_fire_due(s);
	if (s->dead)
		return 0;
	sim_daemon_runs = true;
	timers_run(io);
	actors_run(io->actors);
	return 0;
}
