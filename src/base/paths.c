#include "base/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

enum {
	PASSWD_BYTES = 2048, /* of one entry of the password database */
	DIR_MODE = 0700,
	OTHERS_MASK = 077,
};

/* One kind of directory: where it may be said, and where it is otherwise. */
struct place {
	const char *what;
	const char *ours;     /* environment: the directory itself */
	const char *xdg;      /* environment: its parent */
	const char *fallback; /* below the home directory; NULL: in /tmp by uid */
	const char *system;   /* of the system's daemon, unless said */
};

static const struct place place_runtime = { "runtime", "BANGER_RUNTIME_DIR", "XDG_RUNTIME_DIR",
					    NULL, "/run/banger" };
static const struct place place_state = { "state", "BANGER_STATE_DIR", "XDG_STATE_HOME",
					  ".local/state/banger", "/var/lib/banger" };
static const struct place place_cache = { "cache", "BANGER_CACHE_DIR", "XDG_CACHE_HOME",
					  ".cache/banger", "/var/cache/banger" };
static const struct place place_config = { "config", "BANGER_CONFIG_DIR", "XDG_CONFIG_HOME",
					   ".config/banger", NULL };

static PRINTF_LIKE(4, 5) int format(char *out, size_t size, struct err *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	const int n = vsnprintf(out, size, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= size)
		return err_num(e, ERR_HOST_IO, ENAMETOOLONG, "path %.40s... (%d bytes, %zu fit)",
			       out, n, size - 1);
	return 0;
}

/* ~ as the environment has it, else as the password database does. */
static int home_below(const char *rest, char *out, size_t size, struct err *e)
{
	const char *home = getenv("HOME");
	char text[PASSWD_BYTES];
	struct passwd pw;
	struct passwd *found = NULL;

	if (home && home[0] == '/')
		return format(out, size, e, "%s/%s", home, rest);
	const int rc = getpwuid_r(geteuid(), &pw, text, sizeof(text), &found);
	if (!found)
		return err_num(e, ERR_HOST_IO, rc ? rc : ENOENT, "HOME is not set, and uid %u",
			       geteuid());
	return format(out, size, e, "%s/%s", pw.pw_dir, rest);
}

static int place_find(const struct place *p, bool system, char *out, size_t size, struct err *e)
{
	const char *ours = getenv(p->ours);
	const char *xdg = getenv(p->xdg);

	if (ours && ours[0] != '\0') {
		if (ours[0] != '/')
			return err_set(e, ERR_HOST_IO, "%s=%s is not an absolute path", p->ours,
				       ours);
		return format(out, size, e, "%s", ours);
	}
	if (system)
		return format(out, size, e, "%s", p->system);
	if (xdg && xdg[0] == '/')
		return format(out, size, e, "%s/banger", xdg);
	if (p->fallback)
		return home_below(p->fallback, out, size, e);
	return format(out, size, e, "/tmp/banger-%s-%u", p->what, geteuid());
}

int paths_find(bool system, struct paths *ret_paths, struct err *e)
{
	struct paths p = { 0 };
	int rc = place_find(&place_runtime, system, p.runtime, sizeof(p.runtime), e);

	if (rc == 0)
		rc = place_find(&place_state, system, p.state, sizeof(p.state), e);
	if (rc == 0)
		rc = place_find(&place_cache, system, p.cache, sizeof(p.cache), e);
	if (rc == 0)
		rc = format(p.log, sizeof(p.log), e, "%s/bangerd.log", p.state);
	if (rc == 0)
		rc = format(p.socket, sizeof(p.socket), e, "%s/bangerd.sock", p.runtime);
	if (rc < 0)
		return rc;
	*ret_paths = p;
	return 0;
}

int paths_config(char *ret_dir, size_t size, struct err *e)
{
	char dir[PATHS_DIR_MAX + 1];
	const int rc = place_find(&place_config, false, dir, sizeof(dir), e);

	return rc < 0 ? rc : format(ret_dir, size, e, "%s", dir);
}

/* Every directory of the path, the last one too; those that exist are left alone. */
static int make_path(const char *dir, struct err *e)
{
	char part[PATHS_DIR_MAX + 1];
	const size_t len = strlen(dir);

	if (dir[0] != '/' || len > PATHS_DIR_MAX)
		return err_num(e, ERR_HOST_IO, EINVAL, "directory %.80s", dir);
	for (size_t i = 1; i <= len; i++) {
		if (dir[i] != '/' && dir[i] != '\0')
			continue;
		memcpy(part, dir, i);
		part[i] = '\0';
		/* A parent may be unwritable and there already (EROFS, EACCES): the next
		 * component, or the check of the last one, finds out. */
		if (mkdir(part, DIR_MODE) < 0 && errno != EEXIST && access(part, F_OK) < 0)
			return err_sys(e, ERR_HOST_IO, "create directory %s", part);
	}
	return 0;
}

int paths_ensure_dir(const char *dir, struct err *e)
{
	CLEANUP_FD int fd = -EBADF;
	struct stat st;
	const int rc = make_path(dir, e);

	if (rc < 0)
		return rc;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, ERR_HOST_IO, "open directory %s", dir);
	if (fstat(fd, &st) < 0)
		return err_sys(e, ERR_HOST_IO, "stat directory %s", dir);
	if (st.st_uid != geteuid())
		return err_num(e, ERR_HOST_IO, EPERM, "directory %s belongs to uid %u, not to us",
			       dir, st.st_uid);
	if (st.st_mode & OTHERS_MASK)
		return err_num(e, ERR_HOST_IO, EPERM,
			       "directory %s is open to others (mode %04o, must be 0700)", dir,
			       (unsigned)(st.st_mode & 07777));
	return 0;
}
