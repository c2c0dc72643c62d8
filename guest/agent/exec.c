#include "guest/agent/exec.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent/copy.h"

enum {
	SIGNAL_STATUS = 128, /* plus the signal's number, as a shell has it */
	VEOF_DEFAULT = 4,    /* ^D, a terminal's end of input */
};

/* ---- beginning and end ---- */

void exec_destroy(struct exec *x)
{
	if (!x)
		return;
	watch_close(x->epoll, &x->process);
	watch_close(x->epoll, &x->failure);
	watch_close(x->epoll, &x->in);
	for (size_t i = 0; i < ARRAY_LEN(x->out); i++)
		watch_close(x->epoll, &x->out[i].w);
	buf_fini(&x->pending);
	free(x);
}

static int watch_maybe(int epoll, struct watch *w, int fd, uint32_t events)
{
	return fd < 0 ? 0 : watch_add(epoll, w, fd, events);
}

/* Takes all descriptors.  A child that cannot be watched is killed: nobody would reap it. */
static int adopt(struct exec *x, const struct spawned *s, struct err *e)
{
	const int pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
	int rc = pidfd < 0 ? -errno : watch_add(x->epoll, &x->process, pidfd, EPOLLIN);
	const int rcs[] = {
		watch_maybe(x->epoll, &x->in, s->in, EPOLLOUT),
		watch_maybe(x->epoll, &x->out[0].w, s->out, EPOLLIN),
		watch_maybe(x->epoll, &x->out[1].w, s->err, EPOLLIN),
		watch_maybe(x->epoll, &x->failure, s->failure, EPOLLIN),
	};

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(rcs); i++)
		rc = rcs[i];
	x->pid = s->pid;
	if (rc == 0)
		return 0;
	(void)kill(s->pid, SIGKILL);
	(void)waitpid(s->pid, NULL, 0);
	return err_num(e, ERR_EXEC_FAILED, rc, "watch");
}

static struct exec *exec_new(int epoll, const struct wire *request, enum exec_kind kind,
			     const char *what, struct err *e)
{
	struct exec *x = calloc(1, sizeof(*x));

	if (!x) {
		err_num(e, ERR_EXEC_FAILED, ENOMEM, "start");
		return NULL;
	}
	x->epoll = epoll;
	x->id = request->id;
	x->op_id = request->op_id;
	x->kind = kind;
	x->deadline_ms = -1;
	x->process.fd = x->failure.fd = x->in.fd = -EBADF;
	x->out[0].w.fd = x->out[1].w.fd = -EBADF;
	x->out[0].stream = WIRE_STDOUT;
	x->out[1].stream = WIRE_STDERR;
	buf_init(&x->pending, WIRE_STREAM_WINDOW);
	(void)snprintf(x->what, sizeof(x->what), "%s", what);
	return x;
}

static void exec_streams(struct exec *x, uint32_t window, bool input)
{
	x->out[0].credit = x->out[1].credit = window > 0 ? window : WIRE_STREAM_WINDOW;
	x->in_consumed = input ? WIRE_STREAM_WINDOW : 0; /* to be granted */
}

/* The child has been started, or rc says why not. */
static int exec_started(struct exec *x, int rc, const struct spawned *s, struct exec **ret_exec,
			struct err *e)
{
	if (rc == 0)
		rc = adopt(x, s, e);
	if (rc < 0) {
		exec_destroy(x);
		return rc;
	}
	*ret_exec = x;
	return 0;
}

int exec_begin_command(int epoll, const struct wire *request, const void *args,
		       struct exec **ret_exec, struct err *e)
{
	const struct guest_exec_args *a = args;
	struct exec *x = exec_new(epoll, request, EXEC_COMMAND,
				  a->argv.n > 0 ? a->argv.v[0] : "login shell", e);
	struct spawned s;

	if (!x)
		return err_errno(e);
	x->tty = a->tty;
	exec_streams(x, a->window, a->stdin_open);
	return exec_started(x, spawn_command(a, &s, e), &s, ret_exec, e);
}

int exec_begin_copy_in(int epoll, const struct wire *request, const void *args,
		       struct exec **ret_exec, struct err *e)
{
	const struct guest_copy_in_args *a = args;
	struct exec *x = exec_new(epoll, request, EXEC_COPY, "copy", e);
	struct spawned s;

	if (!x)
		return err_errno(e);
	exec_streams(x, a->window, true);
	return exec_started(x, spawn_function(copy_in_work, a, SPAWN_INPUT, &s, e), &s, ret_exec,
			    e);
}

int exec_begin_copy_out(int epoll, const struct wire *request, const void *args,
			struct exec **ret_exec, struct err *e)
{
	const struct guest_copy_out_args *a = args;
	struct exec *x = exec_new(epoll, request, EXEC_COPY, "copy", e);
	struct spawned s;

	if (!x)
		return err_errno(e);
	exec_streams(x, a->window, false);
	return exec_started(x, spawn_function(copy_out_work, a, SPAWN_OUTPUT, &s, e), &s, ret_exec,
			    e);
}

int exec_begin_sync(int epoll, const struct wire *request, const void *args, struct exec **ret_exec,
		    struct err *e)
{
	struct exec *x = exec_new(epoll, request, EXEC_SYNC, "sync", e);
	struct spawned s;

	if (!x)
		return err_errno(e);
	return exec_started(x, spawn_function(spawn_sync_work, args, SPAWN_NO_STREAMS, &s, e), &s,
			    ret_exec, e);
}

/* ---- stdin ---- */

int exec_stdin(struct exec *x, const struct wire *data, struct err *e)
{
	const size_t len = data->bytes.len;

	if (data->stream != WIRE_STDIN || len > x->in_credit)
		return err_set(e, ERR_BAD_REQUEST, "stdin: %zu bytes, credit is %u", len,
			       x->in_credit);
	x->in_credit -= (uint32_t)len;
	if (len == 0)
		x->in_ends = true;
	else if (x->in.fd < 0 || x->in_ends)
		x->in_consumed += (uint32_t)len; /* nobody reads it */
	else if (buf_append(&x->pending, data->bytes.data, len) < 0)
		return err_num(e, ERR_EXEC_FAILED, ENOMEM, "stdin");
	return 0;
}

static void stdin_drop(struct exec *x)
{
	x->in_consumed += (uint32_t)buf_len(&x->pending);
	buf_clear(&x->pending);
	watch_close(x->epoll, &x->in);
}

static bool stdin_write(struct exec *x)
{
	const ssize_t n = write(x->in.fd, buf_data(&x->pending), buf_len(&x->pending));

	if (n > 0) {
		buf_consume(&x->pending, (size_t)n);
		x->in_consumed += (uint32_t)n;
	} else if (n < 0 && errno == EAGAIN) {
		x->in.ready = false;
		return false;
	} else if (n < 0 && errno != EINTR) {
		stdin_drop(x); /* EPIPE, EIO: the reader is gone */
	}
	return true;
}

/* A terminal has one open file for both directions; its input ends by a character. */
static bool stdin_end(struct exec *x)
{
	const char eof = VEOF_DEFAULT;

	if (x->tty && write(x->in.fd, &eof, 1) < 0 && errno == EAGAIN) {
		x->in.ready = false;
		return false;
	}
	watch_close(x->epoll, &x->in);
	return true;
}

static bool stdin_pump(struct exec *x, struct channel *c)
{
	bool moved = false;

	if (x->in.fd >= 0 && x->in.ready && buf_len(&x->pending) > 0)
		moved = stdin_write(x);
	if (x->in.fd >= 0 && x->in.ready && x->in_ends && buf_len(&x->pending) == 0)
		moved = stdin_end(x) || moved;
	if (x->in_consumed >= STDIN_CREDIT_STEP && !x->muted && channel_room(c)) {
		const struct wire credit = { .type = WIRE_CREDIT,
					     .id = x->id,
					     .stream = WIRE_STDIN,
					     .credit = x->in_consumed };

		channel_send(c, &credit);
		x->in_credit += x->in_consumed;
		x->in_consumed = 0;
		moved = true;
	}
	return moved;
}

/* ---- stdout and stderr ---- */

void exec_credit(struct exec *x, const struct wire *credit)
{
	for (size_t i = 0; i < ARRAY_LEN(x->out); i++) {
		struct exec_output *o = &x->out[i];

		if (credit->stream == (uint32_t)o->stream)
			o->credit = credit->credit > UINT32_MAX - o->credit
					    ? UINT32_MAX
					    : o->credit + credit->credit;
	}
}

static void output_send(const struct exec *x, struct channel *c, const struct exec_output *o,
			size_t len)
{
	const struct wire data = {
		.type = WIRE_DATA, .id = x->id, .stream = o->stream, .bytes = { c->chunk, len }
	};

	channel_send(c, &data);
}

/* One chunk at most, so that commands take turns. */
static bool output_pump(struct exec *x, struct channel *c, struct exec_output *o)
{
	size_t want = sizeof(c->chunk);
	ssize_t n;

	if (o->w.fd < 0 || !o->w.ready || o->credit == 0 || !channel_room(c))
		return false;
	if (want > o->credit)
		want = o->credit;
	n = read(o->w.fd, c->chunk, want);
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == EAGAIN) {
		o->w.ready = false;
		o->remainder = 0;
		return true;
	}
	if (n > 0) {
		o->credit -= (uint32_t)n;
		o->remainder -= n;
		output_send(x, c, o, (size_t)n);
		return true;
	}
	output_send(x, c, o, 0); /* the end; EIO when a terminal's last user is gone */
	watch_close(x->epoll, &o->w);
	return true;
}

/* Whatever is in the pipe when the command ends is its own and is sent however long the daemon
 * takes; what others write later has DRAIN_GRACE_MS. */
static void output_remember(struct exec_output *o)
{
	int waiting = 0;

	if (o->w.fd >= 0 && ioctl(o->w.fd, FIONREAD, &waiting) == 0)
		o->remainder = waiting;
}

static bool output_over(const struct exec *x, const struct exec_output *o, int64_t now_ms)
{
	return o->w.fd < 0 || (now_ms >= x->deadline_ms && o->remainder <= 0);
}

/* ---- the process ---- */

void exec_signal(const struct exec *x, int signo)
{
	if (x->ended || x->kind == EXEC_SYNC)
		return;
	/* A child that has only just been forked leads no group yet. */
	if (kill(-x->pid, signo) < 0 && errno == ESRCH)
		(void)kill(x->pid, signo);
}

void exec_resize(const struct exec *x, uint32_t rows, uint32_t cols)
{
	if (x->tty && x->out[0].w.fd >= 0)
		terminal_resize(x->out[0].w.fd, rows, cols);
}

void exec_cancel(struct exec *x, int64_t now_ms)
{
	if (x->cancelled || x->ended)
		return;
	x->cancelled = true;
	x->deadline_ms = now_ms + CANCEL_GRACE_MS;
	if (x->kind == EXEC_COPY) {
		stdin_drop(x); /* an archive cut short: it removes what is not whole, and ends */
		return;
	}
	exec_signal(x, SIGHUP);
	exec_signal(x, SIGCONT);
}

void exec_mute(struct exec *x, int64_t now_ms)
{
	x->muted = true;
	stdin_drop(x);
	for (size_t i = 0; i < ARRAY_LEN(x->out); i++)
		watch_close(x->epoll, &x->out[i].w);
	exec_cancel(x, now_ms);
}

static bool process_pump(struct exec *x, int64_t now_ms)
{
	if (x->ended)
		return false;
	if (x->cancelled && x->deadline_ms >= 0 && now_ms >= x->deadline_ms) {
		exec_signal(x, SIGKILL);
		x->deadline_ms = -1;
	}
	if (!x->process.ready)
		return false;
	if (waitpid(x->pid, &x->wait_status, WNOHANG) != x->pid) {
		x->process.ready = false;
		return false;
	}
	if (x->cancelled)
		(void)kill(-x->pid, SIGKILL); /* what it left behind */
	x->ended = true;
	x->deadline_ms = now_ms + DRAIN_GRACE_MS;
	for (size_t i = 0; i < ARRAY_LEN(x->out); i++)
		output_remember(&x->out[i]);
	return true;
}

static int command_result(const struct exec *x, struct buf *body, struct err *e)
{
	struct exec_result result = { .status = WEXITSTATUS(x->wait_status) };
	int rc = spawn_failure_read(x->failure.fd, x->what, e);

	if (WIFSIGNALED(x->wait_status)) {
		result.signo = (uint32_t)WTERMSIG(x->wait_status);
		result.status = SIGNAL_STATUS + WTERMSIG(x->wait_status);
	}
	if (rc < 0)
		return rc;
	rc = schema_encode(&exec_result_schema, &result, body);
	return rc < 0 ? err_num(e, ERR_EXEC_FAILED, rc, "%s", x->what) : 0;
}

static int copy_end(const struct exec *x, struct buf *body, struct err *e)
{
	struct copy_result result = { 0 };
	int rc;

	if (WIFSIGNALED(x->wait_status))
		return err_set(e, ERR_FILE_IO, "the copy was killed by signal %d",
			       WTERMSIG(x->wait_status));
	rc = copy_report_read(x->failure.fd, &result, e);
	if (rc < 0)
		return rc;
	rc = schema_encode(&copy_result_schema, &result, body);
	return rc < 0 ? err_num(e, ERR_EXEC_FAILED, rc, "%s", x->what) : 0;
}

static int result_encode(const struct exec *x, struct buf *body, struct err *e)
{
	if (x->cancelled)
		return err_set(e, ERR_CANCELLED, "%s", x->what);
	switch (x->kind) {
	case EXEC_COMMAND:
		return command_result(x, body, e);
	case EXEC_COPY:
		return copy_end(x, body, e);
	case EXEC_SYNC:
		break; /* an empty map */
	}
	return 0;
}

static void reply(const struct exec *x, struct channel *c)
{
	struct wire w = { .type = WIRE_REPLY, .id = x->id, .op_id = x->op_id };
	struct err e = { 0 };
	struct buf body;

	buf_init(&body, FRAME_ROOM);
	if (result_encode(x, &body, &e) < 0)
		wire_error_set(&w, &e, NULL);
	else
		w.body = (struct wire_span){ buf_data(&body), buf_len(&body) };
	channel_send(c, &w);
	buf_fini(&body);
}

bool exec_pump(struct exec *x, struct channel *c, int64_t now_ms, bool *ret_done)
{
	bool moved = process_pump(x, now_ms);

	*ret_done = false;
	if (x->muted) {
		*ret_done = x->ended;
		return moved;
	}
	moved = stdin_pump(x, c) || moved;
	for (size_t i = 0; i < ARRAY_LEN(x->out); i++)
		moved = output_pump(x, c, &x->out[i]) || moved;
	if (!x->ended || !output_over(x, &x->out[0], now_ms) ||
	    !output_over(x, &x->out[1], now_ms) || !channel_room(c))
		return moved;
	reply(x, c);
	*ret_done = true;
	return true;
}
