/* serve.h - one request in a worker: from its bytes to its reply. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "helper/op.h"

/* What a worker tells the supervisor before the reply's frame. */
struct serve_note {
	uint32_t code; /* enum err_code of the result */
	vm_id vm;      /* that it was about; 0: none */
};

/* Runs the request whose map is `payload`.  Its reply is appended to `out` as a whole frame, and
 * its descriptors are in c->fds.  `role` says which operations may be asked for here.  The devices
 * that were not used are closed by then: who reads the reply may open a tap at once. */
void serve_request(enum filter_role role, const struct helper_conf *conf, struct op_call *c,
		   const uint8_t *payload, size_t len, struct buf *out,
		   struct serve_note *ret_note);

/* Closes the descriptors once they are sent. */
void serve_close(struct op_call *c);
