/* human.h - numbers as people read them.  Pure. */
#pragma once

#include <stdint.h>

enum {
	HUMAN_MAX = 24, /* bytes of a text, with its NUL */
};

void human_bytes(uint64_t bytes, char out[HUMAN_MAX]);  /* "512 MiB", "1.5 GiB" */
void human_duration(uint64_t us, char out[HUMAN_MAX]);  /* "31 ms", "2.1 s", "3 min 5 s" */
void human_age(uint64_t seconds, char out[HUMAN_MAX]);  /* "5s", "3m", "2h", "4d" */
void human_time(uint64_t wall_ms, char out[HUMAN_MAX]); /* "2026-11-24 00:12:04", local */
