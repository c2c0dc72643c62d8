#include "tests/sim/agent_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"
#include "proto/wire.h"

enum {
	FLOOD_CHUNK = 4096,
	STATUS_KILLED = 137,
	STATUS_NOT_FOUND = 127,
};

void agent_init(struct agent *a, uint64_t boot, void (*power_off)(void *arg), void *arg)
{
	*a = (struct agent){ .power_off = power_off, .arg = arg };
	buf_init(&a->in, FRAME_HEAD + GUEST_FRAME_MAX);
	(void)snprintf(a->boot_id, sizeof(a->boot_id), "boot-%llu", (unsigned long long)boot);
}

void agent_fini(struct agent *a)
{
	buf_fini(&a->in);
}

void agent_gone(struct agent *a)
{
	a->conn = NULL;
	a->synced = false;
	buf_clear(&a->in);
	memset(a->execs, 0, sizeof(a->execs));
}

/* ---- sending ---- */

static void send_wire(struct agent *a, const struct wire *w)
{
	struct buf out;

	buf_init(&out, FRAME_HEAD + GUEST_FRAME_MAX);
	const int rc = wire_encode(w, &out);
	ASSERT(rc == 0);
	sim_conn_send(a->conn, buf_data(&out), buf_len(&out));
	buf_fini(&out);
}

static void reply(struct agent *a, const struct wire *to, const struct schema *schema,
		  const void *result)
{
	struct wire w = { .type = WIRE_REPLY, .id = to->id, .op_id = to->op_id };
	struct buf body;

	buf_init(&body, GUEST_FRAME_MAX);
	const int rc = schema_encode(schema, result, &body);
	ASSERT(rc == 0);
	w.body = (struct wire_span){ buf_data(&body), buf_len(&body) };
	send_wire(a, &w);
	buf_fini(&body);
}

static void send_data(struct agent *a, uint32_t id, enum wire_stream s, const void *data,
		      size_t len)
{
	const struct wire w = { .type = WIRE_DATA, .id = id, .stream = s, .bytes = { data, len } };

	send_wire(a, &w);
}

/* ---- commands ---- */

static struct agent_exec *exec_at(struct agent *a, uint32_t id)
{
	for (size_t i = 0; i < AGENT_EXECS; i++)
		if (a->execs[i].id == id)
			return &a->execs[i];
	return NULL;
}

static void exec_over(struct agent *a, uint32_t id, int status)
{
	const struct wire to = { .id = id };
	const struct exec_result r = { .status = status };
	struct agent_exec *x = exec_at(a, id);

	if (x)
		*x = (struct agent_exec){ 0 };
	reply(a, &to, &exec_result_schema, &r);
}

static void flood(struct agent *a, struct agent_exec *x)
{
	static const uint8_t block[FLOOD_CHUNK];

	while (x->credit > 0) {
		const size_t n = x->credit < FLOOD_CHUNK ? (size_t)x->credit : FLOOD_CHUNK;

		x->credit -= n;
		send_data(a, x->id, WIRE_STDOUT, block, n);
	}
}

static void exec_begin(struct agent *a, const struct wire *w, const struct guest_exec_args *args)
{
	const char *what = args->argv.n > 0 ? args->argv.v[0] : "";
	const char *arg = args->argv.n > 1 ? args->argv.v[1] : "";
	struct agent_exec *x = exec_at(a, 0);

	if (strcmp(what, "exit") == 0) {
		exec_over(a, w->id, (int)strtol(arg, NULL, 10));
	} else if (strcmp(what, "say") == 0) {
		send_data(a, w->id, WIRE_STDOUT, arg, strlen(arg));
		exec_over(a, w->id, 0);
	} else if (!x) {
		exec_over(a, w->id, STATUS_NOT_FOUND);
	} else {
		*x = (struct agent_exec){
			.id = w->id,
			.cat = strcmp(what, "cat") == 0,
			.flood = strcmp(what, "flood") == 0,
			.credit = args->window,
		};
		if (x->flood)
			flood(a, x);
	}
}

static void stdin_came(struct agent *a, struct agent_exec *x, const struct wire *w)
{
	const struct wire more = { .type = WIRE_CREDIT,
				   .id = w->id,
				   .stream = WIRE_STDIN,
				   .credit = (uint32_t)w->bytes.len };

	if (!x->cat)
		return;
	if (w->bytes.len == 0) {
		exec_over(a, w->id, 0);
		return;
	}
	if (w->bytes.len <= x->credit) { /* else it is lost: no test sends that much */
		x->credit -= w->bytes.len;
		send_data(a, w->id, WIRE_STDOUT, w->bytes.data, w->bytes.len);
	}
	send_wire(a, &more);
}

/* ---- the conversation ---- */

static void request(struct agent *a, const struct wire *w)
{
	const struct none nothing = { 0 };
	static const struct guest_stats stats = { .memory_bytes = 100,
						  .memory_available_bytes = 50 };
	static const struct guest_ports no_ports = { .omitted = 0 };
	static struct guest_status status = { .hostname = "sim", .agent = "fake" };
	static struct guest_exec_args args; /* too large for the stack */
	enum guest_method m;
	const int rc = guest_method_find(w->name, &m);

	ASSERT(rc == 0);
	switch (m) {
	case GUEST_METHOD_STATUS:
		memcpy(status.boot_id, a->boot_id, sizeof(status.boot_id));
		reply(a, w, &guest_status_schema, &status);
		break;
	case GUEST_METHOD_EXEC:
		if (schema_decode(&guest_exec_args_schema, w->body.data, w->body.len, &args,
				  NULL) == 0) {
			exec_begin(a, w, &args);
			schema_fini(&guest_exec_args_schema, &args);
		}
		break;
	case GUEST_METHOD_STATS:
		reply(a, w, &guest_stats_schema, &stats);
		break;
	case GUEST_METHOD_PORTS:
		reply(a, w, &guest_ports_schema, &no_ports);
		break;
	case GUEST_METHOD_POWEROFF:
		reply(a, w, &none_schema, &nothing);
		a->power_off(a->arg);
		break;
	case GUEST_METHOD_SYNC:
	case GUEST_METHOD_COPY_IN:
	case GUEST_METHOD_COPY_OUT:
	case GUEST_METHOD_NMETHODS:
		reply(a, w, &none_schema, &nothing);
		break;
	}
}

static void frame(struct agent *a, const struct wire *w)
{
	struct agent_exec *x = w->id ? exec_at(a, w->id) : NULL;
	const struct wire hello = {
		.type = WIRE_HELLO,
		.name = "agent",
		.version = WIRE_VERSION,
		.version_min = WIRE_VERSION_MIN,
		.session = w->session,
	};

	switch (w->type) {
	case WIRE_HELLO:
		sim_conn_send(a->conn, GUEST_SYNC, GUEST_SYNC_BYTES);
		send_wire(a, &hello);
		break;
	case WIRE_REQUEST:
		request(a, w);
		break;
	case WIRE_CANCEL:
	case WIRE_SIGNAL:
		if (x)
			exec_over(a, w->id, STATUS_KILLED);
		break;
	case WIRE_DATA:
		if (x)
			stdin_came(a, x, w);
		break;
	case WIRE_CREDIT:
		if (x)
			x->credit += w->credit;
		if (x && x->flood)
			flood(a, x);
		break;
	case WIRE_RESIZE:
	case WIRE_EVENT:
	case WIRE_REPLY:
	case WIRE_NTYPES:
		break;
	}
}

/* A marker where a frame's length would be: the daemon begins anew. */
static bool begins_anew(const struct agent *a)
{
	return buf_len(&a->in) >= 4 && memcmp(buf_data(&a->in), GUEST_SYNC, 4) == 0;
}

static void frames(struct agent *a)
{
	const uint8_t *payload;
	struct err e = { 0 };
	struct wire w;
	int n;

	while (a->conn && a->synced && !begins_anew(a) &&
	       (n = wire_next(buf_data(&a->in), buf_len(&a->in), GUEST_FRAME_MAX, &payload, &e)) >
		       0) {
		const int rc = wire_decode(payload, (size_t)n, &w, &e);

		ASSERT(rc == 0); /* the daemon speaks its own language */
		frame(a, &w);
		buf_consume(&a->in, FRAME_HEAD + (size_t)n);
	}
	if (a->conn && a->synced && begins_anew(a)) {
		a->synced = false;
		memset(a->execs, 0, sizeof(a->execs));
	}
}

void agent_data(struct agent *a, struct sim_conn *c, const uint8_t *data, size_t len)
{
	a->conn = c;
	const int rc = buf_append(&a->in, data, len);
	ASSERT(rc == 0);
	for (;;) {
		if (!a->synced) {
			buf_consume(&a->in, sync_feed(&a->scan, buf_data(&a->in), buf_len(&a->in),
						      &a->synced));
			if (!a->synced)
				return;
		}
		frames(a);
		if (!a->conn || a->synced)
			return;
	}
}
