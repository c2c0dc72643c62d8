/* samples.h - the frames that the golden vectors hold, as structs. */
#pragma once

#include "proto/wire.h"

struct sample {
	const char *file; /* under tests/vectors, without ".hex" */
	struct wire wire; /* its body is encoded from `body` */
	const struct schema *schema;
	const void *body; /* NULL: no body, or an empty one */
};

extern const struct sample samples[];
extern const size_t nsamples;

/* Frames that must be refused, written by hand. */
struct bad_sample {
	const char *file;
	const char *code; /* of the error */
	const char *why;
	const uint8_t *payload;
	size_t len;
	int64_t length; /* that the frame announces; -1: the true one */
};

extern const struct bad_sample bad_samples[];
extern const size_t nbad_samples;
