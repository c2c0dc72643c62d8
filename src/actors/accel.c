#include "actors/accel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/accel_host.h"
#include "actors/accel_probe.h"
#include "actors/limits.h"
#include "base/assert.h"

#define KVM_DEVICE "/dev/kvm"
#define RECORD_KEY "accel" /* in STORE_META */

enum accel_state {
	ACCEL_IDLE,
	ACCEL_CLEANING,  /* what a daemon before us left behind */
	ACCEL_LOOKING,   /* a worker looks at the host */
	ACCEL_MEASURING, /* a probe guest runs; first emulated, then under KVM */
};

struct accel {
	struct actor actor;
	struct env *env; /* borrowed */
	enum accel_state state;
	struct msg begin;    /* MSG_ACCEL, to ourselves: somebody waits */
	struct list waiting; /* accel_wait.link */
	struct io_op look;
	struct accel_host host;          /* as last seen; the worker's while looking */
	const struct vmm_driver *driver; /* who runs the test guests: QEMU, or who is there */
	char program[ENV_PATH_MAX];      /* of it, that was looked at */
	struct accel_record rec;         /* as last measured; identity "": never */
	uint64_t looked_us; /* when the host was last seen to be what the verdict is about */
	struct accel_probe probe;
	struct db_wait commit; /* of the record; nothing waits for it */
};

/* ---- the verdict ---- */

static void say_duration(uint64_t us, char out[24])
{
	if (us < 1000 * 1000)
		(void)snprintf(out, 24, "%.1f ms", (double)us / 1e3);
	else
		(void)snprintf(out, 24, "%.1f s", (double)us / 1e6);
}

static void say_why(const struct accel_record *r, enum vmm_reason reason, char *out, size_t size)
{
	const char *text = vmm_reason_text(reason);
	char kvm[24];
	char tcg[24];

	if (r->kvm_us == VMM_BENCH_NONE) {
		(void)snprintf(out, size, "%s%s%s", text, r->words[0] ? ": " : "", r->words);
		return;
	}
	say_duration(r->kvm_us, kvm);
	if (r->tcg_us == VMM_BENCH_NONE) {
		(void)snprintf(out, size, "%s: %s for a loop of three million instructions", text,
			       kvm);
		return;
	}
	say_duration(r->tcg_us, tcg);
	(void)snprintf(out, size, "%s: %s%s for a loop that emulation does in %s", text, kvm,
		       reason == VMM_REASON_KVM_EMULATES ? " or more" : "", tcg);
}

static void known(struct accel *a)
{
	struct list_node *n;

	a->state = ACCEL_IDLE;
	a->env->accel_known = true;
	a->looked_us = io_now_us(a->env->io);
	while ((n = list_pop(&a->waiting)) != NULL) {
		struct accel_wait *w = list_entry(n, struct accel_wait, link);

		w->msg.res = 0;
		actor_post(a->env->actors, w->owner, &w->msg);
	}
}

static void set_verdict(struct env *env, enum vmm_accel accel, enum vmm_accel probe,
			const char *why)
{
	const bool news = !env->accel_known || env->accel != accel || env->probe_accel != probe;

	env->accel = accel;
	env->probe_accel = probe;
	(void)snprintf(env->accel_reason, sizeof(env->accel_reason), "%s", why);
	if (news)
		LOG_NOTICE(&env->accelerator->actor.log, NULL, "accel.known",
			   K("guests", vmm_accel_name(accel)), K("probes", vmm_accel_name(probe)),
			   K("why", env->accel_reason));
}

static void judge(struct accel *a)
{
	const struct accel_record *r = &a->rec;
	const struct vmm_verdict v = vmm_judge(r->kvm_us, r->tcg_us);
	char why[sizeof(a->env->accel_reason)];

	say_why(r, v.reason, why, sizeof(why));
	set_verdict(a->env, v.accel, vmm_judge_probe(r->kvm_up_us, r->tcg_up_us), why);
	known(a);
}

/* ---- measuring ---- */

/* Emulation first, where there is one: what it needs bounds what KVM may need. */
static void measure(struct accel *a)
{
	a->state = ACCEL_MEASURING;
	a->rec = (struct accel_record){ .version = RECORD_VERSION, .tcg_us = VMM_BENCH_NONE };
	a->probe.driver = a->driver;
	a->probe.binary = a->program;
	if (a->driver->kvm_only)
		accel_probe_begin(&a->probe, VMM_ACCEL_KVM, ACCEL_LOOP_MS);
	else
		accel_probe_begin(&a->probe, VMM_ACCEL_TCG, ACCEL_UP_MS);
}

/* ---- looking ---- */

static int look(void *arg, const bool *cancelled)
{
	struct accel *a = arg;

	(void)cancelled;
	accel_host_look(KVM_DEVICE, a->program, &a->host);
	return 0;
}

static void looked(struct accel *a)
{
	if (!a->host.usable) {
		set_verdict(a->env, VMM_ACCEL_TCG, VMM_ACCEL_TCG, a->host.why);
		known(a);
	} else if (strcmp(a->rec.identity, a->host.identity) == 0) {
		judge(a);
	} else if (!list_empty(&a->waiting)) {
		measure(a);
	} else {
		a->state = ACCEL_IDLE; /* it is another host now, and nobody needs to know yet */
	}
}

/* QEMU runs them both ways; Firecracker the one way that it has. */
static const char *choose_program(struct accel *a)
{
	const struct env *env = a->env;

	a->driver = env->conf.qemu[0] ? &vmm_qemu : &vmm_firecracker;
	if (env->conf.qemu[0])
		return env->conf.qemu;
	return env->firecracker.usable ? env->conf.firecracker : "";
}

static void begin(struct accel *a)
{
	if (a->state != ACCEL_IDLE)
		return;
	const char *program = choose_program(a);

	if (!program[0]) {
		set_verdict(a->env, VMM_ACCEL_TCG, VMM_ACCEL_TCG,
			    "qemu-system-x86_64 is not installed");
		known(a);
		return;
	}
	a->state = ACCEL_LOOKING;
	(void)snprintf(a->program, sizeof(a->program), "%s", program);
	io_work(a->env->io, &a->look, IO_LANE_ANY, look, a);
}

/* ---- what came of it ---- */

static void remember(struct accel *a)
{
	struct accel_record *r = &a->rec;

	r->measured_ms = io_wall_ms(a->env->io);
	(void)snprintf(r->identity, sizeof(r->identity), "%s", a->host.identity);
	LOG_INFO(&a->actor.log, NULL, "accel.measured", K("kvm_us", r->kvm_us),
		 K("tcg_us", r->tcg_us), K("kvm_up_us", r->kvm_up_us),
		 K("tcg_up_us", r->tcg_up_us));
	/* Nothing came up at all: that is no fact about the host.  Kept until we end, no longer. */
	if (r->kvm_us == VMM_BENCH_NONE && r->tcg_us == VMM_BENCH_NONE)
		return;
	/* What is not kept is measured again. */
	if (db_put(a->env->db, STORE_META, RECORD_KEY, strlen(RECORD_KEY), &accel_record_schema,
		   r) == 0 &&
	    !a->commit.armed)
		db_wait(a->env->db, &a->commit, 0);
}

static void measured(struct accel_probe *p)
{
	struct accel *a = container_of(p, struct accel, probe);
	struct accel_record *r = &a->rec;

	if (a->state == ACCEL_CLEANING) {
		a->state = ACCEL_IDLE;
		begin(a);
		return;
	}
	if (p->accel == VMM_ACCEL_TCG) {
		const uint64_t tcg_ms = p->loop_us == VMM_BENCH_NONE ? 0 : p->loop_us / 1000;

		r->tcg_us = p->loop_us;
		r->tcg_up_us = p->up_us;
		accel_probe_begin(p, VMM_ACCEL_KVM,
				  ACCEL_LOOP_MS + (uint32_t)tcg_ms * VMM_KVM_SLOWER_MAX);
		return;
	}
	r->kvm_us = p->loop_us;
	r->kvm_up_us = p->up_us;
	(void)snprintf(r->words, sizeof(r->words), "%s", p->words);
	remember(a);
	judge(a);
}

static void handle(struct actor *actor, struct msg *m)
{
	struct accel *a = container_of(actor, struct accel, actor);

	if (m == &a->begin)
		begin(a);
	else if (m == &a->look.msg)
		looked(a);
	else if (m != &a->commit.msg && !accel_probe_message(&a->probe, m))
		ASSERT(!"no message for the accelerator");
}

/* ---- for those who need to know ---- */

void accel_wait_init(struct accel_wait *w, const struct actor *owner, uint32_t msg_type)
{
	*w = (struct accel_wait){ .msg.type = msg_type, .owner = owner->id };
}

static bool is_fresh(const struct accel *a)
{
	const uint64_t age_us = io_now_us(a->env->io) - a->looked_us;

	return a->env->accel_known &&
	       (a->env->conf.accel[0] || age_us < UINT64_C(1000) * ACCEL_FRESH_MS);
}

bool accel_take(struct accel *a, struct accel_wait *w, uint32_t token)
{
	if (is_fresh(a))
		return true;
	w->msg.token = token;
	list_append(&a->waiting, &w->link);
	if (a->state == ACCEL_IDLE && !list_linked(&a->begin.link))
		actor_post(a->env->actors, a->actor.id, &a->begin);
	return false;
}

void accel_forget(struct accel_wait *w)
{
	list_remove(&w->link);
	list_remove(&w->msg.link); /* told a moment ago, and not heard yet */
}

/* ---- life ---- */

/* What was measured before counts as soon as the host is seen to be the same. */
static void load(struct accel *a)
{
	struct env *env = a->env;

	(void)snprintf(env->accel_reason, sizeof(env->accel_reason), "not measured yet");
	if (env->conf.accel[0]) {
		const enum vmm_accel accel = strcmp(env->conf.accel, "kvm") == 0 ? VMM_ACCEL_KVM
										 : VMM_ACCEL_TCG;

		set_verdict(env, accel, accel, "as configured");
		env->accel_known = true;
	} else if (db_get(env->db, STORE_META, RECORD_KEY, strlen(RECORD_KEY), &accel_record_schema,
			  &a->rec, NULL) == 0) {
		actor_post(env->actors, a->actor.id, &a->begin);
	}
}

int accel_create(struct env *env, struct err *e)
{
	struct accel *a = calloc(1, sizeof(*a));

	if (!a || actor_init(&a->actor, env->actors, handle) < 0) {
		free(a);
		return err_set(e, ERR_HOST_MEMORY, "accelerator");
	}
	(void)snprintf(a->actor.log.actor, sizeof(a->actor.log.actor), "accel");
	a->env = env;
	a->begin.type = MSG_ACCEL;
	list_init(&a->waiting);
	db_wait_init(&a->commit, &a->actor);
	io_op_init(&a->look, &a->actor, MSG_IO);
	accel_probe_init(&a->probe, env, &a->actor, measured);
	env->accelerator = a;
	env->accel = VMM_ACCEL_TCG;
	env->probe_accel = VMM_ACCEL_TCG;
	load(a);
	if (accel_probe_recover(&a->probe))
		a->state = ACCEL_CLEANING;
	return 0;
}
