#include "roff.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	WRAP = 78, /* mandoc -Tlint: input lines of at most 80 bytes */
};

/* groff_char(7): what roff would take for something else, as what it is. */
static void put_char(FILE *out, char c, bool literal)
{
	switch (c) {
	case '\\':
		(void)fputs("\\e", out);
		break;
	case '^':
		(void)fputs("\\(ha", out);
		break;
	case '~':
		(void)fputs("\\(ti", out);
		break;
	case '-':
		(void)fputs(literal ? "\\-" : "-", out);
		break;
	case '\'':
		(void)fputs(literal ? "\\(aq" : "'", out);
		break;
	default:
		(void)fputc(c, out);
	}
}

void roff_literal(FILE *out, const char *text)
{
	for (; *text; text++)
		put_char(out, *text, true);
}

/* A word, or a whole `code span`, with the punctuation around it. */
struct unit {
	const char *text;
	size_t len;
	size_t bold_from, bold_to; /* of its bytes; the same where none is bold */
};

static bool is_option(const char *text, size_t len)
{
	return len >= 2 && text[0] == '-' && (text[1] == '-' || isalpha((unsigned char)text[1]));
}

static struct unit unit_take(const char *text)
{
	struct unit u = { .text = text };
	const char *tick = memchr(text, '`', strcspn(text, " "));
	const char *close = tick ? strchr(tick + 1, '`') : NULL;

	if (close) {
		u.len = (size_t)(close + 1 - text) + strcspn(close + 1, " ");
		u.bold_from = (size_t)(tick - text);
		u.bold_to = (size_t)(close + 1 - text);
		return u;
	}
	u.len = strcspn(text, " ");
	while (u.bold_from < u.len && strchr("(\"", text[u.bold_from]))
		u.bold_from++;
	u.bold_to = u.len;
	while (u.bold_to > u.bold_from && strchr(".,;:?!)\"", text[u.bold_to - 1]))
		u.bold_to--;
	if (!is_option(text + u.bold_from, u.bold_to - u.bold_from))
		u.bold_from = u.bold_to = 0;
	return u;
}

/* A dot or an apostrophe at a line's begin would make a request of it: "\&" is nothing. */
static void guard(FILE *out, char first)
{
	if (first == '.' || first == '\'')
		(void)fputs("\\&", out);
}

static void unit_put(FILE *out, const struct unit *u)
{
	for (size_t i = 0; i < u->len; i++) {
		const bool bold = i >= u->bold_from && i < u->bold_to;

		if (bold && i == u->bold_from)
			(void)fputs("\\fB", out);
		if (!bold || u->text[i] != '`')
			put_char(out, u->text[i], bold);
		if (bold && i + 1 == u->bold_to)
			(void)fputs("\\fR", out);
	}
}

/* Bytes that unit_put() writes, about. */
static size_t unit_width(const struct unit *u)
{
	size_t width = u->len + (u->bold_to > 0 ? strlen("\\fB\\fR") : 0);

	for (size_t i = u->bold_from; i < u->bold_to; i++)
		width += u->text[i] == '-' ? 1 : 0;
	return width;
}

static bool ends_sentence(const struct unit *u)
{
	return u->len > 0 && strchr(".?!", u->text[u->len - 1]) != NULL;
}

void roff_prose(FILE *out, const char *text)
{
	struct unit u = { 0 };
	size_t column = 0;

	for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
		const bool sentence = column > 0 && ends_sentence(&u);

		u = unit_take(text);
		const size_t width = unit_width(&u);
		const bool fresh = column == 0 || sentence || column + 1 + width > WRAP;
		if (column > 0)
			(void)fputc(fresh ? '\n' : ' ', out);
		if (fresh)
			guard(out, u.text[0]);
		unit_put(out, &u);
		column = fresh ? width : column + 1 + width;
		text += u.len;
	}
	(void)fputc('\n', out);
}

void roff_lines(FILE *out, const char *lines)
{
	(void)fputs(".EX\n", out);
	while (*lines) {
		const size_t len = strcspn(lines, "\n");

		guard(out, lines[0]);
		for (size_t i = 0; i < len; i++)
			put_char(out, lines[i], true);
		(void)fputc('\n', out);
		lines += len + (lines[len] == '\n');
	}
	(void)fputs(".EE\n", out);
}
