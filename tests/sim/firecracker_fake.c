/* firecracker_fake.c - a Firecracker of the simulated host: what the daemon hears of one.
 *
 * It reads its file, says on its output that a probe is up, and lets its guest's agent ring at the
 * daemon's, again and again until it is called; likewise its guest carries frames to its network.
 * It listens on its API's socket, where each request is answered, and on that of its vsock, where
 * callers are put through to the agent: a newer one takes the place of the one before.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "proto/guest.h"
#include "tests/sim/agent_fake.h"
#include "vmm/vmm.h"

enum {
	SETUP_US = 2000,
	POWER_OFF_US = 5000,
	RING_US = 2000 * 1000,
	RINGS_MAX = 30, /* so that a host without a daemon comes to rest */
	GARBAGE_BYTES = 300,
	API_FD = 10, /* its own, in numbers that nobody inherits */
	VSOCK_FD = 11,
};
#define LATE_US (UINT64_C(600) * 1000 * 1000)

struct firecracker {
	struct sim_proc *proc;
	enum vmm_mood mood;
	bool probe;
	char vsock[WORLD_PATH * 2];     /* "": none */
	char rings[WORLD_PATH * 2 + 8]; /* where the daemon listens for the agent */
	char log[WORLD_PATH * 2];
	struct sim_conn console; /* a probe's */
	struct sim_conn api;
	char requests[8192];  /* that it has heard on it, and not answered */
	struct sim_conn ring; /* of the agent, at the daemon's */
	struct sim_conn call; /* of the daemon, through its vsock */
	char asked[32];       /* what that has said, until it is put through */
	bool through;
	bool up;                            /* the agent listens */
	char frames_to[WORLD_PATH * 2 + 8]; /* where its guest's frames go; "": nowhere */
	struct sim_conn frames;
	uint32_t nframe_dials;
	struct agent agent;
	uint32_t nrings;
};

static struct firecracker *fc_of(struct sim_proc *p)
{
	return p->mem;
}

/* ---- its command line, and its file ---- */

static const char *option(const struct sim_proc *p, const char *name)
{
	for (uint32_t i = 0; i + 1 < p->argv.n; i++)
		if (strcmp(p->argv.v[i], name) == 0)
			return p->argv.v[i + 1];
	return "";
}

/* What a jail calls /vm is where its configuration is. */
static void real_path(const struct firecracker *f, const char *named, size_t len,
		      char out[WORLD_PATH * 2])
{
	static const char jail[] = "/vm/";
	const char *config = option(f->proc, "--config-file");

	if (strncmp(named, jail, strlen(jail)) != 0)
		(void)snprintf(out, WORLD_PATH * 2, "%.*s", (int)len, named);
	else
		(void)snprintf(out, WORLD_PATH * 2, "%.*s%.*s",
			       (int)(strrchr(config, '/') + 1 - config), config,
			       (int)(len - strlen(jail)), named + strlen(jail));
}

/* Of the disk's drive, in a file or a request. */
static void hear_limits(const char *text)
{
	static const char bandwidth[] = "\"bandwidth\":{\"size\":";
	const char *drive = strstr(text, "\"drive_id\":\"root\"");
	const char *at = drive ? strstr(drive, bandwidth) : NULL;

	if (drive)
		the_world->disk_rate = at ? strtoull(at + strlen(bandwidth), NULL, 10) : 0;
}

static void parse(struct firecracker *f)
{
	static const char uds[] = "\"uds_path\":\"";
	char text[4096];
	CLEANUP_FD int fd = open(option(f->proc, "--config-file"), O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	f->probe = strstr(text, "\"drives\":[]") != NULL;
	hear_limits(text);
	const char *at = strstr(text, uds);
	if (at) {
		at += strlen(uds);
		real_path(f, at, strcspn(at, "\""), f->vsock);
		(void)snprintf(f->rings, sizeof(f->rings), "%s_%d", f->vsock, VMM_VSOCK_RING_PORT);
		if (strstr(text, "banger.net=vsock"))
			(void)snprintf(f->frames_to, sizeof(f->frames_to), "%s_%d", f->vsock,
				       GUEST_VSOCK_NET_PORT);
	}
	(void)snprintf(f->log, sizeof(f->log), "%s", option(f->proc, "--log-path"));
}

static void complain(const struct firecracker *f, const char *why)
{
	CLEANUP_FD int fd = open(f->log, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd >= 0)
		IGNORE(dprintf(fd,
			       "2026-01-01T00:00:00.000000000 [x:main] RunWithApiError error: %s\n",
			       why) < 0);
}

/* ---- its guest ---- */

static void power_over(struct sim_proc *p)
{
	sim_proc_exit(p, 0);
}

static void power_off(void *arg)
{
	struct firecracker *f = arg;

	if (f->mood != VMM_STUBBORN)
		sim_proc_after(f->proc, POWER_OFF_US, power_over);
}

static void send_garbage(struct sim_conn *c)
{
	uint8_t garbage[GARBAGE_BYTES];

	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (uint8_t)sim_choose(c->sim, 256);
	sim_conn_send(c, garbage, sizeof(garbage));
}

static void console_data(struct sim_conn *c, const uint8_t *data, size_t len)
{
	(void)c;
	(void)data;
	(void)len;
}

static void console_end(struct sim_conn *c, int error)
{
	(void)error;
	sim_conn_close(c);
}

/* Whoever listens learns no more than that somebody rang. */
static void ring(struct sim_proc *p)
{
	static const struct sim_conn_ops ops = { console_data, console_end };
	struct firecracker *f = fc_of(p);

	if (!f->vsock[0] || f->through || f->nrings++ >= RINGS_MAX)
		return;
	if (sim_connect(p->sim, &f->ring, f->rings, &ops, f) == 0)
		sim_conn_close(&f->ring);
	sim_proc_after(p, RING_US, ring);
}

/* ---- its guest's frames ---- */

static void dial_network(struct sim_proc *p);

static void network_end(struct sim_conn *c, int error)
{
	struct firecracker *f = c->arg;

	(void)error;
	sim_conn_close(c);
	sim_proc_after(f->proc, RING_US, dial_network);
}

static void dial_network(struct sim_proc *p)
{
	static const struct sim_conn_ops ops = { console_data, network_end };
	struct firecracker *f = fc_of(p);

	if (!f->frames_to[0] || f->nframe_dials++ >= RINGS_MAX)
		return;
	if (sim_connect(p->sim, &f->frames, f->frames_to, &ops, f) < 0)
		sim_proc_after(p, RING_US, dial_network);
	else
		sim_conn_send(&f->frames, "frame", strlen("frame"));
}

/* ---- its own sockets ---- */

static void api_open(struct sim_proc *p, int number);
static void vsock_open(struct sim_proc *p, int number);

/* One that is paused answers as one that is not: nobody looks. */
static void api_answer(struct sim_conn *c, const char *request)
{
	static const char state[] = "{\"state\":\"Running\"}";
	static const char memory[] = "{\"target_pages\":0,\"total_memory\":100,\"free_memory\":50}";
	const char *body = strstr(request, "/balloon/statistics") ? memory : state;
	char text[256];

	if (strncmp(request, "PATCH /drives/", strlen("PATCH /drives/")) == 0)
		hear_limits(request);
	if (strncmp(request, "GET ", 4) == 0)
		(void)snprintf(text, sizeof(text),
			       "HTTP/1.1 200 \r\nContent-Type: application/json\r\n"
			       "Content-Length: %zu\r\n\r\n%s",
			       strlen(body), body);
	else
		(void)snprintf(text, sizeof(text), "HTTP/1.1 204 \r\n\r\n");
	sim_conn_send(c, text, strlen(text));
}

/* Bytes of the request at the front of `text`; 0: more of it is to come. */
static size_t request_len(const char *text)
{
	const char *end = strstr(text, "\r\n\r\n");
	const char *length = strstr(text, "Content-Length: ");

	if (!end)
		return 0;
	const size_t head = (size_t)(end - text) + strlen("\r\n\r\n");
	const size_t body = length && length < end
				    ? strtoul(length + strlen("Content-Length: "), NULL, 10)
				    : 0;

	return strlen(text) >= head + body ? head + body : 0;
}

/* Requests may come several at once, or in parts. */
static void api_data(struct sim_conn *c, const uint8_t *data, size_t len)
{
	struct firecracker *f = c->arg;
	const size_t have = strlen(f->requests);
	size_t n;

	ASSERT(have + len < sizeof(f->requests));
	memcpy(f->requests + have, data, len);
	f->requests[have + len] = '\0';
	while ((n = request_len(f->requests)) > 0) {
		if (f->mood == VMM_STUBBORN)
			return; /* it hears, and says nothing */
		api_answer(c, f->requests);
		memmove(f->requests, f->requests + n, strlen(f->requests + n) + 1);
	}
}

static void api_end(struct sim_conn *c, int error)
{
	struct firecracker *f = c->arg;

	(void)error;
	sim_conn_close(c);
	f->requests[0] = '\0';
	api_open(f->proc, API_FD);
}

static void api_open(struct sim_proc *p, int number)
{
	static const struct sim_conn_ops ops = { api_data, api_end };
	struct firecracker *f = fc_of(p);

	sim_proc_on_accept(p, number, NULL);
	if (sim_proc_accept(p, number, &f->api, &ops, f) < 0)
		sim_proc_on_accept(p, number, api_open);
}

static void hang_up(struct firecracker *f)
{
	sim_conn_close(&f->call);
	agent_gone(&f->agent);
	f->through = false;
	f->asked[0] = '\0';
	if (f->up)
		sim_proc_after(f->proc, RING_US, ring);
}

static void put_through(struct firecracker *f)
{
	static const char ok[] = "OK 1073741824\n";

	ASSERT(strcmp(f->asked, VMM_VSOCK_CONNECT) == 0);
	f->through = f->up;
	if (!f->up)
		hang_up(f); /* nobody listens there */
	else if (f->mood == VMM_GARBLED)
		send_garbage(&f->call);
	else
		sim_conn_send(&f->call, ok, strlen(ok));
}

/* How much of it was the line that says who is wanted. */
static size_t line_read(struct firecracker *f, const uint8_t *data, size_t len)
{
	size_t used = 0;

	while (used < len && !strchr(f->asked, '\n')) {
		const size_t at = strlen(f->asked);

		ASSERT(at + 1 < sizeof(f->asked));
		f->asked[at] = (char)data[used++];
		f->asked[at + 1] = '\0';
	}
	if (strchr(f->asked, '\n'))
		put_through(f);
	return used;
}

static void call_data(struct sim_conn *c, const uint8_t *data, size_t len)
{
	struct firecracker *f = c->arg;
	const size_t used = f->through ? 0 : line_read(f, data, len);

	if (f->through && f->mood != VMM_GARBLED && used < len)
		agent_data(&f->agent, c, data + used, len - used);
}

static void call_end(struct sim_conn *c, int error)
{
	(void)error;
	hang_up(c->arg);
}

static void vsock_open(struct sim_proc *p, int number)
{
	static const struct sim_conn_ops ops = { call_data, call_end };
	struct firecracker *f = fc_of(p);

	sim_proc_on_accept(p, number, NULL);
	if (sim_conn_open(&f->call))
		hang_up(f);
	IGNORE(sim_proc_accept(p, number, &f->call, &ops, f) < 0);
	sim_proc_on_accept(p, number, vsock_open);
}

/* A path that is taken ends the real one; here a daemon has always removed what was there. */
static void listen_on(struct sim_proc *p, int number, const char *path,
		      void (*open_fn)(struct sim_proc *p, int number))
{
	const int rc = sim_proc_listen(p, number, path);

	ASSERT(rc == 0);
	open_fn(p, number);
}

/* ---- its guest is up ---- */

static void guest_up(struct sim_proc *p)
{
	static const char line[] = VMM_PROBE_LINE "\r\n";
	struct firecracker *f = fc_of(p);

	f->up = !f->probe;
	if (f->up) {
		ring(p);
		dial_network(p);
	} else if (sim_conn_open(&f->console) && f->mood == VMM_GARBLED) {
		send_garbage(&f->console);
	} else if (sim_conn_open(&f->console)) {
		sim_conn_send(&f->console, line, strlen(line));
	}
}

static void crash(struct sim_proc *p)
{
	complain(fc_of(p), "it went wrong");
	sim_proc_exit(p, W_EXITCODE(0, SIGABRT));
}

static void boot(struct sim_proc *p)
{
	struct firecracker *f = fc_of(p);
	const uint64_t us = the_world->boot_chance_us
				    ? 1 + sim_choose(p->sim, the_world->boot_chance_us)
				    : the_world->boot_us;

	if (f->mood != VMM_NO_START)
		listen_on(p, API_FD, option(p, "--api-sock"), api_open);
	if (f->mood != VMM_NO_START && f->vsock[0])
		listen_on(p, VSOCK_FD, f->vsock, vsock_open);
	switch (f->mood) {
	case VMM_NO_START:
		complain(f, "Failed to build MicroVM from Json: no such kernel");
		sim_proc_exit(p, W_EXITCODE(1, 0));
		return;
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
	case VMM_NMOODS:
		sim_proc_after(p, us, guest_up);
		break;
	}
}

/* ---- its life ---- */

static void start(struct sim_proc *p)
{
	static const struct sim_conn_ops ops = { console_data, console_end };
	struct firecracker *f = fc_of(p);

	f->proc = p;
	f->mood = the_world->vmm_chance && sim_chance(p->sim, 3)
			  ? (enum vmm_mood)sim_choose(p->sim, VMM_NMOODS)
			  : the_world->vmm;
	agent_init(&f->agent, ++the_world->boots, power_off, f);
	parse(f);
	if (f->probe)
		IGNORE(sim_proc_use(p, STDOUT_FILENO, &f->console, &ops, f) < 0);
	sim_proc_after(p, SETUP_US, boot);
}

static void end(struct sim_proc *p)
{
	struct firecracker *f = fc_of(p);

	if (sim_conn_open(&f->call))
		sim_conn_close(&f->call);
	if (sim_conn_open(&f->frames))
		sim_conn_close(&f->frames);
	agent_fini(&f->agent);
}

const struct sim_program firecracker_program = {
	.name = "firecracker",
	.bytes = sizeof(struct firecracker),
	.start = start,
	.end = end,
};
