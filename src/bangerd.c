/* bangerd.c - main of the daemon: options, what the host is like, signals, the service manager, the
 * loop.
 *
 * The listening socket is inherited (LISTEN_FDS, sd_listen_fds(3)) from the command line that
 * started us or from systemd, else made here.  The daemon is crash-only: ending it, in whatever
 * way, leaves VMs running and records that say what is held; the next start adopts and undoes.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actors/config.h"
#include "base/notify.h"
#include "base/paths.h"
#include "daemon.h"

enum {
	MALLOC_KEEP_BYTES = 1 << 20, /* larger blocks, and more free memory, are given back */
};

struct options {
	const char *runtime_dir;
	const char *state_dir;
	char *config; /* owned; absolute */
	bool system;
	bool debug;
	bool no_sync;
};

static const struct log_ctx log_main = { "bangerd" };

static void usage(FILE *to)
{
	fputs("usage: bangerd [--system] [--runtime-dir DIR] [--state-dir DIR] [--config FILE]\n"
	      "               [--debug] [--no-sync]\n"
	      "The owner daemon of banger.  `banger` starts a session's by itself, systemd the\n"
	      "system's; see bangerd(8).\n",
	      to);
}

/* < 0: go on; else the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "runtime-dir", required_argument, NULL, 'r' },
		{ "state-dir", required_argument, NULL, 's' },
		{ "config", required_argument, NULL, 'c' },
		{ "system", no_argument, NULL, 'y' },
		{ "debug", no_argument, NULL, 'd' },
		{ "no-sync", no_argument, NULL, 'n' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'r':
			o->runtime_dir = optarg;
			break;
		case 's':
			o->state_dir = optarg;
			break;
		case 'c':
			free(o->config);
			o->config = realpath(optarg, NULL);
			if (!o->config) {
				fprintf(stderr, "bangerd: --config %s: %s\n", optarg,
					err_sys_text(errno));
				return 1;
			}
			break;
		case 'y':
			o->system = true;
			break;
		case 'd':
			o->debug = true;
			break;
		case 'n':
			o->no_sync = true;
			break;
		case 'V':
			puts("bangerd " BANGER_VERSION);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	return -1;
}

/* As many descriptors as we may have: a running VM takes a handful. */
static void raise_nofile(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < rl.rlim_max) {
		rl.rlim_cur = rl.rlim_max;
		IGNORE(setrlimit(RLIMIT_NOFILE, &rl) < 0);
	}
}

/* ---- whom we serve under: signals as messages, and what the service manager hears ---- */

struct service {
	struct actor actor;
	struct daemon *daemon;       /* borrowed */
	const struct notify *notify; /* borrowed */
	int fd;
	struct io_op poll;
	struct io_timer watchdog; /* set where a sign of life is wanted */
};

static void read_signals(struct service *s)
{
	struct signalfd_siginfo info;

	while (read(s->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP) {
			config_reload(&s->daemon->env, NULL);
			continue;
		}
		LOG_NOTICE(&log_main, NULL, "daemon.stop", K("why", "signal"));
		daemon_stop(s->daemon);
		return;
	}
	io_poll(s->daemon->env.io, &s->poll, s->fd, POLLIN);
}

/* A turn of the loop that does not end is what the watchdog is for: this is a message like others.
 */
static void show_life(struct service *s)
{
	notify_say(s->notify, "WATCHDOG=1");
	io_timer_set(s->daemon->env.io, &s->watchdog, s->notify->watchdog_us / 1000 / 2, 0);
}

static void service_handle(struct actor *a, struct msg *m)
{
	struct service *s = container_of(a, struct service, actor);

	if (m == &s->watchdog.msg)
		show_life(s);
	else
		read_signals(s);
}

static int service_begin(struct service *s, struct daemon *d, const struct notify *notify)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	IGNORE(sigprocmask(SIG_BLOCK, &set, NULL) < 0);
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0 || actor_init(&s->actor, &d->actors, service_handle) < 0)
		return -errno;
	s->daemon = d;
	s->notify = notify;
	io_op_init(&s->poll, &s->actor, MSG_IO);
	io_poll(d->env.io, &s->poll, s->fd, POLLIN);
	io_timer_init(&s->watchdog, &s->actor, MSG_TIMER);
	if (notify->watchdog_us > 0)
		show_life(s);
	return 0;
}

/* ---- the loop ---- */

/* Who waits for us to be gone hears once that we are going. */
static void tell_stopping(const struct daemon *d, const struct notify *notify, bool *told)
{
	if (*told || !d->env.stopping)
		return;
	notify_say(notify, "STOPPING=1");
	*told = true;
}

static int serve(struct daemon *d, const struct notify *notify)
{
	static struct service service; /* reachable to the end, which is the process's */
	bool told = false;
	int rc = service_begin(&service, d, notify);

	if (rc >= 0)
		notify_say(notify, "READY=1");
	log_hold(true);
	while (rc >= 0 && (rc = daemon_turn(d)) > 0) {
		tell_stopping(d, notify, &told);
		log_flush();
	}
	log_hold(false);
	return rc;
}

static int conf_dirs(const struct options *o, struct conf *c, struct err *e)
{
	struct paths paths;
	const int rc = paths_find(o->system, &paths, e);

	if (rc < 0)
		return rc;
	c->system = o->system;
	(void)snprintf(c->runtime_dir, ENV_PATH_MAX, "%s",
		       o->runtime_dir ? o->runtime_dir : paths.runtime);
	(void)snprintf(c->state_dir, ENV_PATH_MAX, "%s", o->state_dir ? o->state_dir : paths.state);
	if (strlen(c->runtime_dir) > ENV_DIR_MAX || strlen(c->state_dir) > ENV_DIR_MAX)
		return err_set(e, ERR_HOST_IO, "directories: more than %d bytes", (int)ENV_DIR_MAX);
	return 0;
}

/* Settings: what the files, the environment and the host say, and what the command line does. */
static int read_conf(const struct options *o, const struct conf_input *input, struct conf *c,
		     struct conf_problems *problems, struct err *e)
{
	const int rc = conf_load(c, input, problems, e);

	if (rc < 0)
		return rc;
	if (o->debug) {
		(void)snprintf(c->log_level, sizeof(c->log_level), "debug");
		c->origins[CONF_LOG_LEVEL].source = CONF_FROM_OPTION;
	}
	for (uint32_t i = 0; i < problems->n; i++)
		LOG_WARN(&log_main, NULL, "config.problem", K("where", problems->v[i].where),
			 K("why", problems->v[i].text));
	return conf_dirs(o, c, e);
}

static int run(const struct options *o, struct err *e)
{
	/* Too large for the stack. */
	static struct conf conf;
	static struct conf_problems problems;
	static struct daemon *d;
	const struct conf_input input = { .file = o->config,
					  .libexec = BANGER_LIBEXEC_DIR,
					  .environment = true,
					  .system = o->system };
	struct daemon_config dc = {
		.conf = &conf, .input = &input, .problems = &problems, .no_sync = o->no_sync
	};
	struct notify_socket given = { .fd = -EBADF };
	struct notify notify = { .fd = -EBADF };
	char path[ENV_PATH_MAX + 16];

	int rc = read_conf(o, &input, &conf, &problems, e);
	if (rc < 0)
		return rc;
	IGNORE(vmm_tsc_khz(&dc.tsc_khz) < 0);
	vmm_host_ask(&vmm_firecracker, conf.firecracker, &dc.firecracker);
	rc = notify_listener(&given, e);
	dc.listen_fd = given.fd;
	if (rc == 0)
		rc = notify_open(&notify, e);
	if (rc == 0)
		rc = daemon_create(&dc, &d, e);
	if (rc < 0)
		return rc;
	LOG_NOTICE(&log_main, NULL, "daemon.ready", K("version", BANGER_VERSION),
		   K("vms", d->node->nvms), K("state", conf.state_dir));
	rc = serve(d, &notify);
	daemon_socket_path(&conf, path);
	if (!given.lent)
		IGNORE(unlink(path) < 0);
	LOG_NOTICE(&log_main, NULL, "daemon.end", K("rc", rc));
	return rc;
}

/* See mallopt(3).  Worker threads allocate little, and an arena each costs more.  By itself glibc
 * would take what was once big and short-lived, as a page of a list is, from the heap for ever. */
static void use_little_memory(void)
{
	IGNORE(mallopt(M_ARENA_MAX, 1) == 0);
	IGNORE(mallopt(M_MMAP_THRESHOLD, MALLOC_KEEP_BYTES) == 0);
	IGNORE(mallopt(M_TRIM_THRESHOLD, MALLOC_KEEP_BYTES) == 0);
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct err e = { 0 };
	const int status = parse_options(argc, argv, &o);

	if (status >= 0)
		return status;
	umask(077);
	use_little_memory();
	IGNORE(sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL) < 0);
	raise_nofile();
	if (run(&o, &e) < 0) {
		fprintf(stderr, "bangerd: %s: %s\n", err_name(e.code), e.text);
		if (err_hint(e.code)[0])
			fprintf(stderr, "  %s\n", err_hint(e.code));
		return 1;
	}
	return 0;
}
