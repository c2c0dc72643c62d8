/* vmm_fake.c - a VMM as the daemon sees QEMU: its command line, sockets, console, QMP, its end.
 *
 * As QEMU does, it waits on each inherited socket for a connection before its guest runs, unless
 * told not to, serves one connection on each and takes the next when that ends, and removes the
 * paths at its end.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/sim/agent_fake.h"
#include "tests/sim/world.h"
#include "vmm/vmm.h"

enum {
	SETUP_US = 20000,
	POWER_OFF_US = 200000,
	LATE_US = 900 * 1000 * 1000, /* after every deadline */
	GARBAGE_BYTES = 300,
};

struct vmm {
	struct sim_proc *proc;
	enum vmm_mood mood;
	bool probe;
	bool guest_runs;
	bool up;
	const char *disk;
	const char *log;
	struct agent agent;
	struct buf control;
	struct channel {
		int number; /* -1: not on the command line */
		bool waits; /* for a connection, before its guest runs */
		bool open;
		struct sim_conn conn;
	} channels[VMM_NSOCKETS], net; /* net: passt's frames, which nobody waits for */
};

static const char *const names[VMM_NSOCKETS] = {
	[VMM_SOCKET_CONTROL] = "id=control,",
	[VMM_SOCKET_AGENT] = "id=agent,",
	[VMM_SOCKET_CONSOLE] = "id=console,",
};

static struct vmm *vmm_of(struct sim_proc *p)
{
	return p->mem;
}

static void channels_open(struct sim_proc *p);

/* ---- its command line ---- */

/* The value after `key` in a comma-separated option, as a copy in p's memory; NULL. */
static const char *value_of(struct sim_proc *p, const char *key)
{
	for (uint32_t i = 0; i < p->argv.n; i++) {
		const char *at = strstr(p->argv.v[i], key);

		if (at)
			return at + strlen(key);
	}
	return NULL;
}

/* What a jail holds its helper has looked at. */
static bool file_there(const char *option)
{
	char path[WORLD_PATH * 2];

	if (!option || strncmp(option, "/vm/", strlen("/vm/")) == 0)
		return true;
	(void)snprintf(path, sizeof(path), "%.*s", (int)strcspn(option, ","), option);
	return access(path, R_OK) == 0;
}

static void parse(struct vmm *v)
{
	const char *kernel = NULL;

	for (uint32_t i = 0; i + 1 < v->proc->argv.n; i++)
		if (strcmp(v->proc->argv.v[i], "-kernel") == 0)
			kernel = v->proc->argv.v[i + 1];
	v->probe = kernel && (strstr(kernel, "probe.elf") || value_of(v->proc, "acpi=off"));
	v->disk = value_of(v->proc, "file.filename=");
	v->log = value_of(v->proc, "logfile=");
	const char *net = value_of(v->proc, "addr.str=");

	v->net.number = net ? (int)strtol(net, NULL, 10) : -1;
	for (int s = 0; s < VMM_NSOCKETS; s++) {
		const char *option = value_of(v->proc, names[s]);
		const char *fd = option ? strstr(option, "fd=") : NULL;

		v->channels[s].number = fd ? (int)strtol(fd + 3, NULL, 10) : -1;
		v->channels[s].waits = option && strstr(option, "wait=on");
	}
}

/* ---- its end ---- */

static void quit(struct sim_proc *p)
{
	for (int s = 0; s < VMM_NSOCKETS; s++)
		sim_proc_unlink(p, vmm_of(p)->channels[s].number);
	sim_proc_exit(p, 0);
}

static void crash(struct sim_proc *p)
{
	sim_proc_write(p, STDERR_FILENO, "qemu: it went wrong\n");
	sim_proc_exit(p, W_EXITCODE(0, SIGABRT));
}

static void shut_down(struct sim_proc *p)
{
	static const char event[] =
		"{\"event\":\"SHUTDOWN\",\"data\":{\"reason\":\"guest-shutdown\"}}\r\n";
	struct channel *control = &vmm_of(p)->channels[VMM_SOCKET_CONTROL];

	if (control->open)
		sim_conn_send(&control->conn, event, strlen(event));
	quit(p);
}

static void power_off(void *arg)
{
	struct vmm *v = arg;

	if (v->mood != VMM_STUBBORN)
		sim_proc_after(v->proc, POWER_OFF_US, shut_down);
}

/* ---- its guest ---- */

static void guest_up(struct sim_proc *p)
{
	static const char line[] = VMM_PROBE_LINE "\n";
	struct vmm *v = vmm_of(p);
	struct channel *console = &v->channels[VMM_SOCKET_CONSOLE];
	struct channel *agent = &v->channels[VMM_SOCKET_AGENT];
	uint8_t garbage[GARBAGE_BYTES];

	v->up = true;
	if (v->mood == VMM_GARBLED) {
		for (size_t i = 0; i < sizeof(garbage); i++)
			garbage[i] = (uint8_t)sim_choose(p->sim, 256);
		for (int s = 0; s < VMM_NSOCKETS; s++)
			if (v->channels[s].open)
				sim_conn_send(&v->channels[s].conn, garbage, sizeof(garbage));
		return;
	}
	if (v->probe && console->open)
		sim_conn_send(&console->conn, line, strlen(line));
	if (agent->open)
		sim_conn_pause(&agent->conn, false);
}

static void guest_boots(struct sim_proc *p)
{
	struct vmm *v = vmm_of(p);
	const uint64_t us = the_world->boot_chance_us
				    ? 1 + sim_choose(p->sim, the_world->boot_chance_us)
				    : the_world->boot_us;

	v->guest_runs = true;
	switch (v->mood) {
	case VMM_DIES:
		sim_proc_after(p, us / 2, crash);
		break;
	case VMM_SILENT:
		break;
	case VMM_LATE:
		sim_proc_after(p, LATE_US, guest_up);
		break;
	case VMM_WELL:
	case VMM_STUBBORN:
	case VMM_GARBLED:
	case VMM_NO_START:
	case VMM_NMOODS:
		sim_proc_after(p, us, guest_up);
		break;
	}
}

/* ---- its network ---- */

static void net_open(struct sim_proc *p, int number);

static void net_data(struct sim_conn *c, const uint8_t *data, size_t len)
{
	(void)c;
	(void)data;
	(void)len;
}

static void net_end(struct sim_conn *c, int error)
{
	struct vmm *v = c->arg;

	(void)error;
	sim_conn_close(c);
	v->net.open = false;
	net_open(v->proc, v->net.number);
}

static const struct sim_conn_ops net_ops = { net_data, net_end };

static void net_open(struct sim_proc *p, int number)
{
	struct vmm *v = vmm_of(p);

	sim_proc_on_accept(p, number, NULL);
	v->net.open = sim_proc_accept(p, number, &v->net.conn, &net_ops, v) == 0;
	if (!v->net.open)
		sim_proc_on_accept(p, number, net_open);
}

/* ---- its control channel ---- */

static void control_reply(struct vmm *v, const char *result, const char *line)
{
	const char *id = strstr(line, "\"id\":");
	char text[128];
	const int n = snprintf(text, sizeof(text), "{\"return\":%s,\"id\":%ld}\r\n", result,
			       id ? strtol(id + strlen("\"id\":"), NULL, 10) : 0);

	sim_conn_send(&v->channels[VMM_SOCKET_CONTROL].conn, text, (size_t)n);
}

static void control_line(struct vmm *v, const char *line)
{
	control_reply(v, strstr(line, "query-status") ? "{\"status\":\"running\"}" : "{}", line);
	if (strstr(line, "\"quit\"") && v->mood != VMM_STUBBORN)
		sim_proc_after(v->proc, SETUP_US, quit);
	else if (strstr(line, "\"system_powerdown\"") && v->up)
		power_off(v);
}

static void control_data(struct vmm *v, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const char c = data[i] == '\n' ? '\0' : (char)data[i];
		const int rc = buf_append(&v->control, &c, 1);

		ASSERT(rc == 0);
		if (c != '\0')
			continue;
		control_line(v, (const char *)buf_data(&v->control));
		buf_clear(&v->control);
	}
}

/* ---- its channels ---- */

static enum vmm_socket socket_of(const struct sim_conn *c)
{
	const struct vmm *v = c->arg;

	for (int s = 0; s < VMM_NSOCKETS; s++)
		if (c == &v->channels[s].conn)
			return (enum vmm_socket)s;
	ASSERT(!"a connection of its own");
	return VMM_NSOCKETS;
}

/* An echo, which nobody reads, as a guest's console has it. */
static void typed(struct vmm *v, const uint8_t *data, size_t len)
{
	const size_t used = strlen(the_world->typed);
	const size_t room = sizeof(the_world->typed) - used - 1;

	(void)snprintf(the_world->typed + used, room + 1, "%.*s", (int)len, (const char *)data);
	sim_conn_send(&v->channels[VMM_SOCKET_CONSOLE].conn, data, len);
}

static void channel_data(struct sim_conn *c, const uint8_t *data, size_t len)
{
	struct vmm *v = c->arg;

	if (socket_of(c) == VMM_SOCKET_CONTROL)
		control_data(v, data, len);
	else if (socket_of(c) == VMM_SOCKET_AGENT && v->mood != VMM_GARBLED)
		agent_data(&v->agent, c, data, len);
	else if (socket_of(c) == VMM_SOCKET_CONSOLE)
		typed(v, data, len);
}

static void channel_end(struct sim_conn *c, int error)
{
	struct vmm *v = c->arg;
	const enum vmm_socket s = socket_of(c);

	(void)error;
	sim_conn_close(c);
	v->channels[s].open = false;
	if (s == VMM_SOCKET_AGENT)
		agent_gone(&v->agent);
	if (s == VMM_SOCKET_CONTROL)
		buf_clear(&v->control);
	channels_open(v->proc);
}

static const struct sim_conn_ops channel_ops = { channel_data, channel_end };

static void offered(struct sim_proc *p, int number)
{
	sim_proc_on_accept(p, number, NULL);
	channels_open(p);
}

static void greet(struct channel *c)
{
	static const char line[] = "{\"QMP\":{\"version\":{},\"capabilities\":[]}}\r\n";

	sim_conn_send(&c->conn, line, strlen(line));
}

/* In order, each once the one before has its connection; then the guest runs. */
static void channels_open(struct sim_proc *p)
{
	struct vmm *v = vmm_of(p);

	for (int s = 0; s < VMM_NSOCKETS && !p->exited; s++) {
		struct channel *c = &v->channels[s];

		if (c->number < 0 || c->open)
			continue;
		if (sim_proc_accept(p, c->number, &c->conn, &channel_ops, v) < 0) {
			sim_proc_on_accept(p, c->number, offered);
			if (c->waits && !v->guest_runs)
				return;
			continue;
		}
		c->open = true;
		if (s == VMM_SOCKET_CONTROL)
			greet(c);
		if (s == VMM_SOCKET_AGENT && !v->up)
			sim_conn_pause(&c->conn, true); /* nobody has opened the port */
	}
	if (!v->guest_runs)
		guest_boots(p);
}

/* ---- its beginning ---- */

static void begin(struct sim_proc *p)
{
	struct vmm *v = vmm_of(p);

	if (v->mood == VMM_NO_START || !file_there(v->disk)) {
		sim_proc_write(p, STDERR_FILENO, "qemu: cannot open the disk\n");
		sim_proc_exit(p, W_EXITCODE(1, 0));
		return;
	}
	if (v->net.number >= 0)
		net_open(p, v->net.number);
	channels_open(p);
}

static void vmm_start(struct sim_proc *p)
{
	struct vmm *v = vmm_of(p);
	const char *word = value_of(p, VMM_PROCESS_PREFIX);

	ASSERT(word);
	for (const struct sim_proc *q = sim_next(p->sim, NULL); q; q = sim_next(p->sim, q))
		for (uint32_t i = 0; q != p && q->program == &vmm_program && i < q->argv.n; i++)
			ASSERT(!strstr(q->argv.v[i], word)); /* one VM, one VMM */
	v->proc = p;
	v->mood = the_world->vmm_chance && sim_chance(p->sim, 3)
			  ? (enum vmm_mood)sim_choose(p->sim, VMM_NMOODS)
			  : the_world->vmm;
	buf_init(&v->control, VMM_ANSWER_MAX);
	agent_init(&v->agent, ++the_world->boots, power_off, v);
	parse(v);
	sim_proc_after(p, SETUP_US, begin);
}

static void vmm_signal(struct sim_proc *p, int signo)
{
	if (signo == SIGTERM || signo == SIGINT)
		quit(p);
	else
		sim_proc_exit(p, W_EXITCODE(0, signo));
}

static void vmm_end(struct sim_proc *p)
{
	agent_fini(&vmm_of(p)->agent);
	buf_fini(&vmm_of(p)->control);
}

const struct sim_program vmm_program = {
	.name = "qemu-system-x86_64",
	.bytes = sizeof(struct vmm),
	.start = vmm_start,
	.signal = vmm_signal,
	.end = vmm_end,
};

/* Somebody else's process, which is to come to no harm. */
const struct sim_program bystander_program = { .name = "bystander" };
