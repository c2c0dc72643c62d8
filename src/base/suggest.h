/* suggest.h - "did you mean": the nearest of some words by edit distance.  Pure. */
#pragma once

#include <stddef.h>

#include "base/err.h"

/* Insertions, deletions, replacements and swaps of neighbours; at most SUGGEST_WORD_MAX. */
enum {
	SUGGEST_WORD_MAX = 32, /* bytes; longer words are as far apart as can be */
};
unsigned suggest_distance(const char *a, const char *b);

/* Keeps the nearest word so far: start with { .word = typed }, offer each candidate. */
struct suggest {
	const char *word;
	const char *best; /* NULL: none is near enough */
	unsigned distance;
};
void suggest_offer(struct suggest *s, const char *candidate);

/* 0 when text is one of `words` (NULL at the end); else ERR_BAD_REQUEST, naming the nearest, or all
 * of them where none is near. */
int suggest_check(const char *what, const char *const *words, const char *text,
		  struct err *e) MUST_CHECK;
