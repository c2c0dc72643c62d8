#include "live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool away; /* the terminal shows a screen of ours; there is one standard output */
static bool hidden;

void live_end(void)
{
	if (hidden)
		(void)fputs("\033[?25h", stdout);
	if (away)
		(void)fputs("\033[?1049l", stdout);
	if (hidden || away)
		(void)fflush(stdout);
	away = hidden = false;
}

void live_begin(struct live *l, bool screen)
{
	static bool registered;

	*l = (struct live){ .screen = screen };
	if (!registered && atexit(live_end) != 0)
		return; /* without a promise to undo it nothing is changed */
	registered = true;
	if (screen)
		(void)fputs("\033[?1049h", stdout);
	(void)fputs("\033[?25l", stdout);
	away = screen;
	hidden = true;
}

/* Written at once and over the picture before: neither half of it nor a blank is seen. */
void live_draw(struct live *l, const char *text)
{
	uint32_t lines = 0;

	if (l->screen)
		(void)fputs("\033[H", stdout);
	else if (l->drawn > 0)
		(void)printf("\033[%uA\r", l->drawn);
	for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1) {
		(void)printf("%.*s\033[K\n", (int)(end - text), text);
		lines++;
	}
	(void)fputs("\033[J", stdout);
	(void)fflush(stdout);
	l->drawn = lines;
}
