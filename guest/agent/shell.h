/* shell.h - whose commands they are: root's home, shell and environment. */
#pragma once

#include <stdbool.h>

#include "base/strv.h"

enum {
	SHELL_PATH_MAX = 128,
};

struct shell {
	char home[SHELL_PATH_MAX];
	char path[SHELL_PATH_MAX];
	char login_name[SHELL_PATH_MAX + 1]; /* argv[0]: "-bash" */
};

void shell_find(struct shell *ret_shell); /* never fails: at worst / and /bin/sh */

/* `given`, and what every command needs where that does not say it. */
int shell_environment(const struct shell *s, const struct strv *given, bool tty,
		      struct strv *ret_env) MUST_CHECK;
