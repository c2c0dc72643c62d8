/* wire.h - the envelope that all conversations share: client <-> daemon, daemon <-> agent, daemon
 * <-> root helper.
 *
 *   hello    {type, version, version_min, name, frame_max?, session?}   first frame, each way
 *   request  {type, id, method, op_id?, detach?, progress?, args}          asker -> answerer
 *   cancel   {type, id}
 *   data     {type, id, stream, bytes}     empty bytes: end of that stream
 *   credit   {type, id, stream, bytes}     "you may send me so many more bytes"
 *   signal   {type, id, signo}             resize {type, id, rows, cols}
 *   event    {type, id, event, body}       zero or more before the reply
 *   reply    {type, id, op_id?, result, fds?} or {type, id, op_id?, error}    exactly one
 *
 * A reply with id 0 is about the connection itself (a bad frame, no common version); its sender
 * closes it next.
 *
 * Pure.  A decoded `struct wire` borrows from the payload that it was decoded from.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "proto/schema.h"

enum {
	WIRE_VERSION = 1,     /* highest spoken */
	WIRE_VERSION_MIN = 1, /* lowest spoken */
	WIRE_NAME_MAX = 64,
	WIRE_STREAM_WINDOW = 256 * 1024, /* credit that a receiver opens a stream with */
	WIRE_CHUNK_MAX = 32 * 1024,      /* bytes of one data frame that we send */
	WIRE_CREDIT_MAX = 64 << 20,      /* bytes that one credit, or a window, may grant */
	WIRE_SIGNO_MAX = 64,             /* SIGRTMAX of Linux */
	WIRE_CELLS_MAX = 65535,          /* rows or columns: struct winsize has 16 bits */
};

enum wire_type {
	WIRE_HELLO,
	WIRE_REQUEST,
	WIRE_CANCEL,
	WIRE_DATA,
	WIRE_CREDIT,
	WIRE_SIGNAL,
	WIRE_RESIZE,
	WIRE_EVENT,
	WIRE_REPLY,
	WIRE_NTYPES,
};

enum wire_stream {
	WIRE_STDIN,
	WIRE_STDOUT,
	WIRE_STDERR,
	WIRE_NSTREAMS,
};

struct wire {
	enum wire_type type;
	uint32_t id;
	char name[WIRE_NAME_MAX]; /* hello: the peer; request: the method; event: its name */
	uint32_t version;         /* hello: highest spoken by the peer */
	uint32_t version_min;     /* hello: lowest spoken by the peer */
	uint32_t frame_max; /* hello: bytes of the biggest map that the peer takes; 0: unsaid */
	uint64_t session;   /* hello: of the guest conversation, else 0 */
	struct op_id op_id; /* request, reply; zero when absent */
	bool detach;        /* request: goes on when the connection closes */
	bool progress;      /* request: stream "progress" events before the reply */
	uint32_t fds;       /* reply of the helper: descriptors that came with it */
	uint32_t stream;    /* data, credit */
	uint32_t credit;    /* credit: bytes */
	uint32_t signo, rows, cols;
	struct wire_span bytes; /* data */
	struct wire_span
		body; /* the msgpack map of args, event body or result, for schema_decode() */
	bool failed;  /* reply: error instead of result */
	struct wire_error {
		char code[WIRE_NAME_MAX];
		char message[ERR_TEXT_MAX];
		char step[WIRE_NAME_MAX]; /* of the plan, or "" */
		char hint[ERR_TEXT_MAX];
		bool retryable;
		int32_t sys; /* errno or 0 */
	} error;
};

/* The envelopes as tables, for docs/protocol.md and tests. */
extern const struct schema wire_schemas[WIRE_NTYPES];
extern const struct schema wire_error_schema;

/* Every field is checked, and the body is whole; ERR_BAD_FRAME. */
int wire_decode(const uint8_t *payload, size_t len, struct wire *ret_wire, struct err *e);

/* Appends a whole frame (length and map).  w->body must be one encoded map or empty (written as
 * {}).  As schema_encode(), and -EMSGSIZE over FRAME_MAX; the buffer is then unchanged. */
int wire_encode(const struct wire *w, struct buf *out) MUST_CHECK;

/* Adds bytes to the last frame of the buffer: of type data, `frame_len` bytes long with `carried`
 * in it, written by wire_encode().  -EMSGSIZE when there are too many to be added in place; else as
 * buf_append(). */
int wire_data_grow(struct buf *out, size_t frame_len, size_t carried,
		   const struct wire_span *more) MUST_CHECK;

/* Takes the next whole frame off the front of `in`: > 0 its payload length with *ret_payload set,
 * and frame_check() passed (the caller consumes FRAME_HEAD + that many bytes when done), 0 when
 * more bytes are needed, -errno. */
int wire_next(const uint8_t *in, size_t have, size_t max, const uint8_t **ret_payload,
	      struct err *e);

/* The version to speak: the highest that both know.  ERR_BAD_VERSION. */
int wire_version_agree(const struct wire *hello, uint32_t *ret_version, struct err *e);

/* struct err <-> error of a reply. */
void wire_error_set(struct wire *w, const struct err *e, const char *step);
void wire_error_get(const struct wire *w, struct err *ret_err);
