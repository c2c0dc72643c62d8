/* network_fake.c - the network beside a VMM as the daemon sees it: banger-net, or passt.
 *
 * With a connection it ends when that does; with a listening socket it takes one connection after
 * the other, and ends when it is killed.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/world.h"
#include "vmm/usernet.h"

enum {
	SOCKET = 3, /* its number here */
	HANG_UP_US = 1000,
};

struct fake {
	struct sim_conn frames;
};

static void frames_data(struct sim_conn *c, const uint8_t *data, size_t len)
{
	(void)c;
	(void)data;
	(void)len;
}

static void hung_up(struct sim_proc *p)
{
	sim_proc_exit(p, W_EXITCODE(0, 0));
}

static void frames_end(struct sim_conn *c, int error)
{
	(void)error;
	sim_proc_after(c->proc, HANG_UP_US, hung_up);
}

static void guest_calls(struct sim_proc *p, int number);

static void guest_end(struct sim_conn *c, int error)
{
	struct sim_proc *p = c->arg;

	(void)error;
	sim_conn_close(c);
	guest_calls(p, SOCKET);
}

static void guest_calls(struct sim_proc *p, int number)
{
	static const struct sim_conn_ops ops = { frames_data, guest_end };
	struct fake *f = p->mem;

	sim_proc_on_accept(p, number, NULL);
	if (sim_proc_accept(p, number, &f->frames, &ops, p) < 0)
		sim_proc_on_accept(p, number, guest_calls);
}

static const char *value_of(const struct sim_proc *p, const char *option)
{
	for (uint32_t i = 0; i + 1 < p->argv.n; i++)
		if (strcmp(p->argv.v[i], option) == 0)
			return p->argv.v[i + 1];
	return NULL;
}

/* Of the VM that it is of. */
static const char *word_of(const struct sim_proc *p)
{
	for (uint32_t i = 0; i < p->argv.n; i++)
		if (strncmp(p->argv.v[i], USERNET_PROCESS_PREFIX, strlen(USERNET_PROCESS_PREFIX)) ==
		    0)
			return p->argv.v[i];
	ASSERT(!"a word");
	return "";
}

static void port_busy(struct sim_proc *p)
{
	sim_proc_write(p, STDERR_FILENO,
		       "banger-net: Failed to bind 127.0.0.1:1: Address already in use\n");
	sim_proc_exit(p, W_EXITCODE(1, 0));
}

static void begin(struct sim_proc *p, const char *fd, const char *listen)
{
	static const struct sim_conn_ops ops = { frames_data, frames_end };
	struct fake *f = p->mem;

	ASSERT(fd ? !listen && strcmp(fd, "3") == 0 : listen && strcmp(listen, "3") == 0);
	/* One VM, one network. */
	for (const struct sim_proc *q = sim_next(p->sim, NULL); q; q = sim_next(p->sim, q))
		ASSERT(q == p || !world_is_network(q) || strcmp(word_of(q), word_of(p)) != 0);
	if (listen) {
		sim_proc_on_accept(p, SOCKET, guest_calls);
	} else {
		const int rc = sim_proc_use(p, SOCKET, &f->frames, &ops, f);

		ASSERT(rc == 0);
	}
	if (the_world->network == NETWORK_PORT_BUSY)
		sim_proc_after(p, 1000, port_busy);
}

static void network_start(struct sim_proc *p)
{
	begin(p, value_of(p, "--fd"), value_of(p, "--listen"));
}

static void passt_start(struct sim_proc *p)
{
	begin(p, value_of(p, "-F"), NULL);
}

const struct sim_program network_program = {
	.name = USERNET_FILE,
	.bytes = sizeof(struct fake),
	.start = network_start,
};

const struct sim_program passt_program = {
	.name = "passt",
	.bytes = sizeof(struct fake),
	.start = passt_start,
};
