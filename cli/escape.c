#include "escape.h"

#include <string.h>

int escape_parse(const char *what, const char *text, int *ret_key, struct err *e)
{
	const bool none = strcmp(text, "none") == 0;
	const unsigned char key = (unsigned char)text[0];

	if (!none && (strlen(text) != 1 || key < ' ' || key > '~'))
		return err_set(e, ERR_BAD_REQUEST, "%s: \"%.20s\" is not one character, or none",
			       what, text);
	*ret_key = none ? ESCAPE_NONE : key;
	return 0;
}

enum escape_says escape_feed(struct escape *x, const uint8_t *in, size_t len, uint8_t *out,
			     size_t *ret_len, size_t *ret_taken)
{
	enum escape_says says = ESCAPE_PASS;
	size_t n = 0;
	size_t at = 0;

	while (at < len && says == ESCAPE_PASS) {
		const uint8_t c = in[at++];
		const bool held = x->held;

		x->held = !held && !x->midway && c == x->key;
		if (x->held)
			continue;
		if (held && c == '.') {
			says = ESCAPE_LEAVE;
		} else if (held && c == '?') {
			says = ESCAPE_HELP;
		} else {
			if (held && c != x->key)
				out[n++] = (uint8_t)x->key;
			out[n++] = c;
			x->midway = c != '\r' && c != '\n';
		}
	}
	*ret_len = n;
	*ret_taken = at;
	return says;
}
