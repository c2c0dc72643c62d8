/* assert.h - for our own mistakes only; never for bytes from a socket, disk, kernel or guest.
 *
 * Always on.  A failed assertion aborts; the service manager or the next command starts the daemon
 * again, which adopts what runs and undoes what was half done.
 */
#pragma once

#define ASSERT(cond) ((cond) ? (void)0 : assert_failed(#cond, __FILE__, __LINE__))

/* Called first where set: what must be said before the end. */
extern void (*assert_last_words)(void);

_Noreturn void assert_failed(const char *cond, const char *file, int line);
