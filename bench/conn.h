/* conn.h - a client's connection to the session's daemon, for load: pipelined, no frills.
 *
 * Writes block; a load keeps its requests in flight below what a socket buffers.  Reads block in
 * conn_next() only.  One thread per connection.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "proto/client.h"
#include "proto/wire.h"

struct conn {
	int fd;
	struct buf in, out;
	size_t taken; /* bytes at the front of `in` that the last frame still borrows */
};

/* Connects and exchanges hellos.  Where no daemon listens, `banger info` starts one first. */
int conn_open(struct conn *c, struct err *e) MUST_CHECK;
void conn_close(struct conn *c);

/* Queues a request with this id (conn_flush() sends). */
int conn_request(struct conn *c, uint32_t id, enum client_method method, const void *args,
		 struct err *e) MUST_CHECK;
int conn_flush(struct conn *c, struct err *e) MUST_CHECK;

/* One read of what has come; blocks while nothing has.  ERR_DAEMON_DOWN at the end. */
int conn_fill(struct conn *c, struct err *e) MUST_CHECK;

/* 1 with the next reply, valid until the next call; 0 when none is whole yet.  Events are dropped.
 */
int conn_take(struct conn *c, struct wire *ret_reply, struct err *e) MUST_CHECK;

/* The next reply, however long it takes. */
int conn_next(struct conn *c, struct wire *ret_reply, struct err *e) MUST_CHECK;

/* One request, one reply; *result is filled by the method's schema unless NULL. */
int conn_call(struct conn *c, enum client_method method, const void *args, void *result,
	      struct err *e) MUST_CHECK;

/* Runs `banger info`, which starts the daemon where none runs and ends when it has answered. */
int conn_start_daemon(struct err *e) MUST_CHECK;
