#include "guest/agent/session.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/assert.h"
#include "guest/agent/exec.h"
#include "guest/agent/ports.h"
#include "guest/agent/stats.h"
#include "guest/agent/status.h"
#include "guest/agent/watch.h"

void session_init(struct session *s, int epoll, bool ends)
{
	s->epoll = epoll;
	s->open = false;
	s->nexecs = 0;
	s->power_off = false;
	list_init(&s->execs);
	channel_init(&s->channel, epoll, ends);
}

void session_fini(struct session *s)
{
	struct list_node *n;

	while ((n = list_pop(&s->execs)) != NULL) {
		struct exec *x = list_entry(n, struct exec, link);

		exec_signal(x, SIGKILL);
		exec_destroy(x);
	}
	channel_fini(&s->channel);
}

static struct exec *find(const struct session *s, uint32_t id)
{
	list_for_each (n, &s->execs) {
		struct exec *x = list_entry(n, struct exec, link);

		if (x->id == id && !x->muted)
			return x;
	}
	return NULL;
}

static void exec_add(struct session *s, struct exec *x)
{
	list_append(&s->execs, &x->link);
	s->nexecs++;
}

static void exec_drop(struct session *s, struct exec *x)
{
	list_remove(&x->link);
	s->nexecs--;
	exec_destroy(x);
}

/* ---- replies that are made at once ---- */

static void reply_error(struct session *s, const struct wire *request, const struct err *e)
{
	struct wire w = { .type = WIRE_REPLY, .id = request->id, .op_id = request->op_id };

	wire_error_set(&w, e, NULL);
	channel_send(&s->channel, &w);
}

static int reply_result(struct session *s, const struct wire *request, const struct schema *schema,
			const void *result, struct err *e)
{
	struct wire w = { .type = WIRE_REPLY, .id = request->id, .op_id = request->op_id };
	struct buf body;
	int rc;

	buf_init(&body, WIRE_CHUNK_MAX);
	rc = schema_encode(schema, result, &body);
	if (rc == 0) {
		w.body = (struct wire_span){ buf_data(&body), buf_len(&body) };
		channel_send(&s->channel, &w);
	} else {
		(void)err_num(e, ERR_INTERNAL, rc, "reply");
	}
	buf_fini(&body);
	return rc;
}

/* ---- methods ---- */

static int no_args(const struct wire *request, struct err *e)
{
	struct none nothing;

	return schema_decode(&none_schema, request->body.data, request->body.len, &nothing, e);
}

static int room_for_one(const struct session *s, uint32_t id, struct err *e)
{
	if (find(s, id))
		return err_set(e, ERR_BAD_REQUEST, "id %u is in use", id);
	if (s->nexecs >= GUEST_EXECS_MAX)
		return err_set(e, ERR_BUSY, "%d commands run", GUEST_EXECS_MAX);
	return 0;
}

static int method_status(struct session *s, const struct wire *request, struct err *e)
{
	struct guest_status status;
	const int rc = no_args(request, e);

	if (rc < 0)
		return rc;
	status_read(&status);
	return reply_result(s, request, &guest_status_schema, &status, e);
}

static int method_stats(struct session *s, const struct wire *request, struct err *e)
{
	struct guest_stats stats;
	const int rc = no_args(request, e);

	if (rc < 0)
		return rc;
	stats_read(&stats);
	return reply_result(s, request, &guest_stats_schema, &stats, e);
}

static int method_ports(struct session *s, const struct wire *request, struct err *e)
{
	struct guest_ports ports = { 0 };
	int rc = no_args(request, e);

	if (rc == 0)
		rc = ports_read(&ports, e);
	if (rc == 0)
		rc = reply_result(s, request, &guest_ports_schema, &ports, e);
	schema_fini(&guest_ports_schema, &ports);
	return rc;
}

/* Methods that are children: their arguments, and how one begins. */
union spawn_args {
	struct guest_exec_args exec;
	struct guest_copy_in_args copy_in;
	struct guest_copy_out_args copy_out;
	struct none none;
};

static int spawn(struct session *s, const struct wire *request, const struct schema *schema,
		 exec_begin *begin, struct err *e)
{
	union spawn_args args;
	struct exec *x = NULL;
	int rc = room_for_one(s, request->id, e);

	if (rc == 0)
		rc = schema_decode(schema, request->body.data, request->body.len, &args, e);
	if (rc < 0)
		return rc;
	rc = begin(s->epoll, request, &args, &x, e);
	if (rc == 0)
		exec_add(s, x);
	schema_fini(schema, &args);
	return rc;
}

static int method_exec(struct session *s, const struct wire *request, struct err *e)
{
	return spawn(s, request, &guest_exec_args_schema, exec_begin_command, e);
}

static int method_copy_in(struct session *s, const struct wire *request, struct err *e)
{
	return spawn(s, request, &guest_copy_in_args_schema, exec_begin_copy_in, e);
}

static int method_copy_out(struct session *s, const struct wire *request, struct err *e)
{
	return spawn(s, request, &guest_copy_out_args_schema, exec_begin_copy_out, e);
}

static int method_sync(struct session *s, const struct wire *request, struct err *e)
{
	return spawn(s, request, &none_schema, exec_begin_sync, e);
}

static int method_poweroff(struct session *s, const struct wire *request, struct err *e)
{
	const struct none nothing = { 0 };
	int rc = no_args(request, e);

	if (rc == 0)
		rc = reply_result(s, request, &none_schema, &nothing, e);
	if (rc == 0) {
		s->power_off = true;
		s->flush_until_ms = clock_ms() + FLUSH_GRACE_MS;
	}
	return rc;
}

/* Each replies by itself, now or when a command ends, or returns the error to be replied. */
static int (*const methods[GUEST_METHOD_NMETHODS])(struct session *s, const struct wire *request,
						   struct err *e) = {
	[GUEST_METHOD_STATUS] = method_status,   [GUEST_METHOD_STATS] = method_stats,
	[GUEST_METHOD_PORTS] = method_ports,     [GUEST_METHOD_EXEC] = method_exec,
	[GUEST_METHOD_COPY_IN] = method_copy_in, [GUEST_METHOD_COPY_OUT] = method_copy_out,
	[GUEST_METHOD_SYNC] = method_sync,       [GUEST_METHOD_POWEROFF] = method_poweroff,
};

static void take_request(struct session *s, const struct wire *w)
{
	enum guest_method method;
	struct err e = { 0 };
	int rc;

	if (guest_method_find(w->name, &method) < 0)
		rc = err_set(&e, ERR_UNKNOWN_METHOD, "%s", w->name);
	else
		rc = methods[method](s, w, &e);
	if (rc < 0)
		reply_error(s, w, &e);
}

/* ---- the conversation ---- */

/* A command whose end crossed the daemon's frame is unknown by now; that is no mistake. */
static int take_frame(struct session *s, const struct wire *w, struct err *e)
{
	struct exec *x = find(s, w->id);

	switch (w->type) {
	case WIRE_REQUEST:
		take_request(s, w);
		return 0;
	case WIRE_DATA:
		return x ? exec_stdin(x, w, e) : 0;
	case WIRE_CREDIT:
		if (x)
			exec_credit(x, w);
		return 0;
	case WIRE_CANCEL:
		if (x)
			exec_cancel(x, clock_ms());
		return 0;
	case WIRE_SIGNAL:
		if (x)
			exec_signal(x, (int)w->signo);
		return 0;
	case WIRE_RESIZE:
		if (x)
			exec_resize(x, w->rows, w->cols);
		return 0;
	case WIRE_HELLO:
	case WIRE_EVENT:
	case WIRE_REPLY:
	case WIRE_NTYPES:
		break;
	}
	return err_set(e, ERR_BAD_FRAME, "a daemon does not send this");
}

static void session_end(struct session *s)
{
	s->open = false;
	list_for_each (n, &s->execs) {
		struct exec *x = list_entry(n, struct exec, link);

		if (!x->muted)
			exec_mute(x, clock_ms());
	}
}

int session_attach(struct session *s, int fd)
{
	session_end(s);
	return channel_attach(&s->channel, fd);
}

void session_detach(struct session *s)
{
	session_end(s);
	channel_detach(&s->channel);
}

/* What is said where no request can be blamed has the id 0. */
static void session_fail(struct session *s, const struct err *e)
{
	const struct wire nobody = { .type = WIRE_REQUEST };

	(void)fprintf(stderr, "banger-agent: %s\n", e->text);
	reply_error(s, &nobody, e);
	session_end(s);
}

static void session_begin(struct session *s, const struct wire *hello)
{
	uint32_t version;
	struct err e;

	session_end(s);
	channel_greet(&s->channel, hello->session);
	if (wire_version_agree(hello, &version, &e) < 0) {
		session_fail(s, &e);
		return;
	}
	s->open = true;
}

/* One frame, if there is one whole and its answer would find room. */
static bool take_next(struct session *s)
{
	struct channel *c = &s->channel;
	struct wire w;
	struct err e;
	size_t len = 0;
	int next;

	if (!channel_room(c))
		return false;
	next = channel_next(c, s->open, &w, &len, &e);
	if (next == CHANNEL_MORE)
		return false;
	if (next == CHANNEL_HELLO)
		session_begin(s, &w);
	else if (next < 0 || take_frame(s, &w, &e) < 0)
		session_fail(s, &e);
	channel_took(c, len);
	return true;
}

/* ---- the turn ---- */

static bool execs_pump(struct session *s, int64_t now_ms)
{
	bool moved = false;

	list_for_each_safe (n, &s->execs) {
		struct exec *x = list_entry(n, struct exec, link);
		bool done;

		moved = exec_pump(x, &s->channel, now_ms, &done) || moved;
		if (done)
			exec_drop(s, x);
	}
	/* The first one has the most room to send; let it be another next time. */
	if (!list_empty(&s->execs))
		list_append(&s->execs, list_pop(&s->execs));
	return moved;
}

static int until_deadline(const struct session *s, int64_t now_ms)
{
	int64_t first = s->power_off ? s->flush_until_ms : INT64_MAX;

	list_for_each (n, &s->execs) {
		const struct exec *x = list_entry(n, struct exec, link);

		/* One that has passed waits for credit, not for time. */
		if (x->deadline_ms > now_ms && x->deadline_ms < first)
			first = x->deadline_ms;
	}
	if (first == INT64_MAX)
		return -1;
	return first > now_ms ? (int)(first - now_ms) : 0;
}

int session_turn(struct session *s)
{
	const int64_t now_ms = clock_ms();
	bool moved = channel_fill(&s->channel);

	while (take_next(s))
		moved = true;
	moved = execs_pump(s, now_ms) || moved;
	moved = channel_flush(&s->channel) || moved;
	/* At the end there is nothing left to wait for. */
	return moved || s->channel.closed ? 0 : until_deadline(s, now_ms);
}

bool session_powers_off(const struct session *s)
{
	return s->power_off && (buf_len(&s->channel.out) == 0 || clock_ms() >= s->flush_until_ms);
}
