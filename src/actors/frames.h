/* frames.h - data frames into a stream's buffer, small ones joined.
 *
 * A frame weighs some forty bytes besides what it carries.  Whoever passes on single bytes would
 * make a window of them weigh forty windows while nobody reads; so bytes are added to the frame
 * before, while that is the last one and has not left.
 */
#pragma once

#include "io/io.h"
#include "proto/wire.h"

/* The last data frame put into a stream; zeroed: none. */
struct frames_tail {
	uint64_t end;   /* io_stream_appended() just after it */
	size_t len;     /* of the frame */
	size_t carried; /* bytes in it; 0: the stream's end, to which nothing is added */
	uint32_t id;
	uint32_t stream;
};

/* As wire_encode() for w of type data, into io_stream_out(s). */
int frames_put_data(struct io_stream *s, struct frames_tail *t, const struct wire *w) MUST_CHECK;
