/* vm_start.c - take a VM to running, by a table whose undo entries also stop it and recover it.
 *
 *   accel -> admit -> intent -> runtime -> console, agent, control -> cgroup -> vmm -> boot ->
 * record
 *
 * The intent is durable before the first host resource is taken.  Every resource is named after the
 * VM's id, so undoing a step that never ran is harmless and a crash is repaired by undoing the
 * whole table. The daemon listens on the VM's sockets and is connected to them before the VMM
 * starts and inherits the listening ends: no byte is lost, nothing is polled for, and a restarted
 * daemon connects again by path.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/catalog.h"
#include "actors/files.h"
#include "actors/limits.h"
#include "actors/vm.h"
#include "base/cleanup.h"

/* clang-format off */
static const struct {
	const char *file;
	uint32_t msg_type;
} sockets[VMM_NSOCKETS] = {
	[VMM_SOCKET_CONTROL] = { "control.sock", MSG_CONTROL },
	[VMM_SOCKET_AGENT]   = { "agent.sock",   MSG_AGENT },
	[VMM_SOCKET_CONSOLE] = { "console.sock", MSG_CONSOLE },
};
/* clang-format on */

enum {
	CHILD_FD_FIRST = 3, /* inherited listeners are numbered from here, in the sockets' order */
};

static bool is_probe(const struct vm *vm)
{
	return strcmp(vm->rec.spec.image, IMAGE_PROBE) == 0;
}

bool vm_has_agent(const struct vm *vm)
{
	return vm->driver->program && !is_probe(vm);
}

static bool has_socket(const struct vm *vm, enum vmm_socket s)
{
	if (!vm->driver->program)
		return false;
	switch (s) {
	case VMM_SOCKET_CONTROL:
		return vm->driver->has_control && !is_probe(vm);
	case VMM_SOCKET_AGENT:
		return vm_has_agent(vm);
	case VMM_SOCKET_CONSOLE:
		return true;
	case VMM_NSOCKETS:
		break;
	}
	return false;
}

/* The probe says that it is up on its console, an operating system through its agent: its console
 * is there for whoever wants to type. */
static bool is_listened_to(const struct vm *vm, enum vmm_socket s)
{
	return has_socket(vm, s) && (s != VMM_SOCKET_CONSOLE || is_probe(vm));
}

bool vm_console_path(const struct vm *vm, char out[ENV_PATH_MAX])
{
	const bool alive = vm->run && vm->run->pidfd >= 0;

	if (alive)
		vm_runtime_path(vm, sockets[VMM_SOCKET_CONSOLE].file, out);
	return alive;
}

/* ---- accel: which accelerator a guest with an operating system gets ---- */

static int accel(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);

	(void)e;
	if (!vm->driver->program || is_probe(vm))
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
	return gate_take(&vm->env->gate, &vm->run->gate, p->token) ? STEP_DONE : STEP_WAIT;
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
	res->runtime = res->files;
	res->process = res->files;
	if (res->process && vm->env->cgroup.path[0])
		cgroup_path(&vm->env->cgroup, vm->rec.id, vm->env->home, res->cgroup);
	vm->rec.failure[0] = '\0';
	if (vm_put(vm, VM_STARTING) < 0 || (res->files && vm_put_resources(vm) < 0))
		return err_set(e, ERR_HOST_MEMORY, "store");
	return vm_commit(vm, p);
}

/* Where a backward run leads: what failed makes it failed, unless somebody wanted it. */
static enum vm_state end_of(const struct vm *vm)
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
	if (vm_put(vm, end_of(vm)) < 0 ||
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
	vm_runtime_path(run->vm, VM_FILE_LOG, path);
	run->log_fd = files_open_log(path, &run->work_err);
	return run->log_fd < 0 ? run->log_fd : 0;
}

static int remove_runtime(void *arg, const bool *cancelled)
{
	struct vm_run *run = arg;
	char path[ENV_PATH_MAX];
	char kept[ENV_PATH_MAX];

	(void)cancelled;
	if (run->keep_log) {
		vm_runtime_path(run->vm, VM_FILE_LOG, path);
		vm_state_path(run->vm, VM_FILE_LOG, kept);
		files_keep_end(path, kept, VMM_LOG_KEEP_BYTES);
	}
	vm_runtime_path(run->vm, "", path);
	return files_remove(path, &run->work_err);
}

static int runtime_up(struct plan *p, struct err *e)
{
	(void)e;
	return vm_of(p)->driver->program ? vm_work(p, IO_LANE_START, make_runtime) : STEP_DONE;
}

static int runtime_down(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);

	(void)e;
	close_fd(&vm->run->log_fd);
	vm->run->keep_log = end_of(vm) == VM_FAILED || vm->rec.failure[0];
	return vm->driver->program ? vm_work(p, IO_LANE_ANY, remove_runtime) : STEP_DONE;
}

/* ---- channels ---- */

static int channel_connect(struct plan *p)
{
	struct vm *vm = vm_of(p);
	char path[ENV_PATH_MAX];

	vm_runtime_path(vm, sockets[plan_step(p)->arg].file, path);
	io_connect_unix(vm->env->io, &p->op, path);
	return STEP_WAIT_OP;
}

static int channel_up(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);
	const enum vmm_socket s = (enum vmm_socket)plan_step(p)->arg;
	char path[ENV_PATH_MAX];

	if (!has_socket(vm, s))
		return STEP_DONE;
	vm_runtime_path(vm, sockets[s].file, path);
	const int fd = io_listen_unix(vm->env->io, path, e);
	if (fd < 0)
		return fd;
	vm->run->listen_fd[s] = fd;
	return is_listened_to(vm, s) ? channel_connect(p) : STEP_DONE;
}

static int channel_opened(struct plan *p, struct msg *m, struct err *e)
{
	struct vm *vm = vm_of(p);
	const enum vmm_socket s = (enum vmm_socket)plan_step(p)->arg;
	struct io_stream *stream = &vm->run->stream[s];

	if (m->res < 0)
		return err_num(e, ERR_HOST_IO, m->res, "connect %s", sockets[s].file);
	const int rc = io_stream_open(vm->env->io, stream, &vm->actor, sockets[s].msg_type, m->res);
	if (rc < 0) {
		io_close(vm->env->io, m->res);
		return err_num(e, ERR_HOST_MEMORY, rc, "%s", sockets[s].file);
	}
	vm->run->stream_open[s] = true;
	if (s == VMM_SOCKET_AGENT)
		guest_link_open(&vm->run->link, stream);
	if (s == VMM_SOCKET_CONTROL && vm->driver->greet(io_stream_out(stream)) == 0)
		io_stream_flush(vm->env->io, stream);
	return STEP_DONE;
}

static int channel_down(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);
	struct vm_run *run = vm->run;
	const enum vmm_socket s = (enum vmm_socket)plan_step(p)->arg;
	const struct err gone = { .code = ERR_GUEST_GONE, .text = "the VM was stopped" };

	(void)e;
	if (run->listen_fd[s] >= 0) {
		io_close(vm->env->io, run->listen_fd[s]);
		run->listen_fd[s] = -EBADF;
	}
	if (s == VMM_SOCKET_AGENT) {
		guest_link_close(&run->link, &gone);
		vm_exec_refuse(vm, &gone);
	}
	if (!run->stream_open[s])
		return STEP_DONE;
	io_stream_close(vm->env->io, &run->stream[s], 0);
	return STEP_WAIT; /* for its last message, see vm_stream_event() */
}

bool vm_closing_channel(const struct vm *vm, enum vmm_socket s)
{
	const struct plan *p = &vm->run->plan;

	return plan_waits_undo(p, channel_down) && plan_step(p)->arg == (int)s;
}

/* ---- cgroup: the limits that the VMM is born with ---- */

static enum vmm_guest guest_of(const struct vm *vm)
{
	return is_probe(vm) ? VMM_GUEST_PROBE : VMM_GUEST_LINUX;
}

static enum vmm_accel accel_of(const struct vm *vm)
{
	return is_probe(vm) ? vm->env->probe_accel : vm->env->accel;
}

static int make_cgroup(void *arg, const bool *cancelled)
{
	struct vm_run *run = arg;

	(void)cancelled;
	run->cgroup_fd = cgroup_make(run->res.cgroup, run->vm->env->cgroup.controllers,
				     &run->limits, &run->work_err);
	return run->cgroup_fd < 0 ? run->cgroup_fd : 0;
}

static int remove_cgroup(void *arg, const bool *cancelled)
{
	struct vm_run *run = arg;

	(void)cancelled;
	return cgroup_remove(run->res.cgroup, &run->work_err);
}

static int cgroup_up(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);
	const struct vm_spec *spec = &vm->rec.spec;
	const struct vmm_machine m = {
		.guest = guest_of(vm),
		.accel = accel_of(vm),
		.vcpu = spec->vcpu,
		.memory_bytes = spec->memory_bytes,
	};

	(void)e;
	if (!vm->run->res.cgroup[0])
		return STEP_DONE;
	vm->run->limits = (struct cgroup_limits){
		.memory_bytes = spec->memory_bytes + vm->driver->overhead(&m),
		.vcpu = spec->vcpu,
	};
	return vm_work(p, IO_LANE_START, make_cgroup);
}

static int cgroup_down(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);

	(void)e;
	close_fd(&vm->run->cgroup_fd);
	return vm->run->res.cgroup[0] ? vm_work(p, IO_LANE_ANY, remove_cgroup) : STEP_DONE;
}

/* ---- vmm ---- */

static int machine_of(struct vm *vm, struct vmm_machine *m, char paths[3][ENV_PATH_MAX],
		      struct err *e)
{
	const struct vm_spec *spec = &vm->rec.spec;
	const struct publish *ports = spec->publish.items;
	const struct kernel_view *kernel = NULL;
	int at = CHILD_FD_FIRST;

	vm_state_path(vm, VM_FILE_DISK, paths[0]);
	vm_state_path(vm, VM_FILE_CONSOLE, paths[1]);
	*m = (struct vmm_machine){
		.binary = vm->env->conf.qemu,
		.id = vm->rec.id,
		.home = vm->env->home,
		.name = spec->name,
		.guest = guest_of(vm),
		.accel = accel_of(vm),
		.vcpu = spec->vcpu,
		.memory_bytes = spec->memory_bytes,
		.disk_format = "qcow2",
		.console_log = paths[1],
		.tsc_khz = vm->env->tsc_khz,
		.sandbox = true,
		.npublish = spec->publish.n,
	};
	if (!m->binary[0])
		return err_set(e, ERR_VMM_MISSING, "qemu-system-x86_64 is not installed");
	if (is_probe(vm)) {
		(void)snprintf(paths[2], ENV_PATH_MAX, "%.900s/probe.elf",
			       vm->env->conf.libexec_dir);
		m->kernel = paths[2];
	} else {
		kernel = catalog_kernel(vm->env->catalog, spec->kernel);
		if (!kernel)
			return err_set(e, ERR_KERNEL_NOT_FOUND, "kernel \"%s\" is gone",
				       spec->kernel);
		m->kernel = kernel->path;
		m->initrd = kernel->initrd[0] ? kernel->initrd : NULL;
		m->disk = paths[0];
	}
	for (uint32_t i = 0; i < m->npublish; i++) {
		m->publish[i].host = (uint16_t)ports[i].host;
		m->publish[i].guest = (uint16_t)ports[i].guest;
	}
	for (int s = 0; s < VMM_NSOCKETS; s++)
		m->socket_fd[s] = has_socket(vm, (enum vmm_socket)s) ? at++ : -1;
	return 0;
}

static int vmm_up(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);
	struct vm_run *run = vm->run;
	struct io_spawn *sp = &run->spawn;
	char paths[3][ENV_PATH_MAX];
	struct vmm_machine m;

	if (!vm->driver->program)
		return STEP_DONE;
	int rc = machine_of(vm, &m, paths, e);
	strv_fini(&run->argv);
	if (rc == 0)
		rc = vm->driver->argv(&m, &run->argv, e);
	if (rc < 0)
		return rc;
	*sp = (struct io_spawn){
		.argv = &run->argv,
		.cgroup_fd = run->cgroup_fd,
		.new_session = true,
		.pidfd = -EBADF,
	};
	sp->fds[sp->nfds++] = (struct io_spawn_fd){ run->log_fd, STDOUT_FILENO };
	sp->fds[sp->nfds++] = (struct io_spawn_fd){ run->log_fd, STDERR_FILENO };
	for (int s = 0; s < VMM_NSOCKETS; s++)
		if (m.socket_fd[s] >= 0)
			sp->fds[sp->nfds++] = (struct io_spawn_fd){ run->listen_fd[s],
								    m.socket_fd[s] };
	(void)snprintf(vm->rec.accel, sizeof(vm->rec.accel), "%s", vmm_accel_name(m.accel));
	run->shut_down = false;
	run->res.console_at = files_bytes(paths[1]);
	run->boot_us = io_now_us(vm->env->io);
	io_spawn(vm->env->io, &p->op, sp);
	return STEP_WAIT_OP;
}

static void vm_watch(struct vm *vm)
{
	io_poll(vm->env->io, &vm->run->exit, vm->run->pidfd, POLLIN);
}

/* From here on we own the pidfd: an exit becomes MSG_EXIT, whatever our state. */
static int vmm_spawned(struct plan *p, struct msg *m, struct err *e)
{
	struct vm *vm = vm_of(p);
	struct vm_run *run = vm->run;

	strv_fini(&run->argv);
	close_fd(&run->log_fd); /* the VMM has it, or there is none */
	close_fd(&run->cgroup_fd);
	if (m->res < 0) {
		if (run->spawn.err.code)
			*e = run->spawn.err;
		return err_num(e, ERR_VMM_START, m->res, "%s", vm->env->conf.qemu);
	}
	run->pidfd = take_fd(&run->spawn.pidfd);
	run->exited = false;
	run->res.pid = (uint32_t)run->spawn.pid;
	run->res.start_ticks = run->spawn.start_ticks;
	vm_watch(vm);
	for (int s = 0; s < VMM_NSOCKETS; s++) {
		if (run->listen_fd[s] >= 0)
			io_close(vm->env->io, run->listen_fd[s]);
		run->listen_fd[s] = -EBADF;
	}
	/* Durable with whatever commit comes next: adoption finds it by its name until then. */
	if (vm_put_resources(vm) < 0)
		return err_set(e, ERR_HOST_MEMORY, "store");
	return STEP_DONE;
}

/* After a crash the record may not know the pid yet: the process is found by its name. */
int vmm_seek(struct env *env, vm_id id)
{
	char word[VMM_WORD_BYTES];

	vmm_process_word(id, env->home, word);
	return io_find_process(env->io, word);
}

static int vmm_find_again(struct vm *vm)
{
	const int fd = vmm_seek(vm->env, vm->rec.id);

	if (fd < 0)
		return fd;
	vm->run->pidfd = fd;
	vm->run->exited = false;
	vm_watch(vm);
	return 0;
}

static int vmm_down(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);
	struct vm_run *run = vm->run;

	if (!vm->driver->program)
		return STEP_DONE;
	int rc = run->pidfd >= 0 ? 0 : run->exited ? -ESRCH : vmm_find_again(vm);
	if (rc == -ESRCH)
		return STEP_DONE;
	if (rc < 0)
		return err_num(e, ERR_HOST_IO, rc, "look for the VMM");
	rc = io_kill(vm->env->io, run->pidfd, SIGKILL);
	if (rc < 0 && rc != -ESRCH)
		return err_num(e, ERR_HOST_IO, rc, "kill the VMM");
	return STEP_WAIT; /* for MSG_EXIT */
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
const struct step vm_start_steps[] = {
	/* name       start         finish          undo          undone        ms                   arg */
	{ "accel",    accel,        NULL,           unaccel,      NULL,         0,                   0 },
	{ "admit",    admit,        NULL,           unadmit,      NULL,         0,                   0 },
	{ "intent",   put_starting, vm_committed,   put_ended,    vm_committed, 0,                   0 },
	{ "runtime",  runtime_up,   vm_worked,      runtime_down, vm_worked,    FILES_DEADLINE_MS,   0 },
	{ "console",  channel_up,   channel_opened, channel_down, NULL,         CONNECT_DEADLINE_MS, VMM_SOCKET_CONSOLE },
	{ "agent",    channel_up,   channel_opened, channel_down, NULL,         CONNECT_DEADLINE_MS, VMM_SOCKET_AGENT },
	{ "control",  channel_up,   channel_opened, channel_down, NULL,         CONNECT_DEADLINE_MS, VMM_SOCKET_CONTROL },
	{ "cgroup",   cgroup_up,    vm_worked,      cgroup_down,  vm_worked,    FILES_DEADLINE_MS,   0 },
	{ "vmm",      vmm_up,       vmm_spawned,    vmm_down,     NULL,         SPAWN_DEADLINE_MS,   0 },
	{ "boot",     boot_wait,    NULL,           NULL,         NULL,         0,                   0 },
	{ "record",   put_running,  vm_committed,   NULL,         NULL,         0,                   0 },
};
/* clang-format on */

static_assert((int)CGROUP_PATH_MAX == (int)RECORD_CGROUP_MAX, "it is recorded as it is");
static_assert(VMM_NSOCKETS + 2 <= IO_SPAWN_FDS, "the sockets and the log are inherited");

void vm_start_begin(struct vm *vm)
{
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
	plan_begin(&vm->run->plan, vm_start_steps, ARRAY_LEN(vm_start_steps),
		   vm->task ? &vm->task->op->id : NULL);
}

void vm_unwind(struct vm *vm, enum vm_state end_state)
{
	if (!vm_run_begin(vm))
		return; /* recovery without memory: the next start of the daemon tries again */
	if (vm_state(vm) == VM_FAILED)
		vm_move(vm, VM_STOPPING);
	vm->run->end_state = end_state;
	vm->run->intended = true;
	plan_unwind(&vm->run->plan, vm_start_steps, ARRAY_LEN(vm_start_steps),
		    vm->task ? &vm->task->op->id : NULL);
}

/* ---- the VMM's end ---- */

/* What Linux says last; of this start only.  The guest could lie, about itself and to its owner. */
static bool panic_text(const struct vm *vm, char *out, size_t size)
{
	char path[ENV_PATH_MAX];
	char why[VMM_TAIL_BYTES];

	vm_state_path(vm, VM_FILE_CONSOLE, path);
	if (!vm_has_agent(vm) || !files_find_last(path, vm->run->res.console_at,
						  "Kernel panic - not syncing: ", why, sizeof(why)))
		return false;
	(void)snprintf(out, size, "the guest's kernel panicked: %s", why);
	return true;
}

/* Why it ended; ERR_NONE when the guest has powered off. */
static enum err_code exit_text(const struct vm *vm, int status, char *out, size_t size)
{
	const bool known = status >= 0;
	char path[ENV_PATH_MAX];
	char tail[VMM_TAIL_BYTES];
	char end[80];

	if (panic_text(vm, out, size))
		return ERR_GUEST_PANIC;
	if (known ? WIFEXITED(status) && WEXITSTATUS(status) == 0 : vm->run->shut_down)
		return ERR_NONE;
	if (!known)
		(void)snprintf(end, sizeof(end), "the VMM ended");
	else if (WIFSIGNALED(status))
		(void)snprintf(end, sizeof(end), "the VMM was killed by signal %d%s",
			       WTERMSIG(status),
			       vm->run->res.cgroup[0] && cgroup_ran_out(vm->run->res.cgroup)
				       ? ": it had used up its memory.max"
				       : "");
	else
		(void)snprintf(end, sizeof(end), "the VMM ended with status %d",
			       WEXITSTATUS(status));
	const size_t used = strlen(end) + strlen(": ");
	vm_runtime_path(vm, VM_FILE_LOG, path);
	files_last_line(path, tail, size - used < sizeof(tail) ? size - used : sizeof(tail));
	(void)snprintf(out, size, "%s%s%.*s", end, tail[0] ? ": " : "", VMM_TAIL_BYTES, tail);
	return vm->driver->explain ? vm->driver->explain(tail) : ERR_VMM_EXIT;
}

/* It ended by itself: the guest powered off, or something went wrong. */
void vm_lost(struct vm *vm, int status)
{
	const bool failed = exit_text(vm, status, vm->rec.failure, sizeof(vm->rec.failure)) != 0;

	vm_move(vm, VM_STOPPING);
	vm_unwind(vm, failed ? VM_FAILED : VM_STOPPED);
}

/* It ended before the guest was up. */
static void vm_stillborn(struct vm *vm, int status)
{
	char text[ERR_TEXT_MAX];
	struct err e = { 0 };
	const enum err_code code = exit_text(vm, status, text, sizeof(text));

	if (code == ERR_NONE)
		err_set(&e, ERR_VMM_EXIT, "the guest powered off before it was up");
	else
		err_set(&e, code, "%s", text);
	plan_abort(&vm->run->plan, &e);
}

void vm_exited(struct vm *vm)
{
	struct vm_run *run = vm->run;
	struct plan *p = &run->plan;
	int status = -1;

	/* Its last words, which have come before its end. */
	vm_control_drain(vm);
	/* Adopted ones are reaped by whoever inherited them, and keep their status for themselves.
	 */
	if (io_reap(vm->env->io, run->pidfd, &status) < 0)
		status = -1;
	io_close(vm->env->io, run->pidfd);
	run->pidfd = -EBADF;
	run->exited = true;
	vm->rec.exit_status = status < 0            ? -1
			      : WIFSIGNALED(status) ? 128 + WTERMSIG(status)
						    : WEXITSTATUS(status);
	LOG_INFO(&vm->actor.log, NULL, "vmm.exit", K("status", vm->rec.exit_status));
	if (vm_powering_off(vm) || plan_waits_undo(p, vmm_down))
		plan_event(p, 0);
	else if (p->phase == PLAN_DOING && p->steps == vm_start_steps)
		vm_stillborn(vm, status);
	else if (!plan_busy(p) && vm_runs(vm))
		vm_lost(vm, status);
}

/* ---- adoption ---- */

static int channel_again(struct plan *p, struct err *e)
{
	(void)e;
	return has_socket(vm_of(p), (enum vmm_socket)plan_step(p)->arg) ? channel_connect(p)
									: STEP_DONE;
}

/* A channel that cannot be had back is no reason to end a VM that runs. */
static int channel_back(struct plan *p, struct msg *m, struct err *e)
{
	if (channel_opened(p, m, e) < 0)
		LOG_WARN(p->log, NULL, "adopt.channel", K("step", plan_step(p)->name),
			 K("why", e->text));
	*e = (struct err){ 0 };
	return STEP_DONE;
}

/* clang-format off */
const struct step vm_adopt_steps[] = {
	/* name      start          finish        undo  undone ms                   arg */
	{ "agent",   channel_again, channel_back, NULL, NULL,  CONNECT_DEADLINE_MS, VMM_SOCKET_AGENT },
	{ "control", channel_again, channel_back, NULL, NULL,  CONNECT_DEADLINE_MS, VMM_SOCKET_CONTROL },
};
/* clang-format on */

static int vmm_adopt(struct vm *vm, const struct vm_resources *res)
{
	char word[VMM_WORD_BYTES];

	vmm_process_word(vm->rec.id, NULL, word);
	const int fd = res->pid ? io_adopt(vm->env->io, (pid_t)res->pid, res->start_ticks, word)
				: -ESRCH;
	if (fd == -ESRCH)
		return vmm_find_again(vm);
	if (fd < 0)
		return fd;
	vm->run->pidfd = fd;
	vm_watch(vm);
	return 0;
}

int vm_adopt(struct vm *vm, const struct vm_resources *res)
{
	struct vm_run *run = vm_run_begin(vm);

	if (!run)
		return -ENOMEM;
	run->res = *res;
	run->ready = true;
	run->end_state = VM_STOPPED;
	const int rc = vm->driver->program ? vmm_adopt(vm, res) : 0;
	if (rc < 0)
		return rc;
	plan_begin(&run->plan, vm_adopt_steps, ARRAY_LEN(vm_adopt_steps), NULL);
	return 0;
}
