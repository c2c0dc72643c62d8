/* test_plan.c - the plan engine by itself, on a simulated clock: what its tables promise. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "actors/msg.h"
#include "actors/plan.h"
#include "io/sim.h"

enum {
	DEADLINE_MS = 100,
	TURNS = 1000,
};

static struct stage {
	struct sim *sim;
	struct actors actors;
	struct actor actor;
	struct io *io;
	struct plan plan;
	struct msg answer; /* to the question of step "ask" */
	char story[256];
	bool ended;
	int rc;
} stage;

static void note(const char *what)
{
	const size_t used = strlen(stage.story);

	(void)snprintf(stage.story + used, sizeof(stage.story) - used, "%s%s", used ? " " : "",
		       what);
}

static int done(struct plan *p, struct err *e)
{
	(void)e;
	note(plan_step(p)->name);
	return STEP_DONE;
}

static int undo(struct plan *p, struct err *e)
{
	char text[32];

	(void)e;
	(void)snprintf(text, sizeof(text), "-%s", plan_step(p)->name);
	note(text);
	return STEP_DONE;
}

static int fails(struct plan *p, struct err *e)
{
	note(plan_step(p)->name);
	return err_set(e, ERR_HOST_IO, "no luck");
}

static int undo_fails(struct plan *p, struct err *e)
{
	undo(p, e);
	return err_set(e, ERR_HOST_IO, "nor then");
}

/* One question at a time: its token goes with the answer, which may come when it likes. */
static int asks(struct plan *p, struct err *e)
{
	(void)e;
	note(plan_step(p)->name);
	stage.answer = (struct msg){ .type = MSG_PLAN_IO, .token = p->token };
	return STEP_WAIT;
}

static int waits(struct plan *p, struct err *e)
{
	undo(p, e);
	return STEP_WAIT;
}

static void ended(struct plan *p, int rc)
{
	(void)p;
	stage.ended = true;
	stage.rc = rc;
}

static void step_begun(struct plan *p, const char *step, bool undoing)
{
	(void)p;
	(void)step;
	(void)undoing;
}

static void step_over(struct plan *p, int rc)
{
	(void)p;
	(void)rc;
}

static const struct plan_ops ops = { .begun = step_begun, .over = step_over, .ended = ended };

static void handle(struct actor *a, struct msg *m)
{
	(void)a;
	plan_deliver(&stage.plan, m);
}

static void begin(const struct step *steps, uint32_t n)
{
	struct err e = { 0 };

	stage = (struct stage){ .sim = sim_create(&(struct sim_config){ .steady = true }) };
	sim_use(stage.sim);
	actors_init(&stage.actors);
	cr_assert_eq(actor_init(&stage.actor, &stage.actors, handle), 0);
	cr_assert_eq(io_create(NULL, &stage.actors, &stage.io, &e), 0);
	plan_init(&stage.plan, stage.io, &stage.actor, &ops);
	plan_begin(&stage.plan, steps, n, NULL);
}

static void turn(void)
{
	cr_assert_eq(io_turn(stage.io), 0);
}

static void until_undoing(void)
{
	for (int i = 0; i < TURNS && stage.plan.phase == PLAN_DOING; i++)
		turn();
	cr_assert_eq(stage.plan.phase, PLAN_UNDOING);
}

static void over(const char *story)
{
	for (int i = 0; i < TURNS && !stage.ended; i++)
		turn();
	cr_assert(stage.ended, "after %s", stage.story);
	cr_assert_str_eq(stage.story, story);
	actor_fini(&stage.actor);
	io_destroy(stage.io);
	sim_destroy(stage.sim);
	actors_fini(&stage.actors);
}

Test(plan, goes_forward_to_its_end)
{
	static const struct step steps[] = { { "a", done, NULL, undo, NULL, 0, 0 },
					     { "b", done, NULL, undo, NULL, 0, 0 } };

	begin(steps, ARRAY_LEN(steps));
	cr_assert_eq(stage.rc, 0);
	over("a b");
}

Test(plan, undoes_the_step_that_failed_and_all_before_it)
{
	static const struct step steps[] = { { "a", done, NULL, undo, NULL, 0, 0 },
					     { "b", fails, NULL, undo, NULL, 0, 0 },
					     { "c", done, NULL, undo, NULL, 0, 0 } };

	begin(steps, ARRAY_LEN(steps));
	cr_assert_eq(stage.rc, -EIO);
	cr_assert_str_eq(stage.plan.failed_step, "b");
	over("a b -b -a");
}

Test(plan, an_undo_that_fails_is_counted_and_stops_nothing)
{
	static const struct step steps[] = { { "a", done, NULL, undo, NULL, 0, 0 },
					     { "b", fails, NULL, undo_fails, NULL, 0, 0 } };

	begin(steps, ARRAY_LEN(steps));
	cr_assert_eq(stage.plan.leaks, 1);
	cr_assert_str_eq(stage.plan.err.text, "no luck; then: nor then");
	over("a b -b -a");
}

Test(plan, an_answer_in_time_ends_the_wait)
{
	static const struct step steps[] = { { "ask", asks, NULL, undo, NULL, DEADLINE_MS, 0 },
					     { "b", done, NULL, undo, NULL, 0, 0 } };

	begin(steps, ARRAY_LEN(steps));
	actor_post(&stage.actors, stage.actor.id, &stage.answer);
	over("ask b");
}

/* The undo waits for an answer of its own: the one to the question before is not it. */
Test(plan, an_answer_that_comes_late_is_nobodys)
{
	static const struct step steps[] = { { "a", done, NULL, undo, NULL, 0, 0 },
					     { "ask", asks, NULL, waits, NULL, DEADLINE_MS, 0 } };

	begin(steps, ARRAY_LEN(steps));
	until_undoing();
	cr_assert_eq(stage.plan.err.code, ERR_TIMEOUT);
	actor_post(&stage.actors, stage.actor.id, &stage.answer);
	turn();
	cr_assert_str_eq(stage.story, "a ask -ask", "the stale answer was taken");
	stage.answer.token = stage.plan.token;
	actor_post(&stage.actors, stage.actor.id, &stage.answer);
	over("a ask -ask -a");
}

Test(plan, giving_up_undoes_from_the_step_at_hand)
{
	static const struct step steps[] = { { "a", done, NULL, undo, NULL, 0, 0 },
					     { "ask", asks, NULL, undo, NULL, 0, 0 },
					     { "c", done, NULL, undo, NULL, 0, 0 } };
	const struct err why = { .code = ERR_CANCELLED, .text = "enough" };

	begin(steps, ARRAY_LEN(steps));
	plan_abort(&stage.plan, &why);
	cr_assert_eq(stage.plan.err.code, ERR_CANCELLED);
	over("a ask -ask -a");
}
