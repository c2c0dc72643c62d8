/* values.h - what may stand for a placeholder of the tables ("IMAGE", "STATE", "PATH").
 *
 * Options name their value, and commands their words, by placeholders; here is what each means, so
 * that completion and "did you mean" know it of every command that is added.  Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum value_source {
	VALUE_FREE,  /* anything */
	VALUE_WORDS, /* one of `words` */
	VALUE_SIGNALS,
	VALUE_COMMANDS,
	VALUE_FILES,
	VALUE_DIRS,
	/* what the daemon knows */
	VALUE_VMS,
	VALUE_IMAGES,
	VALUE_KERNELS,
	VALUE_OPS,
	VALUE_LABELS,
	VALUE_NSOURCES,
};

struct value_kind {
	const char *placeholder;
	enum value_source source;
	const char *const *words; /* of VALUE_WORDS; NULL at the end */
};

extern const struct value_kind value_free;

/* Never NULL: value_free when nothing is known of it. */
const struct value_kind *value_kind(const char *placeholder, size_t len);

/* Of the n-th word (from 0) that a command takes, from the text of its `args`, such as
 * "REF... | --all"; NULL when it takes no more. */
const struct value_kind *value_kind_at(const char *args, uint32_t n);

/* Refuses a word that is none of the kind's, naming the nearest. */
int value_check(const char *what, const struct value_kind *kind, const char *text,
		struct err *e) MUST_CHECK;
