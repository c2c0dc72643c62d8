/* cleanup.h - ownership by scope.
 *
 * A CLEANUP_* local is released when it leaves its scope; take_fd() and take_ptr() hand it over, so
 * that the moment of hand-over can be seen in the code.
 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_fd(const int *fd)
{
	const int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void cleanup_free(void *pp)
{
	free(*(void **)pp);
}

static inline void cleanup_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define CLEANUP_FD   __attribute__((cleanup(cleanup_fd)))
#define CLEANUP_FREE __attribute__((cleanup(cleanup_free)))
#define CLEANUP_FILE __attribute__((cleanup(cleanup_file)))

/* Gives the descriptor to the caller and leaves "absent" behind. */
static inline int take_fd(int *fd)
{
	const int taken = *fd;

	*fd = -EBADF;
	return taken;
}

#define take_ptr(pp)                                                                               \
	({                                                                                         \
		__typeof__(*(pp)) taken_ = *(pp);                                                  \
		*(pp) = NULL;                                                                      \
		taken_;                                                                            \
	})

/* Closes *fd if it is open and marks it absent; safe to repeat. */
static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -EBADF;
}
