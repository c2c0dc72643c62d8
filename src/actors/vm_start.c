/* vm_start.c - take a VM to running, by a table whose undo entries also stop it and recover it.
 *
 *   accel -> admit -> intent -> ... -> vmm -> boot -> record
 *
 *   in session mode   runtime -> console, agent, control -> cgroup -> vmm
 *   likewise, own     runtime -> console, agent -> cgroup -> vmm -> boot -> api, where the VMM
 * listens itself in system mode    disk -> bridge -> tap -> nat -> vmm, with jail and sockets
 *
 * The intent is durable before the first host resource is taken.  Every resource is named after the
 * VM's id, so undoing a step that never ran is harmless and a crash is repaired by undoing the
 * whole table.  Steps that are about sockets and the VMM are in vm_channel.c and vm_vmm.c, those
 * of system mode, which are the root helper's, in vm_system.c.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "actors/catalog.h"
#include "actors/files.h"
#include "actors/limits.h"
#include "actors/vm_steps.h"
#include "base/cleanup.h"

bool vm_is_probe(const struct vm *vm)
{
	return strcmp(vm->rec.spec.image, IMAGE_PROBE) == 0;
}

bool vm_has_agent(const struct vm *vm)
{
	return vm->driver->program && !vm_is_probe(vm);
}

/* ---- accel: which accelerator a guest with an operating system gets ---- */

static int accel(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);

	(void)e;
	if (!vm->driver->program || vm->driver->kvm_only || vm_is_probe(vm))
		return STEP_DONE;
	return accel_take(vm->env->accelerator, &vm->run->accel, p->token) ? STEP_DONE : STEP_WAIT;
}

static int unaccel(struct plan *p, struct err *e)
{
	(void)e;
	accel_forget(&vm_of(p)->run->accel);
	return STEP_DONE;
}

/* ---- admit ---- */

static int admit(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);

	(void)e;
	if (!vm->driver->program)
		return STEP_DONE; /* takes nothing of the host that is worth waiting for */
	const uint32_t parts = vm->driver->starts_light ? GATE_PLACE / 2 : GATE_PLACE;

	return gate_take(&vm->env->gate, &vm->run->gate, parts, p->token) ? STEP_DONE : STEP_WAIT;
}

static int unadmit(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);

	(void)e;
	gate_give(&vm->env->gate, &vm->run->gate);
	return STEP_DONE;
}

/* ---- intent ---- */

static int put_starting(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);
	struct vm_resources *res = &vm->run->res;

	vm->run->intended = true;
	*res = (struct vm_resources){ 0 };
	res->files = vm->driver->program != NULL;
	res->helper = vm_is_system(vm);
	res->runtime = res->files && !res->helper;
	res->process = res->files;
	res->network = vm_net_by_process(vm);
	if (res->runtime && vm->env->cgroup.path[0])
		cgroup_path(&vm->env->cgroup, vm->rec.id, vm->env->home, res->cgroup);
	vm->rec.failure[0] = '\0';
	if (vm_put(vm, VM_STARTING) < 0 || (res->files && vm_put_resources(vm) < 0))
		return err_set(e, ERR_HOST_MEMORY, "store");
	return vm_commit(vm, p);
}

/* Where a backward run leads: what failed makes it failed, unless somebody wanted it. */
enum vm_state vm_end_of(const struct vm *vm)
{
	const struct plan *p = &vm->run->plan;

	if (p->leaks > 0)
		return VM_FAILED;
	return p->err.code && p->err.code != ERR_CANCELLED ? VM_FAILED : vm->run->end_state;
}

/* One that never came up is kept, whoever hangs up: how else could one see why? */
static void lease_drop(struct vm *vm)
{
	vm->lease = (struct actor_id){ 0 };
	vm->rec.lease = false;
}

static int put_ended(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);
	struct vm_resources *res = &vm->run->res;
	const bool failed = p->err.code && p->err.code != ERR_CANCELLED;

	if (failed && !vm->run->ready)
		lease_drop(vm);
	if (failed)
		(void)snprintf(vm->rec.failure, sizeof(vm->rec.failure), "%.16s%s%.140s",
			       p->failed_step ? p->failed_step : "", p->failed_step ? ": " : "",
			       p->err.text);
	vm->rec.started_ms = 0;
	if (p->leaks == 0)
		*res = (struct vm_resources){ .files = vm->driver->program != NULL };
	if (vm_put(vm, vm_end_of(vm)) < 0 ||
	    (res->files ? vm_put_resources(vm) : vm_del_resources(vm)) < 0)
		return err_set(e, ERR_HOST_MEMORY, "store");
	return vm_commit(vm, p);
}

/* ---- runtime: the directory of sockets, and the VMM's log ----
 *
 * Few VMMs have anything to say, and a file on a disk for each would be a quarter of what a start
 * costs us: the log is beside the sockets, in memory, and kept when the VM fails.
 */

/* On a worker. */
static int make_runtime(void *arg, const bool *cancelled)
{
	struct vm_run *run = arg;
	char path[ENV_PATH_MAX];

	vm_runtime_path(run->vm, "", path);
	const int rc = files_make_dir(path, &run->work_err);
	if (rc < 0 || *cancelled)
		return rc;
	vm_runtime_path(run->vm, vm_has_own_channels(run->vm) ? VM_FILE_ERRORS : VM_FILE_LOG, path);
	run->log_fd = files_open_log(path, &run->work_err);
	if (run->log_fd < 0)
		return run->log_fd;
	return vm_has_own_channels(run->vm) ? vm_own_files(run) : 0;
}

/* Of a VM that failed, what its VMM has said stays. */
static int keep_log(void *arg, const bool *cancelled)
{
	struct vm_run *run = arg;
	char path[ENV_PATH_MAX];
	char kept[ENV_PATH_MAX];

	(void)cancelled;
	vm_runtime_path(run->vm, VM_FILE_LOG, path);
	vm_state_path(run->vm, VM_FILE_LOG, kept);
	files_keep_end(path, kept, VMM_LOG_KEEP_BYTES);
	return 0;
}

static int remove_runtime(void *arg, const bool *cancelled)
{
	struct vm_run *run = arg;
	char path[ENV_PATH_MAX];

	if (run->keep_log)
		IGNORE(keep_log(run, cancelled) < 0);
	vm_runtime_path(run->vm, "", path);
	return files_remove(path, &run->work_err);
}

static bool log_is_wanted(const struct vm *vm)
{
	return vm_end_of(vm) == VM_FAILED || vm->rec.failure[0];
}

static int runtime_up(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);

	if (!vm->driver->program)
		return STEP_DONE;
	const int rc = vm->driver->config ? vm_configure(vm, e) : 0;
	return rc < 0 ? rc : vm_work(p, IO_LANE_START, make_runtime);
}

static int runtime_down(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);

	(void)e;
	close_fd(&vm->run->log_fd);
	close_fd(&vm->run->in_fd);
	close_fd(&vm->run->out_fd);
	vm->run->keep_log = log_is_wanted(vm);
	return vm->driver->program ? vm_work(p, IO_LANE_ANY, remove_runtime) : STEP_DONE;
}

/* In system mode the directory is the jail, which the root helper makes and clears away. */
static int log_down(struct plan *p, struct err *e)
{
	(void)e;
	close_fd(&vm_of(p)->run->out_fd);
	return log_is_wanted(vm_of(p)) ? vm_work(p, IO_LANE_ANY, keep_log) : STEP_DONE;
}

/* ---- boot and record ---- */

static int boot_wait(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);

	(void)e;
	if (!vm->driver->program)
		vm->run->ready = true;
	if (vm->run->ready)
		return STEP_DONE;
	p->deadline_ms = vm->task && vm->task->deadline_ms && vm->task->verb != VERB_RESTART
				 ? vm->task->deadline_ms
				 : vm->env->conf.boot_ms;
	return STEP_WAIT;
}

void vm_ready(struct vm *vm)
{
	struct vm_run *run = vm->run;

	if (run->ready)
		return;
	run->ready = true;
	run->ready_us = io_now_us(vm->env->io) - run->boot_us;
	if (plan_waits_in(&run->plan, boot_wait))
		plan_event(&run->plan, 0);
}

static int put_running(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);

	gate_give(&vm->env->gate, &vm->run->gate); /* a commit takes nothing that others wait for */
	vm->rec.started_ms = io_wall_ms(vm->env->io);
	vm->rec.exit_status = -1;
	if (vm_put(vm, VM_RUNNING) < 0)
		return err_set(e, ERR_HOST_MEMORY, "store");
	return vm_commit(vm, p);
}

/* clang-format off */
#define BEGIN_STEPS                                                                                                      \
	{ "accel",    accel,         NULL,              unaccel,         NULL,         0,                   0 },             \
	{ "admit",    admit,         NULL,              unadmit,         NULL,         0,                   0 },             \
	{ "intent",   put_starting,  vm_committed,      put_ended,       vm_committed, 0,                   0 }
#define BOOT_STEP                                                                                                        \
	{ "boot",     boot_wait,     NULL,              NULL,            NULL,         0,                   0 }
#define RECORD_STEP                                                                                                      \
	{ "record",   put_running,   vm_committed,      NULL,            NULL,         0,                   0 }
#define END_STEPS BOOT_STEP, RECORD_STEP

static const struct step session_steps[] = {
	/* name       start          finish             undo             undone        ms                   arg */
	BEGIN_STEPS,
	{ "runtime",  runtime_up,    vm_worked,         runtime_down,    vm_worked,    FILES_DEADLINE_MS,   0 },
	{ "console",  vm_channel_up, vm_channel_opened, vm_channel_down, NULL,         CONNECT_DEADLINE_MS, VMM_SOCKET_CONSOLE },
	{ "agent",    vm_channel_up, vm_channel_opened, vm_channel_down, NULL,         CONNECT_DEADLINE_MS, VMM_SOCKET_AGENT },
	{ "control",  vm_channel_up, vm_channel_opened, vm_channel_down, NULL,         CONNECT_DEADLINE_MS, VMM_SOCKET_CONTROL },
	{ "network",  vm_net_up,     NULL,              vm_net_down,     NULL,         SPAWN_DEADLINE_MS,   0 },
	{ "cgroup",   vm_cgroup_up,  vm_worked,         vm_cgroup_down,  vm_worked,    FILES_DEADLINE_MS,   0 },
	{ "vmm",      vm_vmm_up,     vm_vmm_started,    vm_vmm_down,     NULL,         SPAWN_DEADLINE_MS,   0 },
	END_STEPS,
};

/* The VMM listens itself (VMM_CHANNELS_OWN). */
static const struct step own_steps[] = {
	BEGIN_STEPS,
	{ "runtime",  runtime_up,    vm_worked,         runtime_down,    vm_worked,    FILES_DEADLINE_MS,   0 },
	{ "console",  vm_own_console_up, NULL,          vm_channel_down, NULL,         0,                   VMM_SOCKET_CONSOLE },
	{ "agent",    vm_own_agent_up, NULL,            vm_channel_down, NULL,         0,                   VMM_SOCKET_AGENT },
	{ "control",  NULL,          NULL,              vm_channel_down, NULL,         0,                   VMM_SOCKET_CONTROL },
	{ "network",  vm_net_up,     NULL,              vm_net_down,     NULL,         SPAWN_DEADLINE_MS,   0 },
	{ "cgroup",   vm_cgroup_up,  vm_worked,         vm_cgroup_down,  vm_worked,    FILES_DEADLINE_MS,   0 },
	{ "vmm",      vm_vmm_up,     vm_vmm_started,    vm_vmm_down,     NULL,         SPAWN_DEADLINE_MS,   0 },
	BOOT_STEP,
	{ "api",      vm_channel_again, vm_channel_back, NULL,           NULL,         CONNECT_DEADLINE_MS, VMM_SOCKET_CONTROL },
	RECORD_STEP,
};

/* The jail, the limits and the sockets come with the VMM. */
#define SYSTEM_STEPS                                                                                                     \
	{ "disk",     vm_disk_up,    vm_helped,         vm_disk_down,    vm_helped,    HELPER_DEADLINE_MS,  0 },             \
	{ "bridge",   vm_bridge_up,  vm_helped,         NULL,            NULL,         HELPER_DEADLINE_MS,  0 },             \
	{ "tap",      vm_tap_up,     vm_tap_made,       vm_tap_down,     vm_helped,    HELPER_DEADLINE_MS,  0 },             \
	{ "nat",      vm_nat_up,     vm_helped,         vm_nat_down,     vm_helped,    HELPER_DEADLINE_MS,  0 },             \
	{ "jail",     NULL,          NULL,              vm_jail_down,    vm_helped,    HELPER_DEADLINE_MS,  0 },             \
	{ "log",      NULL,          NULL,              log_down,        vm_worked,    FILES_DEADLINE_MS,   0 },             \
	{ "console",  NULL,          NULL,              vm_channel_down, NULL,         CONNECT_DEADLINE_MS, VMM_SOCKET_CONSOLE }, \
	{ "agent",    NULL,          NULL,              vm_channel_down, NULL,         CONNECT_DEADLINE_MS, VMM_SOCKET_AGENT }, \
	{ "control",  NULL,          NULL,              vm_channel_down, NULL,         CONNECT_DEADLINE_MS, VMM_SOCKET_CONTROL }

static const struct step system_steps[] = {
	BEGIN_STEPS,
	SYSTEM_STEPS,
	{ "vmm",      vm_vmm_up,     vm_launched,       vm_jail_kill,    vm_jail_killed, HELPER_DEADLINE_MS, 0 },
	END_STEPS,
};

static const struct step system_own_steps[] = {
	BEGIN_STEPS,
	SYSTEM_STEPS,
	{ "config",   vm_jail_config, vm_worked,        NULL,            NULL,         FILES_DEADLINE_MS,   0 },
	{ "vmm",      vm_vmm_up,     vm_launched,       vm_jail_kill,    vm_jail_killed, HELPER_DEADLINE_MS, 0 },
	BOOT_STEP,
	{ "api",      vm_jail_channel, vm_jail_channel_back, NULL,       NULL,         HELPER_DEADLINE_MS,  VMM_SOCKET_CONTROL },
	RECORD_STEP,
};

/* The last: a VMM that does not answer in time ends the plan. */
#define LIMITS_STEP                                                                                                      \
	{ "limits",  vm_limits_again,  NULL,            NULL, NULL,  LIMITS_DEADLINE_MS,  0 }

static const struct step session_adopt_steps[] = {
	/* name      start             finish           undo  undone ms                   arg */
	{ "agent",   vm_channel_again, vm_channel_back, NULL, NULL,  CONNECT_DEADLINE_MS, VMM_SOCKET_AGENT },
	{ "control", vm_channel_again, vm_channel_back, NULL, NULL,  CONNECT_DEADLINE_MS, VMM_SOCKET_CONTROL },
	{ "network", vm_net_again,     NULL,            NULL, NULL,  0,                   0 },
	LIMITS_STEP,
};

static const struct step own_adopt_steps[] = {
	{ "agent",   vm_own_agent_again, NULL,          NULL, NULL,  0,                   VMM_SOCKET_AGENT },
	{ "control", vm_channel_again, vm_channel_back, NULL, NULL,  CONNECT_DEADLINE_MS, VMM_SOCKET_CONTROL },
	{ "network", vm_net_again,     NULL,            NULL, NULL,  0,                   0 },
	LIMITS_STEP,
};

static const struct step system_own_adopt_steps[] = {
	{ "vmm",     vm_find,          vm_found,             NULL, NULL, HELPER_DEADLINE_MS, 0 },
	{ "agent",   vm_own_agent_call, NULL,                NULL, NULL, 0,                  VMM_SOCKET_AGENT },
	{ "control", vm_jail_channel,  vm_jail_channel_back, NULL, NULL, HELPER_DEADLINE_MS, VMM_SOCKET_CONTROL },
	{ "nat",     vm_nat_again,     vm_nat_back,          NULL, NULL, HELPER_DEADLINE_MS, 0 },
	LIMITS_STEP,
};

static const struct step system_adopt_steps[] = {
	{ "vmm",     vm_find,          vm_found,        NULL, NULL,  HELPER_DEADLINE_MS,  0 },
	{ "agent",   vm_channel_again, vm_channel_back, NULL, NULL,  CONNECT_DEADLINE_MS, VMM_SOCKET_AGENT },
	{ "control", vm_channel_again, vm_channel_back, NULL, NULL,  CONNECT_DEADLINE_MS, VMM_SOCKET_CONTROL },
	{ "nat",     vm_nat_again,     vm_nat_back,     NULL, NULL,  HELPER_DEADLINE_MS,  0 },
	LIMITS_STEP,
};
/* clang-format on */

struct table {
	const struct step *steps;
	uint32_t n;
};

#define TABLE(rows)                                                                                \
	{                                                                                          \
		rows, ARRAY_LEN(rows)                                                              \
	}

/* By mode, and by whether the VMM listens itself. */
static const struct table start_tables[2][2] = {
	{ TABLE(session_steps), TABLE(own_steps) },
	{ TABLE(system_steps), TABLE(system_own_steps) },
};
static const struct table adopt_tables[2][2] = {
	{ TABLE(session_adopt_steps), TABLE(own_adopt_steps) },
	{ TABLE(system_adopt_steps), TABLE(system_own_adopt_steps) },
};

static struct table start_table(const struct vm *vm)
{
	return start_tables[vm_is_system(vm)][vm_has_own_channels(vm)];
}

static struct table adopt_table(const struct vm *vm)
{
	return adopt_tables[vm_is_system(vm)][vm_has_own_channels(vm)];
}

bool vm_starts(const struct vm *vm)
{
	const struct plan *p = &vm->run->plan;

	return p->phase == PLAN_DOING && p->steps == start_table(vm).steps;
}

bool vm_is_adopted_by(const struct vm *vm, const struct plan *p)
{
	return p->steps == adopt_table(vm).steps;
}

static_assert((int)CGROUP_PATH_MAX == (int)RECORD_CGROUP_MAX, "it is recorded as it is");
static_assert(VMM_NSOCKETS + 3 <= IO_SPAWN_FDS,
	      "the sockets, the network and the log are inherited");

void vm_start_begin(struct vm *vm)
{
	const struct table t = start_table(vm);

	if (!vm_run_begin(vm)) {
		vm_out_of_memory(vm);
		return;
	}
	vm->run->end_state = VM_STOPPED;
	vm->run->before = vm_state(vm);
	vm->run->intended = false;
	vm->run->given_up = (struct err){ 0 };
	vm->run->ready = false;
	vm->run->ready_line = false;
	buf_clear(&vm->run->console);
	buf_clear(&vm->run->control);
	vm_move(vm, VM_STARTING);
	plan_begin(&vm->run->plan, t.steps, t.n, vm->task ? &vm->task->op->id : NULL);
}

void vm_unwind(struct vm *vm, enum vm_state end_state)
{
	const struct table t = start_table(vm);

	if (!vm_run_begin(vm))
		return; /* recovery without memory: the next start of the daemon tries again */
	if (vm_state(vm) == VM_FAILED)
		vm_move(vm, VM_STOPPING);
	vm->run->end_state = end_state;
	vm->run->intended = true;
	plan_unwind(&vm->run->plan, t.steps, t.n, vm->task ? &vm->task->op->id : NULL);
}

void vm_adopt_begin(struct vm *vm)
{
	const struct table t = adopt_table(vm);

	plan_begin(&vm->run->plan, t.steps, t.n, NULL);
}
