/* net.c - the program banger-net: a guest's network, for a user without root; banger-net(8).
 *
 * With --fd it ends with its connection.  With --listen one connection is taken after the other, so
 * that a guest may boot again and the daemon may die meanwhile.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "net/confine.h"
#include "net/loop.h"

enum {
	EXIT_USAGE = 2,
};

struct args {
	int fd, listen_fd; /* -EBADF: not given */
	bool host_loopback;
	struct net_publish publish[NET_PUBLISH_MAX];
	unsigned npublish;
	bool help;
	char *const *words; /* argv */
};

/* ---- the command line ---- */

static const char usage[] =
	"usage: banger-net --name WORD (--fd N | --listen N) [--host-loopback]\n"
	"                  [--publish HOST:GUEST]...\n"
	"\n"
	"The network of a virtual machine, for a user without root: bangerd starts one beside "
	"each.\n"
	"\n"
	"  --name WORD           by what the daemon knows this process again\n"
	"  --fd N                the guest's frames, on this connected stream socket; ends with "
	"it\n"
	"  --listen N            the same, on who connects to this listening one, one after the "
	"other\n"
	"  --host-loopback       the guest's gateway is the host's loopback\n"
	"  --publish HOST:GUEST  the guest's TCP port, on the host's 127.0.0.1; up to 64\n"
	"  --help                this\n"
	"\n"
	"See banger-net(8).\n";

static int fd_parse(const char *what, const char *text, int *ret_fd, struct err *e)
{
	uint64_t n;
	const int rc = number_parse(what, text, STDERR_FILENO + 1, NET_SOCKETS_MAX - 1, &n, e);

	if (rc == 0)
		*ret_fd = (int)n;
	return rc;
}

static int publish_parse(const char *text, struct args *a, struct err *e)
{
	const char *colon = strchr(text, ':');
	char host[sizeof("65535")];
	uint64_t from, to;

	if (!colon || (size_t)(colon - text) >= sizeof(host))
		return err_set(e, ERR_BAD_REQUEST, "--publish %.32s: not HOST:GUEST", text);
	if (a->npublish == ARRAY_LEN(a->publish))
		return err_set(e, ERR_BAD_REQUEST, "--publish: more than %d", NET_PUBLISH_MAX);
	(void)snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	int rc = number_parse("--publish", host, 1, UINT16_MAX, &from, e);
	if (rc == 0)
		rc = number_parse("--publish", colon + 1, 1, UINT16_MAX, &to, e);
	if (rc == 0)
		a->publish[a->npublish++] = (struct net_publish){ (uint16_t)from, (uint16_t)to };
	return rc;
}

static int option_take(int option, struct args *a, struct err *e)
{
	switch (option) {
	case 'f':
		return fd_parse("--fd", optarg, &a->fd, e);
	case 'l':
		return fd_parse("--listen", optarg, &a->listen_fd, e);
	case 'h':
		a->host_loopback = true;
		return 0;
	case 'p':
		return publish_parse(optarg, a, e);
	case '?':
		return err_set(e, ERR_BAD_REQUEST,
			       "%s: not known, or without its value; see --help",
			       a->words[optind - 1]);
	case 'H':
		a->help = true;
		return 0;
	default:
		return 0; /* --name's word is for who looks at our command line */
	}
}

static int args_parse(int argc, char **argv, struct args *a, struct err *e)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "fd", required_argument, NULL, 'f' },
		{ "listen", required_argument, NULL, 'l' },
		{ "host-loopback", no_argument, NULL, 'h' },
		{ "publish", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'H' },
		{ 0 },
	};
	int rc = 0;

	*a = (struct args){ .fd = -EBADF, .listen_fd = -EBADF, .words = argv };
	opterr = 0;
	for (int o; rc == 0 && (o = getopt_long(argc, argv, "", options, NULL)) != -1;)
		rc = option_take(o, a, e);
	if (rc < 0 || a->help)
		return rc;
	if (optind != argc)
		return err_set(e, ERR_BAD_REQUEST, "%s: an argument too many; see --help",
			       argv[optind]);
	if ((a->fd < 0) == (a->listen_fd < 0))
		return err_set(e, ERR_BAD_REQUEST,
			       "one of --fd and --listen is needed; see --help");
	return 0;
}

static int run(const struct args *a, struct err *e)
{
	static struct net n; /* large, and there is one */
	int rc;

	rc = net_init(&n, a->fd, a->listen_fd, a->host_loopback, e);
	for (unsigned i = 0; rc == 0 && i < a->npublish; i++)
		rc = stack_publish(&n.stack, a->publish[i], e);
	if (rc == 0)
		rc = confine(e);
	if (rc < 0)
		return rc;
	do
		rc = net_turn(&n);
	while (rc == 0);
	if (rc == -EPIPE || rc == -ECONNRESET)
		return 0;
	return rc == -EPROTO ? err_set(e, ERR_NETWORK, "the guest sent what is no frame")
			     : err_num(e, ERR_NETWORK, rc, "the guest's connection");
}

int main(int argc, char **argv)
{
	struct args a;
	struct err e = { 0 };

	(void)signal(SIGPIPE, SIG_IGN);
	int status = args_parse(argc, argv, &a, &e) < 0 ? EXIT_USAGE : EXIT_SUCCESS;
	if (status == EXIT_SUCCESS && a.help)
		return fputs(usage, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	if (status == EXIT_SUCCESS && run(&a, &e) < 0)
		status = EXIT_FAILURE;
	if (status != EXIT_SUCCESS)
		(void)fprintf(stderr, "banger-net: %s\n", e.text);
	return status;
}
