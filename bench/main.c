/* main.c - banger-bench: load and measurement.
 *
 * bare and echo need no daemon: they are the yardsticks.  helper talks to the root helper.  The
 * others talk to the session's daemon, found and started as `banger` would.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "proto/helper.h"

/* clang-format off */
#define N    BIT(BENCH_OPT_COUNT)
#define C    BIT(BENCH_OPT_CONCURRENCY)
#define CONN BIT(BENCH_OPT_CONNECTIONS)
#define VM   (BIT(BENCH_OPT_VMM) | BIT(BENCH_OPT_IMAGE))

static const struct bench_command commands[] = {
	{ "bare", bench_bare, N | C | BIT(BENCH_OPT_ACCEL) | BIT(BENCH_OPT_VMM) | BIT(BENCH_OPT_PROBE),
	  { .count = 200, .concurrency = 4, .accel = NULL, .vmm = "qemu" },
	  "starts probe guests without a daemon: the yardstick for fleet" },
	{ "echo", bench_echo, N | C,
	  { .count = 20000, .concurrency = 1 },
	  "frames of a ping's size over io_uring and a unix socket: the yardstick for ping" },
	{ "ping", bench_ping, N | C,
	  { .count = 20000, .concurrency = 1 },
	  "round trips to the daemon" },
	{ "cycles", bench_cycles, N | C | CONN | VM,
	  { .count = 10000, .concurrency = 256, .connections = 1, .vmm = "null", .image = "null" },
	  "create, start, stop, delete of VMs without a process" },
	{ "fill", bench_fill, N | VM,
	  { .count = 10000, .vmm = "null", .image = "null" },
	  "adds stopped VMs until there are so many records" },
	{ "restart", bench_restart, N | VM | BIT(BENCH_OPT_KEEP),
	  { .count = 10000, .vmm = "null", .image = "null" },
	  "fills, stops the daemon, starts it: time until it answers" },
	{ "fleet", bench_fleet, N | C | VM | BIT(BENCH_OPT_KEEP) | BIT(BENCH_OPT_SERIAL),
	  { .count = 200, .concurrency = 1, .vmm = "", .image = "probe" },
	  "starts VMs through the daemon; -c: in so many requests, at once or --serial" },
	{ "helper", bench_helper, N | BIT(BENCH_OPT_SOCKET),
	  { .count = 100, .socket = HELPER_SOCKET },
	  "taps and NAT through the root helper, and by ip and nft" },
	{ "block", bench_block, N | BIT(BENCH_OPT_SOCKET),
	  { .count = 100, .socket = HELPER_SOCKET },
	  "root disks through the root helper, and by losetup and dmsetup: see bench/run" },
};

static const struct option longs[] = {
	{ "inflight", required_argument, NULL, 'c' },
	{ "connections", required_argument, NULL, 'o' },
	{ "accel", required_argument, NULL, 'a' },
	{ "vmm", required_argument, NULL, 'v' },
	{ "image", required_argument, NULL, 'i' },
	{ "probe", required_argument, NULL, 'p' },
	{ "keep", no_argument, NULL, 'k' },
	{ "socket", required_argument, NULL, 's' },
	{ "serial", no_argument, NULL, 'r' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};
/* clang-format on */

/* The letter of each option, as getopt returns it. */
static const char letters[BENCH_NOPTIONS] = {
	[BENCH_OPT_COUNT] = 'n',  [BENCH_OPT_CONCURRENCY] = 'c', [BENCH_OPT_CONNECTIONS] = 'o',
	[BENCH_OPT_ACCEL] = 'a',  [BENCH_OPT_VMM] = 'v',         [BENCH_OPT_IMAGE] = 'i',
	[BENCH_OPT_PROBE] = 'p',  [BENCH_OPT_KEEP] = 'k',        [BENCH_OPT_SOCKET] = 's',
	[BENCH_OPT_SERIAL] = 'r',
};

static void usage(FILE *to)
{
	fputs("usage: banger-bench COMMAND [OPTION...]\n\n", to);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].doc);
	fputs("\n  -n N  -c C, --inflight C  --connections N  --accel tcg|kvm  --vmm NAME\n"
	      "  --image NAME  --probe PATH  --keep  --serial  --socket PATH  --json\n",
	      to);
}

static int number(const char *text, uint32_t max, uint32_t *ret)
{
	char *end;

	errno = 0;
	const unsigned long v = strtoul(text, &end, 10);

	if (errno || *end || end == text || v == 0 || v > max) {
		fprintf(stderr, "banger-bench: '%s' is not a number from 1 to %u\n", text, max);
		return -EINVAL;
	}
	*ret = (uint32_t)v;
	return 0;
}

static bool takes(const struct bench_command *c, int letter)
{
	const char *at = memchr(letters, letter, sizeof(letters));

	return !at || (c->options & BIT(at - letters));
}

static int set(struct bench_args *a, int letter)
{
	switch (letter) {
	case 'n':
		return number(optarg, BENCH_COUNT_MAX, &a->count);
	case 'c':
		return number(optarg, BENCH_CONCURRENCY_MAX, &a->concurrency);
	case 'o':
		return number(optarg, BENCH_CONCURRENCY_MAX, &a->connections);
	case 'a':
		a->accel = optarg;
		return strcmp(optarg, "tcg") == 0 || strcmp(optarg, "kvm") == 0 ? 0 : -EINVAL;
	case 'v':
		a->vmm = optarg;
		return 0;
	case 'i':
		a->image = optarg;
		return 0;
	case 'p':
		a->probe = optarg;
		return 0;
	case 'k':
		a->keep = true;
		return 0;
	case 's':
		a->socket = optarg;
		return 0;
	case 'r':
		a->serial = true;
		return 0;
	case 'j':
		a->json = true;
		return 0;
	default:
		return -EINVAL;
	}
}

static int parse(const struct bench_command *c, int argc, char **argv, struct bench_args *a)
{
	int letter;

	*a = c->defaults;
	while ((letter = getopt_long(argc, argv, "n:c:h", longs, NULL)) != -1) {
		if (letter == 'h') {
			usage(stdout);
			exit(EXIT_SUCCESS);
		}
		if (letter == '?')
			return -EINVAL;
		if (!takes(c, letter)) {
			fprintf(stderr, "banger-bench: %s does not take this option\n", c->name);
			return -EINVAL;
		}
		if (set(a, letter) < 0)
			return -EINVAL;
	}
	return optind == argc ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	const struct bench_command *c = NULL;
	struct bench_args a;
	struct err e = { 0 };

	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(commands); i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			c = &commands[i];
	}
	if (!c || parse(c, argc - 1, argv + 1, &a) < 0) {
		usage(stderr);
		return 2;
	}
	sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
	if (c->run(&a, &e) < 0) {
		fprintf(stderr, "banger-bench: %s: %s\n", c->name, e.text);
		return 1;
	}
	return 0;
}
