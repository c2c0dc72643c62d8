/* utf8.h - is it text?  RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the longest valid prefix; `len` when all of it is.  NUL counts as invalid: every string
 * of ours ends up in a C string. */
size_t utf8_valid(const uint8_t *text, size_t len);
