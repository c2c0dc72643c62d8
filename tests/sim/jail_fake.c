/* jail_fake.c - jails of the simulated root helper: a VMM of either kind, with what it inherits.
 *
 *   STATE/jails/ID/            control.sock ..., vmm.log, config, run/     (what the VMM sees as
 * /vm)
 *
 * A VMM that listens itself is told real paths, since it has no root of its own here.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/trim.h"
#include "tests/sim/helper_fake.h"

#define JAIL_ROOT "/vm/"

enum {
	VMM_FD_FIRST = 3,
	WORD_MAX = WORLD_PATH * 2,
};

static const char *const sockets[] = { "control.sock", "agent.sock", "console.sock" };

static void jail_path(const struct world_helper *h, vm_id vm, const char *file, char out[WORD_MAX])
{
	char id[VM_ID_CHARS + 1];

	vm_id_text(vm, id);
	(void)snprintf(out, WORD_MAX, "%s/jails/%s%s%.64s", h->w->state, id, *file ? "/" : "",
		       file);
}

static void jail_clear(const struct world_helper *h, vm_id vm)
{
	static const char *const files[] = { "control.sock", "agent.sock",    "console.sock",
					     "vmm.log",      "config",        "run/control.sock",
					     "run/vsock",    "run/vsock_1024" };
	static const char *const dirs[] = { "run", "" };
	char path[WORD_MAX];

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		jail_path(h, vm, files[i], path);
		IGNORE(unlink(path) < 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		jail_path(h, vm, dirs[i], path);
		IGNORE(rmdir(path) < 0);
	}
}

/* ---- launch ---- */

static const struct sim_program *program_of(const struct helper_vmm_args *v)
{
	return strcmp(v->vmm, vmm_firecracker.name) == 0 ? &firecracker_program : &vmm_program;
}

static void words_add(const struct world_helper *h, struct sim_proc *p,
		      const struct helper_vmm_args *v)
{
	const char *at = (const char *)v->args.data;
	const char *const end = at + v->args.len;
	char path[WORD_MAX];
	int rc = strv_add(&p->argv, p->program->name);

	for (; rc == 0 && at < end; at += strlen(at) + 1) {
		const bool moved = v->run && strncmp(at, JAIL_ROOT, strlen(JAIL_ROOT)) == 0;

		if (moved)
			jail_path(h, v->vm, at + strlen(JAIL_ROOT), path);
		rc = strv_add(&p->argv, moved ? path : at);
	}
	ASSERT(rc == 0);
}

static void dir_make(const struct world_helper *h, vm_id vm, const char *under)
{
	char path[WORD_MAX];

	(void)snprintf(path, sizeof(path), "%s/jails", h->w->state);
	IGNORE(mkdir(path, 0711) < 0);
	jail_path(h, vm, under, path);
	const int rc = mkdir(path, 0711);

	ASSERT(rc == 0 || errno == EEXIST);
}

static void config_stage(const struct world_helper *h, const struct helper_vmm_args *v)
{
	char from[WORD_MAX];
	char to[WORD_MAX];

	if (!v->config[0])
		return;
	(void)snprintf(from, sizeof(from), "%s/%s", h->w->state, v->config);
	jail_path(h, v->vm, "config", to);
	IGNORE(unlink(to) < 0);
	const int rc = link(from, to);

	ASSERT(rc == 0);
}

static struct sim_proc *vmm_start(struct world_helper *h, const struct helper_vmm_args *v,
				  const bool wanted[3])
{
	struct sim_proc *p = sim_fork(h->w->sim, program_of(v));
	int number = VMM_FD_FIRST;
	char path[WORD_MAX];

	dir_make(h, v->vm, "");
	if (v->run)
		dir_make(h, v->vm, "run");
	config_stage(h, v);
	jail_path(h, v->vm, "vmm.log", path);
	sim_proc_open(p, STDERR_FILENO, path);
	words_add(h, p, v);
	for (size_t i = 0; i < ARRAY_LEN(sockets) && !v->console_stdio; i++) {
		jail_path(h, v->vm, sockets[i], path);
		if (wanted[i] && sim_proc_listen(p, number++, path) < 0)
			ASSERT(!"a socket in a jail");
	}
	return p;
}

/* The one before hears nothing more. */
static uint32_t listener_pass(struct world_helper *h, vm_id vm, const char *name)
{
	char under[sizeof("run/") + HELPER_WORD_MAX];
	char path[WORD_MAX];

	if (!name[0])
		return 0;
	(void)snprintf(under, sizeof(under), "run/%s", name);
	jail_path(h, vm, under, path);
	IGNORE(unlink(path) < 0);
	return sim_conn_pass_listener(&h->conn, path) == 0;
}

/* What a new connection to its sockets is to be had of, and to its console but once. */
static void pass_all(struct world_helper *h, const struct helper_vmm_args *v, const bool wanted[3],
		     struct sim_proc *p, struct answer *a)
{
	char path[WORD_MAX];

	sim_conn_pass_process(&h->conn, p);
	a->fds = 1;
	for (size_t i = 0; i < ARRAY_LEN(sockets) && !v->console_stdio; i++) {
		jail_path(h, v->vm, sockets[i], path);
		if (wanted[i] && sim_conn_pass_connection(&h->conn, path) == 0)
			a->fds++;
	}
	if (v->console_stdio) {
		sim_conn_pass_pair(&h->conn, p, v->console_socket ? STDOUT_FILENO : STDIN_FILENO);
		a->fds++;
	}
	a->fds += listener_pass(h, v->vm, v->listener);
}

static bool all_there(const struct world_helper *h, const struct helper_vmm_args *v)
{
	const struct held *x = helper_held((struct world_helper *)(uintptr_t)h, v->vm);

	return helper_sees(h, v->kernel) && (!v->console[0] || helper_sees(h, v->console)) &&
	       (!v->initrd[0] || helper_sees(h, v->initrd)) &&
	       (!v->config[0] || helper_sees(h, v->config)) &&
	       (!v->disk[0] || helper_sees(h, v->disk)) && (!v->snapshot || (x && x->disk));
}

void jail_launch(struct world_helper *h, const void *args, struct answer *a)
{
	const struct helper_vmm_args *v = args;
	const bool wanted[3] = { v->control_socket, v->agent_socket, v->console_socket };
	struct sim_proc *p = helper_vmm(h, helper_held(h, v->vm));

	if (v->slot >= HELPER_FAKE_SLOTS || helper_slot_taken(h, v->vm, v->slot)) {
		helper_refuses(a, "slot: is that of another VM");
		return;
	}
	if (!all_there(h, v)) {
		helper_refuses(a, "kernel, initrd, config, console, snapshot: not there");
		return;
	}
	struct held *x = helper_hold(h, v->vm, v->slot);
	const bool fresh = !p;

	x->jail = true;
	if (fresh)
		p = vmm_start(h, v, wanted);
	if (fresh) {
		x->ended = -1;
		p->ret_status = &x->ended;
	}
	x->pid = p->pid;
	pass_all(h, v, wanted, p, a);
	const struct helper_vmm_view view = { .pid = (uint32_t)p->pid,
					      .uid = HELPER_FAKE_UID + v->slot };

	helper_says(a, &helper_vmm_view_schema, &view);
	if (fresh)
		sim_exec(p);
}

/* ---- the others ---- */

void jail_kill_vmm(struct world_helper *h, const void *args, struct answer *a)
{
	const struct helper_jail_args *j = args;
	const struct held *x = helper_held(h, j->vm);
	struct sim_proc *p = helper_vmm(h, x);
	struct helper_end_view how = { .ended = false };

	if (p)
		sim_proc_exit(p, W_EXITCODE(0, SIGKILL));
	if (x && x->pid && x->ended >= 0 && WIFSIGNALED(x->ended))
		how = (struct helper_end_view){ .ended = true,
						.signal = (uint32_t)WTERMSIG(x->ended) };
	else if (x && x->pid && x->ended >= 0)
		how = (struct helper_end_view){ .ended = true,
						.exit_status = (uint32_t)WEXITSTATUS(x->ended) };
	helper_says(a, &helper_end_view_schema, &how);
}

void jail_cleanup(struct world_helper *h, const void *args, struct answer *a)
{
	const vm_id vm = ((const struct helper_jail_args *)args)->vm;
	struct held *x = helper_held(h, vm);

	if (helper_vmm(h, x)) {
		IGNORE(err_set(&a->err, ERR_BUSY, "jail: its VMM lives"));
		return;
	}
	jail_clear(h, vm);
	if (x)
		x->jail = false;
	helper_let_go(x);
}

void jail_find_vmm(struct world_helper *h, const void *args, struct answer *a)
{
	const struct helper_find_args *j = args;
	struct sim_proc *p = helper_vmm(h, helper_held(h, j->vm));
	struct helper_vmm_view view = { .uid = HELPER_FAKE_UID + j->slot };

	if (p) {
		view.pid = (uint32_t)p->pid;
		sim_conn_pass_process(&h->conn, p);
		a->fds = 1 + listener_pass(h, j->vm, j->listener);
	}
	helper_says(a, &helper_vmm_view_schema, &view);
}

void jail_signal_vmm(struct world_helper *h, const void *args, struct answer *a)
{
	const struct helper_signal_args *s = args;
	struct sim_proc *p = helper_vmm(h, helper_held(h, s->vm));

	if (p)
		sim_proc_signal(p, (int)s->signal);
	else
		helper_refuses(a, "vm: has no VMM");
}

void jail_ensure_socket(struct world_helper *h, const void *args, struct answer *a)
{
	const struct helper_socket_args *s = args;
	char under[sizeof("run/") + HELPER_WORD_MAX];
	char path[WORD_MAX];

	(void)snprintf(under, sizeof(under), "run/%s", s->socket);
	jail_path(h, s->vm, under, path);
	const int rc = sim_conn_pass_connection(&h->conn, path);

	if (rc < 0)
		IGNORE(err_num(&a->err, ERR_JAIL, rc, "socket: %s", s->socket));
	else
		a->fds = 1;
}

static void trim(const char *path, uint64_t keep)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	struct stat st;

	if (keep > 0 && fd >= 0 && fstat(fd, &st) == 0 && trim_is_due(&st, keep))
		IGNORE(trim_file(fd, &st, keep) < 0);
}

void jail_trim_logs(struct world_helper *h, const void *args, struct answer *a)
{
	const struct helper_trim_args *t = args;
	char id[VM_ID_CHARS + 1];
	char path[WORD_MAX];

	(void)a;
	vm_id_text(t->vm, id);
	(void)snprintf(path, sizeof(path), "%s/vms/%s/console.log", h->w->state, id);
	trim(path, t->console_keep);
	jail_path(h, t->vm, "vmm.log", path);
	trim(path, t->log_keep);
}
