/* main.c - banger: finds the command in the table, reads its options, runs it. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "complete.h"
#include "report.h"
#include "settings.h"
#include "values.h"

static int usage_error(const struct options *o, const struct err *e)
{
	report_error(o, e, NULL, NULL, NULL);
	return o->command && o->command->guest ? STATUS_OURS : STATUS_USAGE;
}

static int run(struct options *o, int argc, char **argv, struct err *e)
{
	const struct command *c = o->command;
	const struct option_rules rules = {
		.allowed = c->options, .max_args = c->max_args, .rest = c->rest, .tail = c->tail
	};

	if (options_parse(o, &rules, argc, argv, e) < 0)
		return usage_error(o, e);
	if (o->help) {
		help_command(stdout, c);
		return STATUS_OK;
	}
	if (o->nargs < c->min_args) {
		err_set(e, ERR_BAD_REQUEST, "%s needs %s", c->name, c->args);
		return usage_error(o, e);
	}
	if (settings_load(o, e) < 0)
		return usage_error(o, e);
	for (uint32_t i = 0; i < o->nargs; i++) {
		const struct value_kind *kind = value_kind_at(c->args, i);

		if (kind && value_check(c->name, kind, o->args[i], e) < 0)
			return usage_error(o, e);
	}
	return c->run(o);
}

/* "banger help vm run", "banger vm --help" */
static int help(int argc, char **argv, const struct options *o)
{
	struct err e = { 0 };
	const struct command *c;
	int words;

	if (argc == 0) {
		help_all(stdout);
		return STATUS_OK;
	}
	if (argc == 1 && command_is_group(argv[0])) {
		help_group(stdout, argv[0]);
		return STATUS_OK;
	}
	c = command_find(argc, argv, &words, &e);
	if (!c)
		return usage_error(o, &e);
	help_command(stdout, c);
	return STATUS_OK;
}

static bool asks_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int dispatch(struct options *o, int argc, char **argv)
{
	static const struct option_rules before = { .first_word = true };
	struct err e = { 0 };
	int words = 0;
	const int at = options_parse(o, &before, argc, argv, &e);

	if (at < 0)
		return usage_error(o, &e);
	argc -= at;
	argv += at;
	if (o->version) {
		(void)printf("banger %s\n", BANGER_VERSION);
		return STATUS_OK;
	}
	if (o->help)
		return help(argc, argv, o);
	if (argc == 0) {
		help_all(stderr);
		return STATUS_USAGE;
	}
	if (strcmp(argv[0], "help") == 0)
		return help(argc - 1, argv + 1, o);
	if (command_is_group(argv[0]) && (argc == 1 || asks_help(argv[1]))) {
		help_group(argc == 1 ? stderr : stdout, argv[0]);
		return argc == 1 ? STATUS_USAGE : STATUS_OK;
	}
	o->command = command_find(argc, argv, &words, &e);
	if (!o->command)
		return usage_error(o, &e);
	return run(o, argc - words, argv + words, &e);
}

/* A closed standard descriptor would become some socket of ours, and be written to. */
static bool standard_open(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return false;
	return true;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	int status;

	if (!standard_open())
		return STATUS_FAILED;
	(void)signal(SIGPIPE, SIG_IGN); /* a write says EPIPE, and is looked at */
	if (argc >= 2 && strcmp(argv[1], "__complete") == 0)
		return report_end(&o, complete_words(argc - 2, argv + 2));
	status = report_end(&o, dispatch(&o, argc > 0 ? argc - 1 : 0, argv + 1));
	options_fini(&o);
	return status;
}
