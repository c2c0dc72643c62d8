/* vm_channel.c - steps of a start: the sockets between the daemon and a VM's VMM.
 *
 * The daemon listens on them and is connected to them before the VMM starts and inherits the
 * listening ends: no byte is lost, nothing is polled for, and a restarted daemon connects again by
 * path.
 */
#include <errno.h>
#include <string.h>

#include "actors/limits.h"
#include "actors/vm_steps.h"

/* clang-format off */
static const struct {
	const char *file;
	uint32_t msg_type;
} sockets[VMM_NSOCKETS] = {
	[VMM_SOCKET_CONTROL] = { VM_FILE_CONTROL, MSG_CONTROL },
	[VMM_SOCKET_AGENT]   = { "agent.sock",   MSG_AGENT },
	[VMM_SOCKET_CONSOLE] = { "console.sock", MSG_CONSOLE },
};
/* clang-format on */

bool vm_has_socket(const struct vm *vm, enum vmm_socket s)
{
	if (!vm->driver->program)
		return false;
	switch (s) {
	case VMM_SOCKET_CONTROL:
		return vm->driver->has_control && !vm_is_probe(vm);
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
	return vm_has_socket(vm, s) && (s != VMM_SOCKET_CONSOLE || vm_is_probe(vm));
}

bool vm_console_path(const struct vm *vm, char out[ENV_PATH_MAX])
{
	const bool alive = vm->run && vm->run->pidfd >= 0;

	/* A probe that has no socket reads nothing. */
	if (!alive || (vm_has_own_channels(vm) && vm_is_probe(vm)))
		return false;
	vm_runtime_path(
		vm, vm_has_own_channels(vm) ? VM_FILE_CONSOLE_IN : sockets[VMM_SOCKET_CONSOLE].file,
		out);
	return true;
}

int vm_channel_connect(struct plan *p)
{
	struct vm *vm = vm_of(p);
	const enum vmm_socket s = (enum vmm_socket)plan_step(p)->arg;
	char path[ENV_PATH_MAX];

	vm_runtime_path(vm, sockets[s].file, path);
	io_connect_unix(vm->env->io, &p->op, path);
	return STEP_WAIT_OP;
}

int vm_channel_up(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);
	const enum vmm_socket s = (enum vmm_socket)plan_step(p)->arg;
	char path[ENV_PATH_MAX];

	if (!vm_has_socket(vm, s))
		return STEP_DONE;
	vm_runtime_path(vm, sockets[s].file, path);
	const int fd = io_listen_unix(vm->env->io, path, e);
	if (fd < 0)
		return fd;
	vm->run->listen_fd[s] = fd;
	return is_listened_to(vm, s) ? vm_channel_connect(p) : STEP_DONE;
}

/* On the way to an agent through the VMM's own socket there is a word to be said first.  The answer
 * to it passes for noise before the conversation.  While we were on the way the agent itself may
 * have called: then we talk already. */
static int open_stream(struct vm *vm, enum vmm_socket s, int fd, const char *first, struct err *e)
{
	struct io_stream *stream = &vm->run->stream[s];

	if (!is_listened_to(vm, s) || vm->run->stream_open[s]) {
		io_close(vm->env->io, fd);
		return STEP_DONE;
	}
	const int rc = io_stream_open(vm->env->io, stream, &vm->actor, sockets[s].msg_type, fd);
	if (rc < 0) {
		io_close(vm->env->io, fd);
		return err_num(e, ERR_HOST_MEMORY, rc, "%s", sockets[s].file);
	}
	vm->run->stream_open[s] = true;
	if (buf_append(io_stream_out(stream), first, strlen(first)) < 0) {
		io_stream_close(vm->env->io, stream, 0);
		return err_set(e, ERR_HOST_MEMORY, "%s", sockets[s].file);
	}
	if (s == VMM_SOCKET_AGENT)
		guest_link_open(&vm->run->link, stream);
	if (s == VMM_SOCKET_CONTROL && vm->driver->greet(io_stream_out(stream)) == 0)
		io_stream_flush(vm->env->io, stream);
	return STEP_DONE;
}

int vm_channel_take(struct vm *vm, enum vmm_socket s, int fd, struct err *e)
{
	return open_stream(vm, s, fd, "", e);
}

int vm_channel_take_dialed(struct vm *vm, int fd, struct err *e)
{
	return open_stream(vm, VMM_SOCKET_AGENT, fd, VMM_VSOCK_CONNECT, e);
}

int vm_channel_opened(struct plan *p, struct msg *m, struct err *e)
{
	const enum vmm_socket s = (enum vmm_socket)plan_step(p)->arg;

	if (m->res < 0)
		return err_num(e, ERR_HOST_IO, m->res, "connect %s", sockets[s].file);
	return vm_channel_take(vm_of(p), s, m->res, e);
}

static bool is_closed(const struct vm_run *run, enum vmm_socket s)
{
	return !run->stream_open[s] &&
	       (s != VMM_SOCKET_AGENT || (!run->rings_open && !io_op_busy(&run->dial)));
}

int vm_channel_down(struct plan *p, struct err *e)
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
		vm_own_hang_up(vm);
	}
	if (is_closed(run, s))
		return STEP_DONE;
	if (run->stream_open[s])
		io_stream_close(vm->env->io, &run->stream[s], 0);
	return STEP_WAIT; /* for the last message, see vm_channel_over() */
}

void vm_channel_over(struct vm *vm, enum vmm_socket s)
{
	struct plan *p = &vm->run->plan;

	if (plan_waits_undo(p, vm_channel_down) && plan_step(p)->arg == (int)s &&
	    is_closed(vm->run, s))
		plan_event(p, 0);
}

void vm_channel_missed(const struct plan *p, struct err *e)
{
	LOG_WARN(p->log, NULL, "channel.missed", K("step", plan_step(p)->name), K("why", e->text));
	*e = (struct err){ 0 };
}

int vm_channel_again(struct plan *p, struct err *e)
{
	const struct vm *vm = vm_of(p);

	(void)e;
	return vm_has_socket(vm, (enum vmm_socket)plan_step(p)->arg) && !vm->run->missed
		       ? vm_channel_connect(p)
		       : STEP_DONE;
}

int vm_channel_back(struct plan *p, struct msg *m, struct err *e)
{
	if (vm_channel_opened(p, m, e) < 0)
		vm_channel_missed(p, e);
	return STEP_DONE;
}
