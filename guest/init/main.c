/* main.c - banger-init: PID 1 of the initrd, and of the guest where its image has no init.
 *
 *   early mounts -> modules -> identity -> root disk -> furnish it -> agent -> the image's init
 *
 * The initrd holds /init (this program), /banger-agent, /modules (a list, see modules.h) and the
 * modules.  A failure before the agent runs is one line on the console and ends the machine: nobody
 * could ask a guest without an agent what is wrong.  Single thread; everything here may block.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/common/uevent.h"
#include "guest/init/modules.h"
#include "guest/init/network.h"
#include "guest/init/options.h"
#include "guest/init/root.h"
#include "guest/init/supervise.h"

#define AGENT_SOURCE "/banger-agent"
#define MODULE_LIST  "/modules"
#define IMAGE_INIT   "/sbin/init"

static const struct {
	const char *key, *value;
} environment[] = {
	{ "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
	{ "HOME", "/" },
	{ "TERM", "linux" },
};

static int identity(const struct options *o, struct err *e)
{
	if (o->hostname[0] != '\0' && sethostname(o->hostname, strlen(o->hostname)) < 0)
		return err_sys(e, ERR_GUEST_BOOT, "hostname %s", o->hostname);
	return 0;
}

/* Everything up to the image's root; afterwards nothing of the initrd is left. */
static int boot(struct err *e)
{
	CLEANUP_FD int uevent = -EBADF;
	struct options o;
	int rc;

	rc = root_early(e);
	if (rc < 0)
		return rc;
	uevent = uevent_open(e); /* before the modules: their devices must not be missed */
	if (uevent < 0)
		return uevent;
	rc = options_read("/proc/cmdline", &o, e);
	if (rc == 0)
		rc = modules_load(MODULE_LIST, e);
	if (rc == 0)
		rc = identity(&o, e);
	if (rc == 0)
		rc = network_up(&o, uevent, e);
	if (rc == 0)
		rc = root_mount(&o, uevent, e);
	if (rc == 0)
		rc = root_furnish(e);
	if (rc == 0)
		rc = root_install_agent(AGENT_SOURCE, e);
	if (rc == 0)
		rc = root_resolver(&o, e);
	return rc < 0 ? rc : root_switch(e);
}

static int environment_set(struct err *e)
{
	(void)clearenv();
	for (size_t i = 0; i < ARRAY_LEN(environment); i++)
		if (setenv(environment[i].key, environment[i].value, 1) < 0)
			return err_sys(e, ERR_GUEST_BOOT, "environment");
	return 0;
}

static void fail(const struct err *e)
{
	(void)fprintf(stderr, "banger-init: %s\n", e->text);
	(void)fflush(stderr);
}

int main(void)
{
	struct err e = { 0 };
	pid_t agent;

	if (getpid() != 1) {
		(void)fprintf(stderr, "banger-init: is PID 1 of an initrd or nothing\n");
		return 1;
	}
	(void)prctl(PR_SET_NAME, "banger-init"); /* by which the agent knows us */
	if (boot(&e) < 0 || environment_set(&e) < 0) {
		fail(&e);
		machine_off();
	}
	supervise_prepare();
	agent = agent_start();
	if (agent < 0) {
		(void)err_num(&e, ERR_GUEST_BOOT, (int)agent, "fork");
		fail(&e);
		machine_off();
	}
	if (access(IMAGE_INIT, X_OK) == 0) {
		supervise_release();
		(void)execl(IMAGE_INIT, IMAGE_INIT, (char *)NULL);
		(void)err_sys(&e, ERR_GUEST_BOOT, "exec %s", IMAGE_INIT);
		fail(&e); /* the agent runs: stay, so that somebody can look */
		supervise_prepare();
	}
	supervise(agent);
}
