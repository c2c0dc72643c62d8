/* dump.h - a frame as a vector's text: a comment line per field, then its bytes. */
#pragma once

#include <stdint.h>
#include <stdio.h>

/* The bytes must be a whole frame that passed frame_check(). */
void dump_frame(FILE *to, const uint8_t *frame, size_t len);

/* `len` bytes as they are, 32 to a line. */
void dump_bytes(FILE *to, const uint8_t *data, size_t len);
