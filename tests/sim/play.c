#include "tests/sim/play.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/client_fake.h"

enum {
	CLIENTS = 4,       /* at once */
	CLIENTS_ALL = 256, /* in one life of the world */
	NAMES = 5,
	ACTS_LEAST = 40,
	ACTS_MORE = 200,
	PAUSE_SHORT_US = 3000,
	PAUSE_LONG_US = 4000000,
	BOOT_MOST_US = 1500000,
	FORGOTTEN_MAX = 256,
	REPEATS = 12, /* requests that are made again in the end */
};

static struct play {
	struct world *w;
	struct client *clients[CLIENTS_ALL]; /* owned; NULL where it could not connect */
	uint32_t nclients;                   /* the last CLIENTS of them may be in use */
	bool faults;
	uint32_t one_in;                       /* effects that fail */
	uint32_t memory_one_in;                /* allocations that fail; 0: none */
	struct op_id forgotten[FORGOTTEN_MAX]; /* whose result could not be made durable */
	uint32_t nforgotten;
	bool unswept; /* the sweep could not move something: it is for the next start */
	char wrong[1400];
} play_state;

static struct play *const p = &play_state;

static uint32_t choose(uint32_t n)
{
	return sim_choose(p->w->sim, n);
}

static const char *wrong(const char *what, const char *detail)
{
	(void)snprintf(p->wrong, sizeof(p->wrong), "%s%s%s", what, detail ? ": " : "",
		       detail ? detail : "");
	return p->wrong;
}

/* ---- faults ---- */

static void policy(void *arg, const struct sim_call *call, struct sim_verdict *v)
{
	static const int files[] = { -ENOSPC, -EIO };
	static const int sockets[] = { -EMFILE, -ENOMEM };
	static const int streams[] = { -ECONNRESET, -ENOMEM };

	(void)arg;
	if (!p->faults)
		return;
	if (call->effect == SIM_MEMORY) {
		if (p->memory_one_in && choose(p->memory_one_in) == 0)
			v->error = -ENOMEM;
		return;
	}
	if (choose(p->one_in) != 0)
		return;
	switch (call->effect) {
	case SIM_FILE:
		v->error = files[choose(2)];
		break;
	case SIM_LISTEN:
	case SIM_ACCEPT:
	case SIM_PAIR:
	case SIM_OPEN:
	case SIM_ADOPT:
		v->error = sockets[choose(2)];
		break;
	case SIM_RECV:
	case SIM_SEND:
		v->error = streams[choose(2)];
		break;
	case SIM_CONNECT:
	case SIM_SPAWN:
		if (choose(3) == 0)
			v->hang = true;
		else
			v->error = sockets[choose(2)];
		break;
	case SIM_KILL:
		v->error = -EPERM;
		break;
	case SIM_WORK: /* longer than its deadline */
	case SIM_STORE:
		v->delay_us = UINT64_C(1000000) * (1 + choose(60));
		break;
	case SIM_HELPER: /* refused, killed, or late */
		if (choose(2))
			v->error = -EIO;
		else if (choose(2))
			v->hang = true;
		else
			v->delay_us = UINT64_C(1000000) * (1 + choose(60));
		break;
	case SIM_POLL:
	case SIM_MEMORY:
	case SIM_NEFFECTS:
		break;
	}
}

static void on_line(struct world *w, const char *line)
{
	char id[OP_ID_CHARS + 1];

	(void)w;
	if (strstr(line, " ev=sweep.failed "))
		p->unswept = true;
	if (!strstr(line, " ev=op.forgotten ") || p->nforgotten == FORGOTTEN_MAX ||
	    sscanf(line, "op=%26s", id) != 1)
		return;
	if (op_id_parse(id, &p->forgotten[p->nforgotten]) == 0)
		p->nforgotten++;
}

static void faults(bool on)
{
	p->faults = on;
	p->one_in = 3 + choose(choose(2) ? 12 : 100);
	p->memory_one_in = on && choose(3) == 0 ? 100 + choose(1000) : 0;
	p->w->vmm_chance = on;
}

/* ---- the daemon's lives ---- */

static bool start(void)
{
	for (int tries = 0; !p->w->daemon; tries++) {
		if (world_start(p->w))
			return true;
		world_kill(p->w);
		if (tries > 3) /* it may not find enough memory to begin with */
			faults(false);
		if (tries > 6)
			return false;
	}
	return true;
}

static bool born_again(bool power)
{
	if (power)
		world_power_loss(p->w);
	else
		world_kill(p->w);
	sim_run(p->w->sim, choose(2) ? choose(PAUSE_SHORT_US) : choose(PAUSE_LONG_US));
	return start();
}

static bool never(struct world *w, void *arg)
{
	(void)w;
	(void)arg;
	return false;
}

/* Some time goes by; the daemon may die of what was prepared for it. */
static bool pass(uint64_t us)
{
	IGNORE(world_until(p->w, never, NULL, us));
	if (!sim_dead(p->w->sim))
		return true;
	return born_again(choose(4) == 0);
}

static bool is_over(struct world *w, void *arg)
{
	(void)arg;
	return w->daemon->env.stopping && node_stopped(w->daemon->node) &&
	       w->daemon->env.nclients == 0;
}

/* As on SIGTERM: for as long as bangerd.c would wait. */
static bool stopped_and_started(void)
{
	const uint64_t limit_us = UINT64_C(10) * 1000 * 1000;

	daemon_stop(p->w->daemon);
	IGNORE(world_until(p->w, is_over, NULL, limit_us));
	return born_again(false);
}

/* ---- clients ---- */

static struct client **slot(void)
{
	const uint32_t from = p->nclients > CLIENTS ? p->nclients - CLIENTS : 0;

	return &p->clients[from + choose(CLIENTS)];
}

/* One that can be asked with; NULL when there is none any more. */
static struct client *client(void)
{
	struct client **c = slot();

	if (*c && !(*c)->ended)
		return *c;
	if (p->nclients == CLIENTS_ALL)
		return NULL;
	c = &p->clients[p->nclients];
	*c = client_open(p->w);
	p->nclients += *c != NULL;
	return *c;
}

static struct call *any_call(const struct client *c)
{
	return c && c->ncalls > 0 ? c->calls[choose(c->ncalls)] : NULL;
}

static const char *name(void)
{
	static const char *const names[NAMES] = { "a", "b", "c", "d", "e" };

	return names[choose(NAMES)];
}

/* ---- what is asked ---- */

static void ask_create(struct client *c)
{
	static struct create_args args; /* too large for the stack */
	static const char *const images[] = { "probe", "debian", "null", "img" };

	args = (struct create_args){
		.no_start = choose(4) == 0,
		.lease = choose(8) == 0,
		.count = choose(4) == 0 ? 1 + choose(3) : 0,
	};
	(void)snprintf(args.spec.name, sizeof(args.spec.name), "%s", name());
	(void)snprintf(args.spec.image, sizeof(args.spec.image), "%s", images[choose(4)]);
	if (strcmp(args.spec.image, "null") == 0)
		(void)snprintf(args.spec.vmm, sizeof(args.spec.vmm), "null");
	client_ask(c, METHOD_VM_CREATE, &args,
		   &(struct client_how){ .detach = choose(3) == 0, .progress = choose(2) });
}

static void ask_targets(struct client *c)
{
	static const enum client_method methods[] = {
		METHOD_VM_START,  METHOD_VM_START, METHOD_VM_STOP, METHOD_VM_RESTART,
		METHOD_VM_DELETE, METHOD_VM_KILL,  METHOD_VM_WAIT, METHOD_VM_SET,
	};
	const enum client_method m = methods[choose(ARRAY_LEN(methods))];
	struct targets_args args = { .all = choose(8) == 0, .force = choose(4) == 0 };

	if (m == METHOD_VM_STOP && choose(3) == 0)
		args.deadline_ms = 1 + choose(2000);
	for (uint32_t i = choose(3); !args.all && i < 3; i++)
		if (strv_add(&args.refs, name()) < 0)
			ASSERT(!"memory");
	if (m == METHOD_VM_SET && choose(2))
		args.set.disk_bytes = (uint64_t)(1 + choose(64)) << 30;
	if (m == METHOD_VM_SET && strv_add(&args.set.labels, choose(2) ? "a=1" : "a=2") < 0)
		ASSERT(!"memory");
	if (args.refs.n > 0 || args.all)
		client_ask(c, m, &args,
			   &(struct client_how){ .detach = m != METHOD_VM_WAIT && choose(3) == 0,
						 .progress = choose(2) });
	schema_fini(&targets_args_schema, &args);
}

static void ask_exec(struct client *c)
{
	static const char *const cmds[][2] = {
		{ "exit", "3" },   { "say", "hello" }, { "cat", NULL },
		{ "flood", NULL }, { "hang", NULL },
	};
	const uint32_t i = choose(ARRAY_LEN(cmds));
	struct call *call = client_exec(c, name(), cmds[i][0], cmds[i][1]);

	if (i == 2) {
		client_stdin(c, call, "some", 4);
		client_stdin(c, call, "", 0);
	}
}

static void ask_guest(struct client *c)
{
	static const enum client_method methods[] = { METHOD_VM_PING, METHOD_VM_HEALTH,
						      METHOD_VM_PORTS, METHOD_VM_STATS };
	struct guest_ask_args args = { .deadline_ms = choose(2) ? 1 : 0 };

	(void)snprintf(args.ref, sizeof(args.ref), "%s", name());
	client_ask(c, methods[choose(ARRAY_LEN(methods))], &args, NULL);
}

static void ask_console(struct client *c)
{
	struct call *call = client_console(c, name());

	if (choose(2))
		client_stdin(c, call, "keys", 4);
	if (choose(2))
		client_stdin(c, call, "", 0);
}

static void ask_about(struct client *c)
{
	static const enum client_method methods[] = { METHOD_PING, METHOD_INFO, METHOD_WATCH,
						      METHOD_OP_LIST, METHOD_IMAGE_LIST };
	const struct list_args all = { .all = true };

	if (choose(3) == 0)
		client_ask(c, METHOD_VM_LIST, &all, NULL);
	else if (choose(2))
		ask_guest(c);
	else
		client_ask(c, methods[choose(ARRAY_LEN(methods))], NULL, NULL);
}

static void ask_job(struct client *c)
{
	static struct image_import_args image; /* too large for the stack */
	static struct kernel_import_args kernel;
	struct name_args rm = { .name = "img" };

	image = (struct image_import_args){ .name = "img", .path = "/x", .force = choose(2) };
	kernel = (struct kernel_import_args){ .name = "krn", .path = "/x", .force = choose(2) };
	p->w->imager = choose(2) ? IMAGER_WELL : (enum imager_mood)choose(IMAGER_NMOODS);
	switch (choose(4)) {
	case 0:
		client_ask(c, METHOD_IMAGE_RM, &rm, NULL);
		break;
	case 1:
		client_ask(c, METHOD_KERNEL_IMPORT, &kernel, NULL);
		break;
	default:
		client_ask(c, METHOD_IMAGE_IMPORT, &image, NULL);
		break;
	}
}

static void ask(void)
{
	struct client *c = client();

	if (!c || c->ncalls + 4 >= CLIENT_CALLS)
		return;
	switch (choose(10)) {
	case 0:
	case 1:
	case 2:
		ask_create(c);
		break;
	case 3:
	case 4:
	case 5:
	case 6:
		ask_targets(c);
		break;
	case 7:
		if (choose(4) == 0)
			ask_console(c);
		else
			ask_exec(c);
		break;
	case 8:
		ask_about(c);
		break;
	default:
		ask_job(c);
		break;
	}
}

/* ---- what happens ---- */

static void vmm_dies(void)
{
	const bool network = choose(3) == 0;
	uint32_t n = choose(4);

	for (struct sim_proc *q = sim_next(p->w->sim, NULL); q; q = sim_next(p->w->sim, q))
		if ((network ? world_is_network(q) : world_is_vmm(q)) && n-- == 0) {
			sim_proc_signal(q, choose(2) ? SIGKILL : SIGSEGV);
			return;
		}
}

static bool one_act(void)
{
	struct client *c = *slot();
	const struct call *call = any_call(c);

	switch (choose(40)) {
	case 0:
		if (call)
			client_cancel(c, call);
		return true;
	case 1:
		if (c)
			client_hang_up(c);
		return true;
	case 2: /* what was asked once, again, by anybody */
		c = client();
		if (c && call)
			client_repeat(c, call);
		return true;
	case 3:
		vmm_dies();
		return true;
	case 4:
		faults(choose(2));
		return true;
	case 5:
		sim_die_at(p->w->sim, 1 + choose(60));
		return true;
	case 6:
		return choose(4) ? born_again(choose(3) == 0) : stopped_and_started();
	case 7:
		sim_wall_jump(p->w->sim, (int64_t)choose(7200000) - 3600000);
		return true;
	case 8:
	case 9:
		return pass(choose(PAUSE_LONG_US));
	case 10:
	case 11:
	case 12:
		return pass(choose(PAUSE_SHORT_US));
	default:
		ask();
		return true;
	}
}

/* At any time. */
static const char *check_bounds(void)
{
	const struct gate *g = &p->w->daemon->env.gate;

	if (g->parts > g->max * GATE_PLACE)
		return wrong("the gate lets too many in", NULL);
	return NULL;
}

/* ---- the end ---- */

static bool all_answered(struct world *w, void *arg)
{
	(void)w;
	(void)arg;
	for (uint32_t i = 0; i < p->nclients; i++) {
		const struct client *c = p->clients[i];

		for (uint32_t k = 0; !c->ended && k < c->ncalls; k++)
			if (!c->calls[k]->replied)
				return false;
	}
	return true;
}

static const char *unanswered(void)
{
	for (uint32_t i = 0; i < p->nclients; i++) {
		const struct client *c = p->clients[i];

		for (uint32_t k = 0; !c->ended && k < c->ncalls; k++)
			if (!c->calls[k]->replied)
				return client_methods[c->calls[k]->method].name;
	}
	return NULL;
}

/* Those who would wait for ever give up; all others get their answers. */
static const char *answers(void)
{
	const uint64_t limit_us = UINT64_C(7200) * 1000 * 1000;

	for (uint32_t i = 0; i < p->nclients; i++) {
		struct client *c = p->clients[i];

		for (uint32_t k = 0; k < c->ncalls; k++) {
			const enum client_method m = c->calls[k]->method;

			if (!c->calls[k]->replied &&
			    (m == METHOD_VM_EXEC || m == METHOD_VM_CONSOLE || m == METHOD_WATCH ||
			     m == METHOD_VM_WAIT || m == METHOD_IMAGE_IMPORT ||
			     m == METHOD_KERNEL_IMPORT))
				client_cancel(c, c->calls[k]);
		}
	}
	if (!world_until(p->w, all_answered, NULL, limit_us))
		return wrong("a request has no answer", unanswered());
	for (uint32_t i = 0; i < p->nclients; i++)
		client_hang_up(p->clients[i]);
	return NULL;
}

static bool is_forgotten(const struct op_id *id)
{
	for (uint32_t i = 0; i < p->nforgotten; i++)
		if (op_id_equal(&p->forgotten[i], id))
			return true;
	return p->nforgotten == FORGOTTEN_MAX;
}

/* Of the request, not of the operation: refused at the door, or given up by who asked. */
static bool is_of_the_door(enum err_code code)
{
	static const enum err_code codes[] = {
		ERR_BUSY,        ERR_HOST_MEMORY, ERR_DAEMON_STOPPING,
		ERR_OP_CONFLICT, ERR_BAD_REQUEST, ERR_CANCELLED
	};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (code == codes[i])
			return true;
	return false;
}

static bool is_remembered(const struct call *call)
{
	return op_is_durable(call->method) && call->replied && !is_of_the_door(call->err.code) &&
	       !is_forgotten(&call->op_id);
}

static bool same_bytes(const struct buf *a, const struct buf *b)
{
	return buf_len(a) == buf_len(b) &&
	       (buf_len(a) == 0 || memcmp(buf_data(a), buf_data(b), buf_len(a)) == 0);
}

/* The same op_id, the same answer. */
static const char *repeat_some(struct client *c)
{
	for (int i = 0; i < REPEATS; i++) {
		const struct client *from = p->nclients ? p->clients[choose(p->nclients)] : NULL;
		const struct call *first = any_call(from);

		if (!first || !is_remembered(first))
			continue;
		const struct call *again = client_repeat(c, first);

		if (!client_wait(c, again))
			return wrong("a request made again has no answer",
				     client_methods[first->method].name);
		if (again->err.code != first->err.code ||
		    !same_bytes(&again->result, &first->result))
			return wrong("a request made again has another answer",
				     client_methods[first->method].name);
	}
	return NULL;
}

static const char *remove_all(struct client *c)
{
	struct targets_args all = { .all = true, .force = true };
	const struct call *call = client_ask(c, METHOD_VM_DELETE, &all, NULL);
	const char *bad;

	if (!client_wait(c, call))
		return wrong("the last delete has no answer", NULL);
	if (call_code(call))
		return wrong("the last delete", call_text(call));
	if (!world_settle(p->w))
		return wrong("no rest after the last delete", NULL);
	bad = world_check(p->w);
	if (bad)
		return wrong("after the last delete", bad);
	if (world_processes(p->w, 0) != 0)
		return wrong("a VMM is left", NULL);
	return NULL;
}

static const char *end(void)
{
	const char *bad;

	faults(false);
	sim_die_at(p->w->sim, 0);
	p->w->vmm = VMM_WELL;
	p->w->imager = IMAGER_WELL;
	if (sim_dead(p->w->sim) && !born_again(false))
		return wrong("no daemon", p->w->start_err.text);
	bad = answers();
	if (bad)
		return bad;
	if (p->unswept && !born_again(false))
		return wrong("no daemon", p->w->start_err.text);
	if (!world_settle(p->w))
		return wrong("it does not come to rest", world_restless(p->w));
	bad = world_check(p->w);
	if (bad)
		return wrong("at rest", bad);
	struct client *c = client_open(p->w);

	if (!c)
		return wrong("nobody can connect", NULL);
	bad = repeat_some(c);
	if (!bad)
		bad = remove_all(c);
	client_free(c);
	return bad;
}

const char *play(const struct play_config *conf)
{
	const char *bad = NULL;

	*p = (struct play){ 0 };
	p->w = world_create(&(struct world_config){ .sim = conf->sim,
						    .disk_image = true,
						    .system = conf->sim.seed % 2 == 1,
						    .firecracker = conf->sim.seed % 4 >= 2,
						    .copies = conf->sim.seed % 8 >= 5 });
	p->w->boot_chance_us = BOOT_MOST_US;
	p->w->on_line = on_line;
	sim_policy(p->w->sim, policy, NULL);
	const uint32_t acts = conf->acts ? conf->acts : ACTS_LEAST + choose(ACTS_MORE);

	if (!start())
		return wrong("no daemon", p->w->start_err.text);
	faults(choose(2));
	for (uint32_t i = 0; i < acts && !bad; i++) {
		if (!one_act())
			return wrong("no daemon after an end", p->w->start_err.text);
		if (sim_dead(p->w->sim) && !born_again(choose(4) == 0))
			return wrong("no daemon after a death", p->w->start_err.text);
		bad = check_bounds();
	}
	return bad ? bad : end();
}

void play_over(void)
{
	for (uint32_t i = 0; i < p->nclients; i++)
		client_free(p->clients[i]);
	world_destroy(p->w);
	p->w = NULL;
}
