#include "daemon_start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/paths.h"
#include "conf/conf.h"

enum {
	LISTEN_FD = 3, /* SD_LISTEN_FDS_START of sd_listen_fds(3) */
	EXEC_FAILED = 127,
};

static bool runnable(const char *path)
{
	return access(path, X_OK) == 0;
}

static bool beside_us(char *out, size_t size)
{
	char self[PATHS_FILE_MAX];
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n <= 0)
		return false;
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return false;
	*slash = '\0';
	return (size_t)snprintf(out, size, "%s/bangerd", self) < size && runnable(out);
}

static bool in_path(char *out, size_t size)
{
	const char *path = getenv("PATH");

	while (path && *path) {
		const size_t len = strcspn(path, ":");

		if (len > 0 && path[0] == '/' &&
		    (size_t)snprintf(out, size, "%.*s/bangerd", (int)len, path) < size &&
		    runnable(out))
			return true;
		path += len + (path[len] == ':');
	}
	return false;
}

int spawn_find(const struct options *o, char *ret_path, size_t size, struct err *e)
{
	const char *said = getenv("BANGER_DAEMON");
	const char *by = "BANGER_DAEMON";

	if (!said || !said[0]) {
		said = o->conf ? o->conf->daemon : "";
		by = "cli.daemon";
	}
	if (said[0] && said[0] != '/')
		return err_set(e, ERR_DAEMON_DOWN, "%s=%.120s is not an absolute path", by, said);
	if (said[0]) {
		if ((size_t)snprintf(ret_path, size, "%s", said) >= size || !runnable(ret_path))
			return err_sys(e, ERR_DAEMON_DOWN, "%s=%.120s", by, said);
		return 0;
	}
	if (beside_us(ret_path, size))
		return 0;
	(void)snprintf(ret_path, size, "%s/bangerd", BANGER_LIBEXECDIR);
	if (runnable(ret_path) || in_path(ret_path, size))
		return 0;
	return err_set(e, ERR_DAEMON_DOWN,
		       "bangerd is neither beside banger, nor in %s, nor in PATH",
		       BANGER_LIBEXECDIR);
}

/* In the child.  The log is its standard error by then, so that is where a failure is told. */
static _Noreturn void become(const struct options *o, const char *path, int listener, int log)
{
	char pid[16];
	char *argv[] = { strdup("bangerd"), o->config_path ? strdup("--config") : NULL,
			 o->config_path, NULL };
	const int null = open("/dev/null", O_RDONLY);
	sigset_t none;

	/* Above 3, so that no dup2() below hits a descriptor that is still needed. */
	listener = fcntl(listener, F_DUPFD, LISTEN_FD + 1);
	log = fcntl(log, F_DUPFD, LISTEN_FD + 1);
	if (listener < 0 || log < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0 ||
	    dup2(listener, LISTEN_FD) < 0)
		_exit(EXEC_FAILED);
	(void)close_range(LISTEN_FD + 1, ~0U, 0); /* the caller's pipes are not the daemon's */
	(void)setsid();
	IGNORE(chdir("/") < 0);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (setenv("LISTEN_PID", pid, 1) == 0 && setenv("LISTEN_FDS", "1", 1) == 0)
		execv(path, argv);
	(void)dprintf(STDERR_FILENO, "execute %s: %s\n", path, err_sys_text(errno));
	_exit(EXEC_FAILED);
}

int spawn_daemon(const struct options *o, int listener, int log, struct err *e)
{
	char path[PATHS_FILE_MAX];
	int rc = spawn_find(o, path, sizeof(path), e);

	if (rc < 0)
		return rc;
	const pid_t pid = fork(); /* not waited for: it outlives us, and init reaps it */
	if (pid < 0)
		return err_sys(e, ERR_HOST_IO, "fork");
	if (pid == 0)
		become(o, path, listener, log);
	return 0;
}
