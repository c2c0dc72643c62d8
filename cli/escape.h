/* escape.h - the keys that are ours in a stream of typed ones, as ssh(1) has them.
 *
 * After the end of a line, or at the beginning, the escape character and a "." leave; with a "?"
 * they ask for help; twice they are one of it.  Anything else means itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
	ESCAPE_NONE = -1,
	ESCAPE_DEFAULT = '~',
};

struct escape {
	int key;     /* ESCAPE_NONE: everything is passed */
	bool midway; /* within a line: the key means itself */
	bool held;   /* the key has come, what it means has not */
};

enum escape_says {
	ESCAPE_PASS,
	ESCAPE_LEAVE, /* what came before is passed, what comes after is not */
	ESCAPE_HELP,
};

/* One character, or "none". */
int escape_parse(const char *what, const char *text, int *ret_key, struct err *e) MUST_CHECK;

/* Takes typed bytes until one of them asks for something.  `out` has room for 2 * len; *ret_taken
 * is how many of `in` were looked at. */
enum escape_says escape_feed(struct escape *x, const uint8_t *in, size_t len, uint8_t *out,
			     size_t *ret_len, size_t *ret_taken);
