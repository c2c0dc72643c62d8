/* parse.h - words of the command line -> values.  Pure.
 *
 * Each refuses with a sentence that names the option (`what`) and the word as it was typed.
 * Numbers, sizes and durations are base/parse.h's.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "proto/client.h"

/* "8080:80": host port, guest port. */
int publish_parse(const char *what, const char *text, struct publish *ret_publish,
		  struct err *e) MUST_CHECK;

/* "key=value" with a key. */
int pair_check(const char *what, const char *text, struct err *e) MUST_CHECK;

/* "TERM", "SIGTERM", "15". */
int signal_parse(const char *what, const char *text, uint32_t *ret_signo, struct err *e) MUST_CHECK;
