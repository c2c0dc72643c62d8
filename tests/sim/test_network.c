/* test_network.c - the process that is a VM's network, beside a QEMU and beside a Firecracker. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <signal.h>
#include <string.h>

#include "tests/sim/client_fake.h"

static bool vmms[] = { false, true }; /* Firecracker? */

ParameterizedTestParameters(network, is_found_again_by_the_next_daemon)
{
	return cr_make_param_array(bool, vmms, ARRAY_LEN(vmms));
}
ParameterizedTestParameters(network, is_replaced_when_it_dies_and_the_vm_runs_on)
{
	return cr_make_param_array(bool, vmms, ARRAY_LEN(vmms));
}
ParameterizedTestParameters(network, goes_with_a_vm_that_died_while_nobody_looked)
{
	return cr_make_param_array(bool, vmms, ARRAY_LEN(vmms));
}
ParameterizedTestParameters(network, a_port_that_is_taken_is_the_starts_error)
{
	return cr_make_param_array(bool, vmms, ARRAY_LEN(vmms));
}
static struct world *steady(bool firecracker)
{
	struct world *w = world_create(&(struct world_config){
		.sim = { .steady = true }, .disk_image = true, .firecracker = firecracker });

	cr_assert(world_start(w), "%s", w->start_err.text);
	return w;
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

/* The one that lives. */
static struct sim_proc *network_of(struct world *w)
{
	for (struct sim_proc *p = sim_next(w->sim, NULL); p; p = sim_next(w->sim, p))
		if (world_is_network(p) && !p->exited)
			return p;
	return NULL;
}

static struct sim_proc *vmm_of(struct world *w)
{
	for (struct sim_proc *p = sim_next(w->sim, NULL); p; p = sim_next(w->sim, p))
		if (world_is_vmm(p) && !p->exited)
			return p;
	return NULL;
}

static bool another_lives(struct world *w, void *before)
{
	const struct sim_proc *p = network_of(w);

	return p && p->pid != *(const pid_t *)before;
}

static void run(struct world *w, struct client *c)
{
	done(c, client_create_vm(c, "a", "debian", false), ERR_NONE);
	cr_assert_not_null(network_of(w));
	cr_assert_eq(network_of(w)->program, &network_program);
}

static struct client *next_daemon(struct world *w, struct client *c)
{
	client_free(c);
	cr_assert(world_start(w), "%s", w->start_err.text);
	cr_assert(world_settle(w));
	return client_open(w);
}

ParameterizedTest(bool *firecracker, network, is_found_again_by_the_next_daemon)
{
	struct world *w = steady(*firecracker);
	struct client *c = client_open(w);

	run(w, c);
	pid_t pid = network_of(w)->pid;
	world_kill(w);
	sim_run(w->sim, 1000000);
	c = next_daemon(w, c);
	cr_expect_eq(network_of(w)->pid, pid);
	/* ... which looks after it as the one before did. */
	sim_proc_signal(network_of(w), SIGKILL);
	cr_assert(world_until(w, another_lives, &pid, UINT64_C(10000000)));
	cr_expect_str_eq(world_state(w, "a"), "running");
	over(w, c);
}

static void dies_four_times(struct world *w)
{
	for (int i = 0; i < 4; i++) {
		pid_t pid = network_of(w)->pid;

		sim_proc_signal(network_of(w), SIGKILL);
		cr_assert(world_until(w, another_lives, &pid, UINT64_C(70000000)), "turn %d", i);
	}
}

ParameterizedTest(bool *firecracker, network, is_replaced_when_it_dies_and_the_vm_runs_on)
{
	struct world *w = steady(*firecracker);
	struct client *c = client_open(w);

	run(w, c);
	dies_four_times(w);
	cr_expect_str_eq(world_state(w, "a"), "running");
	done(c, client_on_vm(c, METHOD_VM_STOP, "a"), ERR_NONE);
	cr_expect_null(network_of(w));
	over(w, c);
}

static bool never(struct world *w, void *arg)
{
	(void)w;
	(void)arg;
	return false;
}

ParameterizedTestParameters(network, one_that_lived_for_long_is_replaced_soon)
{
	return cr_make_param_array(bool, vmms, ARRAY_LEN(vmms));
}

ParameterizedTest(bool *firecracker, network, one_that_lived_for_long_is_replaced_soon)
{
	const uint64_t soon_us = 2000000;
	struct world *w = steady(*firecracker);
	struct client *c = client_open(w);

	run(w, c);
	dies_four_times(w);
	pid_t pid = network_of(w)->pid;

	cr_assert_not(world_until(w, never, NULL, UINT64_C(70000000)));
	sim_proc_signal(network_of(w), SIGKILL);
	cr_expect(world_until(w, another_lives, &pid, soon_us));
	over(w, c);
}

/* A process that listens does not end with the VMM. */
ParameterizedTest(bool *firecracker, network, goes_with_a_vm_that_died_while_nobody_looked)
{
	struct world *w = steady(*firecracker);
	struct client *c = client_open(w);

	run(w, c);
	world_kill(w);
	sim_proc_signal(vmm_of(w), SIGKILL);
	sim_run(w->sim, 1000000);
	cr_expect_eq(network_of(w) != NULL, *firecracker);
	c = next_daemon(w, c);
	cr_expect_null(network_of(w));
	cr_expect_str_eq(world_state(w, "a"), "stopped");
	over(w, c);
}

ParameterizedTest(bool *firecracker, network, a_port_that_is_taken_is_the_starts_error)
{
	struct world *w = steady(*firecracker);
	struct client *c = client_open(w);

	w->network = NETWORK_PORT_BUSY;
	struct call *call = client_create_vm(c, "a", "debian", false);

	done(c, call, ERR_PORT_BUSY);
	cr_expect_not_null(strstr(call_text(call), "Failed to bind 127.0.0.1:1"));
	cr_expect_null(network_of(w));
	w->network = NETWORK_WELL;
	over(w, c);
}
