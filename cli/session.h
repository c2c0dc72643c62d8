/* session.h - one connection to the daemon: requests, their events and replies, signals.
 *
 * Blocking as seen from a command, one poll(2) loop inside.  Several calls may be under way.  While
 * a session is open, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 and SIGWINCH are blocked
 * and read from a descriptor: the first of the first four cancels every call (the daemon undoes and
 * answers), the second ends the process with 128 + its number.
 *
 * The session borrows calls from their callers until they have ended.  A call owns its result.
 */
#pragma once

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "options.h"
#include "proto/client.h"
#include "proto/wire.h"

struct progress;
struct session;
struct call;

typedef void call_event(struct call *c, const struct wire *w); /* event, data, credit */

struct call {
	struct map_node node; /* session.calls, until it ended */
	enum client_method method;
	uint32_t id;
	struct op_id op_id;
	bool ended;
	void *result;   /* owned; of the method's result schema; NULL unless it succeeded */
	struct err err; /* code is ERR_NONE when it succeeded */
	char hint[ERR_TEXT_MAX];
	char step[WIRE_NAME_MAX];
	call_event *on_event;      /* may be NULL */
	struct progress *progress; /* borrowed; NULL: no progress is asked for */
	const struct options *o;   /* borrowed; the session's */
	void *arg;                 /* borrowed; the caller's */
};

struct session {
	const struct options *o; /* borrowed */
	int fd;
	int signal_fd;
	sigset_t saved_mask;
	bool masked;
	struct buf in, out;
	struct map calls; /* call.node by id */
	uint32_t next_id;
	uint32_t interrupts; /* signals that asked to end */
	int signo;           /* the first of them, or 0 */
	bool hello;          /* the daemon's has come */
	bool lost;           /* the connection is gone */
	struct progress
		*progress; /* borrowed: of the latest call that has one, redrawn while we wait */
	char server[WIRE_NAME_MAX];
	bool (*on_signal)(struct session *s, int signo); /* true: taken; may be NULL */
	void *arg;                                       /* borrowed; of on_signal */
};

#define SESSION_INIT                                                                               \
	{                                                                                          \
		.fd = -EBADF, .signal_fd = -EBADF                                                  \
	}
#define CLEANUP_SESSION __attribute__((cleanup(session_close)))
#define CLEANUP_CALL    __attribute__((cleanup(call_fini)))

/* Connects, starting the daemon where there is none and `start` allows it, and exchanges hellos. */
int session_open(struct session *s, const struct options *o, bool start, struct err *e) MUST_CHECK;
void session_close(struct session *s);

/* Sends a request.  c->op_id is the idempotency key; zero: a new one. */
int session_begin(struct session *s, struct call *c, enum client_method m,
		  const void *args) MUST_CHECK;

/* One round of poll(2): with `extra` descriptors too, whose revents are set. */
void session_turn(struct session *s, struct pollfd *extra, nfds_t nextra);

/* Appends a frame for call c (data, credit, signal, resize, cancel). */
int session_send(struct session *s, const struct call *c, struct wire *w) MUST_CHECK;
void session_cancel_all(struct session *s);

/* begin, then turns until the reply.  0, or -errno with c->err. */
int session_call(struct session *s, struct call *c, enum client_method m,
		 const void *args) MUST_CHECK;
void call_fini(struct call *c);

/* Prints c->err and returns the exit status: the command's failure, or 128 + the signal. */
int session_report(struct session *s, const struct call *c);

/* A whole conversation of one request: open, call, report, close.  The exit status. */
int session_ask(const struct options *o, struct call *c, enum client_method m, const void *args);
