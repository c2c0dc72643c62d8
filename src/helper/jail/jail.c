/* jail.c - the worker's descriptors, and what all operations check.
 *
 * Files of the owner are found and linked whoever may read them (DAC_READ_SEARCH), become the
 * slot's and the owner's again (CHOWN, FOWNER); his sockets are connected to (DAC_OVERRIDE); VMMs
 * are signalled (KILL).  In its namespace there is nothing else that this would let it touch.
 *
 * #caps CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_KILL
 */
#include "helper/jail/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "helper/fault.h"
#include "helper/name.h"
#include "helper/root.h"

static int dir_open(const char *path, int *ret_fd, struct err *e)
{
	*ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? err_sys(e, ERR_JAIL, "%s", path) : 0;
}

/* Links are made within one mount, so jails/ is used as it is seen in the state directory; the
 * zygote has it from when it started.  They must be the same. */
static int jails_open(struct jail_env *env, struct err *e)
{
	CLEANUP_FD int zygotes = -EBADF;
	struct stat there;
	struct stat here;
	int rc = dir_open(JAIL_JAILS_DIR, &zygotes, e);

	if (rc == 0)
		rc = dir_open(JAIL_STATE_DIR "/jails", &env->jails, e);
	if (rc < 0)
		return rc;
	if (fstat(zygotes, &there) < 0 || fstat(env->jails, &here) < 0)
		return err_sys(e, ERR_JAIL, "jails");
	if (there.st_dev != here.st_dev || there.st_ino != here.st_ino)
		return err_set(e, ERR_HELPER_REFUSED,
			       "state_dir: jails/ is not the one that was there at the start");
	return 0;
}

int jail_open(const struct helper_conf *conf, void **ret_env, struct err *e)
{
	static struct jail_env env = { -EBADF, -EBADF, -EBADF, -EBADF };
	int rc = 0;

	(void)umask(0); /* modes are what they are said to be */
	if (conf->nvmms > 0) {
		rc = dir_open(JAIL_STATE_DIR, &env.state, e);
		if (rc == 0)
			rc = jails_open(&env, e);
		if (rc == 0)
			rc = dir_open(JAIL_CGROUP_DIR, &env.cgroup, e);
		if (rc == 0)
			rc = dir_open(JAIL_PROC_DIR, &env.proc, e);
	}
	*ret_env = &env;
	return rc;
}

int jail_did(long rc, const char *what, struct err *e)
{
	if (rc < 0)
		return err_sys(e,
			       errno == ENOSPC || errno == EDQUOT ? ERR_HOST_DISK_FULL : ERR_JAIL,
			       "%s", what);
	return fault_point(what, e);
}

/* ---- validate ---- */

static int jail_check(const struct helper_conf *conf, vm_id vm, uint32_t slot, struct jail *ret,
		      struct err *e)
{
	int rc;

	if (conf->nvmms == 0)
		return err_set(e, ERR_HELPER_REFUSED, "vmm: none is configured");
	*ret = (struct jail){ .conf = conf, .vm = vm, .slot = slot };
	rc = name_slot_uid(conf, slot, &ret->uid, e);
	vm_id_text(vm, ret->id);
	return rc;
}

int jail_validate(const struct helper_conf *conf, const void *args, struct op_target *ret_target,
		  struct err *e)
{
	const struct helper_jail_args *const a = args;
	struct jail j;
	const int rc = jail_check(conf, a->vm, a->slot, &j, e);

	if (rc < 0)
		return rc;
	ret_target->vm = a->vm;
	ret_target->jail = j;
	return 0;
}

static int socket_name_check(const char *field, const char *name, struct err *e)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_-.";

	if (name[0] != '.' && name[strspn(name, letters)] == '\0')
		return 0;
	return err_set(e, ERR_HELPER_REFUSED, "%s: \"%s\" is no name of a-z, 0-9, _, - and .",
		       field, name);
}

int find_validate(const struct helper_conf *conf, const void *args, struct op_target *ret_target,
		  struct err *e)
{
	const struct helper_find_args *const a = args;
	struct find_target t = { .listener = a->listener[0] ? a->listener : NULL };
	int rc = jail_check(conf, a->vm, a->slot, &t.jail, e);

	if (rc == 0)
		rc = socket_name_check("listener", a->listener, e);
	if (rc < 0)
		return rc;
	ret_target->vm = a->vm;
	ret_target->find = t;
	return 0;
}

int signal_validate(const struct helper_conf *conf, const void *args, struct op_target *ret_target,
		    struct err *e)
{
	static const int allowed[] = { SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGCONT, SIGSTOP };
	const struct helper_signal_args *const a = args;
	struct signal_target t = { .signal = (int)a->signal };
	bool found = false;

	for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
		found = found || allowed[i] == t.signal;
	if (!found)
		return err_set(e, ERR_HELPER_REFUSED,
			       "signal: %u is not one of HUP, INT, KILL, TERM, CONT, STOP",
			       a->signal);
	const int rc = jail_check(conf, a->vm, a->slot, &t.jail, e);
	if (rc < 0)
		return rc;
	ret_target->vm = a->vm;
	ret_target->signal = t;
	return 0;
}

int socket_validate(const struct helper_conf *conf, const void *args, struct op_target *ret_target,
		    struct err *e)
{
	const struct helper_socket_args *const a = args;
	struct socket_target t = { .name = a->socket };
	int rc = jail_check(conf, a->vm, a->slot, &t.jail, e);

	if (rc == 0)
		rc = socket_name_check("socket", a->socket, e);
	if (rc < 0)
		return rc;
	ret_target->vm = a->vm;
	ret_target->socket = t;
	return 0;
}

int trim_validate(const struct helper_conf *conf, const void *args, struct op_target *ret_target,
		  struct err *e)
{
	const struct helper_trim_args *const a = args;
	struct trim_target t = { .console_keep = a->console_keep, .log_keep = a->log_keep };
	const int rc = jail_check(conf, a->vm, a->slot, &t.jail, e);

	if (rc < 0)
		return rc;
	ret_target->vm = a->vm;
	ret_target->trim = t;
	return 0;
}

static int vmm_find(const struct helper_conf *conf, const char *name, uint32_t *ret_vmm,
		    struct err *e)
{
	for (uint32_t i = 0; i < conf->nvmms; i++)
		if (strcmp(conf->vmms[i].name, name) == 0) {
			*ret_vmm = i;
			return 0;
		}
	return err_set(e, ERR_HELPER_REFUSED, "vmm: \"%s\" is not configured", name);
}

/* Words, each with its NUL. */
static int args_check(const struct wire_span *args, struct err *e)
{
	if (args->len > LAUNCH_ARGS_MAX)
		return err_set(e, ERR_HELPER_REFUSED, "args: has %zu bytes, at most %d", args->len,
			       LAUNCH_ARGS_MAX);
	if (args->len > 0 && args->data[args->len - 1] != '\0')
		return err_set(e, ERR_HELPER_REFUSED, "args: the last word has no NUL");
	return 0;
}

/* What goes together. */
static int parts_check(const struct helper_vmm_args *a, struct err *e)
{
	const char *wrong = NULL;

	if (a->snapshot && a->disk[0])
		wrong = "snapshot: there is a disk as well";
	else if (a->console_stdio && !a->console_socket && !a->console[0])
		wrong = "console_stdio: there is no console to write to";
	else if (a->console_stdio && a->console_socket && a->console[0])
		wrong = "console: its output is console_socket";
	else if (a->listener[0] && !a->run)
		wrong = "listener: there is no run for it";
	if (wrong)
		return err_set(e, ERR_HELPER_REFUSED, "%s", wrong);
	return socket_name_check("listener", a->listener, e);
}

int vmm_validate(const struct helper_conf *conf, const void *args, struct op_target *ret_target,
		 struct err *e)
{
	const struct helper_vmm_args *const a = args;
	const struct {
		const char *name;
		const char *path;
	} files[JAIL_NFILES] = {
		[JAIL_KERNEL] = { "kernel", a->kernel }, [JAIL_INITRD] = { "initrd", a->initrd },
		[JAIL_CONFIG] = { "config", a->config }, [JAIL_BASE] = { "base", a->base },
		[JAIL_DISK] = { "disk", a->disk },       [JAIL_CONSOLE] = { "console", a->console },
	};
	struct vmm_target t = {
		.sockets = { [JAIL_CONTROL] = a->control_socket,
			     [JAIL_AGENT] = a->agent_socket,
			     [JAIL_SERIAL] = a->console_socket && !a->console_stdio },
		.snapshot = a->snapshot,
		.stdio = a->console_stdio,
		.heard = a->console_stdio && a->console_socket,
		.run = a->run,
		.listener = a->listener[0] ? a->listener : NULL,
		.memory_max = a->memory_max,
		.cpu_max = a->cpu_max,
		.args = a->args,
	};
	int rc = jail_check(conf, a->vm, a->slot, &t.jail, e);

	if (rc == 0)
		rc = vmm_find(conf, a->vmm, &t.vmm, e);
	if (rc == 0 && conf->vmms[t.vmm].jailer[0] &&
	    (a->control_socket || a->agent_socket || (a->console_socket && !a->console_stdio)))
		rc = err_set(e, ERR_HELPER_REFUSED,
			     "vmm: the jailer of \"%s\" hands no socket on: control_socket, "
			     "agent_socket must be off, console_socket with console_stdio",
			     a->vmm);
	if (rc == 0)
		rc = args_check(&a->args, e);
	if (rc == 0)
		rc = parts_check(a, e);
	for (int i = 0; rc == 0 && i < JAIL_NFILES; i++) {
		if (!files[i].path[0])
			continue;
		rc = root_path_check(files[i].name, files[i].path, HELPER_PATH_MAX, e);
		t.files[i] = files[i].path;
	}
	if (rc < 0)
		return rc;
	ret_target->vm = a->vm;
	ret_target->vmm = t;
	return 0;
}
