/* parse.h - text -> numbers, sizes and durations, as people write them.  Pure.
 *
 * Each refuses with a sentence that names what it is for (`what`) and the word as it was typed; the
 * command line, the daemon and its configuration read the same words by the same functions.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum {
	DURATION_MS_MAX = 24 * 60 * 60 * 1000,
};

/* Decimal digits at *at, which moves past them.  False where there are none or too many. */
bool digits_take(const char **at, uint64_t *ret_n);

/* ERR_BAD_REQUEST. */
int number_parse(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *ret_n,
		 struct err *e) MUST_CHECK;

/* "250ms", "10s", "2m", "1h30m"; a bare number is seconds.  1 ms .. DURATION_MS_MAX. */
int duration_parse(const char *what, const char *text, uint32_t *ret_ms, struct err *e) MUST_CHECK;

/* "4G", "4GiB", "512M", "512MiB", "512" (MiB) -> bytes; ERR_VM_SIZE with the word. */
int size_parse(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *ret_bytes,
	       struct err *e) MUST_CHECK;
