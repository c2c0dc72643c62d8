/* macros.h - what C lacks and every file needs.  Nothing here has hidden control flow. */
#pragma once

#include <stddef.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* One bit of a 64-bit mask; states and message types are kept in such masks. */
#define BIT(n) (UINT64_C(1) << (n))

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* For a result that the caller must look at, because a bare call would lose an error. */
#define MUST_CHECK __attribute__((warn_unused_result))

/* Silences a result that is truly of no interest, where a cast to void is not enough for gcc. */
#define IGNORE(expr)                                                                               \
	do {                                                                                       \
		if (expr) {                                                                        \
		}                                                                                  \
	} while (0)
