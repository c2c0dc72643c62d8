/* test_host_sweep.c - what the root helper holds for VMs that no record names. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/sim/client_fake.h"
#include "tests/sim/helper_fake.h"

enum {
	LOST = 0x1234567,
	LOST_TOO = 0x7654321,
};

static struct world *system_world(void)
{
	struct world *w = world_create(&(struct world_config){
		.sim = { .steady = true }, .disk_image = true, .system = true });

	cr_assert(world_start(w), "%s", w->start_err.text);
	return w;
}

/* As if the records of two VMs had been lost. */
static void lose(struct world *w)
{
	struct held *whole = helper_hold(w->helper, LOST, 9);

	whole->disk = whole->tap = whole->nat = whole->jail = true;
	helper_hold(w->helper, LOST_TOO, 10)->tap = true;
	cr_assert_str_eq(helper_holds(w, LOST), " disk tap nat jail");
}

static bool is_swept(struct world *w, void *arg)
{
	(void)arg;
	return !*helper_holds(w, LOST) && !*helper_holds(w, LOST_TOO);
}

static void over(struct world *w)
{
	cr_assert(world_settle(w), "%s", world_restless(w));
	const char *bad = world_check(w);
	cr_assert_null(bad, "%s", bad);
	world_destroy(w);
}

static void create(struct world *w, const char *name)
{
	struct client *c = client_open(w);
	struct call *call = client_create_vm(c, name, "debian", false);

	cr_assert(client_wait(c, call));
	cr_assert_eq(call_code(call), ERR_NONE, "%s", call_text(call));
	client_free(c);
}

Test(host_sweep, a_daemon_that_starts_clears_what_no_record_names)
{
	struct world *w = system_world();

	create(w, "a");
	const vm_id a = world_vm(w, "a")->rec.id;
	world_kill(w);
	lose(w);
	cr_assert(world_start(w));
	cr_assert(world_settle(w));
	cr_assert(is_swept(w, NULL), "left: %s", helper_holds(w, LOST));
	cr_assert_str_eq(helper_holds(w, a), " disk tap jail", "what is recorded stays");
	cr_assert_str_eq(world_state(w, "a"), "running");
	over(w);
}

Test(host_sweep, so_does_one_that_the_helper_comes_back_to)
{
	struct world *w = system_world();

	cr_assert(world_settle(w));
	lose(w);
	helper_kill(w);
	create(w, "a"); /* whoever asks connects anew */
	cr_assert(world_settle(w));
	cr_assert(is_swept(w, NULL), "left: %s", helper_holds(w, LOST));
	cr_assert_str_eq(world_state(w, "a"), "running");
	over(w);
}

Test(host_sweep, vms_of_another_daemon_are_its_own)
{
	struct world *w = system_world();

	world_kill(w);
	lose(w);
	w->helper->anothers = true;
	cr_assert(world_start(w));
	cr_assert(world_settle(w));
	cr_assert_str_eq(helper_holds(w, LOST), " disk tap nat jail");
	cr_assert_str_eq(helper_holds(w, LOST_TOO), " tap");
	world_destroy(w);
}

/* While VMs come up and go: each has all that is its own. */
Test(host_sweep, what_is_under_way_is_not_swept)
{
	struct world *w = system_world();

	world_kill(w);
	lose(w);
	cr_assert(world_start(w));
	for (int round = 0; round < 3; round++) {
		struct client *c = client_open(w);
		struct call *calls[4];

		for (size_t i = 0; i < ARRAY_LEN(calls); i++)
			calls[i] = client_create_vm(c, (const char *[]){ "a", "b", "c", "d" }[i],
						    "debian", false);
		helper_kill(w); /* and is swept for again, meanwhile */
		for (size_t i = 0; i < ARRAY_LEN(calls); i++)
			cr_assert(client_wait(c, calls[i]));
		cr_assert(world_settle(w), "%s", world_restless(w));
		const char *bad = world_check(w);
		cr_assert_null(bad, "%s", bad);
		for (size_t i = 0; i < ARRAY_LEN(calls); i++)
			cr_assert(client_wait(
				c, client_on_vm(c, METHOD_VM_DELETE,
						(const char *[]){ "a", "b", "c", "d" }[i])));
		client_free(c);
	}
	cr_assert(is_swept(w, NULL));
	over(w);
}

/* ---- each question fails once, and is the helper's last once ---- */

struct nth {
	uint32_t at, asked;
	bool dies;
};

static void fail_nth(void *arg, const struct sim_call *call, struct sim_verdict *v)
{
	struct nth *n = arg;

	if (call->effect != SIM_HELPER || strcmp(call->what, "ensure_bridge") == 0 ||
	    ++n->asked != n->at)
		return;
	if (n->dies)
		v->hang = true;
	else
		v->error = -EIO;
}

static bool swept_in_spite_of(uint32_t at, bool dies)
{
	struct world *w = system_world();
	struct nth n = { .at = at, .dies = dies };

	world_kill(w);
	lose(w);
	sim_policy(w->sim, fail_nth, &n);
	cr_assert(world_start(w));
	cr_assert(world_until(w, is_swept, NULL, UINT64_C(300) * 1000 * 1000),
		  "question %u: left: %s", at, helper_holds(w, LOST));
	over(w);
	return n.asked >= at;
}

Test(host_sweep, a_question_that_fails_is_asked_again)
{
	uint32_t at = 1;

	while (swept_in_spite_of(at, false))
		at++;
	cr_assert_gt(at, 9, "only %u questions", at - 1); /* three reports, six to be absent */
	for (at = 1; swept_in_spite_of(at, true); at++) {
	}
	cr_assert_gt(at, 9);
}
