/* err.h - what went wrong, in words an operator can act on.
 *
 * Every fallible function returns 0 (or a count) or -errno.  Those that an operator must understand
 * take a last `struct err *e` and fill it on failure only: err_set() states the cause where it is
 * known, err_sys() adds errno's text, err_ctx() prefixes on the way up.  No allocation, never
 * fails; a text that does not fit is cut.  `e` may be NULL where the caller wants the number alone.
 *
 * Codes, their errno, whether a retry may help, and the hint are rows of errors.def.
 */
#pragma once

#include <stdbool.h>

#include "base/macros.h"

enum {
	ERR_TEXT_MAX = 248,
};

enum err_code {
	ERR_NONE,
#define ERROR(sym, name, errnum, retry, cause, hint) ERR_##sym,
#include "base/errors.def"
#undef ERROR
	ERR_NCODES,
};

struct err {
	enum err_code code;
	int sys; /* the system's errno where one was the cause, else 0 */
	char text[ERR_TEXT_MAX];
};

/* ERR_HOST_IO and ERR_VMM_START become host.files, host.disk_full or host.memory where the errno
 * says that this was the cause.  Each returns -errno: the system's where there is one, else that of
 * the code's row. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
int err_sys(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* As err_sys() for an error number in hand (positive or negative) instead of errno. */
int err_num(struct err *e, enum err_code code, int num, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Puts "context: " before the text; leaves the code alone. */
void err_ctx(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Appends a later failure's text to the first one's, which keeps its code ("; then: ..."). */
void err_join(struct err *e, const struct err *later);

/* -errno for the error held, 0 when none. */
int err_errno(const struct err *e);

const char *err_name(enum err_code code);    /* "vm.not_found" */
enum err_code err_by_name(const char *name); /* ERR_INTERNAL when unknown */
bool err_retryable(enum err_code code);      /* the same request may succeed later */
const char *err_hint(enum err_code code);    /* what to do next, or "" */
const char *err_cause(enum err_code code);   /* one sentence for docs/errors.md */
const char *err_sys_text(int num);           /* thread-safe strerror, never NULL */
