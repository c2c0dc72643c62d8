#include "guest/agent/shell.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PASSWD_PATH "/etc/passwd"
#define HOME        "/root"
#define SHELL       "/bin/sh"

/* passwd(5), read by hand: getpwuid() of a static glibc wants the very same glibc at run time. */
static bool passwd_root(const char *line, char home[SHELL_PATH_MAX], char shell[SHELL_PATH_MAX])
{
	const char *field[7];
	size_t len[7];

	for (size_t i = 0; i < ARRAY_LEN(field); i++) {
		field[i] = line;
		len[i] = strcspn(line, ":\n");
		line += len[i];
		if (*line == ':')
			line++;
		else if (i + 1 < ARRAY_LEN(field))
			return false;
	}
	if (len[2] != 1 || field[2][0] != '0' || len[5] >= SHELL_PATH_MAX ||
	    len[6] >= SHELL_PATH_MAX)
		return false;
	(void)snprintf(home, SHELL_PATH_MAX, "%.*s", (int)len[5], field[5]);
	(void)snprintf(shell, SHELL_PATH_MAX, "%.*s", (int)len[6], field[6]);
	return true;
}

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

void shell_find(struct shell *ret_shell)
{
	struct shell s = { .home = HOME, .path = SHELL };
	CLEANUP_FILE FILE *f = fopen(PASSWD_PATH, "re");
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;

	while (f && getline(&line, &size, f) > 0)
		if (passwd_root(line, s.home, s.path))
			break;
	if (!is_directory(s.home))
		(void)snprintf(s.home, sizeof(s.home), "/");
	if (access(s.path, X_OK) < 0)
		(void)snprintf(s.path, sizeof(s.path), SHELL);

	const char *slash = strrchr(s.path, '/');

	(void)snprintf(s.login_name, sizeof(s.login_name), "-%s", slash ? slash + 1 : s.path);
	*ret_shell = s;
}

int shell_environment(const struct shell *s, const struct strv *given, bool tty,
		      struct strv *ret_env)
{
	const struct {
		const char *key, *value;
	} defaults[] = {
		{ "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
		{ "HOME", s->home },
		{ "USER", "root" },
		{ "LOGNAME", "root" },
		{ "SHELL", s->path },
		{ "TERM", tty ? "xterm-256color" : NULL },
	};
	struct strv env = { 0 };
	int rc = strv_copy(&env, given);

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(defaults); i++)
		if (defaults[i].value && !strv_value(given, defaults[i].key))
			rc = strv_addf(&env, "%s=%s", defaults[i].key, defaults[i].value);
	if (rc < 0) {
		strv_fini(&env);
		return rc;
	}
	*ret_env = env;
	return 0;
}
