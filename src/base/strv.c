#include "base/strv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* Takes ownership of text, also when it fails. */
static int strv_push(struct strv *s, char *text)
{
	if (!text)
		return -ENOMEM;
	/* Room for one more and the NULL; doubled at powers of two. */
	if (s->n == 0 || (s->n & (s->n + 1)) == 0) {
		const size_t slots = s->n == 0 ? 2 : ((size_t)s->n + 1) * 2;
		char **v = realloc((void *)s->v, slots * sizeof(*v));

		if (!v) {
			free(text);
			return -ENOMEM;
		}
		s->v = v;
	}
	s->v[s->n++] = text;
	s->v[s->n] = NULL;
	return 0;
}

int strv_add(struct strv *s, const char *text)
{
	return strv_push(s, strdup(text));
}

int strv_add_bytes(struct strv *s, const char *text, size_t len)
{
	return strv_push(s, strndup(text, len));
}

int strv_addf(struct strv *s, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	const int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return n < 0 ? -ENOMEM : strv_push(s, text);
}

int strv_copy(struct strv *to, const struct strv *from)
{
	ASSERT(to->n == 0);
	for (uint32_t i = 0; i < from->n; i++) {
		const int rc = strv_add(to, from->v[i]);

		if (rc < 0) {
			strv_fini(to);
			return rc;
		}
	}
	return 0;
}

void strv_fini(struct strv *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free((void *)s->v);
	*s = (struct strv){ 0 };
}

const char *strv_value(const struct strv *s, const char *key)
{
	const size_t len = strlen(key);

	for (uint32_t i = 0; i < s->n; i++)
		if (strncmp(s->v[i], key, len) == 0 && s->v[i][len] == '=')
			return s->v[i] + len + 1;
	return NULL;
}
