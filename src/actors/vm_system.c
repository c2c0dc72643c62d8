/* vm_system.c - steps of a start in system mode: what the root helper takes of the host for a VM.
 *
 *   disk -> bridge -> tap -> nat -> jail -> ... -> vmm
 *
 * Each is one question, and undoing it is its opposite, which may be asked of what never was.
 * Descriptors come with the answers: a pidfd, and sockets that are connected.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "actors/catalog.h"
#include "actors/files.h"
#include "actors/limits.h"
#include "actors/vm_steps.h"
#include "base/cleanup.h"
#include "image/job.h"

#define SNAPSHOT_PREFIX "fc-rootfs-"

enum {
	CONFIG_MODE = 0644, /* read under the slot's uid; nothing in it is secret */
};

/* The probe needs none. */
static bool has_network(const struct vm *vm)
{
	return !vm_is_probe(vm);
}

/* STEP_WAIT for the answer, which vm_helped() or the step's own finish() takes. */
static int ask(struct plan *p, enum helper_method method, const void *args, struct err *e)
{
	const struct vm *vm = vm_of(p);
	const struct helper_question q = { .method = method,
					   .args = args,
					   .op_id = p->op_id,
					   .owner = vm->actor.id,
					   .msg_type = MSG_HELPER,
					   .token = p->token };

	if (p->phase == PLAN_UNDOING && vm->run->unkilled && method != HELPER_KILL_VMM)
		return STEP_DONE; /* the next try will: what a VMM runs on stays as long as it lives
				   */
	if (!vm->env->system)
		return err_set(e, ERR_VM_STATE,
			       "the VM was made in system mode, and this daemon runs without it");
	const int rc = helper_ask(vm->env->system->helper, &q, e);
	return rc < 0 ? rc : STEP_WAIT;
}

static struct helper_answer *answer_of(struct msg *m)
{
	return container_of(m, struct helper_answer, msg);
}

int vm_helped(struct plan *p, struct msg *m, struct err *e)
{
	const struct helper_answer *a = answer_of(m);

	(void)p;
	*e = a->err;
	return a->err.code ? err_errno(&a->err) : STEP_DONE;
}

/* ---- disk: the image's, and a file of what differs from it; one of its own needs no help ---- */

int vm_disk_up(struct plan *p, struct err *e)
{
	const struct vm *vm = vm_of(p);
	struct helper_snapshot_args args = { .vm = vm->rec.id };

	if (!vm_has_snapshot(vm))
		return STEP_DONE;
	(void)snprintf(args.base, sizeof(args.base), "%.200s/" IMAGE_FILE_ROOT, vm->rec.spec.image);
	return ask(p, HELPER_CREATE_SNAPSHOT, &args, e);
}

int vm_disk_down(struct plan *p, struct err *e)
{
	const struct vm *vm = vm_of(p);
	struct helper_device_args args = { .device = SNAPSHOT_PREFIX };

	if (!vm_has_snapshot(vm))
		return STEP_DONE;
	vm_id_text(vm->rec.id, args.device + sizeof(SNAPSHOT_PREFIX) - 1);
	return ask(p, HELPER_REMOVE_SNAPSHOT, &args, e);
}

/* ---- network ---- */

/* Each time: whoever has taken the bridge or its rules away since gets no VM without them. */
int vm_bridge_up(struct plan *p, struct err *e)
{
	static const struct helper_bridge_args args = { .bridge = SYSTEM_BRIDGE };

	return has_network(vm_of(p)) ? ask(p, HELPER_ENSURE_BRIDGE, &args, e) : STEP_DONE;
}

static int ask_tap(struct plan *p, enum helper_method method, struct err *e)
{
	const struct vm *vm = vm_of(p);
	const struct helper_tap_args args = { .bridge = SYSTEM_BRIDGE,
					      .slot = vm->rec.slot,
					      .vm = vm->rec.id };

	return has_network(vm) ? ask(p, method, &args, e) : STEP_DONE;
}

int vm_tap_up(struct plan *p, struct err *e)
{
	return ask_tap(p, HELPER_CREATE_TAP, e);
}

int vm_tap_made(struct plan *p, struct msg *m, struct err *e)
{
	struct vm *vm = vm_of(p);
	struct helper_tap_view view;
	int rc = vm_helped(p, m, e);

	if (rc == STEP_DONE)
		rc = helper_result(answer_of(m), &view, e);
	if (rc == STEP_DONE)
		(void)snprintf(vm->run->tap, sizeof(vm->run->tap), "%s", view.tap);
	return rc;
}

int vm_tap_down(struct plan *p, struct err *e)
{
	return ask_tap(p, HELPER_DELETE_TAP, e);
}

int vm_nat_as(struct plan *p, bool on, struct err *e)
{
	const struct vm *vm = vm_of(p);
	struct helper_nat_args args = { .bridge = SYSTEM_BRIDGE,
					.slot = vm->rec.slot,
					.vm = vm->rec.id };

	(void)snprintf(args.address, sizeof(args.address), "%s", vm->rec.address);
	return has_network(vm) ? ask(p, on ? HELPER_ENSURE_NAT : HELPER_REMOVE_NAT, &args, e)
			       : STEP_DONE;
}

int vm_nat_up(struct plan *p, struct err *e)
{
	return vm_of(p)->rec.spec.nat ? vm_nat_as(p, true, e) : STEP_DONE;
}

/* Whatever the record says: it may have said otherwise when the daemon died. */
int vm_nat_down(struct plan *p, struct err *e)
{
	return vm_nat_as(p, false, e);
}

/* After a restart, as after `nft flush ruleset` by somebody: what the record says is made so. */
int vm_nat_again(struct plan *p, struct err *e)
{
	const struct vm *vm = vm_of(p);

	return vm->run->missed ? STEP_DONE : vm_nat_as(p, vm->rec.spec.nat, e);
}

/* No reason to give a VM up that runs. */
int vm_nat_back(struct plan *p, struct msg *m, struct err *e)
{
	if (vm_helped(p, m, e) < 0)
		vm_channel_missed(p, e);
	return STEP_DONE;
}

/* ---- jail ---- */

static int ask_jail(struct plan *p, enum helper_method method, struct err *e)
{
	const struct vm *vm = vm_of(p);
	const struct helper_jail_args args = { .vm = vm->rec.id, .slot = vm->rec.slot };

	return ask(p, method, &args, e);
}

/* It comes with the VMM and goes once its log has been kept. */
int vm_jail_down(struct plan *p, struct err *e)
{
	return ask_jail(p, HELPER_CLEANUP_JAIL, e);
}

/* "/var/lib/banger/kernels/x/vmlinux" as the helper wants it: below the state directory. */
static int below_state(const struct vm *vm, const char *path, char out[HELPER_PATH_MAX + 1],
		       struct err *e)
{
	const char *dir = vm->env->conf.state_dir;
	const size_t len = strlen(dir);

	if (strncmp(path, dir, len) != 0 || path[len] != '/' ||
	    strlen(path + len + 1) > HELPER_PATH_MAX)
		return err_set(e, ERR_BAD_REQUEST, "%.200s: is not below %.200s", path, dir);
	(void)snprintf(out, HELPER_PATH_MAX + 1, "%s", path + len + 1);
	return 0;
}

/* Its words after the program's name, each with its NUL. */
static int words_of(const struct strv *argv, struct buf *out, struct err *e)
{
	int rc = 0;

	buf_init(out, HELPER_VMM_ARGS_MAX);
	for (uint32_t i = 1; rc == 0 && i < argv->n; i++)
		rc = buf_append(out, argv->v[i], strlen(argv->v[i]) + 1);
	return rc < 0 ? err_num(e, ERR_HOST_MEMORY, rc, "the VMM's command line") : 0;
}

/* A probe says on its console that it is up, to us: we keep its log. */
static int fill_own(const struct vm *vm, struct helper_vmm_args *a, struct err *e)
{
	char path[ENV_PATH_MAX];

	a->run = true;
	a->console_stdio = true;
	a->console_socket = vm_is_probe(vm);
	if (vm_has_agent(vm))
		(void)snprintf(a->listener, sizeof(a->listener), VM_FILE_CALLS);
	else
		a->console[0] = '\0';
	vm_state_path(vm, VM_FILE_CONFIG, path);
	return below_state(vm, path, a->config, e);
}

static int fill_args(const struct vm *vm, const struct vm_files *files, struct helper_vmm_args *a,
		     struct err *e)
{
	int rc = below_state(vm, files->kernel, a->kernel, e);

	if (rc == 0 && files->initrd)
		rc = below_state(vm, files->initrd, a->initrd, e);
	if (rc == 0)
		rc = below_state(vm, files->console, a->console, e);
	if (rc == 0 && files->disk)
		rc = below_state(vm, files->disk, a->disk, e);
	a->snapshot = vm_has_snapshot(vm);
	if (vm_has_own_channels(vm))
		return rc < 0 ? rc : fill_own(vm, a, e);
	a->control_socket = vm_has_socket(vm, VMM_SOCKET_CONTROL);
	a->agent_socket = vm_has_socket(vm, VMM_SOCKET_AGENT);
	a->console_socket = vm_has_socket(vm, VMM_SOCKET_CONSOLE);
	return rc;
}

int vm_launch(struct plan *p, const struct vmm_machine *m, const struct vm_files *files,
	      struct err *e)
{
	struct vm *vm = vm_of(p);
	const bool limited = strcmp(vm->env->conf.cgroup, "none") != 0;
	struct helper_vmm_args args = {
		.vm = vm->rec.id,
		.slot = vm->rec.slot,
		.memory_max = limited ? m->memory_bytes + vm->driver->overhead(m) : 0,
		.cpu_max = limited ? m->vcpu * 100 : 0,
	};
	struct buf words;
	int rc = words_of(&vm->run->argv, &words, e);

	if (rc == 0)
		rc = fill_args(vm, files, &args, e);
	(void)snprintf(args.vmm, sizeof(args.vmm), "%s", vm->driver->name);
	args.args = (struct wire_span){ buf_data(&words), buf_len(&words) };
	if (rc == 0)
		rc = ask(p, HELPER_LAUNCH_VMM, &args, e);
	buf_fini(&words);
	return rc;
}

static void take_process(struct vm *vm, struct helper_answer *a, const struct helper_vmm_view *view)
{
	struct vm_run *run = vm->run;

	run->pidfd = take_fd(&a->fds[0]);
	run->exited = false;
	run->asks_end = run->end_told = false;
	if (run->res.pid != view->pid)
		run->res.start_ticks = 0;
	run->res.pid = view->pid;
	vm_watch(vm);
}

/* Of one that listens itself: a probe's console, or what a console reads, which has a path too, and
 * where its guest's agent calls. */
static int take_own(struct vm *vm, struct helper_answer *a, struct err *e)
{
	enum { PIDFD, CONSOLE, LISTENER };

	if (a->nfds <= (vm_has_agent(vm) ? LISTENER : CONSOLE))
		return err_set(e, ERR_HELPER_DOWN, "the root helper sent too few descriptors");
	return vm_has_agent(vm)
		       ? vm_own_hear(vm, take_fd(&a->fds[LISTENER]), e)
		       : vm_channel_take(vm, VMM_SOCKET_CONSOLE, take_fd(&a->fds[CONSOLE]), e);
}

/* The pidfd comes first, then a socket for each that was asked for, in their order. */
int vm_launched(struct plan *p, struct msg *m, struct err *e)
{
	struct vm *vm = vm_of(p);
	struct helper_answer *a = answer_of(m);
	struct helper_vmm_view view;
	uint32_t at = 1;
	int rc = vm_helped(p, m, e);

	strv_fini(&vm->run->argv);
	if (rc == STEP_DONE)
		rc = helper_result(a, &view, e);
	if (rc != STEP_DONE)
		return rc;
	if (a->nfds == 0)
		return err_set(e, ERR_HELPER_DOWN, "the root helper sent no pidfd");
	take_process(vm, a, &view);
	if (vm_has_own_channels(vm))
		rc = take_own(vm, a, e);
	for (int s = 0; s < VMM_NSOCKETS && rc == STEP_DONE && !vm_has_own_channels(vm); s++) {
		if (!vm_has_socket(vm, (enum vmm_socket)s))
			continue;
		if (at == a->nfds)
			return err_set(e, ERR_HELPER_DOWN, "the root helper sent too few sockets");
		rc = vm_channel_take(vm, (enum vmm_socket)s, take_fd(&a->fds[at++]), e);
	}
	/* Durable with whatever commit comes next: until then the root helper knows it by its VM.
	 */
	if (rc == STEP_DONE && vm_put_resources(vm) < 0)
		return err_set(e, ERR_HOST_MEMORY, "store");
	return rc;
}

/* ---- what a VMM that listens itself reads, and where it does ---- */

/* On a worker. */
static int write_config(void *arg, const bool *cancelled)
{
	struct vm_run *run = arg;
	char path[ENV_PATH_MAX];

	(void)cancelled;
	vm_state_path(run->vm, VM_FILE_CONFIG, path);
	int rc = files_write(path, buf_data(&run->config), buf_len(&run->config), &run->work_err);
	if (rc == 0)
		rc = files_make_shared(path, CONFIG_MODE, &run->work_err);
	if (rc < 0 || !vm_is_probe(run->vm))
		return rc;
	vm_state_path(run->vm, VM_FILE_CONSOLE, path);
	run->out_fd = files_open_log(path, &run->work_err);
	return run->out_fd < 0 ? run->out_fd : 0;
}

int vm_jail_config(struct plan *p, struct err *e)
{
	const int rc = vm_configure(vm_of(p), e);

	return rc < 0 ? rc : vm_work(p, IO_LANE_START, write_config);
}

/* The VMM has made it; the helper looks at it and connects. */
int vm_jail_channel(struct plan *p, struct err *e)
{
	const struct vm *vm = vm_of(p);
	const enum vmm_socket s = (enum vmm_socket)plan_step(p)->arg;
	struct helper_socket_args args = { .vm = vm->rec.id, .slot = vm->rec.slot };

	if (!vm_has_socket(vm, s) || vm->run->missed)
		return STEP_DONE;
	(void)snprintf(args.socket, sizeof(args.socket), "%s", VM_FILE_CONTROL);
	return ask(p, HELPER_ENSURE_SOCKET, &args, e);
}

int vm_jail_channel_back(struct plan *p, struct msg *m, struct err *e)
{
	struct helper_answer *a = answer_of(m);
	int rc = vm_helped(p, m, e);

	if (rc == STEP_DONE && a->nfds == 0)
		rc = err_set(e, ERR_HELPER_DOWN, "the root helper sent no socket");
	if (rc == STEP_DONE)
		rc = vm_channel_take(vm_of(p), (enum vmm_socket)plan_step(p)->arg,
				     take_fd(&a->fds[0]), e);
	if (rc < 0)
		vm_channel_missed(p, e);
	return STEP_DONE;
}

/* Beside all plans: the guest's agent wants to be called, at any time. */
int vm_jail_dial(struct vm *vm, struct err *e)
{
	struct helper_socket_args args = { .vm = vm->rec.id, .slot = vm->rec.slot };
	const struct helper_question q = { .method = HELPER_ENSURE_SOCKET,
					   .args = &args,
					   .owner = vm->actor.id,
					   .msg_type = MSG_JAIL_DIALED,
					   .token = ++vm->dial_token };

	(void)snprintf(args.socket, sizeof(args.socket), "%s", VM_FILE_VSOCK);
	return helper_ask(vm->env->system->helper, &q, e);
}

/* Nobody waits any more for what comes after the VM was hung up on. */
void vm_jail_dialed(struct vm *vm, struct helper_answer *a)
{
	if (a->msg.token != vm->dial_token || !vm->run->dialing)
		return;
	if (a->err.code || a->nfds == 0)
		vm_own_dialed(vm, a->err.code ? err_errno(&a->err) : -EBADMSG);
	else
		vm_own_dialed(vm, take_fd(&a->fds[0]));
}

int vm_jail_kill(struct plan *p, struct err *e)
{
	vm_of(p)->run->unkilled = true;
	return ask_jail(p, HELPER_KILL_VMM, e);
}

static void take_end(struct vm *vm, const struct helper_answer *a)
{
	struct helper_end_view how = { .ended = false };
	struct err e;

	if (helper_result(a, &how, &e) == 0 && how.ended)
		vm_end_told(vm, how.signal ? W_EXITCODE(0, (int)how.signal)
					   : W_EXITCODE((int)how.exit_status, 0));
}

/* Its end comes by pidfd, where we have one. */
int vm_jail_killed(struct plan *p, struct msg *m, struct err *e)
{
	const int rc = vm_helped(p, m, e);

	if (rc == STEP_DONE)
		vm_of(p)->run->unkilled = false;
	if (rc == STEP_DONE)
		take_end(vm_of(p), answer_of(m));
	return rc == STEP_DONE && vm_of(p)->run->pidfd >= 0 ? STEP_WAIT : rc;
}

/* ---- after a restart ---- */

/* Where its agent calls nobody has listened since. */
int vm_find(struct plan *p, struct err *e)
{
	const struct vm *vm = vm_of(p);
	struct helper_find_args args = { .vm = vm->rec.id, .slot = vm->rec.slot };

	if (vm_has_own_channels(vm) && vm_has_agent(vm))
		(void)snprintf(args.listener, sizeof(args.listener), VM_FILE_CALLS);
	return ask(p, HELPER_FIND_VMM, &args, e);
}

int vm_found(struct plan *p, struct msg *m, struct err *e)
{
	struct vm *vm = vm_of(p);
	struct helper_answer *a = answer_of(m);
	struct helper_vmm_view view;
	int rc = vm_helped(p, m, e);

	if (rc == STEP_DONE)
		rc = helper_result(a, &view, e);
	if (rc != STEP_DONE)
		return rc;
	if (view.pid == 0 || a->nfds == 0) {
		vm->run->missed = true;
		return STEP_DONE;
	}
	take_process(vm, a, &view);
	LOG_INFO(&vm->actor.log, NULL, "vm.adopted", K("pid", view.pid));
	if (a->nfds > 1 && vm_own_hear(vm, take_fd(&a->fds[1]), e) < 0)
		vm_channel_missed(p, e);
	return STEP_DONE;
}

/* ---- signals ---- */

static int signal_send(struct plan *p, struct err *e)
{
	const struct vm *vm = vm_of(p);
	const struct helper_signal_args args = { .vm = vm->rec.id,
						 .slot = vm->rec.slot,
						 .signal = vm->task->signo };

	return ask(p, HELPER_SIGNAL_VMM, &args, e);
}

const struct step vm_signal_steps[] = {
	{ "signal", signal_send, vm_helped, NULL, NULL, HELPER_DEADLINE_MS, 0 },
};

void vm_signal_begin(struct vm *vm)
{
	plan_begin(&vm->run->plan, vm_signal_steps, ARRAY_LEN(vm_signal_steps), &vm->task->op->id);
}
