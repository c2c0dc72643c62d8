/* fault.h - makes the k-th effect of an operation fail, or the worker die there: for tests.
 *
 * Compiled in only with HELPER_FAULTS, which no program that is installed has.  The plan is a file
 * that all processes of the helper map: a test writes it, and reads how far it came.  Points count
 * only where the plan says: within an operation's act, or in what a worker does behind its answers.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

enum fault_where {
	FAULT_ACT,
	FAULT_BEHIND,
};

struct fault_plan {
	uint32_t at;    /* the point that fails, from 1; 0: none */
	int32_t action; /* an errno, FAULT_DIE, FAULT_HANG, or FAULT_CALL and a system call's number
			 */
	uint32_t passed; /* points that were met since the operation began, or what is behind it */
	uint32_t where;  /* enum fault_where */
};

enum {
	FAULT_DIE = 0,
	FAULT_HANG = -1,
	FAULT_CALL = 1000,
};

#ifdef HELPER_FAULTS
void fault_open(const char *path); /* before anything is forked */
void fault_arm(enum fault_where where, bool on);
int fault_point(const char *what, struct err *e) MUST_CHECK;
#else
static inline void fault_arm(enum fault_where where, bool on)
{
	(void)where;
	(void)on;
}

static inline int fault_point(const char *what, struct err *e)
{
	(void)what;
	(void)e;
	return 0;
}
#endif
