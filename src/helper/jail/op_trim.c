/* op_trim.c - the logs of a VM are the slot's while its jail is there, so the daemon cannot cut
 * them: what has been printed long ago is given back to the file system, for whoever prints for
 * ever.
 *
 * The names in a jail are root's own; a VMM that has been taken over may change what is in its logs
 * and who may open them, not which files they are.
 *
 * #syscalls openat2 newfstatat fallocate close
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/trim.h"
#include "helper/jail/jail.h"
#include "helper/root.h"

static int log_trim(const struct jail *j, int dir, const char *name, uint64_t keep, struct err *e)
{
	CLEANUP_FD int fd = root_open_beneath(dir, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd == -ENOENT)
		return 0; /* it prints elsewhere */
	if (fd < 0)
		return err_num(e, ERR_HELPER_REFUSED, fd, "%s", name);
	if (fstat(fd, &st) < 0)
		return err_sys(e, ERR_JAIL, "%s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_HELPER_REFUSED, "%s: is no regular file", name);
	if (st.st_uid != j->uid)
		return err_set(e, ERR_HELPER_REFUSED, "%s: belongs to uid %u, not to the slot",
			       name, st.st_uid);
	return trim_is_due(&st, keep) ? jail_did(trim_file(fd, &st, keep), name, e) : 0;
}

/* One that cannot be cut is no reason to leave the other. */
int trim_act(struct op_call *c, struct err *e)
{
	const struct jail_env *const env = c->env;
	const struct trim_target *const t = &c->target.trim;
	CLEANUP_FD int dir = jail_dir_open(env, &t->jail);
	int rc = 0;
	int more = 0;

	if (dir == -ENOENT)
		return 0;
	if (dir < 0)
		return err_num(e, ERR_HELPER_REFUSED, dir, "jail: %s", t->jail.id);
	if (t->console_keep > 0)
		rc = log_trim(&t->jail, dir, JAIL_OUTPUT, t->console_keep, e);
	if (t->log_keep > 0)
		more = log_trim(&t->jail, dir, JAIL_LOG, t->log_keep, rc < 0 ? NULL : e);
	return rc < 0 ? rc : more;
}
