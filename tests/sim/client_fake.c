#include "tests/sim/client_fake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/frame.h"

enum {
	OUT_KEPT = 4096,
};

#define ANSWER_LIMIT_US (UINT64_C(3600) * 1000 * 1000)

/* ---- sending ---- */

static void send_wire(struct client *c, const struct wire *w)
{
	struct buf out;

	if (!sim_conn_open(&c->conn))
		return;
	buf_init(&out, FRAME_HEAD + FRAME_MAX);
	const int rc = wire_encode(w, &out);
	ASSERT(rc == 0);
	sim_conn_send(&c->conn, buf_data(&out), buf_len(&out));
	buf_fini(&out);
}

static struct call *call_at(const struct client *c, uint32_t id)
{
	return id > 0 && id <= c->ncalls ? c->calls[id - 1] : NULL;
}

static uint32_t id_of(const struct client *c, const struct call *call)
{
	for (uint32_t i = 0; i < c->ncalls; i++)
		if (c->calls[i] == call)
			return i + 1;
	ASSERT(!"a call of this client");
	return 0;
}

/* ---- receiving ---- */

static void take_result(struct call *call, const struct wire *w)
{
	const struct schema *schema = client_methods[call->method].result;
	struct err e = { 0 };
	int rc = buf_append(&call->result, w->body.data, w->body.len);

	ASSERT(rc == 0);
	if (schema == &targets_result_schema)
		rc = schema_decode(schema, w->body.data, w->body.len, &call->targets, &e);
	else if (schema == &exec_result_schema)
		rc = schema_decode(schema, w->body.data, w->body.len, &call->exec, &e);
	ASSERT(rc == 0);
}

static void reply(struct client *c, const struct wire *w)
{
	struct call *call = call_at(c, w->id);

	ASSERT(call || w->id == 0); /* nothing that was not asked */
	if (!call) {
		wire_error_get(w, &c->why); /* about the connection: it ends next */
		return;
	}
	ASSERT(!call->replied); /* one reply */
	ASSERT(op_id_equal(&w->op_id, &call->op_id));
	call->replied = true;
	call->replied_us = sim_now_us(c->w->sim);
	if (w->failed) {
		wire_error_get(w, &call->err);
		memcpy(call->step, w->error.step, sizeof(call->step));
		ASSERT(call->err.code); /* a failure says what it is */
	} else {
		take_result(call, w);
	}
	if (c->on_reply)
		c->on_reply(c, call);
}

static void data(struct client *c, const struct wire *w)
{
	struct call *call = call_at(c, w->id);
	const struct wire credit = { .type = WIRE_CREDIT,
				     .id = w->id,
				     .stream = w->stream,
				     .credit = (uint32_t)w->bytes.len };

	ASSERT(call && !call->replied); /* no output after the end */
	call->out_bytes += w->bytes.len;
	if (buf_len(&call->out) + w->bytes.len <= OUT_KEPT) {
		const int rc = buf_append(&call->out, w->bytes.data, w->bytes.len);

		ASSERT(rc == 0);
	}
	if (w->bytes.len > 0 && !c->deaf)
		send_wire(c, &credit);
}

static void frame(struct client *c, const struct wire *w)
{
	struct call *call = call_at(c, w->id);

	switch (w->type) {
	case WIRE_HELLO:
		c->greeted = true;
		break;
	case WIRE_REPLY:
		reply(c, w);
		break;
	case WIRE_DATA:
		data(c, w);
		break;
	case WIRE_EVENT:
		ASSERT(call && !call->replied);
		call->events++;
		break;
	case WIRE_CREDIT:
		ASSERT(call && !call->replied && w->stream == WIRE_STDIN);
		call->credit += w->credit;
		break;
	case WIRE_REQUEST:
	case WIRE_CANCEL:
	case WIRE_SIGNAL:
	case WIRE_RESIZE:
	case WIRE_NTYPES:
		ASSERT(!"a frame that only a client may send");
	}
}

static void conn_data(struct sim_conn *conn, const uint8_t *bytes, size_t len)
{
	struct client *c = conn->arg;
	const uint8_t *payload;
	struct err e = { 0 };
	struct wire w;
	int n;

	int rc = buf_append(&c->in, bytes, len);
	ASSERT(rc == 0);
	while ((n = wire_next(buf_data(&c->in), buf_len(&c->in), FRAME_MAX, &payload, &e)) > 0) {
		rc = wire_decode(payload, (size_t)n, &w, &e);
		ASSERT(rc == 0);
		frame(c, &w);
		buf_consume(&c->in, FRAME_HEAD + (size_t)n);
	}
	ASSERT(n == 0);
}

static void conn_end(struct sim_conn *conn, int error)
{
	struct client *c = conn->arg;

	(void)error;
	sim_conn_close(conn);
	c->ended = true;
}

static const struct sim_conn_ops ops = { conn_data, conn_end };

/* ---- life ---- */

struct client *client_open(struct world *w)
{
	return client_open_as(w, geteuid());
}

struct client *client_open_as(struct world *w, uid_t uid)
{
	struct client *c = calloc(1, sizeof(*c));
	const struct wire hello = {
		.type = WIRE_HELLO,
		.name = "sim",
		.version = WIRE_VERSION,
		.version_min = WIRE_VERSION_MIN,
	};
	char path[ENV_PATH_MAX + 16];

	ASSERT(c);
	c->w = w;
	buf_init(&c->in, UINT32_MAX);
	daemon_socket_path(&w->conf, path);
	if (sim_connect(w->sim, &c->conn, path, &ops, c) < 0) {
		free(c);
		return NULL;
	}
	c->conn.uid = uid;
	send_wire(c, &hello);
	return c;
}

void client_hang_up(struct client *c)
{
	sim_conn_close(&c->conn);
	c->ended = true;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	client_hang_up(c);
	for (uint32_t i = 0; i < c->ncalls; i++) {
		struct call *call = c->calls[i];

		schema_fini(&targets_result_schema, &call->targets);
		buf_fini(&call->body);
		buf_fini(&call->result);
		buf_fini(&call->out);
		free(call);
	}
	buf_fini(&c->in);
	free(c);
}

/* ---- requests ---- */

/* call->body is there. */
static void call_send(struct client *c, struct call *call, enum client_method m,
		      const struct client_how *how)
{
	struct wire w = { .type = WIRE_REQUEST };

	ASSERT(c->ncalls < CLIENT_CALLS);
	call->method = m;
	call->op_id = how->op_id ? *how->op_id : world_op_id(c->w);
	buf_init(&call->result, FRAME_MAX);
	buf_init(&call->out, OUT_KEPT);
	c->calls[c->ncalls++] = call;
	w.id = c->ncalls;
	w.op_id = call->op_id;
	w.detach = how->detach;
	w.progress = how->progress;
	(void)snprintf(w.name, sizeof(w.name), "%s", client_methods[m].name);
	w.body = (struct wire_span){ buf_data(&call->body), buf_len(&call->body) };
	send_wire(c, &w);
}

struct call *client_ask(struct client *c, enum client_method m, const void *args,
			const struct client_how *how)
{
	static const struct client_how plain;
	struct call *call = calloc(1, sizeof(*call));

	ASSERT(call);
	buf_init(&call->body, FRAME_MAX);
	const int rc = args ? schema_encode(client_methods[m].args, args, &call->body) : 0;
	ASSERT(rc == 0);
	call_send(c, call, m, how ? how : &plain);
	return call;
}

struct call *client_repeat(struct client *c, const struct call *first)
{
	struct call *call = calloc(1, sizeof(*call));

	ASSERT(call);
	buf_init(&call->body, FRAME_MAX);
	const int rc = buf_append(&call->body, buf_data(&first->body), buf_len(&first->body));
	ASSERT(rc == 0);
	call_send(c, call, first->method, &(struct client_how){ .op_id = &first->op_id });
	return call;
}

void client_cancel(struct client *c, const struct call *call)
{
	const struct wire w = { .type = WIRE_CANCEL, .id = id_of(c, call) };

	send_wire(c, &w);
}

void client_stdin(struct client *c, const struct call *call, const void *bytes, size_t len)
{
	const struct wire w = {
		.type = WIRE_DATA,
		.id = id_of(c, call),
		.stream = WIRE_STDIN,
		.bytes = { bytes, len },
	};

	send_wire(c, &w);
}

struct waiting {
	const struct client *c;
	const struct call *call;
};

static bool is_answered(struct world *w, void *arg)
{
	const struct waiting *x = arg;

	(void)w;
	return x->call->replied || x->c->ended;
}

bool client_wait(struct client *c, const struct call *call)
{
	struct waiting x = { c, call };

	return world_until(c->w, is_answered, &x, ANSWER_LIMIT_US) && call->replied;
}

struct call *client_create_vm(struct client *c, const char *name, const char *image, bool no_start)
{
	struct create_args args = { .no_start = no_start };

	(void)snprintf(args.spec.name, sizeof(args.spec.name), "%s", name);
	(void)snprintf(args.spec.image, sizeof(args.spec.image), "%s", image);
	if (strcmp(image, "null") == 0)
		(void)snprintf(args.spec.vmm, sizeof(args.spec.vmm), "null");
	return client_ask(c, METHOD_VM_CREATE, &args, &(struct client_how){ .progress = true });
}

struct call *client_on_vm(struct client *c, enum client_method m, const char *ref)
{
	struct targets_args args = { 0 };
	const int rc = strv_add(&args.refs, ref);

	ASSERT(rc == 0);
	struct call *call = client_ask(c, m, &args, &(struct client_how){ .progress = true });

	strv_fini(&args.refs);
	return call;
}

struct call *client_exec(struct client *c, const char *ref, const char *cmd, const char *arg)
{
	struct exec_args args = { .stdin_open = strcmp(cmd, "cat") == 0 };

	(void)snprintf(args.ref, sizeof(args.ref), "%s", ref);
	if (strv_add(&args.argv, cmd) < 0 || (arg && strv_add(&args.argv, arg) < 0))
		ASSERT(!"memory");
	struct call *call = client_ask(c, METHOD_VM_EXEC, &args, NULL);

	strv_fini(&args.argv);
	return call;
}

struct call *client_console(struct client *c, const char *ref)
{
	struct ref_args args = { 0 };

	(void)snprintf(args.ref, sizeof(args.ref), "%s", ref);
	return client_ask(c, METHOD_VM_CONSOLE, &args, NULL);
}

enum err_code call_code(const struct call *call)
{
	const struct target_result *t = call->targets.targets.items;

	if (call->err.code)
		return call->err.code;
	for (uint32_t i = 0; i < call->targets.targets.n; i++)
		if (t[i].code[0])
			return err_by_name(t[i].code);
	return ERR_NONE;
}

const char *call_text(const struct call *call)
{
	const struct target_result *t = call->targets.targets.items;

	if (call->err.code)
		return call->err.text;
	for (uint32_t i = 0; i < call->targets.targets.n; i++)
		if (t[i].code[0])
			return t[i].message;
	return "";
}
