/* strv.h - an owned, NULL-terminated vector of owned strings: argv, environments, labels. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

struct strv {
	char **v; /* owned; NULL while empty, else v[n] is NULL */
	uint32_t n;
};

int strv_add(struct strv *s, const char *text) MUST_CHECK; /* copies; -ENOMEM */
int strv_addf(struct strv *s, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_CHECK;
int strv_add_bytes(struct strv *s, const char *text, size_t len) MUST_CHECK;
int strv_copy(struct strv *to, const struct strv *from) MUST_CHECK; /* `to` must be empty */
void strv_fini(struct strv *s);

/* The value after "key=" in a vector of "key=value", or NULL. */
const char *strv_value(const struct strv *s, const char *key);
