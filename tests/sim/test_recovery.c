/* test_recovery.c - what a daemon makes of a host that it finds: stories that need a stage of their
 * own. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/sim/client_fake.h"

enum {
	TICK_US = 10000,
};

static struct world *steady(void)
{
	struct world *w = world_create(
		&(struct world_config){ .sim = { .steady = true }, .disk_image = true });

	cr_assert(world_start(w), "%s", w->start_err.text);
	return w;
}

static struct client *create(struct world *w, const char *name, const char *image)
{
	struct client *c = client_open(w);
	struct call *call = client_create_vm(c, name, image, false);

	cr_assert(client_wait(c, call));
	cr_assert_eq(call_code(call), ERR_NONE, "%s", call_text(call));
	return c;
}

static void start_again(struct world *w)
{
	cr_assert(world_start(w), "%s", w->start_err.text);
	cr_assert(world_settle(w));
}

static void agrees(struct world *w)
{
	const char *bad = world_check(w);

	cr_assert_null(bad, "%s", bad);
}

static void make_dir(struct world *w, const char *path)
{
	cr_assert_eq(mkdir(world_path(w, path), 0700), 0);
}

static bool there(struct world *w, const char *path)
{
	struct stat st;

	return lstat(world_path(w, path), &st) == 0;
}

Test(recovery, what_no_record_names_is_swept_and_nothing_else)
{
	struct world *w = steady();
	struct client *c = create(w, "a", "probe");

	world_kill(w);
	client_free(c);
	make_dir(w, "state/vms/aaaaaaaaaaaa");
	make_dir(w, "state/vms/aaaaaaaaaaaa/deeper");
	make_dir(w, "state/vms/not-an-id");
	make_dir(w, "runtime/vm/bbbbbbbbbbbb");
	make_dir(w, "state/staging/01J00000000000000000000000");
	make_dir(w, "state/images/left");
	make_dir(w, "state/trash");
	make_dir(w, "state/trash/7");
	start_again(w);
	cr_assert(there(w, "state/vms/not-an-id"), "no VM is called so");
	cr_assert_eq(rmdir(world_path(w, "state/vms/not-an-id")), 0);
	agrees(w); /* none of the others, and all of a's */
	cr_assert_eq(strcmp(world_state(w, "a"), "running"), 0);
	cr_assert(there(w, "state/images/debian/rootfs.ext4"));
	world_destroy(w);
}

/* Its words tell whose it is; and a network's, likewise. */
Test(recovery, a_vmm_that_no_record_names_is_killed_if_it_is_ours)
{
	struct world *w = steady();
	char ours[64];
	char others[64];
	char network[64];
	char others_network[64];

	(void)snprintf(ours, sizeof(ours), "guest=x,process=bg-cccccccccccc.%s",
		       w->daemon->env.home);
	(void)snprintf(others, sizeof(others), "guest=x,process=bg-dddddddddddd.%.*s",
		       (int)strlen(w->daemon->env.home) - 1, w->daemon->env.home);
	(void)snprintf(network, sizeof(network), "network=bg-cccccccccccc.%s", w->daemon->env.home);
	(void)snprintf(others_network, sizeof(others_network), "network=bg-dddddddddddd.%.*s",
		       (int)strlen(w->daemon->env.home) - 1, w->daemon->env.home);
	world_kill(w);
	const struct {
		const char *word;
		bool stays;
	} rows[] = { { ours, false },
		     { others, true },
		     { network, false },
		     { others_network, true },
		     { "guest=x,process=bg-cccccccccccc", true } };
	pid_t pids[ARRAY_LEN(rows)];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		pids[i] = sim_spawn(w->sim, &bystander_program, rows[i].word, false)->pid;
	start_again(w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		cr_assert_eq(sim_find(w->sim, pids[i]) != NULL, rows[i].stays, "%s", rows[i].word);
	world_destroy(w);
}

static const struct sim_program imager_left = { .name = "/usr/libexec/banger/banger-imager" };

/* ... and an imager by where it writes. */
Test(recovery, an_imager_that_a_crash_has_left_is_killed)
{
	struct world *w = steady();
	char staged[WORLD_PATH + 64];

	(void)snprintf(staged, sizeof(staged), "%s/staging/01J00000000000000000000000", w->state);
	world_kill(w);
	make_dir(w, "state/staging/01J00000000000000000000000");
	const pid_t pid = sim_spawn(w->sim, &imager_left, staged, false)->pid;
	const pid_t reader = sim_spawn(w->sim, &bystander_program, staged, false)->pid;
	start_again(w);
	cr_assert_null(sim_find(w->sim, pid));
	cr_assert_not_null(sim_find(w->sim, reader));
	agrees(w);
	world_destroy(w);
}

/* After a reboot both numbers begin anew. */
Test(recovery, a_process_with_the_pid_and_the_start_time_of_a_vmm_is_not_taken_for_it)
{
	struct world *w = steady();
	struct client *c = create(w, "a", "probe");
	const struct vm_resources res = world_vm(w, "a")->run->res;

	world_power_loss(w);
	client_free(c);
	sim_run(w->sim, res.start_ticks * TICK_US);
	const struct sim_proc *p = sim_spawn(w->sim, &bystander_program, "innocent", false);
	const pid_t pid = p->pid;
	cr_assert_eq(pid, (pid_t)res.pid);
	cr_assert_eq(p->start_ticks, res.start_ticks);
	start_again(w);
	cr_assert_eq(strcmp(world_state(w, "a"), "stopped"), 0, "%s", world_state(w, "a"));
	c = client_open(w);
	struct call *call = client_on_vm(c, METHOD_VM_DELETE, "a");
	cr_assert(client_wait(c, call));
	cr_assert_not_null(sim_find(w->sim, pid), "it has come to no harm");
	client_free(c);
	world_destroy(w);
}

Test(recovery, a_pid_that_was_not_recorded_is_found_by_name)
{
	struct world *w = steady();
	struct client *c = client_open(w);

	/* Dies once the VMM runs and before that is durable. */
	client_create_vm(c, "a", "probe", false);
	while (world_processes(w, 0) == 0) {
		sim_daemon_runs = true;
		cr_assert_gt(daemon_turn(w->daemon), 0);
		sim_daemon_runs = false;
	}
	world_kill(w);
	client_free(c);
	cr_assert_eq(world_processes(w, 0), 1);
	start_again(w);
	agrees(w);
	cr_assert_eq(strcmp(world_state(w, "a"), "failed"), 0, "%s", world_state(w, "a"));
	cr_assert_eq(world_processes(w, 0), 0);
	world_destroy(w);
}

Test(recovery, a_clock_that_jumps_moves_no_deadline)
{
	struct world *w = steady();
	struct client *c = client_open(w);
	const uint64_t from_us = sim_now_us(w->sim);

	w->vmm = VMM_SILENT;
	struct call *call = client_create_vm(c, "a", "probe", false);
	sim_wall_jump(w->sim, INT64_C(-10) * 365 * 24 * 3600 * 1000);
	cr_assert(client_wait(c, call));
	cr_assert_eq(call_code(call), ERR_TIMEOUT, "%s", call_text(call));
	cr_assert_leq(sim_now_us(w->sim) - from_us, UINT64_C(125) * 1000 * 1000);
	cr_assert(world_settle(w));
	agrees(w);
	client_free(c);
	world_destroy(w);
}

/* ---- a create that is cut short, and comes again under its op_id ---- */

enum {
	CUT_TURNS_MAX = 400,
};

static void turn(struct world *w)
{
	sim_daemon_runs = true;
	cr_assert_geq(daemon_turn(w->daemon), 0);
	sim_daemon_runs = false;
}

/* False: it was answered before so many turns were over. */
static bool cut_short_after(struct world *w, int turns, struct client **ret_first)
{
	struct client *c = client_open(w);
	const struct call *call = client_create_vm(c, "a", "debian", false);

	*ret_first = c;
	for (int i = 0; i < turns && !call->replied; i++)
		turn(w);
	const bool cut = !call->replied;
	world_kill(w);
	cr_assert(world_start(w), "%s", w->start_err.text);
	return cut;
}

/* While recovery is unmaking what was made, or before, or when it is there. */
Test(recovery, a_create_cut_short_anywhere_is_made_when_it_comes_again)
{
	bool cut = true;
	int turns = 0;

	for (; cut; turns++) {
		struct world *w = steady();
		struct client *first = NULL;

		cr_assert_lt(turns, CUT_TURNS_MAX);
		cut = cut_short_after(w, turns, &first);
		struct client *c = client_open(w);
		struct call *call = client_repeat(c, first->calls[0]);
		cr_assert(client_wait(c, call), "after %d turns", turns);
		cr_assert_eq(call_code(call), ERR_NONE, "after %d turns: %s", turns,
			     call_text(call));
		cr_assert(world_settle(w));
		cr_assert_eq(strcmp(world_state(w, "a"), "running"), 0, "%s", world_state(w, "a"));
		agrees(w);
		client_free(first);
		client_free(c);
		world_destroy(w);
	}
	cr_assert_gt(turns, 10);
}

/* There is one reply, and nothing is left when it says so. */
Test(recovery, a_create_that_comes_again_can_be_cancelled_anywhere)
{
	int cancelled = 0;

	for (int cut = 2; cut < 24; cut += 3) {
		for (int later = 0; later < 24; later += 2) {
			struct world *w = steady();
			struct client *first = NULL;

			IGNORE(cut_short_after(w, cut, &first));
			struct client *c = client_open(w);
			struct call *call = client_repeat(c, first->calls[0]);
			for (int i = 0; i < later && !call->replied; i++)
				turn(w);
			client_cancel(c, call);
			cr_assert(client_wait(c, call), "cut after %d, cancelled after %d", cut,
				  later);
			cr_assert(world_settle(w), "cut after %d, cancelled after %d", cut, later);
			agrees(w);
			if (call_code(call) == ERR_CANCELLED) {
				cancelled++;
				cr_assert_eq(strcmp(world_state(w, "a"), "gone"), 0, "%s",
					     world_state(w, "a"));
			} else {
				cr_assert_eq(call_code(call), ERR_NONE, "%s", call_text(call));
				cr_assert_eq(strcmp(world_state(w, "a"), "running"), 0);
			}
			client_free(first);
			client_free(c);
			world_destroy(w);
		}
	}
	cr_assert_gt(cancelled, 40);
}

/* ---- without memory ---- */

static void no_memory(void *arg, const struct sim_call *call, struct sim_verdict *v)
{
	const bool *none = arg;

	if (*none && call->effect == SIM_MEMORY)
		v->error = -ENOMEM;
}

static bool boots(struct world *w, void *arg)
{
	(void)arg;
	return world_processes(w, 0) > 0;
}

static bool is_gone(struct world *w, void *arg)
{
	return strcmp(world_state(w, arg), "gone") == 0;
}

/* By the client's word, or by its end where its frame cannot be read: what nobody waits for any
 * more is undone, and not when its deadline has passed. */
Test(shortage, a_cancel_is_not_lost)
{
	struct world *w = steady();
	struct client *c = client_open(w);
	bool none = false;
	char name[] = "a";

	w->vmm = VMM_SILENT;
	sim_policy(w->sim, no_memory, &none);
	struct call *call = client_create_vm(c, name, "debian", false);
	cr_assert(world_until(w, boots, NULL, UINT64_C(10) * 1000 * 1000));
	none = true;
	client_cancel(c, call);
	for (int i = 0; i < 4; i++) /* it has arrived by now, and nothing is undone yet */
		turn(w);
	none = false;
	cr_assert(world_until(w, is_gone, name, UINT64_C(30) * 1000 * 1000), "it is %s",
		  world_state(w, name));
	cr_assert(world_settle(w));
	agrees(w);
	client_free(c);
	world_destroy(w);
}
