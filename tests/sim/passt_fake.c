/* passt_fake.c - passt as the daemon sees it: it has a connection, and ends when that does. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/world.h"
#include "vmm/passt.h"

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
	sim_proc_after(c->proc, 1000, hung_up);
}

static const struct sim_conn_ops frames_ops = { frames_data, frames_end };

static const char *value_of(const struct sim_proc *p, const char *option)
{
	for (uint32_t i = 0; i + 1 < p->argv.n; i++)
		if (strcmp(p->argv.v[i], option) == 0)
			return p->argv.v[i + 1];
	return "";
}

static void port_busy(struct sim_proc *p)
{
	sim_proc_write(p, STDERR_FILENO,
		       "Failed to bind any port for '-t 127.0.0.1/1:1', exiting\n");
	sim_proc_exit(p, W_EXITCODE(1, 0));
}

static void passt_start(struct sim_proc *p)
{
	struct fake *f = p->mem;
	int rc;

	ASSERT(strcmp(value_of(p, "-F"), "3") == 0);
	/* One VM, one passt. */
	for (const struct sim_proc *q = sim_next(p->sim, NULL); q; q = sim_next(p->sim, q))
		ASSERT(q == p || q->program != &passt_program ||
		       strcmp(value_of(q, "-S"), value_of(p, "-S")) != 0);
	rc = sim_proc_use(p, 3, &f->frames, &frames_ops, f);
	ASSERT(rc == 0);
	if (the_world->passt == PASST_PORT_BUSY)
		sim_proc_after(p, 1000, port_busy);
}

const struct sim_program passt_program = {
	.name = "passt",
	.bytes = sizeof(struct fake),
	.start = passt_start,
};
