#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "command.h"
#include "connect.h"
#include "near.h"
#include "progress.h"
#include "proto/frame.h"
#include "report.h"

enum {
	OUT_MAX = 8 << 20, /* bytes waiting to be sent: requests of thousands of calls */
	READ_BYTES = 64 * 1024,
	EXTRA_MAX = 4,           /* descriptors that a caller may add to a turn */
	OPEN_PATIENCE_MS = 3000, /* with a daemon that takes connections and closes them */
	OPEN_WAIT_FIRST_MS = 4,
	OPEN_WAIT_MAX_MS = 100,
};

static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH };

static int signals_open(struct session *s, struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(caught); i++)
		sigaddset(&set, caught[i]);
	if (sigprocmask(SIG_BLOCK, &set, &s->saved_mask) < 0)
		return err_sys(e, ERR_HOST_IO, "block signals");
	s->masked = true;
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0)
		return err_sys(e, ERR_HOST_IO, "signalfd");
	return 0;
}

void session_close(struct session *s)
{
	close_fd(&s->fd);
	close_fd(&s->signal_fd);
	buf_fini(&s->in);
	buf_fini(&s->out);
	map_fini(&s->calls);
	if (s->masked)
		(void)sigprocmask(SIG_SETMASK, &s->saved_mask, NULL);
	s->masked = false;
}

void call_fini(struct call *c)
{
	if (c->result)
		schema_fini(client_methods[c->method].result, c->result);
	free(c->result);
	c->result = NULL;
}

static struct call *call_of(struct map_node *n)
{
	return n ? container_of(n, struct call, node) : NULL;
}

/* Ids are never used twice, so the hash of one is the call's alone but for collisions. */
static struct call *call_find(const struct session *s, uint32_t id)
{
	for (struct map_node *n = map_find(&s->calls, map_hash_u64(id)); n; n = map_find_next(n))
		if (call_of(n)->id == id)
			return call_of(n);
	return NULL;
}

static void call_end(struct session *s, struct call *c)
{
	map_remove(&s->calls, &c->node);
	c->ended = true;
	if (c->progress && s->progress == c->progress) {
		progress_end(c->progress);
		s->progress = NULL;
	}
}

/* The connection is of no more use: every call ends with this error. */
static void session_lose(struct session *s, const struct err *e)
{
	struct map_node *n;

	s->lost = true;
	close_fd(&s->fd);
	while ((n = map_first(&s->calls)) != NULL) {
		struct call *c = call_of(n);

		c->err = *e;
		call_end(s, c);
	}
}

static void reply_take(struct session *s, struct call *c, const struct wire *w)
{
	const struct schema *schema = client_methods[c->method].result;

	if (!op_id_is_zero(&w->op_id))
		c->op_id = w->op_id;
	if (w->failed) {
		wire_error_get(w, &c->err);
		(void)snprintf(c->hint, sizeof(c->hint), "%s", w->error.hint);
		(void)snprintf(c->step, sizeof(c->step), "%s", w->error.step);
		if (c->err.code == ERR_NONE)
			c->err.code = ERR_INTERNAL;
	} else {
		c->result = calloc(1, schema->size);
		if (!c->result) {
			err_set(&c->err, ERR_HOST_MEMORY, "reply to %s",
				client_methods[c->method].name);
		} else if (schema_decode(schema, w->body.data, w->body.len, c->result, &c->err) <
			   0) {
			err_ctx(&c->err, "reply to %s", client_methods[c->method].name);
			free(c->result);
			c->result = NULL;
		}
	}
	call_end(s, c);
}

static int hello_take(struct session *s, const struct wire *w, struct err *e)
{
	uint32_t version;

	if (w->type != WIRE_HELLO || s->hello)
		return err_set(e, ERR_BAD_FRAME, "the daemon's first frame is not its hello");
	const int rc = wire_version_agree(w, &version, e);
	if (rc < 0)
		return rc;
	(void)snprintf(s->server, sizeof(s->server), "%s", w->name);
	s->hello = true;
	return 0;
}

static bool is_progress(const struct call *c, const struct wire *w)
{
	return c->progress && w->type == WIRE_EVENT && strcmp(w->name, "progress") == 0;
}

/* One that cannot be read is only not shown. */
static void progress_show(const struct call *c, const struct wire *w)
{
	struct progress_event ev;

	if (schema_decode(&progress_event_schema, w->body.data, w->body.len, &ev, NULL) == 0)
		progress_take(c->progress, &ev);
}

static int frame_take(struct session *s, const uint8_t *payload, size_t len, struct err *e)
{
	struct wire w;
	struct call *c;
	const int rc = wire_decode(payload, len, &w, e);

	if (rc < 0)
		return rc;
	if (w.type == WIRE_REPLY && w.id == 0) { /* about the connection; it ends now */
		wire_error_get(&w, e);
		return e->code ? err_errno(e) : err_set(e, ERR_BAD_FRAME, "a reply to nothing");
	}
	if (!s->hello || w.type == WIRE_HELLO)
		return hello_take(s, &w, e);
	c = call_find(s, w.id);
	if (!c)
		return 0; /* of a call that ended: data may cross with its cancel */
	if (w.type == WIRE_REPLY)
		reply_take(s, c, &w);
	else if (is_progress(c, &w))
		progress_show(c, &w);
	else if (c->on_event)
		c->on_event(c, &w);
	return 0;
}

static int input_take(struct session *s, struct err *e)
{
	for (;;) {
		const uint8_t *payload = NULL;
		const int len = wire_next(buf_data(&s->in), buf_len(&s->in), FRAME_MAX, &payload,
					  e);
		int rc;

		if (len <= 0)
			return len;
		rc = frame_take(s, payload, (size_t)len, e);
		if (rc < 0)
			return rc;
		buf_consume(&s->in, FRAME_HEAD + (size_t)len);
	}
}

static int input_read(struct session *s, struct err *e)
{
	uint8_t *at;
	const int rc = buf_reserve(&s->in, READ_BYTES, &at);

	if (rc < 0)
		return err_num(e, ERR_HOST_MEMORY, rc, "receive");
	const ssize_t n = read(s->fd, at, READ_BYTES);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0 && errno != ECONNRESET)
		return err_sys(e, ERR_DAEMON_DOWN, "connection to the daemon");
	if (n <= 0)
		return err_set(e, ERR_DAEMON_DOWN, "the daemon closed the connection");
	buf_commit(&s->in, (size_t)n);
	return input_take(s, e);
}

static int output_write(struct session *s, struct err *e)
{
	const ssize_t n = send(s->fd, buf_data(&s->out), buf_len(&s->out), MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	/* What the daemon said before it closed is still to be read: that read ends the session. */
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
		buf_clear(&s->out);
		return 0;
	}
	if (n < 0)
		return err_sys(e, ERR_DAEMON_DOWN, "connection to the daemon");
	buf_consume(&s->out, (size_t)n);
	return 0;
}

int session_send(struct session *s, const struct call *c, struct wire *w)
{
	if (s->lost || (c && c->ended))
		return -ENOTCONN;
	w->id = c ? c->id : 0;
	return wire_encode(w, &s->out);
}

void session_cancel_all(struct session *s)
{
	map_for_each (n, &s->calls) {
		struct wire w = { .type = WIRE_CANCEL };

		/* Out of memory: the second interrupt still ends us, and so the connection. */
		IGNORE(session_send(s, call_of(n), &w) < 0);
	}
}

/* What cannot be taken back: the daemon brings it to its end. */
static bool goes_on(const struct session *s)
{
	static const uint64_t ends = BIT(METHOD_VM_STOP) | BIT(METHOD_VM_KILL) |
				     BIT(METHOD_VM_DELETE);

	map_for_each (n, &s->calls)
		if (ends & BIT(call_of(n)->method))
			return true;
	return false;
}

static void signal_default(struct session *s, int signo)
{
	if (signo == SIGWINCH || signo == SIGUSR1 || signo == SIGUSR2)
		return;
	if (++s->interrupts > 1 || !s->hello)
		exit(STATUS_SIGNAL + signo); /* restores the terminal */
	s->signo = signo;
	session_cancel_all(s);
	if (s->progress) /* it goes on below what we say */
		progress_end(s->progress);
	report_note(s->o, "%s; interrupt again to leave at once",
		    goes_on(s) ? "what has begun goes on to its end" : "cancelling");
}

static void signals_take(struct session *s)
{
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		const int signo = (int)info.ssi_signo;

		if (!s->on_signal || !s->on_signal(s, signo))
			signal_default(s, signo);
	}
}

void session_turn(struct session *s, struct pollfd *extra, nfds_t nextra)
{
	struct pollfd fds[2 + EXTRA_MAX] = {
		{ .fd = s->fd, .events = POLLIN },
		{ .fd = s->signal_fd, .events = POLLIN },
	};
	struct err e = { 0 };
	int rc = 0;

	ASSERT(nextra <= EXTRA_MAX);
	if (buf_len(&s->out) > 0)
		fds[0].events |= POLLOUT;
	for (nfds_t i = 0; i < nextra; i++)
		fds[2 + i] = extra[i];
	const int ready = poll(fds, 2 + nextra, s->progress ? PROGRESS_TICK_MS : -1);

	if (ready == 0)
		progress_tick(s->progress);
	if (ready < 0) {
		if (errno == EINTR)
			return;
		err_sys(&e, ERR_HOST_IO, "poll");
		session_lose(s, &e);
		return;
	}
	for (nfds_t i = 0; i < nextra; i++)
		extra[i].revents = fds[2 + i].revents;
	if (fds[1].revents)
		signals_take(s);
	if (!s->lost && (fds[0].revents & POLLOUT))
		rc = output_write(s, &e);
	if (rc == 0 && !s->lost && (fds[0].revents & (POLLIN | POLLHUP | POLLERR)))
		rc = input_read(s, &e);
	if (rc < 0)
		session_lose(s, &e);
}

static int op_id_new(struct op_id *ret_id, struct err *e)
{
	struct timespec now;
	uint8_t random[10];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return err_sys(e, ERR_HOST_IO, "getrandom");
	(void)clock_gettime(CLOCK_REALTIME, &now);
	*ret_id = op_id_make((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, random);
	return 0;
}

int session_begin(struct session *s, struct call *c, enum client_method m, const void *args)
{
	struct wire w = { .type = WIRE_REQUEST };
	struct buf body;
	int rc = 0;

	c->o = s->o;
	c->method = m;
	c->id = ++s->next_id;
	if (s->lost)
		return err_set(&c->err, ERR_DAEMON_DOWN, "the daemon closed the connection");
	if (op_id_is_zero(&c->op_id))
		rc = op_id_new(&c->op_id, &c->err);
	if (rc < 0)
		return rc;
	(void)snprintf(w.name, sizeof(w.name), "%s", client_methods[m].name);
	w.op_id = c->op_id;
	w.progress = c->progress != NULL;
	buf_init(&body, FRAME_MAX);
	rc = schema_encode(client_methods[m].args, args, &body);
	if (rc == 0) {
		w.body = (struct wire_span){ buf_data(&body), buf_len(&body) };
		rc = session_send(s, c, &w);
	}
	buf_fini(&body);
	if (rc == 0)
		rc = map_insert(&s->calls, &c->node, map_hash_u64(c->id));
	if (rc == -ENOBUFS || rc == -EMSGSIZE)
		return err_set(&c->err, ERR_FRAME_TOO_BIG, "request %s: more than %d bytes",
			       client_methods[m].name, FRAME_MAX);
	if (rc == -EILSEQ)
		return err_set(&c->err, ERR_BAD_REQUEST, "request %s: a word is not UTF-8",
			       client_methods[m].name);
	if (rc == 0 && c->progress)
		s->progress = c->progress->live || c->progress->plain ? c->progress : NULL;
	if (rc < 0)
		return err_num(&c->err, ERR_HOST_MEMORY, rc, "request %s", client_methods[m].name);
	return 0;
}

int session_call(struct session *s, struct call *c, enum client_method m, const void *args)
{
	const int rc = session_begin(s, c, m, args);

	if (rc < 0)
		return rc;
	while (!c->ended)
		session_turn(s, NULL, 0);
	return c->err.code ? err_errno(&c->err) : 0;
}

static int hello_exchange(struct session *s, struct err *e)
{
	struct wire w = { .type = WIRE_HELLO,
			  .name = "banger/" BANGER_VERSION,
			  .version = WIRE_VERSION,
			  .version_min = WIRE_VERSION_MIN,
			  .frame_max = FRAME_MAX };
	int rc = session_send(s, NULL, &w);

	if (rc < 0)
		return err_num(e, ERR_HOST_MEMORY, rc, "hello");
	while (!s->hello) {
		struct pollfd fds[] = {
			{ .fd = s->fd, .events = POLLIN },
			{ .fd = s->signal_fd, .events = POLLIN },
		};

		if (buf_len(&s->out) > 0)
			fds[0].events |= POLLOUT;
		if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
			return err_sys(e, ERR_HOST_IO, "poll");
		if (fds[1].revents)
			signals_take(s);
		if (fds[0].revents & POLLOUT)
			rc = output_write(s, e);
		if (rc == 0 && (fds[0].revents & (POLLIN | POLLHUP | POLLERR)))
			rc = input_read(s, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Connected, perhaps to a daemon that it had to start; and introduced. */
static int open_once(struct session *s, const struct options *o, bool start,
		     struct connect_result *ret_how, struct err *e)
{
	int rc;

	s->fd = ret_how->fd;
	buf_clear(&s->in);
	buf_clear(&s->out);
	rc = s->masked ? 0 : signals_open(s, e); /* until here an interrupt ends us as usual */
	if (rc == 0)
		rc = hello_exchange(s, e);
	if (rc < 0)
		close_fd(&s->fd);
	if (rc < 0 && ret_how->started)
		return connect_explain(ret_how, e);
	return rc < 0 && e->code == ERR_DAEMON_DOWN && start && !o->socket ? -EAGAIN : rc;
}

int session_open(struct session *s, const struct options *o, bool start, struct err *e)
{
	int wait_ms = OPEN_WAIT_FIRST_MS;
	int waited_ms = 0;
	int rc;

	s->o = o;
	buf_init(&s->in, FRAME_HEAD + FRAME_MAX + READ_BYTES);
	buf_init(&s->out, OUT_MAX);
	map_init(&s->calls);
	/* The socket of a daemon that is leaving, or was killed, takes connections for a moment
	 * longer, until the kernel has taken its ring apart, and then closes them. */
	for (;;) {
		struct connect_result how = { 0 };

		rc = connect_daemon(o, start, &how, e);
		if (rc == 0)
			rc = open_once(s, o, start, &how, e);
		if (rc != -EAGAIN || waited_ms >= OPEN_PATIENCE_MS)
			return rc;
		*e = (struct err){ 0 };
		(void)poll(NULL, 0, wait_ms);
		waited_ms += wait_ms;
		wait_ms = wait_ms < OPEN_WAIT_MAX_MS ? wait_ms * 2 : wait_ms;
	}
}

int session_report(struct session *s, const struct call *c)
{
	char hint[ERR_TEXT_MAX];
	const int status = command_failure(s->o->command);

	if (s->signo && c->err.code == ERR_CANCELLED) {
		report_note(s->o, "%s", c->err.text);
		return STATUS_SIGNAL + s->signo;
	}
	text_copy(hint, sizeof(hint), c->hint);
	near_hint(s, &c->err, hint, sizeof(hint));
	report_error(s->o, &c->err, &c->op_id, hint, c->step);
	return s->signo ? STATUS_SIGNAL + s->signo : status;
}

int session_ask(const struct options *o, struct call *c, enum client_method m, const void *args)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;

	c->op_id = o->op_id;
	if (session_open(&s, o, true, &c->err) < 0) {
		report_error(o, &c->err, NULL, NULL, NULL);
		return command_failure(o->command);
	}
	return session_call(&s, c, m, args) < 0 ? session_report(&s, c) : STATUS_OK;
}
