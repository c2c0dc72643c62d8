/* test_jail.c - what of a VMM in a jail only the root helper knows and can do: how it has ended,
 * and that its logs are cut. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "actors/limits.h"
#include "tests/sim/client_fake.h"
#include "tests/sim/helper_fake.h"

enum {
	PATIENCE_US = 60 * 1000 * 1000,
};

static struct world *system_world(void)
{
	struct world *w = world_create(&(struct world_config){
		.sim = { .steady = true }, .disk_image = true, .system = true });

	cr_assert(world_start(w), "%s", w->start_err.text);
	return w;
}

static void done(struct client *c, struct call *call, enum err_code want)
{
	cr_assert(client_wait(c, call), "no answer");
	cr_assert_eq(call_code(call), want, "%s: %s", err_name(call_code(call)), call_text(call));
}

static struct client *with_vm(struct world *w, const char *name)
{
	struct client *c = client_open(w);

	done(c, client_create_vm(c, name, "debian", false), ERR_NONE);
	return c;
}

static void over(struct world *w, struct client *c)
{
	client_hang_up(c);
	cr_assert(world_settle(w), "%s", world_restless(w));
	const char *bad = world_check(w);
	cr_assert_null(bad, "%s", bad);
	client_free(c);
	world_destroy(w);
}

/* Somebody on the host does. */
static void kill_vmm(struct world *w, const char *name, int signo)
{
	const struct vm *vm = world_vm(w, name);
	struct sim_proc *p = helper_vmm(w->helper, helper_held(w->helper, vm->rec.id));

	cr_assert(p);
	sim_proc_signal(p, signo);
}

static bool is_at_rest(struct world *w, void *arg)
{
	const struct vm *vm = world_vm(w, arg);

	return vm && vm_at_rest(vm_state(vm));
}

static void expect_end(struct world *w, const char *state, const char *failure, int status)
{
	static char name[] = "a";

	cr_assert(world_until(w, is_at_rest, name, PATIENCE_US));
	cr_assert_str_eq(world_state(w, name), state);
	cr_assert_str_eq(world_vm(w, name)->rec.failure, failure);
	cr_assert_eq(world_vm(w, name)->rec.exit_status, status);
}

Test(jail, a_vmm_that_is_killed_has_failed_and_of_what)
{
	struct world *w = system_world();
	struct client *c = with_vm(w, "a");

	kill_vmm(w, "a", SIGKILL);
	expect_end(w, "failed", "the VMM was killed by signal 9", 128 + SIGKILL);
	over(w, c);
}

Test(jail, one_that_dies_while_it_boots_says_of_what)
{
	struct world *w = system_world();
	struct client *c = client_open(w);
	struct call *call;

	w->vmm = VMM_DIES;
	done(c, call = client_create_vm(c, "a", "debian", false), ERR_VMM_EXIT);
	cr_assert_str_eq(call_text(call), "the VMM was killed by signal 6: qemu: it went wrong");
	expect_end(w, "failed", "boot: the VMM was killed by signal 6: qemu: it went wrong",
		   128 + SIGABRT);
	over(w, c);
}

Test(jail, one_that_we_kill_has_stopped)
{
	struct world *w = system_world();
	struct client *c = with_vm(w, "a");

	done(c, client_on_vm(c, METHOD_VM_KILL, "a"), ERR_NONE);
	expect_end(w, "stopped", "", 128 + SIGKILL);
	over(w, c);
}

Test(jail, one_that_was_killed_while_no_daemon_ran_has_failed)
{
	struct world *w = system_world();
	struct client *c = with_vm(w, "a");

	const vm_id id = world_vm(w, "a")->rec.id;
	world_kill(w);
	client_free(c);
	sim_proc_signal(helper_vmm(w->helper, helper_held(w->helper, id)), SIGKILL);
	cr_assert(world_start(w), "%s", w->start_err.text);
	expect_end(w, "failed", "the VMM was killed by signal 9", 128 + SIGKILL);
	over(w, client_open(w));
}

Test(jail, what_an_earlier_helper_has_launched_ends_for_a_reason_that_nobody_knows)
{
	struct world *w = system_world();
	struct client *c = with_vm(w, "a");

	helper_kill(w);
	kill_vmm(w, "a", SIGKILL);
	expect_end(w, "failed", "the VMM ended", -1);
	over(w, c);
}

/* ---- its logs ---- */

enum {
	LONG_CONSOLE = 3 * CONSOLE_KEEP_BYTES,
	LONG_LOG = 4 * VMM_LOG_KEEP_BYTES,
};

struct long_log {
	char path[WORLD_PATH * 3];
	uint64_t keep;
};

static void grow(struct world *w, const char *before, const char *file, size_t bytes,
		 struct long_log *ret)
{
	static const char line[4096] = "it goes on and on\n";
	char id[VM_ID_CHARS + 1];

	vm_id_text(world_vm(w, "a")->rec.id, id);
	(void)snprintf(ret->path, sizeof(ret->path), "%s/%s/%s", world_path(w, before), id, file);
	FILE *f = fopen(ret->path, "a");

	cr_assert(f, "%s", ret->path);
	for (size_t n = 0; n < bytes; n += sizeof(line))
		cr_assert_eq(fwrite(line, sizeof(line), 1, f), 1);
	cr_assert_eq(fclose(f), 0);
}

static uint64_t room_of(const char *path)
{
	struct stat st;

	cr_assert_eq(stat(path, &st), 0, "%s", path);
	return (uint64_t)st.st_blocks * 512;
}

static bool is_short(struct world *w, void *arg)
{
	const struct long_log *l = arg;

	(void)w;
	return room_of(l->path) <= 2 * l->keep;
}

Test(jail, logs_of_one_that_runs_are_cut_by_the_root_helper)
{
	struct world *w = system_world();
	struct client *c = with_vm(w, "a");
	struct long_log console = { .keep = CONSOLE_KEEP_BYTES };
	struct long_log said = { .keep = VMM_LOG_KEEP_BYTES };

	grow(w, "state/vms", "console.log", LONG_CONSOLE, &console);
	grow(w, "state/jails", "vmm.log", LONG_LOG, &said);
	cr_assert(world_until(w, is_short, &console, PATIENCE_US), "the console's log is not cut");
	cr_assert(world_until(w, is_short, &said, PATIENCE_US), "the VMM's log is not cut");
	helper_kill(w); /* what it cannot do now is done later */
	grow(w, "state/jails", "vmm.log", LONG_LOG, &said);
	cr_assert(world_until(w, is_short, &said, PATIENCE_US), "it is not tried again");
	over(w, c);
}
