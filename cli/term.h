/* term.h - the terminal: is there one, how large, raw and back.
 *
 * Whoever makes it raw need not remember to restore it: exit(3) does.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "options.h"

/* Whether stderr may show a display that redraws itself. */
bool term_live(const struct options *o);

/* Whether fd is a terminal on which the cursor can be moved. */
bool term_draws(int fd);

/* Columns of the terminal behind fd; 0 when it is none. */
unsigned term_width(int fd);

/* Rows and columns for a guest's terminal; 24x80 when they are not known. */
void term_size(uint32_t *ret_rows, uint32_t *ret_cols);

int term_raw(struct err *e) MUST_CHECK;  /* standard input, until term_restore() or exit(3) */
int term_keys(struct err *e) MUST_CHECK; /* standard input gives keys at once, unseen; as above */
void term_restore(void);                 /* no-op unless raw; safe to repeat */
