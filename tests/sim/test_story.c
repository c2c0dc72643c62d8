/* test_story.c - what the daemon says of itself in the usual cases, line by line.
 *
 * On a steady host: everything takes its usual time. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/sim/client_fake.h"

static struct world *steady(void)
{
	struct world *w = world_create(
		&(struct world_config){ .sim = { .steady = true }, .disk_image = true });

	cr_assert(world_start(w), "%s", w->start_err.text);
	return w;
}

static void expect(const char *got, const char *want)
{
	cr_assert_str_eq(got, want, "the story is\n%s", got);
}

static void over(struct world *w, struct client *c)
{
	client_hang_up(c);
	cr_assert(world_settle(w));
	const char *bad = world_check(w);
	cr_assert_null(bad, "%s", bad);
	client_free(c);
	world_destroy(w);
}

static void done(struct client *c, struct call *call, enum err_code want)
{
	cr_assert(client_wait(c, call), "no answer");
	cr_assert_eq(call_code(call), want, "%s: %s", err_name(call_code(call)), call_text(call));
}

Test(story, a_probe_is_created_and_started)
{
	struct world *w = steady();
	struct client *c = client_open(w);

	done(c, client_create_vm(c, "a", "probe", false), ERR_NONE);
	expect(world_story(w), "[    0ms] vm/a step.do step=intent\n"
			       "[    0ms] vm/a step.do step=files\n"
			       "[    0ms] vm/a step.do step=record\n"
			       "[    0ms] vm/a vm.state from=creating to=created\n"
			       "[    0ms] vm/a vm.state from=created to=starting\n"
			       "[    0ms] vm/a step.do step=admit\n"
			       "[    0ms] vm/a step.do step=intent\n"
			       "[    0ms] vm/a step.do step=runtime\n"
			       "[    0ms] vm/a step.do step=console\n"
			       "[    0ms] vm/a step.do step=agent\n"
			       "[    0ms] vm/a step.do step=control\n"
			       "[    0ms] vm/a step.do step=vmm\n"
			       "[    0ms] vm/a step.do step=boot\n"
			       "[  520ms] vm/a step.do step=record\n"
			       "[  520ms] vm/a vm.state from=starting to=running\n"
			       "[  520ms] vm/a vm.ready\n");
	over(w, c);
}

Test(story, a_guest_runs_a_command_and_is_stopped)
{
	struct world *w = steady();
	struct client *c = client_open(w);

	done(c, client_create_vm(c, "web", "debian", false), ERR_NONE);
	world_story(w);
	struct call *call = client_exec(c, "web", "say", "hello");
	done(c, call, ERR_NONE);
	cr_assert_eq(buf_len(&call->out), 5);
	cr_assert_eq(memcmp(buf_data(&call->out), "hello", 5), 0);
	done(c, call = client_exec(c, "web", "exit", "42"), ERR_NONE);
	cr_assert_eq(call->exec.status, 42);
	done(c, client_on_vm(c, METHOD_VM_STOP, "web"), ERR_NONE);
	expect(world_story(w), "[    0ms] vm/web vm.state from=running to=stopping\n"
			       "[    0ms] vm/web step.do step=poweroff\n"
			       "[  200ms] vm/web agent.down code=guest.gone why=\"the agent's "
			       "channel was closed\"\n"
			       "[  200ms] vm/web vmm.exit status=0\n"
			       "[  200ms] vm/web undo.do step=vmm\n"
			       "[  200ms] vm/web undo.do step=control\n"
			       "[  200ms] vm/web undo.do step=agent\n"
			       "[  200ms] vm/web undo.do step=console\n"
			       "[  200ms] vm/web undo.do step=runtime\n"
			       "[  200ms] vm/web undo.do step=intent\n"
			       "[  200ms] vm/web undo.do step=admit\n"
			       "[  200ms] vm/web vm.state from=stopping to=stopped\n");
	over(w, c);
}

Test(story, a_guest_that_dies_while_it_boots_is_undone)
{
	struct world *w = steady();
	struct client *c = client_open(w);

	w->vmm = VMM_DIES;
	done(c, client_create_vm(c, "a", "debian", true), ERR_NONE);
	world_story(w);
	struct call *call = client_on_vm(c, METHOD_VM_START, "a");
	done(c, call, ERR_VMM_EXIT);
	cr_assert_str_eq(call_text(call), "the VMM was killed by signal 6: qemu: it went wrong");
	expect(world_story(w),
	       "[    0ms] vm/a vm.state from=created to=starting\n"
	       "[    0ms] vm/a step.do step=admit\n"
	       "[    0ms] vm/a step.do step=intent\n"
	       "[    0ms] vm/a step.do step=runtime\n"
	       "[    0ms] vm/a step.do step=console\n"
	       "[    0ms] vm/a step.do step=agent\n"
	       "[    0ms] vm/a step.do step=control\n"
	       "[    0ms] vm/a step.do step=vmm\n"
	       "[    0ms] vm/a step.do step=boot\n"
	       "[  270ms] vm/a agent.down code=guest.gone why=\"the agent's channel was closed\"\n"
	       "[  270ms] vm/a vmm.exit status=134\n"
	       "[  270ms] vm/a step.failed step=boot code=vmm.exit why=\"the VMM was killed by "
	       "signal 6: qemu: it went wrong\"\n"
	       "[  270ms] vm/a undo.do step=vmm\n"
	       "[  270ms] vm/a undo.do step=control\n"
	       "[  270ms] vm/a undo.do step=agent\n"
	       "[  270ms] vm/a undo.do step=console\n"
	       "[  270ms] vm/a undo.do step=runtime\n"
	       "[  270ms] vm/a undo.do step=intent\n"
	       "[  270ms] vm/a undo.do step=admit\n"
	       "[  270ms] vm/a vm.state from=starting to=failed\n");
	over(w, c);
}

Test(story, a_new_daemon_adopts_what_runs)
{
	struct world *w = steady();
	struct client *c = client_open(w);

	done(c, client_create_vm(c, "a", "debian", false), ERR_NONE);
	const uint32_t pid = world_vm(w, "a")->run->res.pid;
	world_kill(w);
	sim_run(w->sim, 1000000);
	cr_assert(c->ended);
	client_free(c);
	world_story(w);
	cr_assert(world_start(w));
	cr_assert(world_settle(w));
	cr_assert_eq(world_vm(w, "a")->run->res.pid, pid);
	c = client_open(w);
	struct call *call = client_exec(c, "a", "exit", "0");
	done(c, call, ERR_NONE);
	expect(world_story(w), "[    0ms] vm/a step.do step=agent\n"
			       "[    0ms] vm/a vm.adopted pid=301\n"
			       "[    0ms] vm/a step.do step=control\n"
			       "[    0ms] vm/a agent.up boot_id=boot-1 agent=fake\n");
	over(w, c);
}

Test(story, after_a_power_loss_what_ran_is_taken_down)
{
	struct world *w = steady();
	struct client *c = client_open(w);

	done(c, client_create_vm(c, "a", "probe", false), ERR_NONE);
	world_power_loss(w);
	client_free(c);
	world_story(w);
	cr_assert(world_start(w));
	cr_assert(world_settle(w));
	expect(world_story(w), "[    0ms] vm/a vm.state from=running to=stopping\n"
			       "[    0ms] vm/a undo.do step=vmm\n"
			       "[    0ms] vm/a undo.do step=control\n"
			       "[    0ms] vm/a undo.do step=agent\n"
			       "[    0ms] vm/a undo.do step=console\n"
			       "[    0ms] vm/a undo.do step=runtime\n"
			       "[    0ms] vm/a undo.do step=intent\n"
			       "[    0ms] vm/a undo.do step=admit\n"
			       "[    0ms] vm/a vm.state from=stopping to=stopped\n");
	c = client_open(w);
	done(c, client_on_vm(c, METHOD_VM_START, "a"), ERR_NONE);
	over(w, c);
}
