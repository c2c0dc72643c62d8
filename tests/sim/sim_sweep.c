/* sim_sweep.c - the k-th effect of every verb, for k from 1 until there is none.
 *
 *   fail    the k-th effect fails
 *   memory  the k-th allocation fails
 *   die     the daemon is killed before its k-th effect, and started again
 *   power   ... together with everything but the disk
 *
 * In the end all rests, records, memory and host agree, the same request under the same op_id is
 * answered, and everything can be removed without a trace.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/scenario.h"
#include "tests/sim/tap.h"

enum {
	MANY = 30, /* bad ones are not all told */
};

enum way {
	WAY_FAIL,
	WAY_MEMORY,
	WAY_DIE,
	WAY_POWER,
	WAY_NWAYS,
};

static const char *const ways[WAY_NWAYS] = { "fail", "memory", "die", "power" };

static struct cut {
	const struct scenario *sc;
	enum way way;
	uint64_t k;
	uint64_t seen;
	bool struck;
	enum sim_effect effect;
	char what[128];
	struct run run;
} cut;

static const char *cut_text(void)
{
	static char text[512];

	(void)snprintf(text, sizeof(text), "%s: %s at %llu (%s %s)", cut.sc->name, ways[cut.way],
		       (unsigned long long)cut.k, cut.struck ? sim_effect_name(cut.effect) : "",
		       cut.what);
	return text;
}

/* What a kernel may say to each. */
static int error_of(enum sim_effect e, bool second)
{
	switch (e) {
	case SIM_LISTEN:
	case SIM_ACCEPT:
	case SIM_PAIR:
	case SIM_SPAWN:
		return second ? -ENOMEM : -EMFILE;
	case SIM_CONNECT:
		return second ? -ENOMEM : -ECONNREFUSED;
	case SIM_RECV:
	case SIM_SEND:
		return second ? -ENOMEM : -ECONNRESET;
	case SIM_KILL:
		return -EPERM;
	case SIM_ADOPT:
		return second ? -ENOMEM : -EMFILE;
	case SIM_OPEN:
	case SIM_POLL:
	case SIM_MEMORY:
		return -ENOMEM;
	case SIM_FILE:
	case SIM_HELPER:
		return second ? -EIO : -ENOSPC;
	case SIM_WORK:
	case SIM_STORE:
	case SIM_NEFFECTS:
		break;
	}
	return 0;
}

static void policy(void *arg, const struct sim_call *call, struct sim_verdict *v)
{
	const bool memory = call->effect == SIM_MEMORY;

	(void)arg;
	if (memory != (cut.way == WAY_MEMORY) || !error_of(call->effect, false))
		return;
	if (++cut.seen != cut.k)
		return;
	cut.struck = true;
	cut.effect = call->effect;
	(void)snprintf(cut.what, sizeof(cut.what), "%s",
		       call->what +
			       (strncmp(call->what, the_world->root, strlen(the_world->root)) == 0
					? strlen(the_world->root)
					: 0));
	v->error = error_of(call->effect, cut.k % 2);
}

/* ---- after a death ---- */

/* Whatever was recorded before the death, its VMM has been told. */
static const char *limits_hold(const struct run *r)
{
	if (!cut.sc->firecracker || cut.sc->vmm != VMM_WELL)
		return NULL;
	list_for_each (l, &r->w->daemon->node->vms) {
		const struct vm *vm = list_entry(l, struct vm, link);

		if (vm_runs(vm) && vm_has_agent(vm) && vm->rec.spec.disk_rate != r->w->disk_rate)
			return "its VMM has other limits than its record";
	}
	return NULL;
}

static const char *revive(struct run *r)
{
	const char *bad;

	if (cut.way == WAY_POWER)
		world_power_loss(r->w);
	else
		world_kill(r->w);
	client_free(r->c);
	r->c = NULL;
	r->call = NULL;
	if (!world_start(r->w))
		return r->w->start_err.text;
	if (!world_settle(r->w))
		return "the new daemon does not come to rest";
	bad = world_check(r->w);
	return bad ? bad : limits_hold(r);
}

/* The client never heard: it asks again, and means the same. */
static const char *ask_again(struct run *r, struct op_id op_id)
{
	static char text[512];

	run_reconnect(r);
	r->w->next_op_id = op_id;
	r->call = cut.sc->ask(r);
	if (!r->call)
		return NULL;
	if (!client_wait(r->c, r->call))
		return "asked again: no answer";
	if (call_code(r->call) == ERR_OP_CONFLICT || call_code(r->call) == ERR_VM_EXISTS ||
	    call_code(r->call) == ERR_VM_NOT_FOUND) {
		(void)snprintf(text, sizeof(text), "asked again: %s", call_text(r->call));
		return text;
	}
	return NULL;
}

/* ---- one cut ---- */

static const char *play(struct run *r)
{
	struct op_id op_id = { { 0 } };
	const bool asks = cut.sc->ask && !strstr(cut.sc->name, "adopt") &&
			  !strstr(cut.sc->name, "recover");
	const char *bad = NULL;

	if (cut.way == WAY_DIE || cut.way == WAY_POWER)
		sim_die_at(r->w->sim, cut.k);
	else
		sim_policy(r->w->sim, policy, NULL);
	const bool answered = run_ask(r, cut.sc);

	if (r->call)
		op_id = r->call->op_id;
	if (cut.way == WAY_DIE || cut.way == WAY_POWER) {
		cut.struck = sim_dead(r->w->sim);
		sim_die_at(r->w->sim, 0);
		if (cut.struck)
			bad = revive(r);
		if (!bad && cut.struck && asks)
			bad = ask_again(r, op_id);
	} else {
		if (cut.struck && !r->call && r->w->failed)
			bad = revive(r); /* a daemon may refuse to start, the next one not */
		else if (!answered && !r->c->ended)
			bad = "no answer";
		sim_policy(r->w->sim, NULL, NULL);
	}
	return bad ? bad : run_after(r, cut.sc);
}

static bool one(void)
{
	const char *bad;

	cut.seen = 0;
	cut.struck = false;
	cut.what[0] = '\0';
	run_begin(&cut.run, cut.sc, &(struct sim_config){ .steady = true });
	bad = play(&cut.run);
	if (bad) {
		fprintf(stderr, "# %s: %s\n", cut_text(), bad);
		if (getenv("SIM_LOG"))
			world_print_log(cut.run.w, 200);
	}
	run_end(&cut.run);
	return bad == NULL;
}

static bool sweep(size_t which)
{
	const char *only = getenv("SIM_K");
	uint32_t bad = 0;

	tap_last_words(cut_text);
	cut.sc = &scenarios[which / WAY_NWAYS];
	cut.way = (enum way)(which % WAY_NWAYS);
	cut.struck = true;
	for (cut.k = only ? strtoull(only, NULL, 10) : 1; cut.struck && bad < MANY; cut.k++) {
		bad += !one();
		if (only)
			break;
	}
	printf("# %s: %llu cuts, %u bad\n", cut.sc->name, (unsigned long long)cut.k - 1, bad);
	return bad == 0;
}

static const char *name(size_t i)
{
	static char text[128];

	(void)snprintf(text, sizeof(text), "%s: %s", ways[i % WAY_NWAYS],
		       scenarios[i / WAY_NWAYS].name);
	return text;
}

int main(int argc, char **argv)
{
	return tap_main(argc, argv, nscenarios * WAY_NWAYS, name, sweep);
}
