/* parse.h - words of the command line -> values.  Pure.
 *
 * Each refuses with a sentence that names the option (`what`) and the word as it was typed.
 * Sizes are proto's size_parse(): the daemon checks them by the same function.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "proto/client.h"

/* "250ms", "10s", "2m", "1h30m"; a bare number is seconds.  1 ms .. DEADLINE_MS_MAX. */
int duration_parse(const char *what, const char *text, uint32_t *ret_ms, struct err *e) MUST_CHECK;

/* "8080:80": host port, guest port. */
int publish_parse(const char *what, const char *text, struct publish *ret_publish,
		  struct err *e) MUST_CHECK;

/* "key=value" with a key. */
int pair_check(const char *what, const char *text, struct err *e) MUST_CHECK;

int number_parse(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *ret_n,
		 struct err *e) MUST_CHECK;

/* "TERM", "SIGTERM", "15". */
int signal_parse(const char *what, const char *text, uint32_t *ret_signo, struct err *e) MUST_CHECK;
