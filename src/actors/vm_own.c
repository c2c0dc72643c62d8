/* vm_own.c - steps of a start: what differs for a VMM that listens itself (VMM_CHANNELS_OWN).
 *
 *   before it is born            it reads vmm.json; its stdin is a FIFO, its stdout the console's
 * log; of a probe, which speaks but once, a socket of ours its guest's agent calls      at
 * vsock_1024, where we listen; a newer call takes the place of the older one, which is how an agent
 * that began anew is heard once its guest is up         we connect to its control socket after our
 * own restart        we listen again, and call the agent through the VMM's own socket
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
	const int rc = io_listener_open(vm->env->io, &run->calls, &vm->actor, MSG_CALLS, fd);

	if (rc < 0) {
		io_close(vm->env->io, fd);
		return err_num(e, ERR_HOST_MEMORY, rc, "%s", VM_FILE_CALLS);
	}
	run->calls_open = true;
	return STEP_DONE;
}

/* There we hear the agent's calls. */
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

/* One that does not hear us may still call. */
int vm_own_agent_again(struct plan *p, struct err *e)
{
	if (!vm_has_agent(vm_of(p)))
		return STEP_DONE;
	if (vm_own_agent_up(p, e) < 0)
		vm_channel_missed(p, e);
	return vm_channel_connect(p);
}

/* ---- calls of the agent ---- */

static void take_call(struct vm *vm)
{
	struct vm_run *run = vm->run;
	struct err e = { 0 };

	if (vm_channel_take(vm, VMM_SOCKET_AGENT, take_fd(&run->next_call), &e) < 0)
		LOG_WARN(&vm->actor.log, NULL, "guest.call", K("why", e.text));
}

/* Of several the newest counts: whoever made the others has given up on them. */
static void hear_calls(struct vm *vm)
{
	const struct err newer = { .code = ERR_GUEST_GONE, .text = "the guest's agent began anew" };
	struct vm_run *run = vm->run;
	int fd;

	while ((fd = io_listener_next(vm->env->io, &run->calls)) >= 0) {
		if (run->next_call >= 0)
			io_close(vm->env->io, run->next_call);
		run->next_call = fd;
	}
	if (run->next_call < 0)
		return;
	if (!run->stream_open[VMM_SOCKET_AGENT]) {
		take_call(vm);
		return;
	}
	guest_link_close(&run->link, &newer);
	io_stream_close(vm->env->io, &run->stream[VMM_SOCKET_AGENT], 0);
}

void vm_own_calls(struct vm *vm)
{
	struct vm_run *run = vm->run;

	if (!run->calls.closed) {
		hear_calls(vm);
		return;
	}
	run->calls_open = false;
	vm_channel_over(vm, VMM_SOCKET_AGENT);
}

void vm_own_next_call(struct vm *vm)
{
	if (vm->run->next_call >= 0)
		take_call(vm);
}

void vm_own_hang_up(struct vm *vm)
{
	struct vm_run *run = vm->run;

	if (run->next_call >= 0)
		io_close(vm->env->io, take_fd(&run->next_call));
	if (run->calls_open)
		io_listener_close(vm->env->io, &run->calls);
}
