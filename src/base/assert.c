#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void (*assert_last_words)(void);

void assert_failed(const char *cond, const char *file, int line)
{
	if (assert_last_words)
		assert_last_words();
	fprintf(stderr, "<2>ev=assert cond=\"%s\" at=%s:%d\n", cond, file, line);
	abort();
}
