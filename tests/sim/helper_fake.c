/* helper_fake.c - the root helper as the daemon sees it: frames, descriptors, and what it holds on
 * the host.
 *
 * What it holds outlives it, as taps and device-mapper devices do; it can be killed at any request
 * and is then started again, while the service manager keeps its socket.  It refuses what the real
 * one would refuse: a slot of another VM, NAT without its tap, a snapshot without its files, the
 * clean-up of a jail whose VMM lives.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "proto/frame.h"
#include "proto/helper.h"
#include "proto/wire.h"
#include "tests/sim/world.h"

enum {
	HELD_MAX = 64,
	LISTENER = 3,
	VMM_FD_FIRST = 3,
	SLOTS = 16,
	UID_FIRST = 200000,
	RESTART_US = 1000 * 1000,
	LATE_MAX_US = 40 * 1000 * 1000, /* longer than the daemon waits for an answer */
};

struct held {
	vm_id vm;
	uint32_t slot;
	bool disk, tap, nat, jail;
	pid_t pid; /* of its VMM, which may have ended */
};

struct world_helper {
	struct world *w;
	struct sim_proc *proc; /* it, or the service manager that keeps its socket meanwhile */
	bool down;
	struct sim_event restart;
	struct held held[HELD_MAX];
	struct sim_conn conn;
	bool open;
	bool greeted;
	bool busy; /* the answer in `out` is late, and the next ones with it */
	struct buf in;
	struct buf out;
};

static struct world_helper *the_helper(void)
{
	return the_world->helper;
}

static void accepts(struct sim_proc *p, int number);

/* ---- what it holds ---- */

static struct held *held_find(struct world_helper *h, vm_id vm)
{
	for (size_t i = 0; i < HELD_MAX; i++)
		if (h->held[i].vm == vm)
			return &h->held[i];
	return NULL;
}

static struct held *held_make(struct world_helper *h, vm_id vm, uint32_t slot)
{
	struct held *x = held_find(h, vm);

	if (!x)
		x = held_find(h, 0);
	ASSERT(x);
	x->vm = vm;
	x->slot = slot;
	return x;
}

/* Forgotten once nothing is held. */
static void held_drop(struct held *x)
{
	if (x && !x->disk && !x->tap && !x->nat && !x->jail)
		*x = (struct held){ 0 };
}

static bool slot_is_anothers(const struct world_helper *h, vm_id vm, uint32_t slot)
{
	for (size_t i = 0; i < HELD_MAX; i++) {
		const struct held *x = &h->held[i];

		if (x->vm && x->vm != vm && (x->tap || x->jail) && x->slot == slot)
			return true;
	}
	return false;
}

static struct sim_proc *vmm_of(const struct world_helper *h, const struct held *x)
{
	return x && x->pid ? sim_find(h->w->sim, x->pid) : NULL;
}

/* ---- answers ---- */

static void send_out(struct world_helper *h)
{
	if (h->open)
		sim_conn_send(&h->conn, buf_data(&h->out), buf_len(&h->out));
	buf_clear(&h->out);
}

static void say(struct world_helper *h, const struct wire *w)
{
	const int rc = wire_encode(w, &h->out);

	ASSERT(rc == 0);
	if (!h->busy)
		send_out(h);
}

struct answer {
	struct err err;
	struct buf body;
	uint32_t fds;
};

static void result(struct answer *a, const struct schema *schema, const void *value)
{
	const int rc = schema_encode(schema, value, &a->body);

	ASSERT(rc == 0);
}

static void refuse(struct answer *a, const char *why)
{
	IGNORE(err_set(&a->err, ERR_HELPER_REFUSED, "%s", why));
}

/* ---- operations ---- */

static bool file_there(const struct world_helper *h, const char *under)
{
	char path[WORLD_PATH * 2];

	(void)snprintf(path, sizeof(path), "%s/%s", h->w->state, under);
	return access(path, R_OK) == 0;
}

static void ensure_bridge(struct world_helper *h, const void *args, struct answer *a)
{
	const struct helper_bridge_view view = {
		.bridge = "br-fc", .address = "10.97.0.1", .prefix = 24, .slots = SLOTS
	};

	(void)h;
	(void)args;
	result(a, &helper_bridge_view_schema, &view);
}

static void create_tap(struct world_helper *h, const void *args, struct answer *a)
{
	const struct helper_tap_args *t = args;
	struct helper_tap_view view = { .uid = UID_FIRST + t->slot };

	if (t->slot >= SLOTS || slot_is_anothers(h, t->vm, t->slot)) {
		refuse(a, "slot: is that of another VM");
		return;
	}
	held_make(h, t->vm, t->slot)->tap = true;
	(void)snprintf(view.tap, sizeof(view.tap), "bg-");
	vm_id_text(t->vm, view.tap + strlen(view.tap));
	result(a, &helper_tap_view_schema, &view);
}

static void delete_tap(struct world_helper *h, const void *args, struct answer *a)
{
	struct held *x = held_find(h, ((const struct helper_tap_args *)args)->vm);

	(void)a;
	if (x)
		x->tap = x->nat = false;
	held_drop(x);
}

static void ensure_nat(struct world_helper *h, const void *args, struct answer *a)
{
	struct held *x = held_find(h, ((const struct helper_nat_args *)args)->vm);

	if (!x || !x->tap)
		refuse(a, "tap: is not there");
	else
		x->nat = true;
}

static void remove_nat(struct world_helper *h, const void *args, struct answer *a)
{
	struct held *x = held_find(h, ((const struct helper_nat_args *)args)->vm);

	(void)a;
	if (x)
		x->nat = false;
	held_drop(x);
}

static void create_snapshot(struct world_helper *h, const void *args, struct answer *a)
{
	const struct helper_snapshot_args *s = args;
	struct helper_snapshot_view view = { .base_loop = "/dev/loop0", .cow_loop = "/dev/loop1" };
	char id[VM_ID_CHARS + 1];
	char cow[64];
	char base[sizeof("images/") + HELPER_PATH_MAX + 1];

	vm_id_text(s->vm, id);
	(void)snprintf(cow, sizeof(cow), "vms/%s/rootfs.cow", id);
	(void)snprintf(base, sizeof(base), "images/%s", s->base);
	if (!file_there(h, cow) || !file_there(h, base)) {
		refuse(a, "base, vm: no such file");
		return;
	}
	struct held *x = held_find(h, s->vm);

	held_make(h, s->vm, x ? x->slot : 0)->disk = true;
	(void)snprintf(view.name, sizeof(view.name), "fc-rootfs-%s", id);
	(void)snprintf(view.device, sizeof(view.device), "/dev/mapper/fc-rootfs-%s", id);
	result(a, &helper_snapshot_view_schema, &view);
}

static void remove_snapshot(struct world_helper *h, const void *args, struct answer *a)
{
	const struct helper_device_args *d = args;
	vm_id vm;

	if (strncmp(d->device, "fc-rootfs-", 10) != 0 || vm_id_parse(d->device + 10, &vm) < 0) {
		refuse(a, "device: is not ours");
		return;
	}
	struct held *x = held_find(h, vm);

	if (vmm_of(h, x)) {
		IGNORE(err_set(&a->err, ERR_BUSY, "%s: in use", d->device));
		return;
	}
	if (x)
		x->disk = false;
	held_drop(x);
}

static void jail_path(const struct world_helper *h, vm_id vm, const char *file,
		      char out[WORLD_PATH * 2])
{
	char id[VM_ID_CHARS + 1];

	vm_id_text(vm, id);
	(void)snprintf(out, WORLD_PATH * 2, "%s/jails/%s%s%s", h->w->state, id, *file ? "/" : "",
		       file);
}

static const char *const sockets[] = { "control.sock", "agent.sock", "console.sock" };

static void jail_clear(const struct world_helper *h, vm_id vm)
{
	char path[WORLD_PATH * 2];

	for (size_t i = 0; i < ARRAY_LEN(sockets); i++) {
		jail_path(h, vm, sockets[i], path);
		IGNORE(unlink(path) < 0);
	}
	jail_path(h, vm, "vmm.log", path);
	IGNORE(unlink(path) < 0);
	jail_path(h, vm, "", path);
	IGNORE(rmdir(path) < 0);
}

static void words_add(struct sim_proc *p, const struct wire_span *words)
{
	const char *at = (const char *)words->data;
	const char *const end = at + words->len;

	if (strv_add(&p->argv, vmm_program.name) < 0)
		ASSERT(!"memory");
	for (; at < end; at += strlen(at) + 1)
		if (strv_add(&p->argv, at) < 0)
			ASSERT(!"memory");
}

static struct sim_proc *vmm_start(struct world_helper *h, const struct helper_vmm_args *v,
				  const bool wanted[3])
{
	struct sim_proc *p = sim_fork(h->w->sim, &vmm_program);
	int number = VMM_FD_FIRST;
	char path[WORLD_PATH * 2];

	(void)snprintf(path, sizeof(path), "%s/jails", h->w->state);
	IGNORE(mkdir(path, 0711) < 0);
	jail_path(h, v->vm, "", path);
	IGNORE(mkdir(path, 0711) < 0);
	jail_path(h, v->vm, "vmm.log", path);
	sim_proc_open(p, STDERR_FILENO, path);
	words_add(p, &v->args);
	for (size_t i = 0; i < ARRAY_LEN(sockets); i++) {
		jail_path(h, v->vm, sockets[i], path);
		if (wanted[i] && sim_proc_listen(p, number++, path) < 0)
			ASSERT(!"a socket in a jail");
	}
	return p;
}

static void launch(struct world_helper *h, const void *args, struct answer *a)
{
	const struct helper_vmm_args *v = args;
	const bool wanted[3] = { v->control_socket, v->agent_socket, v->console_socket };
	struct held *x = held_find(h, v->vm);
	struct sim_proc *p = vmm_of(h, x);
	char path[WORLD_PATH * 2];

	if (v->slot >= SLOTS || slot_is_anothers(h, v->vm, v->slot)) {
		refuse(a, "slot: is that of another VM");
		return;
	}
	if (!file_there(h, v->kernel) || !file_there(h, v->console) ||
	    (v->initrd[0] && !file_there(h, v->initrd)) || (v->snapshot && !(x && x->disk))) {
		refuse(a, "kernel, initrd, console, snapshot: not there");
		return;
	}
	x = held_make(h, v->vm, v->slot);
	x->jail = true;
	const bool fresh = !p;

	if (fresh)
		p = vmm_start(h, v, wanted);
	x->pid = p->pid;
	sim_conn_pass_process(&h->conn, p);
	a->fds = 1;
	for (size_t i = 0; i < ARRAY_LEN(sockets); i++) {
		jail_path(h, v->vm, sockets[i], path);
		if (wanted[i] && sim_conn_pass_connection(&h->conn, path) == 0)
			a->fds++;
	}
	const struct helper_vmm_view view = { .pid = (uint32_t)p->pid, .uid = UID_FIRST + v->slot };

	result(a, &helper_vmm_view_schema, &view);
	if (fresh)
		sim_exec(p);
}

static void kill_vmm(struct world_helper *h, const void *args, struct answer *a)
{
	struct sim_proc *p = vmm_of(h, held_find(h, ((const struct helper_jail_args *)args)->vm));

	(void)a;
	if (p)
		sim_proc_exit(p, W_EXITCODE(0, SIGKILL));
}

static void cleanup_jail(struct world_helper *h, const void *args, struct answer *a)
{
	const vm_id vm = ((const struct helper_jail_args *)args)->vm;
	struct held *x = held_find(h, vm);

	if (vmm_of(h, x)) {
		IGNORE(err_set(&a->err, ERR_BUSY, "jail: its VMM lives"));
		return;
	}
	jail_clear(h, vm);
	if (x)
		x->jail = false;
	held_drop(x);
}

static void find_vmm(struct world_helper *h, const void *args, struct answer *a)
{
	const struct helper_jail_args *j = args;
	struct sim_proc *p = vmm_of(h, held_find(h, j->vm));
	struct helper_vmm_view view = { .uid = UID_FIRST + j->slot };

	if (p) {
		view.pid = (uint32_t)p->pid;
		sim_conn_pass_process(&h->conn, p);
		a->fds = 1;
	}
	result(a, &helper_vmm_view_schema, &view);
}

static void signal_vmm(struct world_helper *h, const void *args, struct answer *a)
{
	const struct helper_signal_args *s = args;
	struct sim_proc *p = vmm_of(h, held_find(h, s->vm));

	if (p)
		sim_proc_signal(p, (int)s->signal);
	else
		refuse(a, "vm: has no VMM");
}

typedef void operation_fn(struct world_helper *h, const void *args, struct answer *a);

static operation_fn *const operations[HELPER_NMETHODS] = {
	[HELPER_ENSURE_BRIDGE] = ensure_bridge,
	[HELPER_CREATE_TAP] = create_tap,
	[HELPER_DELETE_TAP] = delete_tap,
	[HELPER_ENSURE_NAT] = ensure_nat,
	[HELPER_REMOVE_NAT] = remove_nat,
	[HELPER_CREATE_SNAPSHOT] = create_snapshot,
	[HELPER_REMOVE_SNAPSHOT] = remove_snapshot,
	[HELPER_LAUNCH_VMM] = launch,
	[HELPER_KILL_VMM] = kill_vmm,
	[HELPER_CLEANUP_JAIL] = cleanup_jail,
	[HELPER_FIND_VMM] = find_vmm,
	[HELPER_SIGNAL_VMM] = signal_vmm,
};

/* ---- requests ---- */

static void go_on(struct sim_proc *p);

static void reply(struct world_helper *h, const struct wire *asked, struct answer *a)
{
	struct wire w = { .type = WIRE_REPLY, .id = asked->id, .op_id = asked->op_id };

	if (a->err.code)
		wire_error_set(&w, &a->err, "");
	else
		w.body = (struct wire_span){ buf_data(&a->body), buf_len(&a->body) };
	w.fds = a->err.code ? 0 : a->fds;
	say(h, &w);
}

/* What was asked is done or half done, and nobody will say so. */
static void die(struct world_helper *h)
{
	sim_conn_close(&h->conn);
	h->open = false;
	h->down = true;
	sim_event_set(h->w->sim, &h->restart, RESTART_US);
}

static void serve(struct world_helper *h, const struct wire *w)
{
	static union {
		struct helper_bridge_args bridge;
		struct helper_tap_args tap;
		struct helper_nat_args nat;
		struct helper_snapshot_args snapshot;
		struct helper_device_args device;
		struct helper_jail_args jail;
		struct helper_signal_args sig;
		struct helper_vmm_args vmm;
	} args;
	struct answer a = { .err = { 0 } };
	struct sim_verdict v;
	enum helper_method m;
	int rc = helper_method_find(w->name, &m);

	ASSERT(rc == 0);
	ASSERT(operations[m]);
	sim_judge(h->w->sim, SIM_HELPER, w->name, &v);
	memset(&args, 0, sizeof(args));
	rc = schema_decode(helper_methods[m].args, w->body.data, w->body.len, &args, &a.err);
	ASSERT(rc == 0);
	buf_init(&a.body, HELPER_FRAME_MAX);
	if (v.error)
		IGNORE(err_num(&a.err, ERR_HELPER_REFUSED, v.error, "%s", w->name));
	else
		operations[m](h, &args, &a);
	if (v.hang) {
		die(h);
	} else {
		h->busy = v.delay_us > 0;
		reply(h, w, &a);
		if (h->busy)
			sim_proc_after(h->proc, v.delay_us < LATE_MAX_US ? v.delay_us : LATE_MAX_US,
				       go_on);
	}
	buf_fini(&a.body);
}

static void request(struct world_helper *h, const uint8_t *payload, size_t len)
{
	const struct wire hello = { .type = WIRE_HELLO,
				    .name = "bangerd-root fake",
				    .version = WIRE_VERSION,
				    .version_min = WIRE_VERSION_MIN,
				    .frame_max = HELPER_FRAME_MAX };
	struct wire w;
	const int rc = wire_decode(payload, len, &w, NULL);

	ASSERT(rc == 0);
	if (w.type == WIRE_HELLO) {
		h->greeted = true;
		say(h, &hello);
	} else {
		serve(h, &w);
	}
}

static void read_all(struct world_helper *h)
{
	while (h->open && !h->busy && buf_len(&h->in) >= FRAME_HEAD) {
		const int len = frame_length(buf_data(&h->in), HELPER_FRAME_MAX, NULL);

		ASSERT(len >= 0);
		if (buf_len(&h->in) < FRAME_HEAD + (size_t)len)
			return;
		CLEANUP_FREE uint8_t *frame = malloc((size_t)len + 1);

		ASSERT(frame);
		memcpy(frame, buf_data(&h->in) + FRAME_HEAD, (size_t)len);
		buf_consume(&h->in, FRAME_HEAD + (size_t)len);
		request(h, frame, (size_t)len);
	}
}

static void go_on(struct sim_proc *p)
{
	(void)p;
	struct world_helper *h = the_helper();

	h->busy = false;
	send_out(h);
	read_all(h);
}

static void conn_data(struct sim_conn *c, const uint8_t *data, size_t len)
{
	struct world_helper *h = c->arg;
	const int rc = buf_append(&h->in, data, len);

	ASSERT(rc == 0);
	read_all(h);
}

static void conn_end(struct sim_conn *c, int error)
{
	struct world_helper *h = c->arg;

	(void)error;
	sim_conn_close(c);
	h->open = h->busy = false;
	buf_clear(&h->out);
	if (!h->proc->exited && !h->down)
		sim_proc_on_accept(h->proc, LISTENER, accepts);
}

static const struct sim_conn_ops conn_ops = { conn_data, conn_end };

static void accepts(struct sim_proc *p, int number)
{
	struct world_helper *h = the_helper();

	if (h->open || h->down || sim_proc_accept(p, number, &h->conn, &conn_ops, h) < 0)
		return;
	h->open = true;
	h->greeted = false;
	buf_clear(&h->in);
	sim_proc_on_accept(p, number, NULL);
}

/* ---- its life ---- */

static const struct sim_program helper_program = { .name = "bangerd-root" };

static void start(struct world_helper *h)
{
	h->proc = sim_fork(h->w->sim, &helper_program);
	const int listening = sim_proc_listen(h->proc, LISTENER, h->w->conf.helper_socket);

	ASSERT(listening == 0);
	h->open = h->busy = h->down = false;
	buf_clear(&h->out);
	sim_proc_on_accept(h->proc, LISTENER, accepts);
	sim_exec(h->proc);
}

static void restart(struct sim_event *ev)
{
	struct world_helper *h = container_of(ev, struct world_helper, restart);

	h->down = false;
	sim_proc_on_accept(h->proc, LISTENER, accepts);
}

void helper_begin(struct world *w)
{
	struct world_helper *h = calloc(1, sizeof(*h));

	ASSERT(h);
	h->w = w;
	h->restart.fire = restart;
	buf_init(&h->in, 4 * HELPER_FRAME_MAX);
	buf_init(&h->out, 4 * HELPER_FRAME_MAX);
	w->helper = h;
	start(h);
}

void helper_power_loss(struct world *w)
{
	struct world_helper *h = w->helper;

	sim_event_cancel(w->sim, &h->restart);
	for (size_t i = 0; i < HELD_MAX; i++) {
		struct held *x = &h->held[i];

		/* Files stay, and say whose they are: a jail is one. */
		*x = (struct held){ .vm = x->jail ? x->vm : 0, .slot = x->slot, .jail = x->jail };
	}
	start(h);
}

void helper_free(struct world *w)
{
	struct world_helper *h = w->helper;

	if (!h)
		return;
	sim_event_cancel(w->sim, &h->restart);
	if (h->proc)
		sim_proc_exit(take_ptr(&h->proc), 0);
	buf_fini(&h->in);
	buf_fini(&h->out);
	free(h);
	w->helper = NULL;
}

bool helper_connected(const struct world *w)
{
	return w->helper && w->helper->open;
}

bool helper_rests(const struct world *w)
{
	return !w->helper || (!w->helper->down && !w->helper->busy);
}

const char *helper_holds(const struct world *w, vm_id vm)
{
	static char text[64];
	const struct held *x = held_find(w->helper, vm);

	text[0] = '\0';
	if (vm && x)
		(void)snprintf(text, sizeof(text), "%s%s%s%s", x->disk ? " disk" : "",
			       x->tap ? " tap" : "", x->nat ? " nat" : "", x->jail ? " jail" : "");
	return text;
}

uint32_t helper_nheld(const struct world *w)
{
	uint32_t n = 0;

	for (size_t i = 0; i < HELD_MAX; i++)
		n += w->helper->held[i].vm != 0;
	return n;
}
