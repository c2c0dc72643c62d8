/* sink.h - bytes on their way to our standard output or error.
 *
 * The descriptor is shared with other processes and so stays blocking; after poll(2) says that it
 * can be written, no more goes in at once than a pipe then surely takes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
	LINES_MAX = 4096, /* bytes of a line; a longer one is broken */
};

struct sink {
	int fd;    /* borrowed */
	bool file; /* a regular file: any amount can be written */
	bool gone; /* nobody reads it any more: what comes is dropped */
	struct buf q;
};

void sink_init(struct sink *s, int fd, size_t max);
void sink_fini(struct sink *s);
static inline size_t sink_len(const struct sink *s)
{
	return buf_len(&s->q);
}
int sink_add(struct sink *s, const void *data, size_t len) MUST_CHECK; /* -ENOBUFS */
int sink_write(struct sink *s) MUST_CHECK; /* -EPIPE, ...: it is gone then */

/* How a line of one of several commands says whose it is. */
enum lines_form {
	LINES_NAMED, /* "name | line" */
	LINES_BARE,  /* not at all */
	LINES_JSON,  /* {"vm": name, "event": stream, "text": line} */
};

/* The begun line of one of several commands that share a sink. */
struct lines {
	const char *name;   /* borrowed */
	const char *stream; /* static: "stdout" */
	enum lines_form form;
	char text[LINES_MAX];
	size_t len;
};

/* Whole lines go to the sink. */
int lines_add(struct lines *l, const uint8_t *data, size_t len, struct sink *to) MUST_CHECK;
int lines_end(struct lines *l, struct sink *to) MUST_CHECK; /* what is left */
