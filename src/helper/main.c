/* main.c - bangerd-root: options, configuration, socket; then supervisor_run().
 *
 *   parse -> configuration -> socket (bound, or handed over) -> fork workers -> confine -> serve
 *
 * #syscalls(supervisor) write unlink exit_group
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/notify.h"
#include "helper/conf.h"
#include "helper/fault.h"
#include "helper/listener.h"
#include "helper/supervisor.h"

enum {
	STATUS_USAGE = 2,
};

struct options {
	const char *conf;
	const char *socket;
	bool check;
};

static const char usage_text[] =
	"usage: bangerd-root [--config FILE] [--socket PATH] [--check]\n"
	"\n"
	"  --config FILE  instead of " HELPER_CONF "\n"
	"  --socket PATH  where to listen when no socket is handed over; else " HELPER_SOCKET "\n"
	"  --check        only reads the configuration; says what is wrong with it\n"
	"  --version\n"
	"\n"
	"Serves the privileged operations of banger to its daemon.  See bangerd-root(8).\n";

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' }, { "socket", required_argument, NULL, 's' },
	{ "check", no_argument, NULL, 'k' },        { "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'v' },      { NULL, 0, NULL, 0 },
};

/* 0: go on; 1: all is done; -EINVAL. */
static int options_parse(int argc, char **argv, struct options *o)
{
	int c;

	*o = (struct options){ .conf = HELPER_CONF, .socket = HELPER_SOCKET };
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (c == 'c') {
			o->conf = optarg;
		} else if (c == 's') {
			o->socket = optarg;
		} else if (c == 'k') {
			o->check = true;
		} else if (c == 'h') {
			(void)fputs(usage_text, stdout);
			return 1;
		} else if (c == 'v') {
			(void)puts("bangerd-root " BANGER_VERSION);
			return 1;
		} else {
			(void)fputs(usage_text, stderr);
			return -EINVAL;
		}
	}
	if (optind == argc)
		return 0;
	(void)fprintf(stderr, "bangerd-root: what is \"%s\"?\n%s", argv[optind], usage_text);
	return -EINVAL;
}

/* They are read from a descriptor by the supervisor; workers, which inherit the mask, do not end
 * because somebody pressed ^C. */
static int signals_block(struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? err_sys(e, ERR_INTERNAL, "sigprocmask") : 0;
}

static int serve(const struct options *o, const struct helper_conf *conf, struct err *e)
{
	struct notify notify = { .fd = -EBADF };
	struct notify_socket given = { .fd = -EBADF };
	CLEANUP_FD int listener = -EBADF;
	bool bound = false;
	int rc;

	if (geteuid() != 0)
		return err_num(e, ERR_INTERNAL, EPERM, "must be root");
	rc = notify_listener(&given, e);
	listener = given.fd;
	if (rc == 0 && listener >= 0) {
		rc = listener_adopt(listener, conf, e);
	} else if (rc == 0) {
		rc = listener_open(o->socket, conf, &listener, e);
		bound = rc == 0;
	}
	if (rc == 0)
		rc = notify_open(&notify, e);
	if (rc == 0)
		rc = signals_block(e);
	if (rc == 0)
		rc = supervisor_run(conf, listener, &notify, e);
	if (bound)
		IGNORE(unlink(o->socket));
	notify_close(&notify);
	return rc;
}

int main(int argc, char **argv)
{
	static struct helper_conf conf;
	struct options o;
	struct err e = { 0 };
	int rc;

	umask(S_IWGRP | S_IWOTH); /* not that of who starts us: a VMM must get into its jail */
	rc = options_parse(argc, argv, &o);
	if (rc != 0)
		return rc < 0 ? STATUS_USAGE : EXIT_SUCCESS;
#ifdef HELPER_FAULTS
	if (getenv("BANGER_FAULTS"))
		fault_open(getenv("BANGER_FAULTS"));
#endif
	rc = helper_conf_load(o.conf, &conf, &e);
	if (rc == 0 && !o.check)
		rc = serve(&o, &conf, &e);
	if (rc < 0) {
		(void)fprintf(stderr, "<3>bangerd-root: %s\n", e.text);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
