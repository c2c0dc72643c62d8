#include "connect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon_start.h"

#define SAYS "bangerd: "

enum {
	BACKLOG = 1024,  /* commands that may wait while the daemon comes up */
	LOG_READ = 4096, /* bytes of the log's end, in which the daemon's last words are */
	WORDS_MAX = 200, /* ... of them in an error */
	CODE_MAX = 32,
	PRIVATE_FILE = 0600,
};

static int address_of(const char *path, struct sockaddr_un *ret_addr, struct err *e)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (strlen(path) > PATHS_SOCKET_MAX)
		return err_num(e, ERR_DAEMON_DOWN, ENAMETOOLONG, "socket %.80s...", path);
	memcpy(addr.sun_path, path, strlen(path));
	*ret_addr = addr;
	return 0;
}

/* The descriptor, or -errno of connect(2). */
static int try_connect(const struct sockaddr_un *addr)
{
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	/* Blocking: a full backlog makes us wait our turn. */
	while (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
		if (errno != EINTR)
			return -errno;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return take_fd(&fd);
}

static int lock_take(const struct paths *p, struct err *e)
{
	char path[PATHS_FILE_MAX + 1];
	CLEANUP_FD int fd = -EBADF;

	(void)snprintf(path, sizeof(path), "%s/start.lock", p->runtime);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, PRIVATE_FILE);
	if (fd < 0)
		return err_sys(e, ERR_HOST_IO, "open %s", path);
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_sys(e, ERR_HOST_IO, "lock %s", path);
	return take_fd(&fd);
}

/* Under the lock, and nobody listens: what lies at the path is a leftover.  The directory is closed
 * to others, so the moment between bind and chmod is nobody's. */
static int listen_at(const struct sockaddr_un *addr, struct err *e)
{
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(e, ERR_HOST_IO, "socket");
	if (unlink(addr->sun_path) < 0 && errno != ENOENT)
		return err_sys(e, ERR_HOST_IO, "remove %s", addr->sun_path);
	const mode_t old = umask(0177);
	const int rc = bind(fd, (const struct sockaddr *)addr, sizeof(*addr));
	(void)umask(old);
	if (rc < 0)
		return err_sys(e, ERR_HOST_IO, "bind %s", addr->sun_path);
	if (listen(fd, BACKLOG) < 0)
		return err_sys(e, ERR_HOST_IO, "listen %s", addr->sun_path);
	return take_fd(&fd);
}

static int log_open(const struct paths *p, off_t *ret_at, struct err *e)
{
	CLEANUP_FD int fd = open(p->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
				 PRIVATE_FILE);
	struct stat st;

	if (fd < 0)
		return err_sys(e, ERR_HOST_IO, "open %s", p->log);
	if (fstat(fd, &st) < 0)
		return err_sys(e, ERR_HOST_IO, "stat %s", p->log);
	*ret_at = st.st_size;
	return take_fd(&fd);
}

/* Connected before our copy of the listening socket is closed: if the daemon dies from here on, the
 * kernel tells us. */
static int start(const struct options *o, const struct paths *p, const struct sockaddr_un *addr,
		 struct connect_result *ret_how, struct err *e)
{
	CLEANUP_FD int listener = -EBADF;
	CLEANUP_FD int log = -EBADF;
	CLEANUP_FD int fd = -EBADF;
	struct connect_result how = { .started = true };
	int rc;

	(void)snprintf(how.log, sizeof(how.log), "%s", p->log);
	log = log_open(p, &how.log_at, e);
	if (log < 0)
		return log;
	listener = listen_at(addr, e);
	if (listener < 0)
		return listener;
	fd = try_connect(addr);
	if (fd < 0)
		return err_num(e, ERR_DAEMON_DOWN, fd, "connect to %s", addr->sun_path);
	rc = spawn_daemon(o, listener, log, e);
	if (rc < 0) {
		(void)unlink(addr->sun_path); /* a later command meets nothing, not a dead end */
		return rc;
	}
	how.fd = take_fd(&fd);
	*ret_how = how;
	return 0;
}

static int start_locked(const struct options *o, const struct paths *p,
			const struct sockaddr_un *addr, struct connect_result *ret_how,
			struct err *e)
{
	CLEANUP_FD int lock = -EBADF;
	int rc = paths_ensure_dir(p->runtime, e);

	if (rc == 0)
		rc = paths_ensure_dir(p->state, e);
	if (rc < 0)
		return rc;
	lock = lock_take(p, e);
	if (lock < 0)
		return lock;
	rc = try_connect(addr); /* another command may have been first */
	if (rc >= 0) {
		*ret_how = (struct connect_result){ .fd = rc };
		return 0;
	}
	return start(o, p, addr, ret_how, e);
}

/* ---- whose daemon ---- */

static bool is_set(const char *name)
{
	const char *value = getenv(name);

	return value && value[0];
}

/* There is a daemon of the system, or systemd listens for it, and we may speak to it. */
static bool system_serves_us(void)
{
	struct paths p = { 0 };

	return !is_set("BANGER_RUNTIME_DIR") && paths_find(true, &p, NULL) == 0 &&
	       access(p.socket, W_OK) == 0;
}

static int want_system(const struct options *o, bool *ret_system, struct err *e)
{
	const char *said = getenv("BANGER_SYSTEM");

	if (o->system && o->session)
		return err_set(e, ERR_BAD_REQUEST, "--system and --session exclude each other");
	if (o->system || o->session || !is_set("BANGER_SYSTEM"))
		*ret_system = o->system || (!o->session && system_serves_us());
	else if (strcmp(said, "0") == 0 || strcmp(said, "1") == 0)
		*ret_system = said[0] == '1';
	else
		return err_set(e, ERR_BAD_REQUEST, "BANGER_SYSTEM=%.40s is neither 1 nor 0", said);
	return 0;
}

int connect_paths(const struct options *o, struct paths *ret_paths, bool *ret_system, struct err *e)
{
	const int rc = want_system(o, ret_system, e);

	return rc < 0 ? rc : paths_find(*ret_system, ret_paths, e);
}

/* ---- either one ---- */

static int refused_by_system(const struct sockaddr_un *addr, int rc, struct err *e)
{
	if (rc == -EACCES || rc == -EPERM)
		return err_num(e, ERR_DAEMON_DOWN, rc,
			       "the system's daemon serves its owner and root alone: %s",
			       addr->sun_path);
	return err_num(e, ERR_DAEMON_DOWN, rc,
		       "the system's daemon (systemctl start bangerd.socket): connect to %s",
		       addr->sun_path);
}

int connect_daemon(const struct options *o, bool may_start, struct connect_result *ret_how,
		   struct err *e)
{
	struct paths p = { 0 };
	struct sockaddr_un addr;
	bool system = false;
	int rc = 0;

	if (!o->socket)
		rc = connect_paths(o, &p, &system, e);
	if (rc == 0)
		rc = address_of(o->socket ? o->socket : p.socket, &addr, e);
	if (rc < 0)
		return rc;
	rc = try_connect(&addr);
	if (rc >= 0) {
		*ret_how = (struct connect_result){ .fd = rc };
		return 0;
	}
	if (system)
		return refused_by_system(&addr, rc, e);
	if (!o->socket && may_start && (rc == -ENOENT || rc == -ECONNREFUSED))
		return start_locked(o, &p, &addr, ret_how, e);
	return err_num(e, ERR_DAEMON_DOWN, rc, "connect to %s", addr.sun_path);
}

/* ---- why it did not start ---- */

/* The log's lines since `at`, or the last LOG_READ bytes of them from a line's beginning. */
static const char *lines_since(const char *path, off_t at, char *text)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return "";
	const bool cut = st.st_size - at > LOG_READ;
	ssize_t n = pread(fd, text, LOG_READ, cut ? st.st_size - LOG_READ : at);
	while (n > 0 && text[n - 1] == '\n')
		n--;
	text[n > 0 ? n : 0] = '\0';
	const char *first = cut ? strchr(text, '\n') : NULL;
	return first ? first + 1 : text;
}

/* The line that tells of the daemon's end ("bangerd: CODE: TEXT"), else its last one, which is a
 * sanitizer's, or that of whoever could not execute it. */
static const char *last_words(const char *lines)
{
	const char *last = lines;

	for (const char *line = lines; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, SAYS, strlen(SAYS)) == 0)
			return line + strlen(SAYS);
		last = line;
	}
	return last;
}

/* The error that kept the daemon from starting is this command's error: with its code goes the hint
 * that helps. */
int connect_explain(const struct connect_result *how, struct err *e)
{
	char text[LOG_READ + 1];
	char code[CODE_MAX] = { 0 };

	if (e->code != ERR_DAEMON_DOWN)
		return err_errno(e);
	const char *words = last_words(lines_since(how->log, how->log_at, text));
	const int len = (int)strcspn(words, "\n");
	const size_t code_len = strcspn(words, ":\n");
	if (len == 0)
		return err_set(e, ERR_DAEMON_DOWN,
			       "the daemon ended while starting, and left nothing in its log");
	if (code_len < sizeof(code))
		memcpy(code, words, code_len);
	const enum err_code known = err_by_name(code);
	if (known != ERR_INTERNAL && strncmp(words + code_len, ": ", 2) == 0)
		return err_set(e, known, "%.*s", len - (int)code_len - 2, words + code_len + 2);
	return err_set(e, ERR_DAEMON_DOWN, "the daemon ended while starting: %.*s%s",
		       len < WORDS_MAX ? len : WORDS_MAX, words, len > WORDS_MAX ? "..." : "");
}
