/* vm_streams.c - the bytes that come from a VM's sockets: its console's; the agent's and the VMM's
 * go to guest_link.c and vm_control.c. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "actors/limits.h"
#include "actors/vm_steps.h"
#include "base/cleanup.h"

/* The log of a probe whose VMM keeps none: a line, which the page cache takes at once. */
static void console_keep(const struct vm_run *run, const uint8_t *data, size_t len)
{
	if (run->out_fd >= 0)
		IGNORE(write(run->out_fd, data, len) < 0);
}

/* A serial line gives a byte at a time, and each would be a turn of the reactor and a write to the
 * log: where others start too, and have better use for the time, the rest of the line comes at
 * once, after a while, which grows where the guest is slow. */
static void console_rest(struct vm *vm)
{
	struct vm_run *run = vm->run;

	run->console_rest_ms = run->console_rest_ms == 0 ? CONSOLE_REST_MS
			       : run->console_rest_ms * 2 < CONSOLE_REST_MAX_MS
				       ? run->console_rest_ms * 2
				       : CONSOLE_REST_MAX_MS;
	io_stream_pause(vm->env->io, &run->stream[VMM_SOCKET_CONSOLE], true);
	io_timer_set(vm->env->io, &run->console_again, run->console_rest_ms, 0);
}

void vm_console_again(struct vm *vm)
{
	if (vm->run->stream_open[VMM_SOCKET_CONSOLE])
		io_stream_pause(vm->env->io, &vm->run->stream[VMM_SOCKET_CONSOLE], false);
}

/* Looks for the probe's line.  Once it has come the stream is closed: the VMM goes on writing its
 * log. */
static void console_read(struct vm *vm)
{
	struct vm_run *run = vm->run;
	struct io_stream *s = &run->stream[VMM_SOCKET_CONSOLE];
	const uint8_t *data;
	size_t have;

	while ((have = io_stream_peek(s, &data)) > 0) {
		size_t at = 0;

		console_keep(run, data, have);
		while (at < have && !run->ready) {
			const uint8_t c = data[at++];

			if (c == '\n') {
				const size_t len = strlen(VMM_PROBE_LINE);

				if (buf_len(&run->console) >= len &&
				    memcmp(buf_data(&run->console), VMM_PROBE_LINE, len) == 0)
					run->ready_line = true;
				buf_clear(&run->console);
				if (run->ready_line)
					break;
			} else if (buf_append(&run->console, &c, 1) < 0) {
				buf_clear(&run->console); /* too long to be the line */
			}
		}
		io_stream_consume(vm->env->io, s, have);
	}
	if (run->ready_line && !run->ready) {
		io_stream_close(vm->env->io, s, 0);
		close_fd(&run->out_fd);
		vm_ready(vm); /* may end the plan: nothing may follow */
	} else if (!run->ready && !s->eof && !s->error && vm->env->gate.taken > 1) {
		console_rest(vm);
	}
}

/* A stream's last message: its descriptor is closed, nothing of it is in flight. */
static void stream_over(struct vm *vm, enum vmm_socket s)
{
	vm->run->stream_open[s] = false;
	if (s == VMM_SOCKET_CONTROL)
		vm_control_over(vm);
	if (s == VMM_SOCKET_AGENT)
		vm_own_talk_over(vm);
	vm_channel_over(vm, s);
}

void vm_stream_event(struct vm *vm, enum vmm_socket s)
{
	struct vm_run *run = vm->run;

	ASSERT(run);
	if (run->stream[s].closed) {
		stream_over(vm, s);
		return;
	}
	switch (s) {
	case VMM_SOCKET_CONSOLE:
		console_read(vm);
		break;
	case VMM_SOCKET_CONTROL:
		vm_control_read(vm);
		break;
	case VMM_SOCKET_AGENT:
		guest_link_read(&run->link);
		break;
	case VMM_NSOCKETS:
		break;
	}
}

static void link_up(struct guest_link *l)
{
	struct vm *vm = container_of(l, struct vm_run, link)->vm;

	if (vm_runs(vm) && vm->rec.boot_id[0] && strcmp(vm->rec.boot_id, l->status.boot_id) != 0)
		LOG_WARN(&vm->actor.log, NULL, "guest.rebooted", K("boot_id", l->status.boot_id));
	(void)snprintf(vm->rec.boot_id, sizeof(vm->rec.boot_id), "%s", l->status.boot_id);
	vm_exec_resume(vm);
	vm_ready(vm);
}

static void link_answered(struct guest_link *l, struct op *op, const void *result, uint64_t took_us)
{
	vm_answered(container_of(l, struct vm_run, link)->vm, op, result, took_us);
}

static void link_unanswered(struct guest_link *l, struct op *op, const struct err *why)
{
	vm_unanswered(container_of(l, struct vm_run, link)->vm, op, why);
}

/* The agent's channel was hung up, by it or by us.  Commands have failed; the VM itself runs on,
 * and the next start of the daemon or of the VM connects again. */
static void link_down(struct guest_link *l, const struct err *why)
{
	struct vm_run *run = container_of(l, struct vm_run, link);

	vm_exec_refuse(run->vm, why);
	if (run->stream_open[VMM_SOCKET_AGENT])
		io_stream_close(run->vm->env->io, &run->stream[VMM_SOCKET_AGENT], 0);
}

const struct guest_link_ops vm_link_ops = {
	.up = link_up,
	.answered = link_answered,
	.unanswered = link_unanswered,
	.down = link_down,
};
