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

static int run(const struct helper_op *op, const struct helper_conf *conf, serve_settle *settle,
	       struct op_call *c, const struct wire_span *body, struct err *e)
{
	static alignas(max_align_t) uint8_t args[BODY_MAX];
	const struct schema *const s = row_of(op)->args;
	int rc;

	ASSERT(s->size <= BODY_MAX);
	rc = schema_decode(s, body->data, body->len, args, e);
	if (rc == 0)
		rc = op->validate(conf, args, &c->target, e);
	c->asker.vm = c->target.vm;
	if (rc == 0 && settle)
		settle(c->env, c->target.vm);
	if (rc == 0)
		rc = helper_serve(op, c, e);
	ASSERT(!c->later || op->waits);
	return rc;
}

void serve_close(struct op_call *c)
{
	for (uint32_t i = 0; i < c->nfds; i++)
		close_fd(&c->fds[i]);
	c->nfds = 0;
}

/* ---- the reply ---- */

static int encode_result(const struct op_asker *asker, const void *result, struct wire *reply,
			 struct err *e)
{
	static uint8_t bytes[HELPER_FRAME_MAX - ENVELOPE_MAX];
	const struct client_method_row *const row = &helper_methods[asker->method];
	struct buf body;

	buf_init_fixed(&body, bytes, sizeof(bytes));
	if (schema_encode(row->result, result, &body) < 0)
		return err_set(e, ERR_INTERNAL, "%s: the result does not fit", row->name);
	reply->body = (struct wire_span){ buf_data(&body), buf_len(&body) };
	return 0;
}

/* An error, where there is one, else the result and as many descriptors. */
static void reply_write(const struct op_asker *asker, const void *result, uint32_t nfds,
			struct err *why, struct buf *out, struct serve_note *ret_note)
{
	struct wire reply = { .type = WIRE_REPLY, .id = asker->id, .op_id = asker->op_id };

	if (why->code == ERR_NONE && encode_result(asker, result, &reply, why) == 0)
		reply.fds = nfds;
	else
		wire_error_set(&reply, why, "");
	const int rc = wire_encode(&reply, out);
	ASSERT(rc == 0); /* `out` takes the biggest frame */
	*ret_note = (struct serve_note){ .ticket = asker->ticket,
					 .code = why->code,
					 .vm = asker->vm };
}

void serve_late(const struct op_asker *asker, const void *result, const struct err *why,
		struct buf *out, struct serve_note *ret_note)
{
	struct err e = *why;

	reply_write(asker, result, 0, &e, out, ret_note);
}

bool serve_request(enum filter_role role, const struct helper_conf *conf, serve_settle *settle,
		   struct op_call *c, const uint8_t *payload, size_t len, struct buf *out,
		   struct serve_note *ret_note)
{
	static alignas(max_align_t) uint8_t result[BODY_MAX];
	const struct helper_op *op = NULL;
	struct wire request = { .type = WIRE_REQUEST };
	struct err e = { 0 };
	int rc;

	memset(result, 0, sizeof(result));
	c->result = result;
	c->target = (struct op_target){ .vm = 0 };
	rc = frame_check(payload, len, &e);
	if (rc == 0)
		rc = wire_decode(payload, len, &request, &e);
	c->asker.id = request.id;
	c->asker.op_id = request.op_id;
	if (rc == 0)
		op = find(role, &request, &e);
	if (op) {
		c->asker.method = (enum helper_method)(op - helper_ops);
		rc = run(op, conf, settle, c, &request.body, &e);
	} else {
		rc = err_errno(&e);
	}
	for (uint32_t i = 0; i < c->ntun; i++)
		close_fd(&c->tun[i]);
	c->ntun = 0;
	if (rc == 0 && c->later)
		return false;
	if (rc == 0)
		e = (struct err){ 0 }; /* of what was tried on the way */
	reply_write(&c->asker, result, c->nfds, &e, out, ret_note);
	if (e.code != ERR_NONE)
		serve_close(c);
	return true;
}
