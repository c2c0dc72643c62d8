#include "actors/choose.h"

#include <stdio.h>
#include <string.h>

/* Its guests carry frames over vsock, which cuts them where it likes: no passt reads that. */
static bool is_passt(const struct env *env)
{
	return strcmp(env->conf.network, "passt") == 0;
}

/* What speaks against Firecracker, the first that does; or NULL. */
static const char *against_firecracker(const struct env *env, const struct choice *c)
{
	const bool fast = env->accel_known && env->accel == VMM_ACCEL_KVM;

	if (env->conf.system)
		return "firecracker: in system mode only where it is asked for";
	if (!env->firecracker.usable)
		return env->firecracker.err.text;
	if (strcmp(env->conf.accel, "tcg") == 0)
		return "firecracker: vmm.accel is tcg";
	if (!c->os || !env->conf.qemu[0])
		return NULL;
	if (is_passt(env))
		return "firecracker: vmm.network is passt, which is for QEMU";
	return fast ? NULL : "firecracker: KVM is not known to be fast here";
}

/* It is all that could speak against Firecracker. */
bool choose_needs_accel(const struct env *env, const struct choice *c)
{
	return c->os && !env->conf.vmm[0] && !env->conf.system && env->firecracker.usable &&
	       env->conf.qemu[0] && !is_passt(env);
}

const struct vmm_driver *choose_vmm(const struct env *env, const struct choice *c,
				    char ret_why[CHOICE_WHY_MAX])
{
	const char *why = env->conf.vmm[0] ? "as configured" : against_firecracker(env, c);
	const struct vmm_driver *d = env->conf.vmm[0] ? vmm_find(env->conf.vmm)
				     : why            ? &vmm_qemu
						      : &vmm_firecracker;

	if (why)
		(void)snprintf(ret_why, CHOICE_WHY_MAX, "%.190s", why);
	else if (!env->conf.vmm[0] && !env->conf.qemu[0])
		(void)snprintf(ret_why, CHOICE_WHY_MAX, "firecracker is here, and QEMU is not");
	else
		(void)snprintf(ret_why, CHOICE_WHY_MAX, "firecracker %s is here, and KVM",
			       env->firecracker.version);
	return d ? d : &vmm_qemu; /* a word that the settings take is a driver's name */
}

int choose_check(const struct env *env, const struct vmm_driver *d, const struct choice *c,
		 struct err *e)
{
	if (d != &vmm_firecracker)
		return 0;
	if (!env->firecracker.usable) {
		*e = env->firecracker.err;
		return err_errno(e);
	}
	if (c->publish && !c->os)
		return err_set(e, ERR_BAD_REQUEST,
			       "publish: a probe in firecracker has no network");
	if (c->os && !env->conf.system && is_passt(env))
		return err_set(e, ERR_BAD_REQUEST,
			       "vmm: passt is for guests in qemu; vmm.network = auto is for both");
	return 0;
}
