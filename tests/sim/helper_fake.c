/* helper_fake.c - the root helper as the daemon sees it: frames, descriptors, and what it holds on
 * the host.
 *
 * What it holds outlives it, as taps and device-mapper devices do; it can be killed at any request
 * and is then started again, while the service manager keeps its socket.  It refuses what the real
 * one would refuse: a slot of another VM, NAT without its tap, a snapshot without its files, the
 * clean-up of a jail whose VMM lives.
 */
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
#include "tests/sim/helper_fake.h"

enum {
	LISTENER = 3,
	RESTART_US = 1000 * 1000,
	LATE_MAX_US = 40 * 1000 * 1000, /* longer than the daemon waits for an answer */
};

static struct world_helper *the_helper(void)
{
	return the_world->helper;
}

static void accepts(struct sim_proc *p, int number);

/* ---- what it holds ---- */

struct held *helper_held(struct world_helper *h, vm_id vm)
{
	for (size_t i = 0; i < HELD_MAX; i++)
		if (h->held[i].vm == vm)
			return &h->held[i];
	return NULL;
}

struct held *helper_hold(struct world_helper *h, vm_id vm, uint32_t slot)
{
	struct held *x = helper_held(h, vm);

	if (!x)
		x = helper_held(h, 0);
	ASSERT(x);
	x->vm = vm;
	x->slot = slot;
	return x;
}

/* Forgotten once nothing is held. */
void helper_let_go(struct held *x)
{
	if (x && !x->disk && !x->tap && !x->nat && !x->jail)
		*x = (struct held){ 0 };
}

bool helper_slot_taken(const struct world_helper *h, vm_id vm, uint32_t slot)
{
	for (size_t i = 0; i < HELD_MAX; i++) {
		const struct held *x = &h->held[i];

		if (x->vm && x->vm != vm && (x->tap || x->jail) && x->slot == slot)
			return true;
	}
	return false;
}

struct sim_proc *helper_vmm(const struct world_helper *h, const struct held *x)
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

void helper_says(struct answer *a, const struct schema *schema, const void *value)
{
	const int rc = schema_encode(schema, value, &a->body);

	ASSERT(rc == 0);
}

void helper_refuses(struct answer *a, const char *why)
{
	IGNORE(err_set(&a->err, ERR_HELPER_REFUSED, "%s", why));
}

/* ---- operations ---- */

bool helper_sees(const struct world_helper *h, const char *under)
{
	char path[WORLD_PATH * 2];

	(void)snprintf(path, sizeof(path), "%s/%s", h->w->state, under);
	return access(path, R_OK) == 0;
}

static void ensure_bridge(struct world_helper *h, const void *args, struct answer *a)
{
	const struct helper_bridge_view view = {
		.bridge = "br-fc", .address = "10.97.0.1", .prefix = 24, .slots = HELPER_FAKE_SLOTS
	};

	(void)h;
	(void)args;
	helper_says(a, &helper_bridge_view_schema, &view);
}

static void create_tap(struct world_helper *h, const void *args, struct answer *a)
{
	const struct helper_tap_args *t = args;
	struct helper_tap_view view = { .uid = HELPER_FAKE_UID + t->slot };

	if (t->slot >= HELPER_FAKE_SLOTS || helper_slot_taken(h, t->vm, t->slot)) {
		helper_refuses(a, "slot: is that of another VM");
		return;
	}
	helper_hold(h, t->vm, t->slot)->tap = true;
	(void)snprintf(view.tap, sizeof(view.tap), "bg-");
	vm_id_text(t->vm, view.tap + strlen(view.tap));
	helper_says(a, &helper_tap_view_schema, &view);
}

static void delete_tap(struct world_helper *h, const void *args, struct answer *a)
{
	struct held *x = helper_held(h, ((const struct helper_tap_args *)args)->vm);

	(void)a;
	if (x)
		x->tap = x->nat = false;
	helper_let_go(x);
}

static void ensure_nat(struct world_helper *h, const void *args, struct answer *a)
{
	struct held *x = helper_held(h, ((const struct helper_nat_args *)args)->vm);

	if (!x || !x->tap)
		helper_refuses(a, "tap: is not there");
	else
		x->nat = true;
}

static void remove_nat(struct world_helper *h, const void *args, struct answer *a)
{
	struct held *x = helper_held(h, ((const struct helper_nat_args *)args)->vm);

	(void)a;
	if (x)
		x->nat = false;
	helper_let_go(x);
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
	if (!helper_sees(h, cow) || !helper_sees(h, base)) {
		helper_refuses(a, "base, vm: no such file");
		return;
	}
	struct held *x = helper_held(h, s->vm);

	helper_hold(h, s->vm, x ? x->slot : 0)->disk = true;
	(void)snprintf(view.name, sizeof(view.name), "fc-rootfs-%s", id);
	(void)snprintf(view.device, sizeof(view.device), "/dev/mapper/fc-rootfs-%s", id);
	helper_says(a, &helper_snapshot_view_schema, &view);
}

static void remove_snapshot(struct world_helper *h, const void *args, struct answer *a)
{
	const struct helper_device_args *d = args;
	vm_id vm;

	if (strncmp(d->device, "fc-rootfs-", 10) != 0 || vm_id_parse(d->device + 10, &vm) < 0) {
		helper_refuses(a, "device: is not ours");
		return;
	}
	struct held *x = helper_held(h, vm);

	if (helper_vmm(h, x)) {
		IGNORE(err_set(&a->err, ERR_BUSY, "%s: in use", d->device));
		return;
	}
	if (x)
		x->disk = false;
	helper_let_go(x);
}

static operation_fn *const operations[HELPER_NMETHODS] = {
	[HELPER_ENSURE_BRIDGE] = ensure_bridge,     [HELPER_CREATE_TAP] = create_tap,
	[HELPER_DELETE_TAP] = delete_tap,           [HELPER_ENSURE_NAT] = ensure_nat,
	[HELPER_REMOVE_NAT] = remove_nat,           [HELPER_CREATE_SNAPSHOT] = create_snapshot,
	[HELPER_REMOVE_SNAPSHOT] = remove_snapshot, [HELPER_REPORT_JAIL] = report_jail,
	[HELPER_REPORT_NET] = report_net,           [HELPER_REPORT_BLOCK] = report_block,
	[HELPER_LAUNCH_VMM] = jail_launch,          [HELPER_KILL_VMM] = jail_kill_vmm,
	[HELPER_CLEANUP_JAIL] = jail_cleanup,       [HELPER_FIND_VMM] = jail_find_vmm,
	[HELPER_SIGNAL_VMM] = jail_signal_vmm,      [HELPER_ENSURE_SOCKET] = jail_ensure_socket,
	[HELPER_TRIM_LOGS] = jail_trim_logs,
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

/* It was the parent of VMMs: how they end its successor is not told. */
static void orphan_vmms(struct world_helper *h)
{
	for (struct sim_proc *p = sim_next(h->w->sim, NULL); p; p = sim_next(h->w->sim, p))
		p->ret_status = NULL;
	for (size_t i = 0; i < HELD_MAX; i++)
		h->held[i].ended = -1;
}

/* What was asked is done or half done, and nobody will say so. */
static void die(struct world_helper *h)
{
	orphan_vmms(h);
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
		struct helper_find_args find;
		struct helper_signal_args sig;
		struct helper_socket_args socket;
		struct helper_trim_args trim;
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

void helper_kill(struct world *w)
{
	if (!w->helper->down)
		die(w->helper);
}

void helper_power_loss(struct world *w)
{
	struct world_helper *h = w->helper;

	sim_event_cancel(w->sim, &h->restart);
	orphan_vmms(h);
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
	orphan_vmms(h);
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
	const struct held *x = helper_held(w->helper, vm);

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
