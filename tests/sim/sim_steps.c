/* sim_steps.c - each step of each plan, and everything that may happen in it.
 *
 * A dry run tells which steps a scenario has and what each does to the host; the rows follow from
 * that, so a new step has its rows by itself.  In each row one thing goes wrong in one step; then
 * there is one answer, at that moment the host holds what the records say, and in the end nothing.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/scenario.h"
#include "tests/sim/tap.h"

enum {
	MOMENTS_MAX = 64, /* steps of a scenario, forward and backward */
	EFFECTS_MAX = 16, /* of a step */
	MANY = 40,        /* bad rows are not all told */
};

#define SLOW_US (50 * 1000)                    /* a step in which something else happens */
#define LATE_US (UINT64_C(1800) * 1000 * 1000) /* after every deadline */
#define ACT_US  1000                           /* into the step */

enum fate {
	FATE_NONE,
	FATE_FAIL,   /* the effect fails */
	FATE_HANG,   /* it is not answered */
	FATE_LATE,   /* it is answered when nobody waits any more */
	FATE_GONE,   /* the client hangs up meanwhile */
	FATE_CANCEL, /* it cancels */
	FATE_DELETE, /* another one wants the VM deleted */
	FATE_DIED,   /* the VMM dies */
	FATE_NFATES,
};

static const char *const fates[FATE_NFATES] = { "none",        "fails",  "no answer", "late",
						"client gone", "cancel", "delete",    "VMM died" };

/* What a step was seen to do in the dry run. */
struct moment {
	char text[64]; /* "step.do step=console" */
	enum sim_effect effects[EFFECTS_MAX];
	uint32_t neffects;
};

static struct moment moments[MOMENTS_MAX];
static uint32_t nmoments;

static struct row {
	const struct scenario *sc;
	bool dry;
	uint32_t moment; /* 1: the first step */
	uint32_t effect; /* of the moment; 0: the first */
	enum fate fate;
	int error;
	/* as it goes */
	uint32_t at;
	uint32_t seen;
	bool struck; /* it has happened */
	bool undo_failed;
	const char *bad_at_reply;
	char bad_text[1100];
	struct run run;
	struct client *other;
	struct sim_event act;
} row;

static const char *row_text(void)
{
	static char text[256];
	const struct moment *m = &moments[row.moment - 1];

	(void)snprintf(text, sizeof(text), "%s: %s: %s %s (%s)", row.sc->name, m->text,
		       row.fate <= FATE_LATE && m->neffects > 0
			       ? sim_effect_name(m->effects[row.effect])
			       : "",
		       fates[row.fate], row.error ? strerrorname_np(-row.error) : "");
	return text;
}

/* ---- the blow ---- */

static void act(struct sim_event *ev)
{
	struct run *r = &row.run;
	char word[64];

	(void)ev;
	row.struck = true;
	switch (row.fate) {
	case FATE_GONE:
		client_hang_up(r->c);
		break;
	case FATE_CANCEL:
		if (r->call)
			client_cancel(r->c, r->call);
		break;
	case FATE_DELETE:
		row.other = client_open(r->w);
		if (row.other)
			client_on_vm(row.other, METHOD_VM_DELETE, row.sc->vm);
		break;
	case FATE_DIED:
		(void)snprintf(word, sizeof(word), "process=");
		for (struct sim_proc *p = sim_next(r->w->sim, NULL); p; p = sim_next(r->w->sim, p))
			if (world_is_vmm(p))
				sim_proc_signal(p, SIGKILL);
		break;
	case FATE_NONE:
	case FATE_FAIL:
	case FATE_HANG:
	case FATE_LATE:
	case FATE_NFATES:
		break;
	}
}

static void on_line(struct world *w, const char *line)
{
	const char *ev = strstr(line, " ev=");

	if (!ev || (strncmp(ev, " ev=step.do ", 12) != 0 && strncmp(ev, " ev=undo.do ", 12) != 0))
		return;
	row.at++;
	row.seen = 0;
	if (row.dry) {
		ASSERT(row.at <= MOMENTS_MAX);
		nmoments = row.at;
		(void)snprintf(moments[row.at - 1].text, sizeof(moments[0].text), "%s", ev + 4);
	} else if (row.at == row.moment && row.fate >= FATE_GONE) {
		row.act.fire = act;
		sim_event_set(w->sim, &row.act, ACT_US);
	}
}

/* Memory and the client's own connection have tables of their own. */
static bool of_interest(enum sim_effect e)
{
	switch (e) {
	case SIM_LISTEN:
	case SIM_CONNECT:
	case SIM_OPEN:
	case SIM_PAIR:
	case SIM_WORK:
	case SIM_STORE:
	case SIM_SPAWN:
	case SIM_KILL:
	case SIM_ADOPT:
	case SIM_FILE:
	case SIM_HELPER:
		return true;
	case SIM_ACCEPT:
	case SIM_RECV:
	case SIM_SEND:
	case SIM_POLL:
	case SIM_MEMORY:
	case SIM_NEFFECTS:
		break;
	}
	return false;
}

static void policy(void *arg, const struct sim_call *call, struct sim_verdict *v)
{
	(void)arg;
	if (row.at == 0 || !of_interest(call->effect))
		return;
	/* No step: nobody waits for it, and it may take what it takes. */
	if (call->effect == SIM_WORK &&
	    (strcmp(call->what, "sweep") == 0 || strcmp(call->what, "logs") == 0))
		return;
	if (row.dry) {
		struct moment *m = &moments[row.at - 1];

		ASSERT(m->neffects < EFFECTS_MAX);
		m->effects[m->neffects++] = call->effect;
		return;
	}
	if (row.at != row.moment)
		return;
	if (row.fate >= FATE_GONE) {
		if (call->effect != SIM_FILE) /* which is inside of another */
			v->delay_us = SLOW_US;
		return;
	}
	if (row.seen++ != row.effect)
		return;
	row.struck = true;
	row.undo_failed = strncmp(moments[row.moment - 1].text, "undo", 4) == 0;
	if (row.fate == FATE_FAIL)
		v->error = row.error;
	else if (row.fate == FATE_HANG)
		v->hang = true;
	else
		v->delay_us = LATE_US;
}

/* ---- a row ---- */

/* At the answer the host holds what the records say; unless taking down is what failed. */
static void on_reply(struct client *c, struct call *call)
{
	if (call != row.run.call || row.fate == FATE_DELETE)
		return;
	row.bad_at_reply = world_check_gate(c->w, row.sc->vm);
	/* A VM that runs whatever becomes of the request may end as its answer is on its way. */
	const bool ends = row.fate == FATE_DIED && strcmp(row.sc->failed, "running") == 0;

	if (!row.bad_at_reply && !row.undo_failed && !ends)
		row.bad_at_reply = world_check_vm(c->w, row.sc->vm);
	if (row.bad_at_reply)
		(void)snprintf(row.bad_text, sizeof(row.bad_text), "at the answer: %s",
			       row.bad_at_reply);
}

static bool one_of(const char *words, const char *word)
{
	const size_t len = strlen(word);

	for (const char *at = words; (at = strstr(at, word)) != NULL; at += len)
		if ((at == words || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
			return true;
	return false;
}

/* Where the VM may be, once all rests. */
static const char *check_state(const struct run *r)
{
	static char text[128];
	const char *state = world_state(r->w, row.sc->vm);
	const enum err_code code = r->call && r->call->replied ? call_code(r->call) : ERR_NONE;

	if (!row.sc->vm[0] || row.fate == FATE_DELETE)
		return NULL;
	if ((row.fate == FATE_CANCEL || row.fate == FATE_GONE) && one_of(row.sc->cancelled, state))
		return NULL;
	if (one_of(row.sc->done, state) && (code == ERR_NONE || one_of(row.sc->failed, state)))
		return NULL;
	if (row.fate == FATE_DIED && one_of("failed stopped gone", state))
		return NULL;
	if (code != ERR_NONE || !r->call)
		if (one_of(row.sc->failed, state))
			return NULL;
	(void)snprintf(text, sizeof(text), "the VM is %s after \"%s\"", state, err_name(code));
	return text;
}

static const char *row_play(void)
{
	struct run *r = &row.run;
	const char *bad;

	r->w->on_line = on_line;
	sim_policy(r->w->sim, policy, NULL);
	r->c->on_reply = on_reply;
	const bool answered = run_ask(r, row.sc);

	r->w->on_line = NULL;
	sim_policy(r->w->sim, NULL, NULL);
	sim_event_cancel(r->w->sim, &row.act);
	if (r->w->failed) /* a daemon that may refuse to start; the next one shall not */
		return r->call ? "no daemon" : NULL;
	if (!answered && row.fate != FATE_GONE)
		return r->call ? "no answer" : world_restless(r->w);
	if (row.bad_at_reply)
		return row.bad_text;
	if (!world_settle(r->w))
		return "it does not come to rest";
	bad = check_state(r);
	return bad ? bad : run_after(r, row.sc);
}

static bool row_run(void)
{
	const char *bad;

	row.at = row.seen = 0;
	row.struck = row.undo_failed = false;
	row.bad_at_reply = NULL;
	row.other = NULL;
	row.act = (struct sim_event){ 0 };
	run_begin(&row.run, row.sc, &(struct sim_config){ .steady = true });
	bad = row_play();
	if (bad && !row.dry) {
		fprintf(stderr, "# %s: %s\n", row_text(), bad);
		if (getenv("SIM_LOG"))
			world_print_log(row.run.w, 200);
	} else if (bad) {
		fprintf(stderr, "# %s: without a fault: %s\n", row.sc->name, bad);
	}
	client_free(row.other);
	run_end(&row.run);
	return bad == NULL;
}

/* ---- the tables ---- */

struct tally {
	uint32_t rows;
	uint32_t bad;
};

static void one_row(struct tally *t, uint32_t moment, uint32_t effect, enum fate fate, int error)
{
	if (t->bad >= MANY)
		return;
	row.moment = moment;
	row.effect = effect;
	row.fate = fate;
	row.error = error;
	t->rows++;
	t->bad += !row_run();
}

static void rows_of_effect(struct tally *t, uint32_t moment, uint32_t effect, enum sim_effect e)
{
	switch (e) {
	case SIM_WORK:
		one_row(t, moment, effect, FATE_HANG, 0);
		one_row(t, moment, effect, FATE_LATE, 0);
		break;
	case SIM_STORE: /* a commit that never comes holds up everything: there is no going on */
		one_row(t, moment, effect, FATE_LATE, 0);
		break;
	case SIM_CONNECT:
	case SIM_SPAWN:
		one_row(t, moment, effect, FATE_HANG, 0);
		one_row(t, moment, effect, FATE_LATE, 0);
		one_row(t, moment, effect, FATE_FAIL, -EMFILE);
		break;
	case SIM_FILE:
		one_row(t, moment, effect, FATE_FAIL, -ENOSPC);
		one_row(t, moment, effect, FATE_FAIL, -EIO);
		break;
	case SIM_KILL:
		one_row(t, moment, effect, FATE_FAIL, -EPERM);
		break;
	case SIM_LISTEN:
	case SIM_OPEN:
	case SIM_PAIR:
	case SIM_ADOPT:
		one_row(t, moment, effect, FATE_FAIL, -ENOMEM);
		break;
	case SIM_HELPER: /* refused; killed in the midst of it; late */
		one_row(t, moment, effect, FATE_FAIL, -EIO);
		one_row(t, moment, effect, FATE_HANG, 0);
		one_row(t, moment, effect, FATE_LATE, 0);
		break;
	case SIM_ACCEPT:
	case SIM_RECV:
	case SIM_SEND:
	case SIM_POLL:
	case SIM_MEMORY:
	case SIM_NEFFECTS:
		break;
	}
}

static bool table(size_t which)
{
	const struct scenario *sc = &scenarios[which];
	struct tally t = { 0 };

	tap_last_words(row_text);
	row.sc = sc;
	row.dry = true;
	nmoments = 0;
	row.moment = 1;
	row.fate = FATE_NONE;
	if (!row_run())
		return false;
	row.dry = false;
	for (uint32_t m = 1; m <= nmoments; m++) {
		for (uint32_t e = 0; e < moments[m - 1].neffects; e++)
			rows_of_effect(&t, m, e, moments[m - 1].effects[e]);
		for (enum fate f = FATE_GONE; f < FATE_NFATES; f++)
			if ((f != FATE_DELETE && f != FATE_DIED) || sc->vm[0])
				one_row(&t, m, 0, f, 0);
	}
	printf("# %s: %u rows, %u bad\n", sc->name, t.rows, t.bad);
	return t.bad == 0;
}

static const char *scenario_name(size_t i)
{
	return scenarios[i].name;
}

int main(int argc, char **argv)
{
	return tap_main(argc, argv, nscenarios, scenario_name, table);
}
