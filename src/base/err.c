#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct err_row {
	const char *name;
	int errnum;
	bool retryable;
	const char *cause;
	const char *hint;
};

static const struct err_row err_rows[ERR_NCODES] = {
	[ERR_NONE] = { "ok", 0, false, "", "" },
#define ERROR(sym, name, errnum, retry, cause, hint)                                               \
	[ERR_##sym] = { name, errnum, retry, cause, hint },
#include "base/errors.def"
#undef ERROR
};

const char *err_sys_text(int num)
{
	const char *text = strerrordesc_np(abs(num));

	return text ? text : "unknown error";
}

/* Whatever was being done: what the host has run out of is the cause, and has its own hint. */
static enum err_code err_cause_code(enum err_code code, int sys)
{
	if (code != ERR_HOST_IO && code != ERR_VMM_START)
		return code;
	return sys == EMFILE || sys == ENFILE   ? ERR_HOST_FILES
	       : sys == ENOSPC || sys == EDQUOT ? ERR_HOST_DISK_FULL
	       : sys == ENOMEM                  ? ERR_HOST_MEMORY
						: code;
}

static PRINTF_LIKE(4, 0) int err_fill(struct err *e, enum err_code code, int sys, const char *fmt,
				      va_list ap)
{
	sys = abs(sys);
	if (e) {
		e->code = err_cause_code(code, sys);
		e->sys = sys;
		(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
		if (sys) {
			const size_t used = strlen(e->text);

			(void)snprintf(e->text + used, sizeof(e->text) - used, ": %s",
				       err_sys_text(sys));
		}
	}
	return sys ? -sys : -err_rows[code].errnum;
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	const int rc = err_fill(e, code, 0, fmt, ap);
	va_end(ap);
	return rc;
}

int err_sys(struct err *e, enum err_code code, const char *fmt, ...)
{
	const int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	const int rc = err_fill(e, code, saved, fmt, ap);
	va_end(ap);
	return rc;
}

int err_num(struct err *e, enum err_code code, int num, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	const int rc = err_fill(e, code, num, fmt, ap);
	va_end(ap);
	return rc;
}

void err_ctx(struct err *e, const char *fmt, ...)
{
	char old[ERR_TEXT_MAX];
	va_list ap;

	if (!e)
		return;
	memcpy(old, e->text, sizeof(old));
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	const size_t used = strlen(e->text);
	(void)snprintf(e->text + used, sizeof(e->text) - used, ": %s", old);
}

void err_join(struct err *e, const struct err *later)
{
	if (!e || !later->code)
		return;
	if (!e->code) {
		*e = *later;
		return;
	}
	const size_t used = strlen(e->text);
	(void)snprintf(e->text + used, sizeof(e->text) - used, "; then: %s", later->text);
}

int err_errno(const struct err *e)
{
	return e->sys ? -e->sys : -err_rows[e->code].errnum;
}

const char *err_name(enum err_code code)
{
	return err_rows[code].name;
}

enum err_code err_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(err_rows); i++)
		if (strcmp(err_rows[i].name, name) == 0)
			return (enum err_code)i;
	return ERR_INTERNAL;
}

bool err_retryable(enum err_code code)
{
	return err_rows[code].retryable;
}

const char *err_hint(enum err_code code)
{
	return err_rows[code].hint;
}

const char *err_cause(enum err_code code)
{
	return err_rows[code].cause;
}
