/* tap.h - a program of many cases, each in a process of its own, told as TAP.
 *
 * Arguments choose: only cases whose name holds one of them run.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef const char *tap_name_fn(size_t i);
typedef bool tap_case_fn(size_t i); /* says what is wrong itself, on stderr or as "# ..." */

int tap_main(int argc, char **argv, size_t n, tap_name_fn *name, tap_case_fn *fn);

/* What is told when the case at hand ends by a signal or a sanitizer: a row, a seed. */
void tap_last_words(const char *(*words)(void));
