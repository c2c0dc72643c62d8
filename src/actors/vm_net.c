#include "actors/vm_net.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/files.h"
#include "actors/limits.h"
#include "actors/vm_steps.h"
#include "base/cleanup.h"
#include "vmm/usernet.h"

#define NET_SOCKET "net.sock"
#define NET_LOG    "net.log"

enum {
	CHILD_FD = 3, /* its socket, in the child */
};

static struct vm_net *net_of(struct vm *vm)
{
	return &vm->run->net;
}

void vm_net_init(struct vm_net *n, const struct actor *owner)
{
	*n = (struct vm_net){
		.listen_fd = -EBADF,
		.fd = -EBADF,
		.log_fd = -EBADF,
		.pidfd = -EBADF,
	};
	io_op_init(&n->op, owner, MSG_NET);
	io_op_init(&n->exit, owner, MSG_NET_EXIT);
	io_timer_init(&n->again, owner, MSG_TIMER);
}

void vm_net_fini(struct vm_net *n)
{
	ASSERT(n->phase == VM_NET_NONE);
	ASSERT(!n->op.armed && !n->exit.armed);
	ASSERT(n->listen_fd < 0 && n->fd < 0 && n->pidfd < 0);
	close_fd(&n->log_fd);
	strv_fini(&n->argv);
}

/* QEMU has a network of its own, should somebody want that. */
bool vm_net_by_process(const struct vm *vm)
{
	if (!vm_has_agent(vm) || vm_is_system(vm))
		return false;
	return vm_has_own_channels(vm) || strcmp(vm->env->conf.network, "user") != 0;
}

/* passt needs frames in one piece, which is how QEMU sends them. */
static enum usernet_program program_of(const struct vm *vm)
{
	const bool passt = strcmp(vm->env->conf.network, "passt") == 0;

	return passt && !vm_has_own_channels(vm) ? USERNET_PASST : USERNET_BANGER;
}

static const char *name_of(const struct vm *vm)
{
	return program_of(vm) == USERNET_PASST ? "passt" : USERNET_FILE;
}

static void binary_of(const struct vm *vm, char out[ENV_PATH_MAX])
{
	const struct conf *c = &vm->env->conf;

	if (program_of(vm) == USERNET_PASST)
		(void)snprintf(out, ENV_PATH_MAX, "%s", c->passt);
	else
		(void)snprintf(out, ENV_PATH_MAX, "%.900s/" USERNET_FILE, c->libexec_dir);
}

/* ---- it is begun ---- */

static void net_connect(struct vm *vm)
{
	char path[ENV_PATH_MAX];

	vm_runtime_path(vm, NET_SOCKET, path);
	net_of(vm)->phase = VM_NET_CONNECTING;
	io_connect_unix(vm->env->io, &net_of(vm)->op, path);
}

static void net_rest(struct vm *vm)
{
	struct vm_net *n = net_of(vm);

	n->phase = VM_NET_RESTING;
	n->rest_ms = n->rest_ms == 0                 ? RETRY_FIRST_MS
		     : n->rest_ms * 2 < RETRY_MAX_MS ? n->rest_ms * 2
						     : RETRY_MAX_MS;
	io_timer_set(vm->env->io, &n->again, n->rest_ms, 0);
}

/* From here on its end becomes MSG_NET_EXIT. */
static void net_watch(struct vm *vm, int pidfd)
{
	struct vm_net *n = net_of(vm);

	n->phase = VM_NET_UP;
	n->pidfd = pidfd;
	n->gone = false;
	n->up_us = io_now_us(vm->env->io);
	io_poll(vm->env->io, &n->exit, pidfd, POLLIN);
}

/* Of a daemon before us whose record did not know its pid yet, or does. */
static int find_again(struct vm *vm)
{
	const struct vm_resources *res = &vm->run->res;
	char word[VMM_WORD_BYTES];
	int fd = -ESRCH;

	usernet_word(vm->rec.id, vm->env->home, word);
	if (res->net_pid)
		fd = io_adopt(vm->env->io, (pid_t)res->net_pid, res->net_ticks, word);
	return fd == -ESRCH ? io_find_process(vm->env->io, word) : fd;
}

/* It did not come up, or has ended.  While the VM starts that is the start's failure. */
static void net_failed(struct vm *vm, const struct err *why)
{
	struct plan *p = &vm->run->plan;

	net_of(vm)->phase = VM_NET_NONE;
	if (p->phase == PLAN_DOING && !vm->run->ready) {
		plan_abort(p, why); /* may end the plan: nothing may follow */
		return;
	}
	LOG_WARN(&vm->actor.log, NULL, "network.lost", K("why", why->text));
	if (p->phase != PLAN_UNDOING)
		net_rest(vm);
}

static int spawn(struct vm *vm, struct err *e)
{
	struct vm_net *n = net_of(vm);
	const struct vm_spec *spec = &vm->rec.spec;
	const struct publish *ports = spec->publish.items;
	struct vmm_publish publish[VMM_PUBLISH_MAX];
	char binary[ENV_PATH_MAX];
	const struct usernet net = {
		.program = program_of(vm),
		.binary = binary,
		.listens = vm_has_own_channels(vm),
		.id = vm->rec.id,
		.home = vm->env->home,
		.fd = CHILD_FD,
		.host_loopback = strcmp(vm->env->conf.host_loopback, "yes") == 0,
		.publish = publish,
		.npublish = spec->publish.n,
	};
	char path[ENV_PATH_MAX];

	if (spec->publish.n > VMM_PUBLISH_MAX)
		return err_set(e, ERR_BAD_REQUEST, "%u ports to publish; at most %d",
			       spec->publish.n, VMM_PUBLISH_MAX);
	for (uint32_t i = 0; i < spec->publish.n; i++)
		publish[i] = (struct vmm_publish){ (uint16_t)ports[i].host,
						   (uint16_t)ports[i].guest };
	vm_runtime_path(vm, NET_LOG, path);
	close_fd(&n->log_fd);
	n->log_fd = files_open_log(path, e);
	if (n->log_fd < 0)
		return n->log_fd;
	strv_fini(&n->argv);
	binary_of(vm, binary);
	if (usernet_argv(&net, &n->argv) < 0)
		return err_set(e, ERR_HOST_MEMORY, "network: command line");
	n->spawn = (struct io_spawn){
		.argv = &n->argv,
		.fds = { { n->log_fd, STDERR_FILENO }, { n->fd, CHILD_FD } },
		.nfds = 2,
		.cgroup_fd = -EBADF,
		.new_session = true,
		.pidfd = -EBADF,
	};
	n->phase = VM_NET_SPAWNING;
	io_spawn(vm->env->io, &n->op, &n->spawn);
	return 0;
}

/* The guest dials, as often as it likes: the process has the listening socket itself. */
static int net_listen(struct vm *vm, struct err *e)
{
	struct vm_net *n = net_of(vm);
	char path[ENV_PATH_MAX];

	vm_runtime_path(vm, VM_FILE_NET, path);
	const int fd = io_listen_unix(vm->env->io, path, e);

	if (fd < 0)
		return fd;
	n->fd = fd;
	const int rc = spawn(vm, e);

	if (rc < 0)
		io_close(vm->env->io, take_fd(&n->fd));
	return rc;
}

/* One at a time: where it cannot be told whether one lives, that is found out first. */
static void net_begin_again(struct vm *vm)
{
	const int fd = find_again(vm);
	struct err e = { 0 };

	if (fd >= 0)
		net_watch(vm, fd);
	else if (fd != -ESRCH)
		net_rest(vm);
	else if (!vm_has_own_channels(vm))
		net_connect(vm);
	else if (net_listen(vm, &e) < 0)
		net_failed(vm, &e);
}

static void net_up(struct vm *vm)
{
	struct vm_net *n = net_of(vm);
	struct vm_resources *res = &vm->run->res;

	net_watch(vm, take_fd(&n->spawn.pidfd));
	res->net_pid = (uint32_t)n->spawn.pid;
	res->net_ticks = n->spawn.start_ticks;
	/* Durable with whatever commit comes next: it is found by its name until then. */
	if (vm_put_resources(vm) < 0)
		LOG_WARN(&vm->actor.log, NULL, "network.record", K("why", "no memory"));
	if (n->ending)
		IGNORE(io_kill(vm->env->io, n->pidfd, SIGKILL) < 0);
	else if (plan_waits_in(&vm->run->plan, vm_net_up))
		plan_event(&vm->run->plan, 0);
}

/* What was under way when the step was undone has come back without anything to undo. */
static void net_ended(struct vm *vm)
{
	net_of(vm)->phase = VM_NET_NONE;
	net_of(vm)->ending = false;
	if (plan_waits_undo(&vm->run->plan, vm_net_down))
		plan_event(&vm->run->plan, 0);
}

static void connected(struct vm *vm, int res)
{
	struct vm_net *n = net_of(vm);
	struct err e = { 0 };

	if (res >= 0)
		n->fd = res;
	if (n->ending) {
		if (n->fd >= 0)
			io_close(vm->env->io, take_fd(&n->fd));
		net_ended(vm);
		return;
	}
	if (res < 0)
		res = err_num(&e, ERR_NETWORK, res, "connect " NET_SOCKET);
	else
		res = spawn(vm, &e);
	if (res >= 0)
		return;
	if (n->fd >= 0)
		io_close(vm->env->io, take_fd(&n->fd));
	net_failed(vm, &e);
}

static void spawned(struct vm *vm, int res)
{
	struct vm_net *n = net_of(vm);
	struct err e = n->spawn.err;

	io_close(vm->env->io, take_fd(&n->fd)); /* the child has it, or nobody does */
	close_fd(&n->log_fd);
	strv_fini(&n->argv);
	if (res >= 0) {
		net_up(vm);
	} else if (n->ending) {
		net_ended(vm);
	} else {
		(void)err_num(&e, ERR_NETWORK, res, "%s", name_of(vm));
		net_failed(vm, &e);
	}
}

void vm_net_answered(struct vm *vm, struct msg *m)
{
	if (net_of(vm)->phase == VM_NET_CONNECTING)
		connected(vm, m->res);
	else
		spawned(vm, m->res);
}

/* ---- it has ended ---- */

static void exit_why(const struct vm *vm, int status, struct err *e)
{
	char path[ENV_PATH_MAX];
	char tail[VMM_TAIL_BYTES];

	vm_runtime_path(vm, NET_LOG, path);
	files_last_line(path, tail, sizeof(tail));
	if (status >= 0 && WIFSIGNALED(status))
		(void)err_set(e, ERR_NETWORK, "%s was killed by signal %d", name_of(vm),
			      WTERMSIG(status));
	else if (tail[0])
		(void)err_set(e, usernet_explain(tail), "network: %.150s", tail);
	else
		(void)err_set(e, ERR_NETWORK, "%s ended", name_of(vm));
}

void vm_net_exited(struct vm *vm)
{
	struct vm_net *n = net_of(vm);
	struct err e = { 0 };
	int status = -1;

	if (io_reap(vm->env->io, n->pidfd, &status) < 0)
		status = -1; /* an adopted one: whoever inherited it knows */
	io_close(vm->env->io, take_fd(&n->pidfd));
	n->gone = true;
	if (io_now_us(vm->env->io) - n->up_us > RETRY_MAX_MS * UINT64_C(1000))
		n->rest_ms = 0;
	if (n->ending || vm->run->plan.phase == PLAN_UNDOING) {
		net_ended(vm);
		return;
	}
	if (status == 0) {
		/* Its VMM hung up, which is about to be told of as well. */
		LOG_INFO(&vm->actor.log, NULL, "network.ended");
		net_rest(vm);
		return;
	}
	exit_why(vm, status, &e);
	net_failed(vm, &e);
}

bool vm_net_timer(struct vm *vm, const struct msg *m)
{
	if (m != &net_of(vm)->again.msg)
		return false;
	if (net_of(vm)->phase == VM_NET_RESTING)
		net_begin_again(vm);
	return true;
}

/* ---- the steps ---- */

int vm_net_up(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);
	char path[ENV_PATH_MAX];

	if (!vm->run->res.network)
		return STEP_DONE;
	if (program_of(vm) == USERNET_PASST && !vm->env->conf.passt[0])
		return err_set(e, ERR_NETWORK, "passt is not installed, and `network = passt`");
	net_of(vm)->rest_ms = 0;
	if (vm_has_own_channels(vm)) {
		const int rc = net_listen(vm, e);

		return rc < 0 ? rc : STEP_WAIT;
	}
	vm_runtime_path(vm, NET_SOCKET, path);
	net_of(vm)->listen_fd = io_listen_unix(vm->env->io, path, e);
	if (net_of(vm)->listen_fd < 0)
		return net_of(vm)->listen_fd;
	net_connect(vm);
	return STEP_WAIT;
}

int vm_net_down(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);
	struct vm_net *n = net_of(vm);
	int fd;

	if (n->listen_fd >= 0)
		io_close(vm->env->io, take_fd(&n->listen_fd));
	io_timer_cancel(vm->env->io, &n->again);
	switch (n->phase) {
	case VM_NET_CONNECTING:
	case VM_NET_SPAWNING:
		n->ending = true;
		io_cancel(vm->env->io, &n->op);
		p->deadline_ms = UINT32_MAX; /* it has to come back, whatever the time */
		return STEP_WAIT;
	case VM_NET_NONE:
	case VM_NET_RESTING:
		n->phase = VM_NET_NONE;
		if (!vm->run->res.network || n->gone)
			return STEP_DONE;
		fd = find_again(vm);
		if (fd == -ESRCH)
			return STEP_DONE;
		if (fd < 0)
			return err_num(e, ERR_HOST_IO, fd, "look for the network's process");
		net_watch(vm, fd);
		break;
	case VM_NET_UP:
		break;
	case VM_NET_NPHASES:
		ASSERT(!"a phase");
	}
	n->ending = true;
	fd = io_kill(vm->env->io, n->pidfd, SIGKILL);
	if (fd < 0 && fd != -ESRCH)
		return err_num(e, ERR_HOST_IO, fd, "kill the network's process");
	return STEP_WAIT; /* for MSG_NET_EXIT */
}

/* A network that cannot be had back at once is no reason to end a VM that runs. */
int vm_net_again(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);

	(void)e;
	if (vm->run->res.network)
		net_begin_again(vm);
	return STEP_DONE;
}
