/* op_jails.c - jails ahead of demand: what of a jail depends on its slot alone, under the slot's
 * name until a VM takes it.
 *
 *   ahead-N/  ──launch_vmm──▶  ID/
 *
 * A jail is taken once and never comes back: what a VMM has had in its hands is deleted.  The
 * cgroup is not made ahead: cgroup2 does not rename, and its name says whose it is.
 *
 * #syscalls renameat2 newfstatat unlinkat openat2 close
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "helper/jail/jail.h"
#include "helper/name.h"

static_assert(sizeof(JAIL_AHEAD_PREFIX "65535") <= VM_ID_CHARS + 1, "a jail's name holds it");

/* ---- validate ---- */

int jails_validate(const struct helper_conf *conf, const void *args, struct op_target *ret_target,
		   struct err *e)
{
	const struct helper_jails_args *const a = args;
	struct jails_target t = { .conf = conf,
				  .first = a->first,
				  .count = a->count,
				  .run = a->run,
				  .stdio = a->console_stdio };
	uid_t last;
	int rc;

	if (conf->nvmms == 0)
		return err_set(e, ERR_HELPER_REFUSED, "vmm: none is configured");
	rc = name_slot_uid(conf, a->first, &t.uid, e);
	if (rc == 0)
		rc = name_slot_uid(conf, a->first + a->count - 1, &last, e);
	if (rc == 0)
		ret_target->jails = t;
	return rc;
}

/* ---- one ---- */

/* A jail like others, by another name. */
static struct jail ahead_of(const struct helper_conf *conf, uint32_t slot, uid_t uid)
{
	struct jail j = { .conf = conf, .slot = slot, .uid = uid };

	(void)snprintf(j.id, sizeof(j.id), JAIL_AHEAD_PREFIX "%u", slot);
	return j;
}

static int part_drop(int dir, const char *name, int how, struct err *e)
{
	const long rc = unlinkat(dir, name, how);

	return rc < 0 && errno == ENOENT ? 0 : jail_did(rc, name, e);
}

/* What this VMM is not to have is not there; nobody has put anything into it. */
static int parts_fit(int dir, bool run, bool stdio, struct err *e)
{
	const int rc = run ? 0 : part_drop(dir, JAIL_RUN, AT_REMOVEDIR, e);

	return rc < 0 || stdio ? rc : part_drop(dir, JAIL_INPUT, 0, e);
}

static int ahead_make(const struct jail_env *env, const struct jails_target *t, uint32_t i,
		      struct err *e)
{
	const struct jail j = ahead_of(t->conf, t->first + i, t->uid + i);
	CLEANUP_FD int dir = -EBADF;
	CLEANUP_FD int log = -EBADF;
	CLEANUP_FD int input = -EBADF;
	int rc = stage_dir(env, &j, &dir, e);

	if (rc == 0)
		rc = parts_fit(dir, t->run, t->stdio, e);
	if (rc == 0)
		rc = stage_log(&j, dir, &log, e);
	if (rc == 0 && t->run)
		rc = stage_run(&j, dir, e);
	return rc < 0 || !t->stdio ? rc : stage_input(&j, dir, &input, e);
}

/* The slot is the VM's by now.  Where the VM has a jail, that stays. */
int ahead_take(const struct jail_env *env, const struct vmm_target *t, struct err *e)
{
	const struct jail j = ahead_of(t->jail.conf, t->jail.slot, t->jail.uid);
	CLEANUP_FD int dir = jail_dir_open(env, &j);
	int rc;

	if (dir == -ENOENT)
		return 0;
	if (dir < 0)
		return err_num(e, ERR_HELPER_REFUSED, dir, "jail: %s", j.id);
	rc = parts_fit(dir, t->run, t->stdio, e);
	if (rc < 0)
		return rc;
	const long moved = renameat2(env->jails, j.id, env->jails, t->jail.id, RENAME_NOREPLACE);
	return moved < 0 && errno == EEXIST ? 0 : jail_did(moved, "jail", e);
}

/* ---- all ---- */

int jails_act(struct op_call *c, struct err *e)
{
	const struct jails_target *const t = &c->target.jails;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < t->count; i++)
		rc = ahead_make(c->env, t, i, e);
	return rc;
}

/* Never stops half way; tells the first that could not go. */
int jails_undo(struct op_call *c, struct err *e)
{
	const struct jails_target *const t = &c->target.jails;
	int first = 0;

	for (uint32_t i = 0; i < t->count; i++) {
		const struct jail j = ahead_of(t->conf, t->first + i, t->uid + i);
		const int rc = clear_jail(c->env, &j, first < 0 ? NULL : e);

		if (first == 0)
			first = rc;
	}
	return first;
}
