/* stage.c - a jail's directory: files of the owner by hard link, so that nothing is copied and no
 * mount is made.
 *
 * #syscalls symlinkat readlinkat mkdirat mknodat openat openat2 newfstatat linkat unlinkat fchownat
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "helper/jail/jail.h"
#include "helper/root.h"

enum {
	DIR_MODE = 0711, /* the VMM passes through, and reads what it is given */
	RUN_MODE = 0700,
	LOG_MODE = 0640,
	LOG_TAIL = 100,              /* bytes of it that an error tells */
	INPUT_MODE = S_IFIFO | 0600, /* a FIFO takes no capability */
};

static const struct {
	const char *name; /* in the jail, and of the request's field */
	bool writable;    /* becomes the slot's own; else all may read it already */
} files[JAIL_NFILES] = {
	[JAIL_KERNEL] = { "kernel", false }, [JAIL_INITRD] = { "initrd", false },
	[JAIL_CONFIG] = { "config", false }, [JAIL_BASE] = { "base", false },
	[JAIL_DISK] = { "disk", true },      [JAIL_CONSOLE] = { "console", true },
};

/* ---- slot and directory ---- */

void slot_name(uint32_t slot, char out[JAIL_SLOT_NAME])
{
	(void)snprintf(out, JAIL_SLOT_NAME, JAIL_SLOT_PREFIX "%u", slot);
}

int slot_holder(const struct jail_env *env, const char *name, char ret_id[VM_ID_CHARS + 1],
		struct err *e)
{
	const ssize_t n = readlinkat(env->jails, name, ret_id, VM_ID_CHARS);

	if (n < 0 && errno == ENOENT)
		return 0;
	if (n < 0)
		return err_sys(e, ERR_JAIL, "%s", name);
	ret_id[n] = '\0';
	return 1;
}

/* No two VMs have one uid: their files and signals would be each other's. */
int stage_slot(const struct jail_env *env, const struct jail *j, struct err *e)
{
	char name[JAIL_SLOT_NAME];
	char holder[VM_ID_CHARS + 1];
	int rc;

	slot_name(j->slot, name);
	rc = slot_holder(env, name, holder, e);
	if (rc < 0)
		return rc;
	if (rc == 1 && strcmp(holder, j->id) != 0)
		return err_set(e, ERR_HELPER_REFUSED, "slot: %u is that of %s", j->slot, holder);
	return rc == 1 ? 0 : jail_did(symlinkat(j->id, env->jails, name), "slot", e);
}

int jail_dir_open(const struct jail_env *env, const struct jail *j)
{
	return root_open_beneath(env->jails, j->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

int stage_dir(const struct jail_env *env, const struct jail *j, int *ret_dir, struct err *e)
{
	const long made = mkdirat(env->jails, j->id, DIR_MODE);
	const int rc = made < 0 && errno == EEXIST ? 0 : jail_did(made, "jail", e);

	if (rc < 0)
		return rc;
	const int fd = jail_dir_open(env, j);
	if (fd < 0)
		return err_num(e, ERR_HELPER_REFUSED, fd, "jail: %s", j->id);
	*ret_dir = fd;
	return 0;
}

/* ---- files ---- */

static int file_check(const struct jail *j, enum jail_file f, const struct stat *st, struct err *e)
{
	const char *const field = files[f].name;
	const struct helper_conf *const conf = j->conf;

	if (!S_ISREG(st->st_mode))
		return err_set(e, ERR_HELPER_REFUSED, "%s: is no regular file", field);
	if (files[f].writable && st->st_uid != conf->owner && st->st_uid != j->uid)
		return err_set(e, ERR_HELPER_REFUSED,
			       "%s: belongs to uid %u, neither to the owner nor to the slot", field,
			       st->st_uid);
	if (files[f].writable)
		return 0;
	if (st->st_uid != conf->owner && st->st_uid != 0)
		return err_set(e, ERR_HELPER_REFUSED, "%s: belongs to uid %u, not to the owner",
			       field, st->st_uid);
	if ((st->st_mode & S_IROTH) == 0)
		return err_set(e, ERR_HELPER_REFUSED, "%s: may not be read by all: chmod o+r",
			       field);
	return 0;
}

static bool same_file(int dir, const char *name, const struct stat *st)
{
	struct stat there;

	return fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && there.st_dev == st->st_dev &&
	       there.st_ino == st->st_ino;
}

/* What was looked at is what is linked and given away: all by one descriptor.  Linked before it is
 * the slot's, so that what takes the jail away finds it and gives it back. */
static int file_stage(const struct jail_env *env, const struct vmm_target *t, enum jail_file f,
		      int dir, struct err *e)
{
	const char *const name = files[f].name;
	CLEANUP_FD int fd = root_open_beneath(env->state, t->files[f], O_PATH | O_NOFOLLOW);
	struct stat st;
	int rc;

	if (fd < 0)
		return err_num(e, ERR_HELPER_REFUSED, fd, "%s: %s", name, t->files[f]);
	if (fstat(fd, &st) < 0)
		return err_sys(e, ERR_JAIL, "%s", name);
	rc = file_check(&t->jail, f, &st, e);
	if (rc < 0)
		return rc;
	if (!same_file(dir, name, &st)) {
		rc = clear_file(&t->jail, dir, name, e);
		if (rc == 0)
			rc = jail_did(linkat(fd, "", dir, name, AT_EMPTY_PATH), name, e);
	}
	if (rc == 0 && files[f].writable && st.st_uid != t->jail.uid)
		rc = jail_did(fchownat(fd, "", t->jail.uid, t->jail.conf->owner_gid, AT_EMPTY_PATH),
			      name, e);
	return rc;
}

/* The zygote makes the node, where the VMM's root allows any. */
static int snapshot_stage(const struct vmm_target *t, int dir, struct err *e)
{
	const char *const name = files[JAIL_DISK].name;
	const int rc = clear_file(&t->jail, dir, name, e);

	return rc < 0 ? rc : jail_did(symlinkat(LAUNCH_DISK, dir, name), name, e);
}

int stage_files(const struct jail_env *env, const struct vmm_target *t, int dir, struct err *e)
{
	int rc = 0;

	for (int f = 0; rc == 0 && f < JAIL_NFILES; f++)
		if (t->files[f])
			rc = file_stage(env, t, (enum jail_file)f, dir, e);
	return rc < 0 || !t->snapshot ? rc : snapshot_stage(t, dir, e);
}

/* ---- what the VMM writes itself ---- */

int stage_log(const struct jail *j, int dir, int *ret_log, struct err *e)
{
	CLEANUP_FD int fd = openat(
		dir, JAIL_LOG, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, LOG_MODE);
	const int rc = jail_did(fd, JAIL_LOG, e);

	if (rc < 0)
		return rc;
	if (fchownat(fd, "", j->uid, j->conf->owner_gid, AT_EMPTY_PATH) < 0)
		return err_sys(e, ERR_JAIL, JAIL_LOG);
	*ret_log = take_fd(&fd);
	return 0;
}

/* ---- a console that is standard input and output ---- */

/* A FIFO, so that a daemon that begins anew can write to it again; what the VMM reads of it is open
 * to be written as well, so that it never sees an end.  Who types is the owner. */
int stage_input(const struct jail *j, int dir, int *ret_in, struct err *e)
{
	const long made = mknodat(dir, JAIL_INPUT, INPUT_MODE, 0);
	int rc = made < 0 && errno == EEXIST ? 0 : jail_did(made, JAIL_INPUT, e);

	if (rc == 0)
		rc = jail_did(fchownat(dir, JAIL_INPUT, j->conf->owner, j->conf->owner_gid,
				       AT_SYMLINK_NOFOLLOW),
			      JAIL_INPUT, e);
	return rc < 0 ? rc : stage_open(dir, JAIL_INPUT, O_RDWR | O_NONBLOCK, ret_in, e);
}

int stage_open(int dir, const char *name, int flags, int *ret_fd, struct err *e)
{
	const int fd = root_open_beneath(dir, name, (uint64_t)(unsigned)flags | O_NOFOLLOW);

	if (fd < 0)
		return err_num(e, ERR_JAIL, fd, "%s", name);
	*ret_fd = fd;
	return 0;
}

/* The end of what it has said: why it did not begin, if it knew. */
void log_context(int dir, struct err *e)
{
	const struct err was = *e;
	CLEANUP_FD int fd = -EBADF;
	char said[LOG_TAIL + 1];
	struct stat st;
	ssize_t n;

	if (stage_open(dir, JAIL_LOG, O_RDONLY, &fd, NULL) < 0 || fstat(fd, &st) < 0)
		return;
	n = pread(fd, said, LOG_TAIL, st.st_size > LOG_TAIL ? st.st_size - LOG_TAIL : 0);
	while (n > 0 && said[n - 1] == '\n')
		n--;
	if (n <= 0)
		return;
	for (ssize_t i = 0; i < n; i++)
		if (said[i] < ' ' || said[i] > '~')
			said[i] = ' ';
	said[n] = '\0';
	const char *const word = st.st_size > LOG_TAIL ? strchr(said, ' ') : NULL;
	(void)err_set(e, was.code, "%s: \"%s\"", was.text, word ? word + 1 : said);
}

int stage_run(const struct jail *j, int dir, struct err *e)
{
	const long made = mkdirat(dir, JAIL_RUN, RUN_MODE);
	int rc = made < 0 && errno == EEXIST ? 0 : jail_did(made, JAIL_RUN, e);

	if (rc == 0)
		rc = jail_did(fchownat(dir, JAIL_RUN, j->uid, j->uid, AT_SYMLINK_NOFOLLOW),
			      JAIL_RUN, e);
	return rc;
}
