/* vm_own.c - steps of a start: what differs for a VMM that listens itself (VMM_CHANNELS_OWN).
 *
 * Before it is born: it reads vmm.json; its stdin is a FIFO, its stdout the console's log, or of a
 * probe, which speaks but once, a socket of ours.
 * Its guest's agent: rings at vsock_1024, where we listen, and is called through the VMM's own
 * socket; so it is after our own restart, and when the conversation has ended.
 * Once its guest is up: we connect to its control socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actors/files.h"
#include "actors/limits.h"
#include "actors/vm_steps.h"
#include "base/cleanup.h"

bool vm_has_own_channels(const struct vm *vm)
{
	return vm->driver->channels == VMM_CHANNELS_OWN;
}

bool vm_console_is_ours(const struct vm *vm)
{
	return vm_has_own_channels(vm) && vm_is_probe(vm);
}

/* ---- files, on a worker ---- */

static int write_config(struct vm_run *run)
{
	char path[ENV_PATH_MAX];

	vm_runtime_path(run->vm, VM_FILE_CONFIG, path);
	return files_write(path, buf_data(&run->config), buf_len(&run->config), &run->work_err);
}

/* Both ends are the VMM's: it never sees one end of it close.  What is typed comes in by path. */
static int make_fifo(struct vm_run *run)
{
	char path[ENV_PATH_MAX];

	vm_runtime_path(run->vm, VM_FILE_CONSOLE_IN, path);
	if (mkfifo(path, 0600) < 0 && errno != EEXIST)
		return err_sys(&run->work_err, ERR_HOST_IO, "mkfifo %s", path);
	run->in_fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	return run->in_fd < 0 ? err_sys(&run->work_err, ERR_HOST_IO, "open %s", path) : 0;
}

int vm_own_files(struct vm_run *run)
{
	CLEANUP_FD int log = -EBADF;
	char path[ENV_PATH_MAX];

	vm_runtime_path(run->vm, VM_FILE_LOG, path);
	log = files_open_log(path, &run->work_err);
	if (log < 0)
		return log;
	vm_state_path(run->vm, VM_FILE_CONSOLE, path);
	run->out_fd = files_open_log(path, &run->work_err);
	if (run->out_fd < 0)
		return run->out_fd;
	const int rc = vm_is_probe(run->vm) ? 0 : make_fifo(run);
	return rc < 0 ? rc : write_config(run);
}

/* ---- channels ---- */

int vm_own_console_up(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);
	int ends[2];

	if (!vm_is_probe(vm))
		return STEP_DONE;
	const int rc = io_pair(vm->env->io, ends);
	if (rc < 0)
		return err_num(e, ERR_HOST_FILES, rc, "socket of the console");
	vm->run->listen_fd[VMM_SOCKET_CONSOLE] = ends[1];
	return vm_channel_take(vm, VMM_SOCKET_CONSOLE, ends[0], e);
}

int vm_own_hear(struct vm *vm, int fd, struct err *e)
{
	struct vm_run *run = vm->run;
	io_listen_few(vm->env->io, fd, AGENT_RINGS_MAX);
	const int rc = io_listener_open(vm->env->io, &run->rings, &vm->actor, MSG_RINGS, fd);

	if (rc < 0) {
		io_close(vm->env->io, fd);
		return err_num(e, ERR_HOST_MEMORY, rc, "%s", VM_FILE_CALLS);
	}
	run->rings_open = true;
	run->calls_back = true;
	return STEP_DONE;
}

/* There we hear the agent ring. */
int vm_own_agent_up(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);
	char path[ENV_PATH_MAX];

	if (!vm_has_agent(vm))
		return STEP_DONE;
	vm_runtime_path(vm, VM_FILE_CALLS, path);
	const int fd = io_listen_unix(vm->env->io, path, e);
	return fd < 0 ? fd : vm_own_hear(vm, fd, e);
}

/* ---- the agent rings, and is called back ----
 *
 * Whoever connects to the host's port could be any process of the guest.  That says no more than
 * that somebody wants to be called; the one who is called listens where only root may.
 */

/* -errno: it was not even tried. */
static int dial(struct vm *vm, struct err *e)
{
	struct vm_run *run = vm->run;
	char path[ENV_PATH_MAX];

	if (vm_is_system(vm))
		return vm_jail_dial(vm, e);
	vm_runtime_path(vm, VM_FILE_VSOCK, path);
	io_connect_unix(vm->env->io, &run->dial, path);
	return 0;
}

static void missed(struct vm *vm, const struct err *e)
{
	LOG_WARN(&vm->actor.log, NULL, "guest.call", K("why", e->text));
	if (vm->run->calls_back)
		io_timer_set(vm->env->io, &vm->run->redial, AGENT_REDIAL_MS, 0);
}

static void call_back(struct vm *vm)
{
	struct vm_run *run = vm->run;
	struct err e = { 0 };

	if (!run->rung || !run->calls_back || run->dialing || run->stream_open[VMM_SOCKET_AGENT])
		return;
	run->rung = false;
	run->dialing = dial(vm, &e) >= 0;
	if (run->dialing)
		io_timer_set(vm->env->io, &run->redial, CONNECT_DEADLINE_MS, 0);
	else
		missed(vm, &e);
}

/* It was not answered, or it is time to try again. */
static void dial_late(struct vm *vm)
{
	struct vm_run *run = vm->run;

	if (io_op_busy(&run->dial)) {
		io_cancel(vm->env->io, &run->dial);
		return;
	}
	vm->dial_token++;
	run->dialing = false;
	run->rung = true;
	call_back(vm);
}

/* What they have to say is not read: whether any rang. */
static bool hear_rings(struct vm *vm)
{
	bool heard = false;
	int fd;

	while ((fd = io_listener_next(vm->env->io, &vm->run->rings)) >= 0) {
		io_close(vm->env->io, fd);
		heard = true;
	}
	return heard;
}

/* Those who ring all the time fill a queue that nobody looks at meanwhile. */
static void take_rings(struct vm *vm)
{
	struct vm_run *run = vm->run;

	if (!run->rings_open || !hear_rings(vm))
		return;
	io_timer_set(vm->env->io, &run->ring_pause, AGENT_RING_MS, 0);
	run->rung = true;
	call_back(vm);
}

void vm_own_rings(struct vm *vm)
{
	struct vm_run *run = vm->run;

	if (run->rings.closed) {
		run->rings_open = false;
		vm_channel_over(vm, VMM_SOCKET_AGENT);
	} else if (!run->ring_pause.set) {
		take_rings(vm);
	}
}

void vm_own_dialed(struct vm *vm, int fd)
{
	struct vm_run *run = vm->run;
	struct err e = { 0 };

	run->dialing = false;
	io_timer_cancel(vm->env->io, &run->redial);
	if (fd >= 0 && run->calls_back)
		IGNORE(vm_channel_take_dialed(vm, fd, &e) < 0);
	else if (fd >= 0)
		io_close(vm->env->io, fd);
	else
		err_num(&e, ERR_GUEST_GONE, fd, "%s", VM_FILE_VSOCK);
	if (e.code && run->calls_back)
		missed(vm, &e);
	vm_channel_over(vm, VMM_SOCKET_AGENT);
}

/* It may have rung before we knew of its end; and where we cannot hear it ring, or it did so in
 * vain, it is called from time to time. */
void vm_own_talk_over(struct vm *vm)
{
	struct vm_run *run = vm->run;

	if (!run->calls_back)
		return;
	io_timer_set(vm->env->io, &run->redial, AGENT_REDIAL_MS, 0);
	call_back(vm);
}

bool vm_own_timer(struct vm *vm, const struct msg *m)
{
	struct vm_run *run = vm->run;

	if (m == &run->ring_pause.msg) {
		take_rings(vm);
	} else if (m == &run->redial.msg) {
		dial_late(vm);
	} else {
		return false;
	}
	return true;
}

/* The one who was there before us may have been in the middle of a word. */
int vm_own_agent_call(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);

	(void)e;
	if (!vm_has_agent(vm) || vm->run->missed)
		return STEP_DONE;
	vm->run->calls_back = true;
	vm->run->rung = true;
	call_back(vm);
	return STEP_DONE;
}

/* One that does not hear us may still be called. */
int vm_own_agent_again(struct plan *p, struct err *e)
{
	if (!vm_has_agent(vm_of(p)))
		return STEP_DONE;
	if (vm_own_agent_up(p, e) < 0)
		vm_channel_missed(p, e);
	return vm_own_agent_call(p, e);
}

void vm_own_hang_up(struct vm *vm)
{
	struct vm_run *run = vm->run;

	run->calls_back = false;
	run->rung = false;
	run->dialing = false;
	vm->dial_token++;
	io_timer_cancel(vm->env->io, &run->ring_pause);
	io_timer_cancel(vm->env->io, &run->redial);
	if (io_op_busy(&run->dial))
		io_cancel(vm->env->io, &run->dial);
	if (run->rings_open)
		io_listener_close(vm->env->io, &run->rings);
}
