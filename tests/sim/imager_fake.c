/* imager_fake.c - banger-imager as the daemon sees it: lines on its stdout, files in its staging
 * directory, an exit status.  image/job.h is the contract. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "image/job.h"
#include "tests/sim/world.h"

enum {
	STEP_US = 30000,
	ARG_WHAT = 1,
	ARG_STAGING = 2,
};

struct imager {
	struct sim_conn out;
};

static void no_data(struct sim_conn *c, const uint8_t *data, size_t len)
{
	(void)c;
	(void)data;
	(void)len;
}

static void no_end(struct sim_conn *c, int error)
{
	(void)c;
	(void)error;
}

static const struct sim_conn_ops out_ops = { no_data, no_end };

static void say(struct sim_proc *p, const char *line)
{
	sim_conn_send(&((struct imager *)p->mem)->out, line, strlen(line));
}

static void leave(struct sim_proc *p, const char *name)
{
	char path[WORLD_PATH * 2];

	(void)snprintf(path, sizeof(path), "%s/%s", p->argv.v[ARG_STAGING], name);
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	IGNORE(fd < 0); /* it was removed under us: we are being killed */
}

/* What it has said goes out before it ends, as a pipe keeps it. */
static void end_well(struct sim_proc *p)
{
	sim_proc_exit(p, 0);
}

static void end_badly(struct sim_proc *p)
{
	sim_proc_exit(p, W_EXITCODE(1, 0));
}

static void finish(struct sim_proc *p)
{
	const bool kernel = strcmp(p->argv.v[ARG_WHAT], "kernel-import") == 0;

	say(p, "progress write 50 100\n");
	switch (the_world->imager) {
	case IMAGER_WELL:
		leave(p, kernel ? IMAGE_FILE_KERNEL : IMAGE_FILE_ROOT);
		leave(p, kernel ? IMAGE_FILE_INITRD : IMAGE_FILE_UPPER);
		say(p, "result sha256 "
		       "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"
		       "result bytes 1048576\nresult version 6.1.0\n");
		sim_proc_after(p, STEP_US, end_well);
		break;
	case IMAGER_ERROR:
		say(p, "error image.bad the archive ends early\n");
		sim_proc_after(p, STEP_US, end_badly);
		break;
	case IMAGER_CRASH:
		sim_proc_exit(p, W_EXITCODE(0, SIGSEGV));
		break;
	case IMAGER_SILENT:
	case IMAGER_NMOODS:
		break;
	}
}

static void imager_start(struct sim_proc *p)
{
	struct imager *im = p->mem;
	const int rc = sim_proc_use(p, STDOUT_FILENO, &im->out, &out_ops, im);

	ASSERT(rc == 0);
	leave(p, IMAGE_FILE_LOG);
	sim_proc_after(p, STEP_US, finish);
}

const struct sim_program imager_program = {
	.name = "banger-imager",
	.bytes = sizeof(struct imager),
	.start = imager_start,
};
