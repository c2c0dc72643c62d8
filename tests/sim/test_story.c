/* test_story.c - what the daemon says of itself in the usual cases, line by line.
 *
 * On a steady host: everything takes its usual time. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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
			       "[    0ms] vm/a step.do step=accel\n"
			       "[    0ms] vm/a step.do step=admit\n"
			       "[    0ms] vm/a step.do step=intent\n"
			       "[    0ms] vm/a step.do step=runtime\n"
			       "[    0ms] vm/a step.do step=console\n"
			       "[    0ms] vm/a step.do step=agent\n"
			       "[    0ms] vm/a step.do step=control\n"
			       "[    0ms] vm/a step.do step=network\n"
			       "[    0ms] vm/a step.do step=cgroup\n"
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
			       "[  200ms] vm/web undo.do step=cgroup\n"
			       "[  200ms] vm/web undo.do step=network\n"
			       "[  200ms] vm/web undo.do step=control\n"
			       "[  200ms] vm/web undo.do step=agent\n"
			       "[  200ms] vm/web undo.do step=console\n"
			       "[  200ms] vm/web undo.do step=runtime\n"
			       "[  200ms] vm/web undo.do step=intent\n"
			       "[  200ms] vm/web undo.do step=admit\n"
			       "[  200ms] vm/web undo.do step=accel\n"
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
	       "[    0ms] vm/a step.do step=accel\n"
	       "[    0ms] vm/a step.do step=admit\n"
	       "[    0ms] vm/a step.do step=intent\n"
	       "[    0ms] vm/a step.do step=runtime\n"
	       "[    0ms] vm/a step.do step=console\n"
	       "[    0ms] vm/a step.do step=agent\n"
	       "[    0ms] vm/a step.do step=control\n"
	       "[    0ms] vm/a step.do step=network\n"
	       "[    0ms] vm/a step.do step=cgroup\n"
	       "[    0ms] vm/a step.do step=vmm\n"
	       "[    0ms] vm/a step.do step=boot\n"
	       "[  270ms] vm/a agent.down code=guest.gone why=\"the agent's channel was closed\"\n"
	       "[  270ms] vm/a vmm.exit status=134\n"
	       "[  270ms] vm/a step.failed step=boot code=vmm.exit why=\"the VMM was killed by "
	       "signal 6: qemu: it went wrong\"\n"
	       "[  270ms] vm/a undo.do step=vmm\n"
	       "[  270ms] vm/a undo.do step=cgroup\n"
	       "[  270ms] vm/a undo.do step=network\n"
	       "[  270ms] vm/a undo.do step=control\n"
	       "[  270ms] vm/a undo.do step=agent\n"
	       "[  270ms] vm/a undo.do step=console\n"
	       "[  270ms] vm/a undo.do step=runtime\n"
	       "[  270ms] vm/a undo.do step=intent\n"
	       "[  270ms] vm/a undo.do step=admit\n"
	       "[  270ms] vm/a undo.do step=accel\n"
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
			       "[    0ms] vm/a vm.adopted pid=302\n"
			       "[    0ms] vm/a step.do step=control\n"
			       "[    0ms] vm/a step.do step=network\n"
			       "[    0ms] vm/a step.do step=limits\n"
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
			       "[    0ms] vm/a undo.do step=cgroup\n"
			       "[    0ms] vm/a undo.do step=network\n"
			       "[    0ms] vm/a undo.do step=control\n"
			       "[    0ms] vm/a undo.do step=agent\n"
			       "[    0ms] vm/a undo.do step=console\n"
			       "[    0ms] vm/a undo.do step=runtime\n"
			       "[    0ms] vm/a undo.do step=intent\n"
			       "[    0ms] vm/a undo.do step=admit\n"
			       "[    0ms] vm/a undo.do step=accel\n"
			       "[    0ms] vm/a vm.state from=stopping to=stopped\n");
	c = client_open(w);
	done(c, client_on_vm(c, METHOD_VM_START, "a"), ERR_NONE);
	over(w, c);
}

static bool only_the_asker_is_left(struct world *w, void *arg)
{
	const struct client *const *clients = arg;

	return clients[0]->ended && clients[2]->ended && clients[1]->calls[0]->replied &&
	       w->daemon->env.nclients == w->daemon->env.nsettled;
}

Test(story, a_daemon_that_stops_waits_for_nobody_who_waits_for_nothing)
{
	const struct watch_args everything = { 0 };
	const struct none nothing = { 0 };
	struct world *w = steady();
	struct client *c[3] = { client_open(w), client_open(w),
				client_open(w) }; /* the last is idle */

	struct call *watch = client_ask(c[0], METHOD_WATCH, &everything, NULL);
	struct call *stop = client_ask(c[1], METHOD_SHUTDOWN, &nothing, NULL);
	cr_assert(world_until(w, only_the_asker_is_left, c, 1000000), "within a second");
	cr_assert_eq(call_code(stop), ERR_NONE);
	cr_assert(watch->replied);
	cr_assert_eq(call_code(watch), ERR_DAEMON_STOPPING);
	cr_assert_not(c[1]->ended, "its end says that the process is gone");
	world_kill(w);
	for (size_t i = 0; i < ARRAY_LEN(c); i++)
		client_free(c[i]);
	world_destroy(w);
}

static bool has_ended(struct world *w, void *arg)
{
	const struct client *c = arg;

	(void)w;
	return c->ended;
}

Test(story, strangers_are_told_and_turned_away)
{
	const uid_t other = geteuid() + 1000;
	struct world *w = steady();
	struct client *c = client_open(w);

	for (int i = 0; i < 3; i++) {
		struct client *stranger = client_open_as(w, other);

		(void)client_create_vm(stranger, "a", "probe", false);
		cr_assert(world_until(w, has_ended, stranger, 5000000), "he is kept");
		cr_assert_eq(stranger->why.code, ERR_CLIENT_STRANGER, "%s", stranger->why.text);
		cr_assert_not(stranger->calls[0]->replied);
		cr_assert_eq(w->daemon->env.nclients, 1);
		client_free(stranger);
	}
	struct client *root = client_open_as(w, 0);
	done(root, client_create_vm(root, "a", "probe", false), ERR_NONE);
	done(c, client_create_vm(c, "a", "probe", false), ERR_VM_EXISTS);
	client_free(root);
	over(w, c);
}

static void write_conf(const struct world *w, const char *text)
{
	FILE *f = fopen(w->conf_file, "we");

	cr_assert_not_null(f);
	cr_assert_geq(fputs(text, f), 0);
	cr_assert_eq(fclose(f), 0);
}

static struct call *reload(struct client *c, enum err_code want)
{
	struct call *call = client_ask(c, METHOD_CONFIG_RELOAD, NULL, NULL);

	done(c, call, want);
	return call;
}

/* The reply of config.reload, in one line. */
static const char *changes(const struct call *call)
{
	static char text[512];
	struct config_reload_result r;
	size_t len = 0;

	cr_assert_eq(schema_decode(&config_reload_result_schema, buf_data(&call->result),
				   buf_len(&call->result), &r, NULL),
		     0);
	text[0] = '\0';
	for (uint32_t i = 0; i < r.changed.n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s ", r.changed.v[i]);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "|");
	for (uint32_t i = 0; i < r.restart.n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, " %s", r.restart.v[i]);
	schema_fini(&config_reload_result_schema, &r);
	return text;
}

Test(story, a_reload_takes_over_what_may_change_and_says_what_waits)
{
	struct world *w = steady();
	struct client *c = client_open(w);

	/* What the host says would change with the machine that runs this. */
	write_conf(w, "[defaults]\nvcpu = 1\nmemory = 256M\ndisk = 1G\n[limits]\nstarts_max = 2\n"
		      "[paths]\nqemu = /usr/bin/vmm\n");
	reload(c, ERR_NONE);
	write_conf(w, "[defaults]\nvcpu = 2\nmemory = 256M\ndisk = 1G\n[limits]\nstarts_max = 9\n"
		      "[paths]\nqemu = /usr/bin/vmm\nlibexec = /elsewhere\n[vmm]\naccel = kvm\n");
	expect(changes(reload(c, ERR_NONE)),
	       "defaults.vcpu limits.starts_max | limits.cgroup paths.libexec vmm.accel");
	cr_assert_eq(w->daemon->env.conf.vcpu, 2);
	cr_assert_eq(w->daemon->env.gate.max, 9);
	cr_assert_str_eq(w->daemon->env.conf.accel, "tcg");
	cr_assert_str_eq(w->daemon->env.conf.libexec_dir, "/usr/libexec/banger");
	over(w, c);
}

Test(story, a_reload_of_something_wrong_changes_nothing)
{
	struct world *w = steady();
	struct client *c = client_open(w);
	const uint32_t vcpu = w->daemon->env.conf.vcpu;

	write_conf(w, "[defaults]\nvcpu = 3\nmemory = lots\n");
	const struct call *call = reload(c, ERR_CONFIG_BAD);
	cr_assert_not_null(strstr(call_text(call), "banger.conf:3: defaults.memory: \"lots\""),
			   "%s", call_text(call));
	cr_assert_eq(w->daemon->env.conf.vcpu, vcpu);
	over(w, c);
}

Test(story, one_reload_at_a_time)
{
	struct world *w = steady();
	struct client *c = client_open(w);
	struct call *first = client_ask(c, METHOD_CONFIG_RELOAD, NULL, NULL);
	struct call *second = client_ask(c, METHOD_CONFIG_RELOAD, NULL, NULL);

	done(c, second, ERR_BUSY);
	done(c, first, ERR_CONFIG_BAD); /* there is no file, and one was said */
	over(w, c);
}

/* Turns until the guest has what was typed. */
static bool is_typed(struct world *w, void *text)
{
	return strcmp(w->typed, text) == 0;
}

static bool may_type(struct world *w, void *call)
{
	(void)w;
	return ((const struct call *)call)->credit > 0;
}

static void type(struct client *c, struct call *call, const char *keys, const char *all)
{
	char want[64];

	cr_assert(world_until(c->w, may_type, call, 1000000), "no credit");
	(void)snprintf(want, sizeof(want), "%s", all);
	client_stdin(c, call, keys, strlen(keys));
	cr_assert(world_until(c->w, is_typed, want, 1000000), "\"%s\" is typed", c->w->typed);
}

Test(story, one_types_on_a_console_at_a_time)
{
	struct world *w = steady();
	struct client *c = client_open(w);
	struct client *d = client_open(w);

	done(c, client_create_vm(c, "web", "debian", false), ERR_NONE);
	struct call *first = client_console(c, "web");
	type(c, first, "ab", "ab");
	done(d, client_console(d, "web"), ERR_VM_CONSOLE_BUSY);
	type(c, first, "c", "abc");
	client_stdin(c, first, "", 0);
	done(c, first, ERR_NONE);
	struct call *second = client_console(d, "web");
	type(d, second, "d", "abcd");
	client_cancel(d, second);
	done(d, second, ERR_CANCELLED);
	client_free(d);
	over(w, c);
}

Test(story, a_console_ends_with_its_vm_and_with_its_client)
{
	struct world *w = steady();
	struct client *c = client_open(w);
	struct client *d = client_open(w);

	done(c, client_create_vm(c, "web", "debian", false), ERR_NONE);
	struct call *keys = client_console(d, "web");
	type(d, keys, "x", "x");
	client_hang_up(d);
	client_free(d);
	done(c, client_on_vm(c, METHOD_VM_STOP, "web"), ERR_NONE);
	done(c, client_console(c, "web"), ERR_VM_STATE);
	done(c, client_on_vm(c, METHOD_VM_START, "web"), ERR_NONE);
	keys = client_console(c, "web");
	type(c, keys, "y", "xy");
	done(c, client_on_vm(c, METHOD_VM_KILL, "web"), ERR_NONE);
	done(c, keys, ERR_NONE);
	over(w, c);
}

/* ---- a process of the guest that is not its agent ---- */

struct poser {
	struct world *w;
	char path[ENV_PATH_MAX];
	struct sim_conn conn;
	size_t heard; /* bytes that the daemon has told it */
	uint32_t rang;
	uint32_t dropped; /* hung up on */
};

static void poser_data(struct sim_conn *c, const uint8_t *data, size_t len)
{
	struct poser *p = c->arg;

	(void)data;
	p->heard += len;
}

static void poser_end(struct sim_conn *c, int error)
{
	struct poser *p = c->arg;

	(void)error;
	p->dropped++;
	sim_conn_close(c);
}

/* As an agent does that a daemon has greeted. */
static void pose(struct poser *p)
{
	static const struct sim_conn_ops ops = { poser_data, poser_end };
	static const uint8_t hello[] = GUEST_SYNC "\x00\x00\x00\x0c\x81\xa4type\xa5hello";

	if (sim_connect(p->w->sim, &p->conn, p->path, &ops, p) < 0)
		return;
	p->rang++;
	sim_conn_send(&p->conn, hello, sizeof(hello) - 1);
}

static bool is_dropped(struct world *w, void *arg)
{
	const struct poser *p = arg;

	(void)w;
	return p->dropped == p->rang;
}

static bool never(struct world *w, void *arg)
{
	(void)w;
	(void)arg;
	return false;
}

enum {
	POSE_US = 2000 * 1000,
	RINGS_TAKEN_MAX = 2 + POSE_US / 1000 / AGENT_RING_MS,
};

Test(story, a_guests_process_that_poses_as_its_agent_is_not_heard)
{
	struct world *w = world_create(&(struct world_config){
		.sim = { .steady = true }, .disk_image = true, .firecracker = true });
	static struct poser p;

	cr_assert(world_start(w), "%s", w->start_err.text);
	struct client *c = client_open(w);
	done(c, client_create_vm(c, "web", "debian", false), ERR_NONE);
	p = (struct poser){ .w = w };
	vm_runtime_path(world_vm(w, "web"), VM_FILE_CALLS, p.path);
	struct call *busy = client_exec(c, "web", "hang", NULL);
	world_story(w);
	const uint64_t end_us = sim_now_us(w->sim) + POSE_US;
	while (sim_now_us(w->sim) < end_us) {
		if (!sim_conn_open(&p.conn))
			pose(&p);
		world_until(w, never, NULL, 1000);
	}
	cr_assert(world_until(w, is_dropped, &p, 1000000));
	cr_assert_gt(p.rang, 1);
	cr_assert_leq(p.rang, RINGS_TAKEN_MAX, "%u rings were looked at", p.rang);
	cr_assert_eq(p.heard, 0, "the daemon has answered it");
	expect(world_story(w), "");
	cr_assert_not(busy->replied, "its command is gone");
	client_cancel(c, busy);
	done(c, busy, ERR_CANCELLED);
	over(w, c);
}
