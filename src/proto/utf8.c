#include "proto/utf8.h"

#include <string.h>

/* The bytes of the character that begins at text, 0 when none does. */
static size_t character(const uint8_t *text, size_t len)
{
	const uint8_t a = text[0];
	size_t n;

	if (a == 0)
		return 0;
	if (a < 0x80)
		return 1;
	if (a < 0xc2)
		return 0; /* a continuation, or overlong */
	n = a < 0xe0 ? 2 : a < 0xf0 ? 3 : a < 0xf5 ? 4 : 0;
	if (n == 0 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((a == 0xe0 && text[1] < 0xa0) || (a == 0xf0 && text[1] < 0x90))
		return 0; /* overlong */
	if ((a == 0xed && text[1] > 0x9f) || (a == 0xf4 && text[1] > 0x8f))
		return 0; /* a surrogate; beyond U+10FFFF */
	return n;
}

/* Eight bytes that are all ASCII and not NUL: the usual case of names, paths and arguments. */
static bool plain8(const uint8_t *text)
{
	const uint64_t high = UINT64_C(0x8080808080808080);
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t w;

	memcpy(&w, text, sizeof(w));
	return ((w | (w - ones)) & high) == 0;
}

size_t utf8_valid(const uint8_t *text, size_t len)
{
	size_t at = 0;

	while (at < len) {
		if (len - at >= 8 && plain8(text + at)) {
			at += 8;
			continue;
		}
		const size_t n = character(text + at, len - at);
		if (n == 0)
			break;
		at += n;
	}
	return at;
}
