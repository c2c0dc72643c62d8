#include "term.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum {
	ROWS_DEFAULT = 24,
	COLS_DEFAULT = 80,
};

static struct termios saved; /* what to restore; there is one standard input */
static bool raw;

bool term_draws(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) && term && term[0] != '\0' && strcmp(term, "dumb") != 0;
}

bool term_live(const struct options *o)
{
	const char *no_color = getenv("NO_COLOR");

	if (o->quiet || o->json || o->no_color || (no_color && no_color[0] != '\0'))
		return false;
	return term_draws(STDERR_FILENO);
}

unsigned term_width(int fd)
{
	struct winsize size = { 0 };

	if (!isatty(fd))
		return 0;
	if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return COLS_DEFAULT;
	return size.ws_col;
}

void term_size(uint32_t *ret_rows, uint32_t *ret_cols)
{
	struct winsize size = { 0 };
	const bool known = ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0;

	*ret_rows = known && size.ws_row ? size.ws_row : ROWS_DEFAULT;
	*ret_cols = known && size.ws_col ? size.ws_col : COLS_DEFAULT;
}

/* What standard input is now goes to `saved`, and comes back at exit. */
static int save(struct err *e)
{
	static bool registered;

	if (tcgetattr(STDIN_FILENO, &saved) < 0)
		return err_sys(e, ERR_HOST_IO, "terminal");
	if (!registered && atexit(term_restore) != 0)
		return err_set(e, ERR_HOST_MEMORY, "terminal: atexit");
	registered = true;
	return 0;
}

static int change(const struct termios *now, struct err *e)
{
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, now) < 0)
		return err_sys(e, ERR_HOST_IO, "terminal: mode");
	raw = true;
	return 0;
}

int term_raw(struct err *e)
{
	struct termios now;
	const int rc = save(e);

	if (rc < 0)
		return rc;
	now = saved;
	cfmakeraw(&now);
	return change(&now, e);
}

int term_keys(struct err *e)
{
	struct termios now;
	const int rc = save(e);

	if (rc < 0)
		return rc;
	now = saved;
	now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	return change(&now, e);
}

void term_restore(void)
{
	if (raw)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
	raw = false;
}
