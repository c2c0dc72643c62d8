#include "helper/serve.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <string.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "helper/fault.h"
#include "proto/frame.h"
#include "proto/wire.h"

enum {
	BODY_MAX = 32 * 1024, /* bytes of the biggest struct of arguments or results */
	ENVELOPE_MAX = 1024,  /* bytes of a reply around its result */
};

static int helper_serve(const struct helper_op *op, struct op_call *c, struct err *e)
{
	if (op->want == OP_ABSENT)
		return op->undo(c, e);
	fault_arm(FAULT_ACT, true);
	const int rc = op->act(c, e);
	fault_arm(FAULT_ACT, false);
	if (rc < 0 && op->undo)
		IGNORE(op->undo(c, NULL)); /* the first error is the one to tell */
	return rc;
}

/* The operation that is asked for, if it is this worker's; NULL. */
static const struct helper_op *find(enum filter_role role, const struct wire *w, struct err *e)
{
	enum helper_method method = HELPER_NMETHODS;

	if (w->type != WIRE_REQUEST)
		(void)err_set(e, ERR_BAD_FRAME, "a worker takes requests only");
	else if (helper_method_find(w->name, &method) < 0 || helper_ops[method].worker != role)
		(void)err_set(e, ERR_UNKNOWN_METHOD, "%s", w->name);
	else
		return &helper_ops[method];
	return NULL;
}

static const struct client_method_row *row_of(const struct helper_op *op)
{
	return &helper_methods[op - helper_ops];
}

static int run(const struct helper_op *op, const struct helper_conf *conf, struct op_call *c,
	       const struct wire_span *body, struct err *e)
{
	static alignas(max_align_t) uint8_t args[BODY_MAX];
	const struct schema *const s = row_of(op)->args;
	int rc;

	ASSERT(s->size <= BODY_MAX);
	rc = schema_decode(s, body->data, body->len, args, e);
	if (rc == 0)
		rc = op->validate(conf, args, &c->target, e);
	if (rc == 0)
		rc = helper_serve(op, c, e);
	return rc;
}

static int encode_result(const struct helper_op *op, struct op_call *c, struct wire *reply)
{
	static uint8_t bytes[HELPER_FRAME_MAX - ENVELOPE_MAX];
	struct buf body;

	buf_init_fixed(&body, bytes, sizeof(bytes));
	const int rc = schema_encode(row_of(op)->result, c->result, &body);
	reply->body = (struct wire_span){ buf_data(&body), buf_len(&body) };
	return rc;
}

void serve_close(struct op_call *c)
{
	for (uint32_t i = 0; i < c->nfds; i++)
		close_fd(&c->fds[i]);
	c->nfds = 0;
}

void serve_request(enum filter_role role, const struct helper_conf *conf, struct op_call *c,
		   const uint8_t *payload, size_t len, struct buf *out, struct serve_note *ret_note)
{
	static alignas(max_align_t) uint8_t result[BODY_MAX];
	const struct helper_op *op = NULL;
	struct wire request = { .type = WIRE_REQUEST };
	struct wire reply = { .type = WIRE_REPLY };
	struct err e = { 0 };
	int rc;

	memset(result, 0, sizeof(result));
	c->result = result;
	c->target = (struct op_target){ .vm = 0 };
	rc = frame_check(payload, len, &e);
	if (rc == 0)
		rc = wire_decode(payload, len, &request, &e);
	if (rc == 0)
		op = find(role, &request, &e);
	if (op)
		rc = run(op, conf, c, &request.body, &e);
	else
		rc = err_errno(&e);
	for (uint32_t i = 0; i < c->ntun; i++)
		close_fd(&c->tun[i]);
	c->ntun = 0;
	reply.id = request.id;
	reply.op_id = request.op_id;
	if (rc == 0 && encode_result(op, c, &reply) < 0)
		rc = err_set(&e, ERR_INTERNAL, "%s: the result does not fit", request.name);
	if (rc < 0) {
		wire_error_set(&reply, &e, "");
		serve_close(c);
	}
	reply.fds = c->nfds;
	const enum err_code code = rc < 0 ? e.code : ERR_NONE;
	rc = wire_encode(&reply, out);
	ASSERT(rc == 0); /* `out` takes the biggest frame */
	*ret_note = (struct serve_note){ .code = code, .vm = c->target.vm };
}
