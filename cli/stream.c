#include "stream.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "proto/frame.h"
#include "report.h"
#include "sink.h"
#include "term.h"

enum {
	INTERRUPTS_MAX = 3,                  /* passed to the command; this one leaves */
	STDIN_AHEAD = 128 * 1024,            /* bytes unsent above which input is not read */
	SINK_LOW = 64 * 1024,                /* bytes unwritten below which credit is given back */
	MANY_BYTES_MAX = 8 << 20,            /* windows of several commands together */
	MANY_WINDOW_MIN = 8 * 1024,          /* ... but each at least this */
	LINE_WEIGHT = VM_NAME_MAX + 4,       /* bytes that a line grows by its name */
	LINE_WEIGHT_JSON = VM_NAME_MAX + 40, /* ... as JSON */
	OUTPUTS = 2,                         /* stdout, stderr */
	ARGS_HEAD = 4096, /* bytes of a request besides the command and its environment, at most */
	WORD_HEAD = 5,    /* bytes before a string, at most */
};

/* One command. */
struct stream {
	struct call call;
	struct streams *all;         /* borrowed */
	struct lines lines[OUTPUTS]; /* of several commands: the line that is not whole yet */
	uint32_t owed[OUTPUTS];      /* bytes taken, credit not yet given back */
	const char *name;            /* borrowed; of its VM */
};

struct streams {
	struct session *s; /* borrowed */
	struct stream *v;  /* owned */
	uint32_t n;
	uint32_t window;
	enum lines_form form;
	struct sink sinks[OUTPUTS]; /* of JSON the first takes all: lines are not to mix */
	bool many;                  /* of one, bytes pass as they are */
	bool tty;
	bool stdin_open;
	uint32_t stdin_credit;
	uint32_t interrupts;
	int broken; /* -errno: our output cannot be written, or more came than we granted */
};

static bool running(const struct streams *a)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (a->v[i].call.id && !a->v[i].call.ended)
			return true;
	return false;
}

static struct sink *sink_of(struct streams *a, uint32_t out)
{
	return &a->sinks[a->form == LINES_JSON ? 0 : out];
}

static void break_off(struct streams *a, int rc)
{
	if (a->broken)
		return;
	session_cancel_all(a->s);
	a->broken = rc;
}

static void data_take(struct stream *st, const struct wire *w)
{
	struct streams *a = st->all;
	const uint32_t out = w->stream - WIRE_STDOUT;
	struct sink *sink;
	int rc;

	if (w->stream != WIRE_STDOUT && w->stream != WIRE_STDERR)
		return;
	sink = sink_of(a, out);
	rc = a->many ? lines_add(&st->lines[out], w->bytes.data, w->bytes.len, sink)
		     : sink_add(sink, w->bytes.data, w->bytes.len);
	if (rc < 0)
		break_off(a, rc);
	st->owed[out] += (uint32_t)w->bytes.len;
}

static void on_event(struct call *c, const struct wire *w)
{
	struct stream *st = c->arg;

	if (w->type == WIRE_DATA)
		data_take(st, w);
	else if (w->type == WIRE_CREDIT && w->stream == WIRE_STDIN)
		st->all->stdin_credit += w->credit;
}

/* In quarters of the window: the other side always has at least three left, so nothing stalls. */
static void credit_give(struct streams *a)
{
	for (uint32_t i = 0; i < a->n; i++) {
		struct stream *st = &a->v[i];

		for (uint32_t out = 0; out < OUTPUTS; out++) {
			struct wire w = { .type = WIRE_CREDIT,
					  .stream = WIRE_STDOUT + out,
					  .credit = st->owed[out] };

			if (st->call.ended || st->owed[out] < a->window / 4 ||
			    sink_len(sink_of(a, out)) > SINK_LOW)
				continue;
			if (session_send(a->s, &st->call, &w) == 0)
				st->owed[out] = 0;
		}
	}
}

static void stdin_read(struct streams *a)
{
	struct wire w = { .type = WIRE_DATA, .stream = WIRE_STDIN };
	uint8_t bytes[4096];
	size_t want = a->stdin_credit < sizeof(bytes) ? a->stdin_credit : sizeof(bytes);
	const ssize_t n = read(STDIN_FILENO, bytes, want);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0)
		a->stdin_open = false; /* empty data: the end */
	w.bytes = (struct wire_span){ bytes, n > 0 ? (size_t)n : 0 };
	const int rc = session_send(a->s, &a->v[0].call, &w);
	if (rc < 0)
		break_off(a, rc);
	if (n > 0)
		a->stdin_credit -= (uint32_t)n;
}

static void resize(struct streams *a)
{
	struct wire w = { .type = WIRE_RESIZE };

	term_size(&w.rows, &w.cols);
	IGNORE(session_send(a->s, &a->v[0].call, &w) < 0); /* the next one may get through */
}

/* Without a terminal the command's signals are ours to pass; with one, its keys are. */
static bool on_signal(struct session *s, int signo)
{
	struct streams *a = s->arg;

	if (signo == SIGWINCH) {
		if (a->tty)
			resize(a);
		return true;
	}
	if (a->tty || s->interrupts > 0 || !running(a))
		return false;
	if ((signo == SIGINT || signo == SIGTERM) && ++a->interrupts >= INTERRUPTS_MAX) {
		s->interrupts++; /* so that this one leaves */
		return false;
	}
	for (uint32_t i = 0; i < a->n; i++) {
		struct wire w = { .type = WIRE_SIGNAL, .signo = (uint32_t)signo };

		if (a->v[i].call.id)
			IGNORE(session_send(s, &a->v[i].call, &w) < 0);
	}
	return true;
}

static void turn(struct streams *a)
{
	struct pollfd fds[1 + OUTPUTS] = {
		{ .fd = -1, .events = POLLIN },
		{ .fd = -1, .events = POLLOUT },
		{ .fd = -1, .events = POLLOUT },
	};
	int rc[OUTPUTS] = { 0 };

	if (a->stdin_open && a->stdin_credit > 0 && buf_len(&a->s->out) < STDIN_AHEAD && running(a))
		fds[0].fd = STDIN_FILENO;
	for (uint32_t out = 0; out < OUTPUTS; out++)
		if (sink_len(&a->sinks[out]) > 0)
			fds[1 + out].fd = a->sinks[out].fd;
	session_turn(a->s, fds, ARRAY_LEN(fds));
	if (fds[0].revents && running(a))
		stdin_read(a);
	for (uint32_t out = 0; out < OUTPUTS; out++)
		if (fds[1 + out].revents)
			rc[out] = sink_write(&a->sinks[out]);
	if (rc[0] < 0) /* without its messages a command may go on, without its output not */
		break_off(a, rc[0]);
	credit_give(a);
}

static void pump(struct streams *a)
{
	bool flushed = false;

	for (;;) {
		if (!running(a)) {
			for (uint32_t i = 0; i < a->n && !flushed; i++)
				for (uint32_t out = 0; out < OUTPUTS; out++)
					IGNORE(lines_end(&a->v[i].lines[out], sink_of(a, out)) < 0);
			flushed = true;
			if (sink_len(&a->sinks[0]) == 0 && sink_len(&a->sinks[1]) == 0)
				return;
		}
		turn(a);
	}
}

static enum lines_form form_of(const struct options *o)
{
	return o->json ? LINES_JSON : o->no_prefix ? LINES_BARE : LINES_NAMED;
}

static int streams_init(struct streams *a, struct session *s, const struct exec_args *args,
			uint32_t n, bool many)
{
	static const char *const names[OUTPUTS] = { "stdout", "stderr" };

	*a = (struct streams){
		.s = s, .n = n, .many = many, .tty = args->tty, .stdin_open = args->stdin_open
	};
	a->form = many ? form_of(s->o) : LINES_BARE;
	a->window = WIRE_STREAM_WINDOW;
	if (n > 1 && (uint64_t)n * a->window > MANY_BYTES_MAX)
		a->window = MANY_BYTES_MAX / n;
	if (a->window < MANY_WINDOW_MIN)
		a->window = MANY_WINDOW_MIN;
	a->v = calloc(n, sizeof(*a->v));
	if (!a->v)
		return -ENOMEM;
	/* Every byte may be a line of its own. */
	const size_t weight = a->form == LINES_JSON ? LINE_WEIGHT_JSON : LINE_WEIGHT;
	for (uint32_t out = 0; out < OUTPUTS; out++)
		sink_init(&a->sinks[out], out == 0 ? STDOUT_FILENO : STDERR_FILENO,
			  ((many ? weight : 1) * (size_t)n * OUTPUTS * a->window) + SINK_LOW);
	for (uint32_t i = 0; i < n; i++) {
		struct stream *st = &a->v[i];

		st->all = a;
		st->call.on_event = on_event;
		st->call.arg = st;
		for (uint32_t out = 0; out < OUTPUTS; out++)
			st->lines[out] = (struct lines){ .stream = names[out], .form = a->form };
	}
	return 0;
}

static void streams_fini(struct streams *a)
{
	for (uint32_t i = 0; a->v && i < a->n; i++)
		call_fini(&a->v[i].call);
	for (uint32_t out = 0; out < OUTPUTS; out++)
		sink_fini(&a->sinks[out]);
	free(a->v);
}

static void streams_run(struct streams *a)
{
	(void)fflush(stdout);
	a->s->on_signal = on_signal;
	a->s->arg = a;
	pump(a);
	term_restore();
	a->s->on_signal = NULL;
	a->s->arg = NULL;
}

/* We cancelled it ourselves: a closed pipe is no error of anybody's. */
static int broken_status(const struct streams *a)
{
	struct err e = { 0 };

	if (a->broken == -EPIPE)
		return STATUS_SIGNAL + SIGPIPE;
	if (a->broken == -ENOBUFS)
		err_set(&e, ERR_BAD_FRAME, "the daemon sent more output than it might");
	else
		err_num(&e, ERR_HOST_IO, a->broken, "standard output");
	report_error(a->s->o, &e, NULL, NULL, NULL);
	return STATUS_OURS;
}

/* docker's statuses: 127 not found, 126 not executable, 125 anything else of ours. */
static int failed_status(const struct call *c)
{
	return c->err.code == ERR_EXEC_NOT_FOUND ? STATUS_NOT_FOUND
	       : c->err.code == ERR_EXEC_DENIED  ? STATUS_DENIED
						 : STATUS_OURS;
}

static int stream_status(const struct streams *a, struct stream *st)
{
	const struct exec_result *r = st->call.result;
	int status;

	if (r)
		return r->status & 0xff;
	if (a->broken && a->s->signo == 0 && !a->s->lost)
		return broken_status(a);
	if (a->s->lost)
		err_ctx(&st->call.err, "the command's exit status is not known");
	status = session_report(a->s, &st->call);
	return a->s->signo ? status : failed_status(&st->call);
}

int stream_one(struct session *s, const struct exec_args *args, const struct op_id *op_id)
{
	struct streams a = { 0 };
	struct err e = { 0 };
	int status = STATUS_OURS;

	if (streams_init(&a, s, args, 1, false) < 0) {
		err_set(&e, ERR_HOST_MEMORY, "exec");
	} else if (!args->tty || term_raw(&e) == 0) {
		if (op_id)
			a.v[0].call.op_id = *op_id;
		if (session_begin(s, &a.v[0].call, METHOD_VM_EXEC, args) == 0)
			streams_run(&a);
		term_restore();
		status = stream_status(&a, &a.v[0]);
	}
	if (e.code)
		report_error(s->o, &e, NULL, NULL, NULL);
	streams_fini(&a);
	return status;
}

struct exit_event {
	char vm[VM_NAME_MAX + 1];
	char event[8];
	int32_t status;
	char code[48];
	char message[ERR_TEXT_MAX];
};

static const struct field exit_event_fields[] = {
	FIELD(struct exit_event, vm, FIELD_STR, true, 0, 0, "its name"),
	FIELD(struct exit_event, event, FIELD_STR, true, 0, 0, "exit"),
	FIELD(struct exit_event, status, FIELD_I32, true, 0, 0, "of the command, or 125 to 127"),
	FIELD(struct exit_event, code, FIELD_STR, true, 0, 0, "where it could not run"),
	FIELD(struct exit_event, message, FIELD_TEXT, true, 0, 0, "why not"),
};
static const struct schema exit_event_schema = SCHEMA("exit_event", struct exit_event,
						      exit_event_fields);

/* A line of JSON for each, in the order of the VMs. */
static uint32_t many_end_json(const struct streams *a)
{
	uint32_t failed = 0;
	struct err e = { 0 };

	for (uint32_t i = 0; i < a->n; i++) {
		const struct call *c = &a->v[i].call;
		const struct exec_result *r = c->result;
		struct exit_event ev = { .event = "exit",
					 .status = r ? r->status : failed_status(c) };

		failed += ev.status != 0;
		(void)snprintf(ev.vm, sizeof(ev.vm), "%s", a->v[i].name);
		(void)snprintf(ev.code, sizeof(ev.code), "%s", r ? "" : err_name(c->err.code));
		(void)snprintf(ev.message, sizeof(ev.message), "%s", r ? "" : c->err.text);
		IGNORE(report_json_value(&exit_event_schema, &ev, &e) < 0 || putchar('\n') < 0);
	}
	return failed;
}

/* The failures, after the output: "web-2: exit status 3". */
static uint32_t many_end(const struct streams *a)
{
	uint32_t failed = 0;

	for (uint32_t i = 0; i < a->n; i++) {
		struct stream *st = &a->v[i];
		const struct exec_result *r = st->call.result;

		if (r && r->status == 0)
			continue;
		failed++;
		if (r) {
			report_note(a->s->o, "%s: exit status %d", st->name, r->status);
			continue;
		}
		err_ctx(&st->call.err, "%s", st->name);
		(void)stream_status(a, st);
	}
	return failed;
}

uint32_t stream_many(struct session *s, const struct exec_args *args,
		     const struct stream_target *targets, uint32_t n)
{
	struct exec_args one = *args;
	struct streams a = { 0 };
	struct err e = { 0 };
	uint32_t failed = n;

	one.stdin_open = false;
	one.tty = false;
	if (n == 0)
		return 0;
	if (streams_init(&a, s, &one, n, true) < 0) {
		err_set(&e, ERR_HOST_MEMORY, "exec in %u VMs", n);
		report_error(s->o, &e, NULL, NULL, NULL);
		return n;
	}
	one.window = a.window;
	for (uint32_t i = 0; i < n; i++) {
		(void)snprintf(one.ref, sizeof(one.ref), "%s", targets[i].ref);
		a.v[i].name = targets[i].name;
		for (uint32_t out = 0; out < OUTPUTS; out++)
			a.v[i].lines[out].name = targets[i].name;
		if (session_begin(s, &a.v[i].call, METHOD_VM_EXEC, &one) < 0)
			a.v[i].call.ended = true;
	}
	streams_run(&a);
	failed = a.form == LINES_JSON ? many_end_json(&a) : many_end(&a);
	streams_fini(&a);
	return failed;
}

static int shell_args(struct exec_args *a, bool terminal, struct err *e)
{
	a->tty = terminal;
	a->stdin_open = true;
	if (terminal)
		return 0; /* the daemon knows the login shell */
	if (strv_add(&a->argv, "/bin/sh") < 0)
		return err_set(e, ERR_HOST_MEMORY, "command");
	return 0;
}

static int command_args(const struct options *o, struct exec_args *a, bool terminal, struct err *e)
{
	a->tty = o->tty;
	a->stdin_open = !o->no_stdin && (o->tty || o->interactive || !terminal);
	if (o->tty && !terminal)
		return err_set(e, ERR_BAD_REQUEST, "--tty: standard input is not a terminal");
	for (uint32_t i = 0; i < o->ntail; i++)
		if (strv_add(&a->argv, o->tail[i]) < 0)
			return err_set(e, ERR_HOST_MEMORY, "command");
	return 0;
}

/* Said here, where the words are: they reach the guest in one frame. */
static int weight_check(const struct exec_args *a, struct err *e)
{
	size_t argv = 0;
	size_t env = 0;

	for (uint32_t i = 0; i < a->argv.n; i++)
		argv += strlen(a->argv.v[i]) + WORD_HEAD;
	for (uint32_t i = 0; i < a->env.n; i++)
		env += strlen(a->env.v[i]) + WORD_HEAD;
	if (argv + env > FRAME_MAX - ARGS_HEAD)
		return err_set(e, ERR_BAD_REQUEST,
			       "the command has %zu bytes and its environment %zu, at most %d "
			       "together; use its standard input for more",
			       argv, env, FRAME_MAX - ARGS_HEAD);
	return 0;
}

int stream_args(const struct options *o, bool shell, struct exec_args *ret_args, struct err *e)
{
	const bool terminal = isatty(STDIN_FILENO);
	const char *term = getenv("TERM");
	struct exec_args a = { 0 };
	int rc;

	if (o->cwd && strlen(o->cwd) >= sizeof(a.cwd))
		return err_set(e, ERR_BAD_REQUEST, "--workdir is longer than %zu bytes",
			       sizeof(a.cwd) - 1);
	if (o->ntail > ARGV_MAX)
		return err_set(e, ERR_BAD_REQUEST,
			       "the command has %u words, at most %d; xargs(1) can split them",
			       o->ntail, ARGV_MAX);
	(void)snprintf(a.cwd, sizeof(a.cwd), "%s", o->cwd ? o->cwd : "");
	rc = shell ? shell_args(&a, terminal, e) : command_args(o, &a, terminal, e);
	if (rc == 0 && strv_copy(&a.env, &o->env) < 0)
		rc = err_set(e, ERR_HOST_MEMORY, "environment");
	if (rc == 0 && a.tty)
		term_size(&a.rows, &a.cols);
	if (rc == 0 && a.tty && term && !strv_value(&a.env, "TERM") &&
	    strv_addf(&a.env, "TERM=%s", term) < 0)
		rc = err_set(e, ERR_HOST_MEMORY, "environment");
	if (rc == 0)
		rc = weight_check(&a, e);
	if (rc < 0) {
		schema_fini(&exec_args_schema, &a);
		return rc;
	}
	*ret_args = a;
	return 0;
}
