/* worker.h - a confined process that serves one request at a time, and the link to it.
 *
 * The link is a pair of SOCK_SEQPACKET sockets.  A request is one message: a serve_ask, then the
 * map's bytes, with the opened devices that its row asks for.  Its answer is one message: a
 * serve_note, then the reply's frame, with the reply's descriptors.  Requests are served one after
 * the other; what is only waited for (helper_op.waits) is answered later, and others are served
 * meanwhile, but for those about the same VM.  The worker ends when the link closes.
 */
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include "helper/op.h"
#include "helper/serve.h"
#include "proto/frame.h"

enum {
	WORKER_NWORKERS = FILTER_SUPERVISOR,              /* roles below it are workers */
	WORKER_REPLY_MAX = FRAME_HEAD + HELPER_FRAME_MAX, /* bytes of a reply's frame */
	WORKER_LINK_BYTES = 4 * HELPER_FRAME_MAX,         /* that the link's sockets may buffer */
	WORKER_LATE_MAX = 64,                             /* answers that may be still to come */
};

/* In the process that is to be the worker: opens, confines itself, tells the supervisor so by the
 * link, serves.  `launch` is `jail`'s link to the zygote; -EBADF: none. */
_Noreturn void worker_main(enum filter_role role, const struct helper_conf *conf, int link,
			   int launch, pid_t supervisor);

/* In a worker: the answer of a request whose call has set `later`, as serve_late() has it. */
void worker_answer(const struct op_asker *asker, const void *result, const struct err *why);

/* One message with descriptors: bytes moved, or -errno; -EPIPE at the end. */
ssize_t link_send(int link, const struct iovec *iov, size_t niov, const int *fds,
		  uint32_t nfds) MUST_CHECK;
ssize_t link_receive(int link, const struct iovec *iov, size_t niov, int *ret_fds, uint32_t max,
		     uint32_t *ret_nfds) MUST_CHECK;
