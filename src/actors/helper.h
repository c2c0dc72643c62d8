/* helper.h - the daemon's end of the conversation with the root helper (proto/helper.h).
 *
 *   down --a question--> connecting --> greeting --its hello--> up
 *     ^                      |              |                   |
 *     '--- paused <----------'--------------'-------------------'
 *
 * An actor of its own.  Whoever asks gets one answer, an owned message, for each question: also
 * when the connection breaks, when there is none, or when memory is short.  Questions go out in the
 * order in which they were asked, and the answers of one worker of the helper come in that order,
 * but for those of kills, which others overtake.
 * The descriptors of an answer belong to its message until they are taken.
 *
 * A question that was under way when the connection broke may be half done: it fails with
 * ERR_HELPER_DOWN, and asking it again, or for its opposite, is safe.  Those that had not gone out
 * wait for the next connection; when that fails they do.
 */
#pragma once

#include "base/actor.h"
#include "base/err.h"
#include "io/io.h"
#include "proto/helper.h"

enum {
	HELPER_QUEUE_MAX = 4096,     /* questions that may wait; one more is refused as busy */
	HELPER_GREET_MS = 5000,      /* for a connection, and from there to the helper's hello */
	HELPER_PAUSE_FIRST_MS = 100, /* after a connection failed, doubling ... */
	HELPER_PAUSE_MAX_MS = 5000,  /* ... up to this */
};

struct helper;

struct helper_question {
	enum helper_method method;
	const void *args;      /* borrowed for the call: the method's struct */
	struct op_id op_id;    /* zero: nobody's request, and one is made */
	struct actor_id owner; /* who gets the answer ... */
	uint32_t msg_type;     /* ... as a message of this type ... */
	uint32_t token;        /* ... with this token */
};

/* Owned by who receives it: helper_answer_free().  One that cannot be delivered frees itself. */
struct helper_answer {
	struct msg msg; /* .res: 0, or -errno as in err */
	struct io *io;  /* borrowed */
	enum helper_method method;
	struct err err;
	int fds[HELPER_FDS_MAX]; /* owned; -EBADF once taken */
	uint32_t nfds;
	size_t len;
	uint8_t body[]; /* the result, one map */
};

/* -ENOMEM.  Nothing is connected to before the first question. */
int helper_create(struct io *io, struct actors *actors, const char *path, struct helper **ret_h);
/* Refuses what waits and hangs up; helper_destroy() once helper_ended(). */
void helper_end(struct helper *h);
bool helper_ended(const struct helper *h);
void helper_destroy(struct helper *h);

/* Who is told of each connection that is up, from now on: an owned serial_msg of this type. */
void helper_watch(struct helper *h, struct actor_id who, uint32_t msg_type);

/* 0: an answer will come.  ERR_BUSY, ERR_HOST_MEMORY, ERR_BAD_REQUEST: none will. */
int helper_ask(struct helper *h, const struct helper_question *q, struct err *e) MUST_CHECK;

/* The result into the method's struct, to be released with its schema. */
int helper_result(const struct helper_answer *a, void *ret_result, struct err *e) MUST_CHECK;
void helper_answer_free(struct helper_answer *a); /* closes what was not taken */
