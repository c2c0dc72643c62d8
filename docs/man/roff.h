/* roff.h - text as man(7) source that neither mandoc -Tlint nor groff -ww complains about.
 *
 * Prose is wrapped, each sentence begins a line, and what stands in `backquotes` or looks like an
 * option is bold.  Everything that means something to roff is escaped.
 */
#pragma once

#include <stdio.h>

/* Prose, to the end of its last line. */
void roff_prose(FILE *out, const char *text);

/* The text alone, as it would be typed; no line's end. */
void roff_literal(FILE *out, const char *text);

/* Lines of a terminal, each as it stands. */
void roff_lines(FILE *out, const char *lines);
