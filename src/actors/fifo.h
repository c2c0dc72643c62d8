/* fifo.h - what is typed into a FIFO that somebody reads as fast or as slowly as he likes.
 *
 * Part of its actor, which hands over messages: fifo_message() says what has come of them.  Opening
 * and writing happen on a worker; a FIFO that is full is tried again after a while, and that nobody
 * reads it any more is an end.
 */
#pragma once

#include "actors/limits.h"
#include "io/io.h"

enum fifo_news {
	FIFO_NOT_MINE, /* the message is somebody else's */
	FIFO_NOTHING,
	FIFO_READY, /* it is open, or has taken some */
	FIFO_OVER,  /* ->error: nobody reads it, -ENOENT and the like; or 0: he has gone */
};

struct fifo {
	struct io *io; /* borrowed */
	char *path;    /* owned */
	int fd;        /* owned; -EBADF: not open */
	int error;
	bool closing;
	struct buf out;                /* not yet handed to the worker */
	uint8_t chunk[CONSOLE_WINDOW]; /* the worker's while it is busy */
	size_t len;                    /* bytes in it */
	struct io_op work;
	struct io_op end;      /* poll: nobody reads it */
	struct io_timer again; /* it was full */
};

/* Opens it; the answer comes by message.  -ENOMEM. */
int fifo_open(struct fifo *f, struct io *io, const struct actor *owner,
	      const char *path) MUST_CHECK;
int fifo_put(struct fifo *f, const void *data, size_t len) MUST_CHECK; /* -ENOBUFS, -ENOMEM */
size_t fifo_unsent(const struct fifo *f);
bool fifo_takes_no_more(const struct fifo *f); /* there is no more, or it is full */
enum fifo_news fifo_message(struct fifo *f, const struct msg *m);
/* What is not written by now is dropped.  Over once fifo_busy() is false. */
void fifo_close(struct fifo *f);
bool fifo_busy(const struct fifo *f);
void fifo_fini(struct fifo *f); /* not busy; also of one that was never opened, all zeros */
