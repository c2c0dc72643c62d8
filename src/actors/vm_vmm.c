/* vm_vmm.c - steps of a start: the VMM and the limits that it is born with; its end, and finding it
 * again after a restart.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/catalog.h"
#include "actors/files.h"
#include "actors/limits.h"
#include "actors/vm_steps.h"
#include "base/cleanup.h"
#include "image/job.h"

enum {
	CHILD_FD_FIRST = 3, /* inherited listeners are numbered from here, in the sockets' order */
};

/* ---- cgroup: the limits that the VMM is born with ---- */

static enum vmm_guest guest_of(const struct vm *vm)
{
	return vm_is_probe(vm) ? VMM_GUEST_PROBE : VMM_GUEST_LINUX;
}

static enum vmm_accel accel_of(const struct vm *vm)
{
	if (vm->driver->kvm_only)
		return VMM_ACCEL_KVM;
	return vm_is_probe(vm) ? vm->env->probe_accel : vm->env->accel;
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

int vm_cgroup_up(struct plan *p, struct err *e)
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

int vm_cgroup_down(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);

	(void)e;
	close_fd(&vm->run->cgroup_fd);
	return vm->run->res.cgroup[0] ? vm_work(p, IO_LANE_ANY, remove_cgroup) : STEP_DONE;
}

/* ---- vmm ---- */

/* What a machine is made of, by its paths on the host.  Too large for the stack, and there is one
 * thread. */
struct parts {
	struct vm_files files;
	char disk[ENV_PATH_MAX];
	char console[ENV_PATH_MAX];
	char base[ENV_PATH_MAX];
	char probe[ENV_PATH_MAX];
	char control[ENV_PATH_MAX]; /* and what follows: of a VMM that listens itself */
	char vsock[ENV_PATH_MAX];
	char config[ENV_PATH_MAX];
	char log[ENV_PATH_MAX];
	char address[sizeof("255.255.255.255/32")]; /* of the guest, in system mode */
};

static int parts_find(const struct vm *vm, struct parts *parts, struct err *e)
{
	const struct env *env = vm->env;
	const struct kernel_view *kernel;

	vm_disk_path(vm, parts->disk);
	vm_state_path(vm, VM_FILE_CONSOLE, parts->console);
	parts->files = (struct vm_files){ .console = parts->console };
	if (vm_is_probe(vm)) {
		(void)snprintf(parts->probe, sizeof(parts->probe), "%.900s/" PROBE_FILE,
			       env->system ? env->conf.state_dir : env->conf.libexec_dir);
		parts->files.kernel = parts->probe;
		return 0;
	}
	kernel = catalog_kernel(env->catalog, vm->rec.spec.kernel);
	if (!kernel)
		return err_set(e, ERR_KERNEL_NOT_FOUND, "kernel \"%s\" is gone",
			       vm->rec.spec.kernel);
	parts->files.disk = vm_is_system(vm) && !vm_has_snapshot(vm) ? parts->disk : NULL;
	parts->files.kernel = kernel->path;
	parts->files.initrd = kernel->initrd[0] ? kernel->initrd : NULL;
	return 0;
}

static void listens_itself(const struct vm *vm, struct parts *parts, struct vmm_machine *m)
{
	vm_runtime_path(vm, VM_FILE_CONTROL, parts->control);
	vm_runtime_path(vm, VM_FILE_VSOCK, parts->vsock);
	vm_runtime_path(vm, VM_FILE_CONFIG, parts->config);
	vm_runtime_path(vm, VM_FILE_LOG, parts->log);
	m->control = parts->control;
	m->vsock = vm_has_agent(vm) ? parts->vsock : NULL;
	m->config = parts->config;
	m->log = parts->log;
}

/* Paths as the VMM sees them, and its network. */
static void as_ours(const struct vm *vm, struct parts *parts, struct vmm_machine *m)
{
	m->kernel = parts->files.kernel;
	m->initrd = parts->files.initrd;
	m->console_log = parts->console;
	if (vm_has_own_channels(vm))
		m->net = vm->run->res.network ? VMM_NET_VSOCK : VMM_NET_NONE;
	else
		m->net = vm->run->res.network ? VMM_NET_SOCKET : VMM_NET_USER;
	if (vm_has_own_channels(vm))
		listens_itself(vm, parts, m);
	if (vm_is_probe(vm))
		return;
	m->disk = parts->disk;
	m->disk_format = vm->driver->disk_format;
	if (!vm_has_upper(vm))
		return;
	(void)snprintf(parts->base, sizeof(parts->base), "%.800s/images/%.64s/" IMAGE_FILE_ROOT,
		       vm->env->conf.state_dir, vm->rec.spec.image);
	m->base = parts->base;
}

/* proto/helper.h says where a jail has its files. */
static void as_jailed(const struct vm *vm, struct parts *parts, struct vmm_machine *m)
{
	const struct system *s = vm->env->system;

	m->kernel = "/vm/kernel";
	m->initrd = parts->files.initrd ? "/vm/initrd" : NULL;
	m->console_log = "/vm/console";
	m->control = "/vm/run/" VM_FILE_CONTROL;
	m->vsock = vm_has_agent(vm) ? "/vm/run/" VM_FILE_VSOCK : NULL;
	m->config = "/vm/config";
	m->log = "/vm/" VM_FILE_LOG;
	m->net = VMM_NET_NONE;
	if (vm_is_probe(vm))
		return;
	m->disk = "/vm/disk";
	m->disk_format = "raw";
	m->disk_device = vm_has_snapshot(vm);
	m->net = VMM_NET_TAP;
	m->tap = vm->run->tap;
	(void)snprintf(parts->address, sizeof(parts->address), "%s/%u", vm->rec.address,
		       s->bridge.prefix);
	m->address = parts->address;
	m->gateway = s->bridge.address;
	m->dns = s->dns[0] ? s->dns : NULL;
}

static const char *program_of(const struct vm *vm)
{
	return vm->driver == &vmm_firecracker ? vm->env->conf.firecracker : vm->env->conf.qemu;
}

static int machine_of(struct vm *vm, struct vmm_machine *m, struct parts *parts, struct err *e)
{
	const struct vm_spec *spec = &vm->rec.spec;
	const struct publish *ports = spec->publish.items;
	int at = CHILD_FD_FIRST;

	*m = (struct vmm_machine){
		.binary = program_of(vm),
		.id = vm->rec.id,
		.home = vm->env->home,
		.name = spec->name,
		.guest = guest_of(vm),
		.accel = accel_of(vm),
		.vcpu = spec->vcpu,
		.memory_bytes = spec->memory_bytes,
		.limits = vm_limits_of(vm),
		.tsc_khz = vm->env->tsc_khz,
		.sandbox = true,
		.npublish = spec->publish.n,
	};
	if (!m->binary[0])
		return err_set(e, ERR_VMM_MISSING, "%s is not installed", vm->driver->program);
	const int rc = parts_find(vm, parts, e);
	if (rc < 0)
		return rc;
	if (vm_is_system(vm))
		as_jailed(vm, parts, m);
	else
		as_ours(vm, parts, m);
	for (uint32_t i = 0; i < m->npublish; i++) {
		m->publish[i].host = (uint16_t)ports[i].host;
		m->publish[i].guest = (uint16_t)ports[i].guest;
	}
	for (int s = 0; s < VMM_NSOCKETS; s++)
		m->socket_fd[s] = vm_has_socket(vm, (enum vmm_socket)s) && !vm_has_own_channels(vm)
					  ? at++
					  : -1;
	m->net_fd = at;
	return 0;
}

int vm_configure(struct vm *vm, struct err *e)
{
	static struct parts parts;
	struct vmm_machine m;

	buf_clear(&vm->run->config);
	const int rc = machine_of(vm, &m, &parts, e);
	return rc < 0 ? rc : vm->driver->config(&m, &vm->run->config, e);
}

/* What it has as its standard streams; one that listens itself says nothing there but on its
 * guest's behalf. */
static void give_streams(const struct vm *vm, struct io_spawn *sp)
{
	const struct vm_run *run = vm->run;
	const int probe = run->listen_fd[VMM_SOCKET_CONSOLE];
	const int out = !vm_has_own_channels(vm) ? run->log_fd : probe >= 0 ? probe : run->out_fd;

	if (run->in_fd >= 0)
		sp->fds[sp->nfds++] = (struct io_spawn_fd){ run->in_fd, STDIN_FILENO };
	sp->fds[sp->nfds++] = (struct io_spawn_fd){ out, STDOUT_FILENO };
	sp->fds[sp->nfds++] = (struct io_spawn_fd){ run->log_fd, STDERR_FILENO };
}

static int spawn(struct plan *p, const struct vmm_machine *m)
{
	struct vm_run *run = vm_of(p)->run;
	struct io_spawn *sp = &run->spawn;

	*sp = (struct io_spawn){
		.argv = &run->argv,
		.cgroup_fd = run->cgroup_fd,
		.new_session = true,
		.pidfd = -EBADF,
	};
	give_streams(vm_of(p), sp);
	for (int s = 0; s < VMM_NSOCKETS; s++)
		if (m->socket_fd[s] >= 0)
			sp->fds[sp->nfds++] = (struct io_spawn_fd){ run->listen_fd[s],
								    m->socket_fd[s] };
	if (m->net == VMM_NET_SOCKET)
		sp->fds[sp->nfds++] = (struct io_spawn_fd){ run->net.listen_fd, m->net_fd };
	io_spawn(p->io, &p->op, sp);
	return STEP_WAIT_OP;
}

int vm_vmm_up(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);
	struct vm_run *run = vm->run;
	static struct parts parts;
	struct vmm_machine m;

	if (!vm->driver->program)
		return STEP_DONE;
	int rc = machine_of(vm, &m, &parts, e);
	strv_fini(&run->argv);
	if (rc == 0)
		rc = vm->driver->argv(&m, &run->argv, e);
	if (rc < 0)
		return rc;
	(void)snprintf(vm->rec.accel, sizeof(vm->rec.accel), "%s", vmm_accel_name(m.accel));
	run->shut_down = false;
	run->res.console_at = files_bytes(parts.console);
	run->boot_us = io_now_us(vm->env->io);
	return vm_is_system(vm) ? vm_launch(p, &m, &parts.files, e) : spawn(p, &m);
}

void vm_watch(struct vm *vm)
{
	io_poll(vm->env->io, &vm->run->exit, vm->run->pidfd, POLLIN);
}

/* From here on we own the pidfd: an exit becomes MSG_EXIT, whatever our state. */
int vm_vmm_started(struct plan *p, struct msg *m, struct err *e)
{
	struct vm *vm = vm_of(p);
	struct vm_run *run = vm->run;

	strv_fini(&run->argv);
	close_fd(&run->log_fd); /* the VMM has it, or there is none */
	close_fd(&run->cgroup_fd);
	close_fd(&run->in_fd);
	if (!vm_is_probe(vm))
		close_fd(&run->out_fd);
	if (m->res < 0) {
		if (run->spawn.err.code)
			*e = run->spawn.err;
		return err_num(e, ERR_VMM_START, m->res, "%s", program_of(vm));
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
	if (run->net.listen_fd >= 0)
		io_close(vm->env->io, take_fd(&run->net.listen_fd));
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

int vm_vmm_down(struct plan *p, struct err *e)
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

/* What the VMM has to say of its end: the end of its log, or of its stderr where that is another
 * file and it did not come to the former. */
static void last_words(const struct vm *vm, char out[FILES_TAIL_MAX + 1])
{
	char path[ENV_PATH_MAX];

	vm_runtime_path(vm, VM_FILE_LOG, path);
	files_tail(path, out);
	if (out[0] || !vm_has_own_channels(vm))
		return;
	vm_runtime_path(vm, VM_FILE_ERRORS, path);
	files_tail(path, out);
}

/* Of one whose status is another's: QEMU says so as it ends, Firecracker says nothing then, and
 * else why. */
static bool ended_well(const struct vm *vm, const char *words)
{
	return vm->run->shut_down || (vm_has_own_channels(vm) && !words[0]);
}

static void end_text(const struct vm *vm, int status, char *out, size_t size)
{
	const bool oom = vm->run->res.cgroup[0] && cgroup_ran_out(vm->run->res.cgroup);

	if (status < 0)
		(void)snprintf(out, size, "the VMM ended");
	else if (WIFSIGNALED(status))
		(void)snprintf(out, size, "the VMM was killed by signal %d%s", WTERMSIG(status),
			       oom ? ": it had used up its memory.max" : "");
	else
		(void)snprintf(out, size, "the VMM ended with status %d", WEXITSTATUS(status));
}

/* Why it ended; ERR_NONE when the guest has powered off. */
static enum err_code exit_text(const struct vm *vm, int status, char *out, size_t size)
{
	const bool known = status >= 0;
	char words[FILES_TAIL_MAX + 1];
	char line[VMM_TAIL_BYTES];
	char end[80];

	if (panic_text(vm, out, size))
		return ERR_GUEST_PANIC;
	last_words(vm, words);
	if (known ? WIFEXITED(status) && WEXITSTATUS(status) == 0 : ended_well(vm, words))
		return ERR_NONE;
	end_text(vm, status, end, sizeof(end));
	const size_t used = strlen(end) + strlen(": ");
	const char *why = vm->driver->blame ? vm->driver->blame(words) : files_line(words);
	files_shorten(why, line, size - used < sizeof(line) ? size - used : sizeof(line));
	(void)snprintf(out, size, "%s%s%.*s", end, line[0] ? ": " : "", VMM_TAIL_BYTES, line);
	return vm->driver->explain ? vm->driver->explain(line) : ERR_VMM_EXIT;
}

/* Its parent is the root helper, which has not yet said how it ended. */
static bool is_to_be_told(const struct vm *vm, int status)
{
	return vm_is_system(vm) && status < 0;
}

/* It ended by itself: the guest powered off, or something went wrong. */
void vm_lost(struct vm *vm, int status)
{
	const bool failed = exit_text(vm, status, vm->rec.failure, sizeof(vm->rec.failure)) != 0;

	vm->run->asks_end = is_to_be_told(vm, status);
	vm_move(vm, VM_STOPPING);
	vm_unwind(vm, failed ? VM_FAILED : VM_STOPPED);
}

/* It ended before the guest was up: why. */
static void stillborn_err(const struct vm *vm, int status, struct err *ret)
{
	char text[ERR_TEXT_MAX];
	const enum err_code code = exit_text(vm, status, text, sizeof(text));

	if (code == ERR_NONE)
		err_set(ret, ERR_VMM_EXIT, "%s",
			status < 0 ? "the VMM ended without a word before its guest was up"
				   : "the guest powered off before it was up");
	else
		err_set(ret, code, "%s", text);
}

static void vm_stillborn(struct vm *vm, int status)
{
	struct err e = { 0 };

	stillborn_err(vm, status, &e);
	vm->run->asks_end = is_to_be_told(vm, status) && !vm->run->plan.aborted;
	plan_abort(&vm->run->plan, &e);
}

static void note_status(struct vm *vm, int status)
{
	vm->rec.exit_status = status < 0            ? -1
			      : WIFSIGNALED(status) ? 128 + WTERMSIG(status)
						    : WEXITSTATUS(status);
}

/* Of one that ended by itself: what was guessed then is said again. */
static void correct_end(struct vm *vm, int status)
{
	struct vm_run *run = vm->run;
	char text[sizeof(vm->rec.failure)];
	struct err e = { 0 };

	if (run->plan.err.code) { /* a start has failed of it */
		stillborn_err(vm, status, &e);
		plan_correct(&run->plan, &e);
		return;
	}
	const bool failed = exit_text(vm, status, text, sizeof(text)) != ERR_NONE;

	run->end_state = failed ? VM_FAILED : VM_STOPPED;
	if (failed)
		(void)snprintf(vm->rec.failure, sizeof(vm->rec.failure), "%s", text);
}

/* It comes while the VM is taken down, with what made sure that nothing of it lives. */
void vm_end_told(struct vm *vm, int status)
{
	struct vm_run *run = vm->run;

	note_status(vm, status);
	LOG_INFO(&vm->actor.log, NULL, "vmm.status", K("status", vm->rec.exit_status));
	run->end_told = true;
	if (run->asks_end)
		correct_end(vm, status);
	run->asks_end = false;
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
	const bool answered = !run->unkilled; /* how it ended comes with the answer */
	run->unkilled = false;
	if (!run->end_told)
		note_status(vm, status);
	LOG_INFO(&vm->actor.log, NULL, "vmm.exit", K("status", vm->rec.exit_status));
	if (vm_powering_off(vm) || plan_waits_undo(p, vm_vmm_down) ||
	    (plan_waits_undo(p, vm_jail_kill) && answered))
		plan_event(p, 0);
	else if (vm_starts(vm))
		vm_stillborn(vm, status);
	else if (!plan_busy(p) && vm_runs(vm))
		vm_lost(vm, status);
}

/* ---- adoption ---- */

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
	const int rc = vm->driver->program && !vm_is_system(vm) ? vmm_adopt(vm, res) : 0;
	if (rc < 0)
		return rc;
	vm_adopt_begin(vm);
	return 0;
}
