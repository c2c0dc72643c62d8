#include "base/suggest.h"

#include <stdio.h>
#include <string.h>

#include "base/macros.h"

static unsigned min_of(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Optimal string alignment (Damerau-Levenshtein without edits inside a swap), row by row. */
unsigned suggest_distance(const char *a, const char *b)
{
	const size_t la = strlen(a);
	const size_t lb = strlen(b);
	unsigned d[SUGGEST_WORD_MAX + 1][SUGGEST_WORD_MAX + 1];

	if (la > SUGGEST_WORD_MAX || lb > SUGGEST_WORD_MAX)
		return SUGGEST_WORD_MAX;
	for (unsigned i = 0; i <= la; i++)
		d[i][0] = i;
	for (unsigned j = 0; j <= lb; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= la; i++)
		for (size_t j = 1; j <= lb; j++) {
			const unsigned differ = a[i - 1] != b[j - 1];

			d[i][j] = min_of(min_of(d[i - 1][j], d[i][j - 1]) + 1,
					 d[i - 1][j - 1] + differ);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = min_of(d[i][j], d[i - 2][j - 2] + 1);
		}
	return d[la][lb];
}

/* Near enough: a third of the word may be wrong, and one letter always. */
void suggest_offer(struct suggest *s, const char *candidate)
{
	const unsigned limit = 1 + (unsigned)strlen(s->word) / 3;
	unsigned distance = suggest_distance(s->word, candidate);

	/* An unfinished word ("del") means what it begins. */
	if (strlen(s->word) >= 2 && strncmp(candidate, s->word, strlen(s->word)) == 0)
		distance = 1;
	if (distance <= limit && (!s->best || distance < s->distance)) {
		s->best = candidate;
		s->distance = distance;
	}
}

int suggest_check(const char *what, const char *const *words, const char *text, struct err *e)
{
	struct suggest near = { .word = text };
	char list[128] = "";

	for (; *words; words++) {
		const size_t used = strlen(list);

		if (strcmp(*words, text) == 0)
			return 0;
		suggest_offer(&near, *words);
		(void)snprintf(list + used, sizeof(list) - used, "%s%s", used ? ", " : "", *words);
	}
	if (near.best)
		return err_set(e, ERR_BAD_REQUEST, "%s \"%.40s\" is unknown; did you mean \"%s\"?",
			       what, text, near.best);
	return err_set(e, ERR_BAD_REQUEST, "%s \"%.40s\" is none of %s", what, text, list);
}
