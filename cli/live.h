/* live.h - text on a terminal that is drawn again and again: in place, or on a screen of its own.
 *
 * What is on the terminal when it ends stays in place; a screen of its own goes, and what was there
 * before comes back.  Standard output only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct live {
	bool screen;    /* of its own */
	uint32_t drawn; /* lines, in place */
};

void live_begin(struct live *l, bool screen);
/* `text` is whole lines, none wider than the terminal and no more than it is high. */
void live_draw(struct live *l, const char *text);
/* Also at exit, whatever its way. */
void live_end(void);
