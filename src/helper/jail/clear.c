/* clear.c - takes a jail away: by descriptor, entry by entry, never through a link, never onto
 * another file system, and what was the owner's becomes his again.
 *
 * What somebody has mounted over a part of a jail is not seen in the worker's namespace; what is
 * mounted in it all the same stops it (RESOLVE_NO_XDEV).
 *
 * #syscalls openat2 getdents64 lseek newfstatat fchownat unlinkat readlinkat close
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "helper/jail/jail.h"
#include "helper/root.h"

/* A file that others still link to is not ours to keep. */
static int give_back(const struct jail *j, int dir, const char *name, struct err *e)
{
	CLEANUP_FD int fd = root_open_beneath(dir, name, O_PATH | O_NOFOLLOW);
	struct stat st;

	if (fd == -ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_num(e, ERR_JAIL, fd < 0 ? fd : errno, "%s", name);
	if (!S_ISREG(st.st_mode) || st.st_nlink < 2 || st.st_uid != j->uid)
		return 0;
	if (fchownat(fd, "", j->conf->owner, j->conf->owner_gid, AT_EMPTY_PATH) < 0)
		return err_sys(e, ERR_JAIL, "%s", name);
	return 0;
}

int clear_file(const struct jail *j, int dir, const char *name, struct err *e)
{
	const int rc = give_back(j, dir, name, e);

	if (rc < 0)
		return rc;
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return err_sys(e, ERR_JAIL, "%s", name);
	return 0;
}

static int tree_clear(const struct jail *j, int dir, int depth, struct err *e);

static int dir_clear(const struct jail *j, int parent, const char *name, int depth, struct err *e)
{
	CLEANUP_FD int fd = root_open_beneath(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);

	if (fd == -ENOENT)
		return 0;
	if (fd == -EXDEV)
		return err_set(e, ERR_HELPER_REFUSED, "jail: %s: something is mounted there", name);
	if (fd < 0)
		return err_num(e, ERR_HELPER_REFUSED, fd, "jail: %s", name);
	if (depth == JAIL_DEPTH_MAX)
		return err_set(e, ERR_JAIL, "jail: %s: too deep", name);
	/* Who writes in it is gone; what it is left to must not need more rights than we have. */
	if (fchownat(fd, "", 0, 0, AT_EMPTY_PATH) < 0)
		return err_sys(e, ERR_JAIL, "%s", name);
	const int rc = tree_clear(j, fd, depth + 1, e);
	if (rc < 0)
		return rc;
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_sys(e, ERR_JAIL, "%s", name);
	return 0;
}

static int entry_clear(const struct jail *j, int dir, const struct jail_entry *d, int depth,
		       struct err *e)
{
	if (strcmp(d->name, ".") == 0 || strcmp(d->name, "..") == 0)
		return 0;
	if (d->type == DT_DIR)
		return dir_clear(j, dir, d->name, depth, e);
	const int rc = clear_file(j, dir, d->name, e);
	return rc < 0 ? rc : 1;
}

/* Again from the beginning until nothing is left to be removed.  Goes on where an entry stays, and
 * tells of the first. */
static int tree_clear(const struct jail *j, int dir, int depth, struct err *e)
{
	alignas(struct jail_entry) char buf[2048];
	int first = 0;
	bool some = true;

	while (some && first == 0) {
		long n;

		some = false;
		if (lseek(dir, 0, SEEK_SET) < 0)
			return err_sys(e, ERR_JAIL, "jail");
		while ((n = syscall(SYS_getdents64, dir, buf, sizeof(buf))) > 0)
			for (long at = 0; at < n;) {
				const struct jail_entry *const d = (const void *)(buf + at);
				const int rc = entry_clear(j, dir, d, depth, first < 0 ? NULL : e);

				some = some || rc > 0;
				if (rc < 0 && first == 0)
					first = rc;
				at += d->len;
			}
		if (n < 0 && first == 0)
			first = err_sys(e, ERR_JAIL, "jail");
	}
	return first;
}

static int slot_give(const struct jail_env *env, const struct jail *j, struct err *e)
{
	char name[JAIL_SLOT_NAME];
	char holder[VM_ID_CHARS + 1];
	int rc;

	slot_name(j->slot, name);
	rc = slot_holder(env, name, holder, e);
	if (rc <= 0 || strcmp(holder, j->id) != 0)
		return rc < 0 ? rc : 0; /* somebody else's by now */
	if (unlinkat(env->jails, name, 0) < 0 && errno != ENOENT)
		return err_sys(e, ERR_JAIL, "%s", name);
	return 0;
}

int clear_jail(const struct jail_env *env, const struct jail *j, struct err *e)
{
	const int rc = dir_clear(j, env->jails, j->id, 0, e);

	return rc < 0 ? rc : slot_give(env, j, e);
}
