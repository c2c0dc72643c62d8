/* op_jail_report.c - jails, slots and cgroups that there are, for whoever compares them with what
 * should be.
 *
 * #syscalls getdents64 lseek readlinkat newfstatat
 */
#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "helper/jail/jail.h"

enum {
	ROW_MAX = 48, /* "slot-65535 ID" */
};

struct rows {
	char text[HELPER_REPORT_MAX][ROW_MAX];
	char *v[HELPER_REPORT_MAX];
	uint32_t n;
	bool partial;
};

static void add(struct rows *r, const char *text, const char *more)
{
	if (r->n == HELPER_REPORT_MAX) {
		r->partial = true;
		return;
	}
	(void)snprintf(r->text[r->n], ROW_MAX, "%.24s%s%s", text, more[0] ? " " : "", more);
	r->v[r->n] = r->text[r->n];
	r->n++;
}

typedef void each_name(const struct jail_env *env, const char *name, void *arg);

static int dir_each(const struct jail_env *env, int dir, each_name *each, void *arg, struct err *e)
{
	alignas(struct jail_entry) char buf[4096];
	long n;

	if (lseek(dir, 0, SEEK_SET) < 0)
		return err_sys(e, ERR_JAIL, "report");
	while ((n = syscall(SYS_getdents64, dir, buf, sizeof(buf))) > 0)
		for (long at = 0; at < n;) {
			const struct jail_entry *const d = (const void *)(buf + at);

			each(env, d->name, arg);
			at += d->len;
		}
	return n < 0 ? err_sys(e, ERR_JAIL, "report") : 0;
}

struct report {
	struct rows jails;
	struct rows slots;
	struct rows cgroups;
};

static bool is_id(const char *name)
{
	vm_id id;

	return vm_id_parse(name, &id) == 0;
}

/* A slot that is nobody's yet, or its next holder's. */
static void add_ahead(struct report *r, const char *number)
{
	char text[JAIL_SLOT_NAME];

	(void)snprintf(text, sizeof(text), JAIL_SLOT_PREFIX "%.5s", number);
	add(&r->slots, text, "");
}

static void add_jail(const struct jail_env *env, const char *name, void *arg)
{
	struct report *const r = arg;
	char holder[VM_ID_CHARS + 1];

	if (is_id(name))
		add(&r->jails, name, "");
	else if (strncmp(name, JAIL_AHEAD_PREFIX, strlen(JAIL_AHEAD_PREFIX)) == 0)
		add_ahead(r, name + strlen(JAIL_AHEAD_PREFIX));
	else if (strncmp(name, JAIL_SLOT_PREFIX, strlen(JAIL_SLOT_PREFIX)) == 0 &&
		 slot_holder(env, name, holder, NULL) == 1)
		add(&r->slots, name, holder);
}

static void add_cgroup(const struct jail_env *env, const char *name, void *arg)
{
	struct report *const r = arg;

	(void)env;
	if (is_id(name))
		add(&r->cgroups, name, "");
}

/* Who asks may have another one, and would take its VMs for left over. */
static int tell_state(const struct jail_env *env, struct helper_jail_report *out, struct err *e)
{
	struct stat st;

	if (env->state < 0)
		return 0;
	if (fstat(env->state, &st) < 0)
		return err_sys(e, ERR_JAIL, "report");
	out->state_dev = st.st_dev;
	out->state_ino = st.st_ino;
	return 0;
}

int jail_report_act(struct op_call *c, struct err *e)
{
	static struct report r;
	const struct jail_env *const env = c->env;
	struct helper_jail_report *const out = c->result;
	int rc = 0;

	r.jails.n = r.slots.n = r.cgroups.n = 0;
	r.jails.partial = r.slots.partial = r.cgroups.partial = false;
	if (env->jails >= 0)
		rc = dir_each(env, env->jails, add_jail, &r, e);
	if (rc == 0 && env->cgroup >= 0)
		rc = dir_each(env, env->cgroup, add_cgroup, &r, e);
	if (rc == 0)
		rc = tell_state(env, out, e);
	if (rc < 0)
		return rc;
	out->jails = (struct strv){ r.jails.v, r.jails.n };
	out->slots = (struct strv){ r.slots.v, r.slots.n };
	out->cgroups = (struct strv){ r.cgroups.v, r.cgroups.n };
	out->partial = r.jails.partial || r.slots.partial || r.cgroups.partial;
	return 0;
}
