/* serve.h - one request in a worker: from its bytes to its reply. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "helper/op.h"

/* What the supervisor says before a request's map. */
struct serve_ask {
	uint64_t ticket; /* its own number of the request */
};

/* What a worker tells the supervisor before the reply's frame. */
struct serve_note {
	uint64_t ticket; /* whose answer it is */
	uint32_t code;   /* enum err_code of the result */
	vm_id vm;        /* that it was about; 0: none */
};

/* What goes before a request about the VM (0: about none): see worker.c. */
typedef void serve_settle(void *env, vm_id vm);

/* Runs the request whose map is `payload`.  Its reply is appended to `out` as a whole frame, and
 * its descriptors are in c->fds; false: the answer comes later.  `role` says which operations may
 * be asked for here.  The devices that were not used are closed by then: who reads the reply may
 * open a tap at once. */
bool serve_request(enum filter_role role, const struct helper_conf *conf, serve_settle *settle,
		   struct op_call *c, const uint8_t *payload, size_t len, struct buf *out,
		   struct serve_note *ret_note);

/* The answer of a request whose call has set `later`: `result`, or `why` there is none (code
 * ERR_NONE: nothing). */
void serve_late(const struct op_asker *asker, const void *result, const struct err *why,
		struct buf *out, struct serve_note *ret_note);

/* Closes the descriptors once they are sent. */
void serve_close(struct op_call *c);
