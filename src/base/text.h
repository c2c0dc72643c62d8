/* text.h - strings in arrays of fixed size, which is how records and answers keep them. */
#pragma once

#include <stddef.h>
#include <string.h>

/* As snprintf(to, size, "%s", from), at a tenth of its price: cut where it does not fit. */
static inline void text_copy(char *to, size_t size, const char *from)
{
	size_t len = strlen(from);

	len = len < size ? len : size - 1;
	memcpy(to, from, len);
	to[len] = '\0';
}

#define TEXT_SET(array, from) text_copy((array), sizeof(array), (from))
