/* test_cli_parse.c - words of the command line: values, options, and what was meant. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/suggest.h"
#include "cli/command.h"
#include "cli/escape.h"
#include "cli/options.h"
#include "cli/parse.h"

Test(duration, reads_units_and_their_sums)
{
	static const struct {
		const char *text;
		uint32_t ms;
	} rows[] = { { "500ms", 500 }, { "10s", 10000 },  { "2m", 120000 },
		     { "3", 3000 },    { "1h", 3600000 }, { "1m30s", 90000 } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint32_t ms = 0;

		cr_assert_eq(duration_parse("--timeout", rows[i].text, &ms, NULL), 0, "%s",
			     rows[i].text);
		cr_assert_eq(ms, rows[i].ms, "%s", rows[i].text);
	}
}

Test(duration, refuses_and_names_the_word)
{
	static const char *const bad[] = { "",    "0",    "s",
					   "-1s", "1x",   "1s2",
					   "25h", "1.5s", "99999999999999999999s" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = { 0 };
		uint32_t ms;

		cr_assert_lt(duration_parse("--timeout", bad[i], &ms, &e), 0, "%s", bad[i]);
		cr_assert_not_null(strstr(e.text, bad[i]), "%s", e.text);
		cr_assert_not_null(strstr(e.text, "--timeout"), "%s", e.text);
	}
}

Test(publish, reads_host_and_guest_port)
{
	struct publish p;

	cr_assert_eq(publish_parse("-p", "8080:80", &p, NULL), 0);
	cr_assert_eq(p.host, 8080);
	cr_assert_eq(p.guest, 80);
}

Test(publish, refuses_and_names_the_word)
{
	static const char *const bad[] = { "",     "80",       "80:", ":80",
					   "0:80", "80:65536", "a:b", "1:2:3" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = { 0 };
		struct publish p;

		cr_assert_lt(publish_parse("--publish", bad[i], &p, &e), 0, "%s", bad[i]);
		cr_assert_not_null(strstr(e.text, bad[i]), "%s", e.text);
	}
}

Test(signal, reads_names_and_numbers)
{
	uint32_t signo = 0;

	cr_assert_eq(signal_parse("-s", "TERM", &signo, NULL), 0);
	cr_assert_eq(signo, SIGTERM);
	cr_assert_eq(signal_parse("-s", "sigusr1", &signo, NULL), 0);
	cr_assert_eq(signo, SIGUSR1);
	cr_assert_eq(signal_parse("-s", "9", &signo, NULL), 0);
	cr_assert_eq(signo, SIGKILL);
	cr_assert_lt(signal_parse("-s", "0", &signo, NULL), 0);
	cr_assert_lt(signal_parse("-s", "65", &signo, NULL), 0);
	cr_assert_lt(signal_parse("-s", "TERMINATE", &signo, NULL), 0);
}

Test(suggest, counts_a_swap_as_one_edit)
{
	cr_assert_eq(suggest_distance("run", "run"), 0);
	cr_assert_eq(suggest_distance("rnu", "run"), 1);
	cr_assert_eq(suggest_distance("kitten", "sitting"), 3);
	cr_assert_eq(suggest_distance("", "abc"), 3);
}

Test(suggest, finds_the_nearest_and_not_just_anything)
{
	struct suggest near = { .word = "memroy" };
	struct suggest far = { .word = "xyzzy" };

	suggest_offer(&near, "image");
	suggest_offer(&near, "memory");
	suggest_offer(&near, "name");
	cr_assert_str_eq(near.best, "memory");
	suggest_offer(&far, "memory");
	cr_assert_null(far.best);
}

static int parse(struct options *o, const char *command, int argc, const char *const *words,
		 struct err *e)
{
	static char *argv[16]; /* options borrow it */
	const struct command *c = command_by_name(command);
	const struct option_rules rules = {
		.allowed = c->options, .max_args = c->max_args, .rest = c->rest, .tail = c->tail
	};

	for (int i = 0; i < argc; i++)
		argv[i] = strdup(words[i]);
	return options_parse(o, &rules, argc, argv, e);
}

#define PARSE(o, command, e, ...)                                                                  \
	parse(o, command, (int)ARRAY_LEN(((const char *[]){ __VA_ARGS__ })),                       \
	      (const char *[]){ __VA_ARGS__ }, e)

Test(options, come_in_every_spelling)
{
	struct options o = { 0 };

	cr_assert_geq(PARSE(&o, "vm run", NULL, "--memory=4G", "--vcpu", "3", "-n5", "-l", "a=b",
			    "-la=c", "--rm", "-p", "1:2", "--", "ls", "-l"),
		      0);
	cr_assert_eq(o.memory_bytes, UINT64_C(4) << 30);
	cr_assert_eq(o.vcpu, 3);
	cr_assert_eq(o.count, 5);
	cr_assert(o.rm);
	cr_assert_eq(o.labels.n, 1, "a key given again replaces");
	cr_assert_str_eq(o.labels.v[0], "a=c");
	cr_assert_null(o.labels.v[1]);
	cr_assert_eq(o.publish.n, 1);
	cr_assert_eq(o.ntail, 2);
	cr_assert_str_eq(o.tail[1], "-l");
	options_fini(&o);
}

Test(options, of_exec_end_where_its_command_begins)
{
	struct options o = { 0 };

	cr_assert_geq(PARSE(&o, "exec", NULL, "-it", "web", "-e", "A=1", "sh", "-c", "x"), 0);
	cr_assert(o.interactive);
	cr_assert(o.tty);
	cr_assert_eq(o.nargs, 1);
	cr_assert_str_eq(o.args[0], "web");
	cr_assert_eq(o.env.n, 1);
	cr_assert_eq(o.ntail, 3);
	cr_assert_str_eq(o.tail[0], "sh");
	options_fini(&o);
}

Test(options, and_words_may_be_mixed)
{
	struct options o = { 0 };

	cr_assert_geq(PARSE(&o, "vm stop", NULL, "a", "--timeout", "5s", "b", "-f", "c"), 0);
	cr_assert_eq(o.nargs, 3);
	cr_assert_str_eq(o.args[0], "a");
	cr_assert_str_eq(o.args[1], "b");
	cr_assert_str_eq(o.args[2], "c");
	cr_assert_eq(o.timeout_ms, 5000);
	options_fini(&o);
}

Test(options, refused_ones_are_named)
{
	static const struct {
		const char *command;
		const char *words[2];
		int n;
		const char *says;
	} rows[] = {
		{ "vm run", { "--memroy", "4G" }, 2, "did you mean --memory?" },
		{ "vm run", { "--rm=yes" }, 1, "--rm takes no value" },
		{ "vm run", { "--name" }, 1, "--name needs a NAME" },
		{ "vm run", { "-Z" }, 1, "unknown option -Z" },
		{ "vm run", { "ls" }, 1, "\"ls\"; a command comes after --" },
		{ "vm run", { "--" }, 1, "no command after --" },
		{ "vm list", { "--", "ls" }, 2, "no command can be given" },
		{ "vm run", { "--label", "x" }, 2, "\"x\" is not KEY=VALUE" },
		{ "vm run", { "-n", "0" }, 2, "\"0\" is not a number from 1 to 4096" },
		{ "vm run", { "--memory", "4Q" }, 2, "4Q" },
		{ "ping", { "--op-id", "x" }, 2, "is not an op_id" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct options o = { 0 };
		struct err e = { 0 };

		cr_assert_lt(parse(&o, rows[i].command, rows[i].n, rows[i].words, &e), 0, "%s",
			     rows[i].says);
		cr_assert_not_null(strstr(e.text, rows[i].says), "%s", e.text);
		options_fini(&o);
	}
}

Test(commands, are_found_by_name_and_alias)
{
	char vm[] = "vm";
	char run[] = "run";
	char ps[] = "ps";
	char *two[] = { vm, run, NULL };
	char *one[] = { ps, NULL };
	int words = 0;

	cr_assert_str_eq(command_find(2, two, &words, NULL)->name, "vm run");
	cr_assert_eq(words, 2);
	cr_assert_str_eq(command_find(1, one, &words, NULL)->name, "vm list");
	cr_assert_eq(words, 1);
}

Test(commands, aliases_lead_to_commands)
{
	for (size_t i = 0; i < ncommand_aliases; i++)
		cr_assert_not_null(command_by_name(command_aliases[i].name), "%s",
				   command_aliases[i].name);
}

static void check_apart(const struct command *c, const struct option_row *a,
			const struct option_row *b)
{
	cr_assert(a->letter == 0 || a->letter != b->letter, "%s: -%c twice", c->name, a->letter);
	cr_assert_str_neq(a->name, b->name, "%s", c->name);
}

/* Rows may share a letter or a name, as long as no command has both. */
Test(commands, options_of_a_command_are_told_apart)
{
	for (size_t i = 0; i < OPT_NOPTIONS; i++)
		cr_assert_not_null(option_rows[i].name, "row %zu", i);
	for (size_t n = 0; n < ncommands; n++) {
		const uint64_t mask = commands[n].options | OPTIONS_GLOBAL;

		for (size_t i = 0; i < OPT_NOPTIONS; i++)
			for (size_t j = 0; j < i; j++)
				if ((mask & BIT(i)) && (mask & BIT(j)))
					check_apart(&commands[n], &option_rows[i], &option_rows[j]);
	}
}

static enum escape_says typed(struct escape *x, const char *in, char *passed, size_t *ret_taken)
{
	size_t n;
	const enum escape_says says = escape_feed(x, (const uint8_t *)in, strlen(in),
						  (uint8_t *)passed, &n, ret_taken);

	passed[n] = '\0';
	return says;
}

Test(escape, means_something_at_the_beginning_of_a_line_only)
{
	static const struct {
		const char *in, *passed;
		enum escape_says says;
		size_t taken;
	} rows[] = {
		{ "ls\r", "ls\r", ESCAPE_PASS, 3 },       { "~.x", "", ESCAPE_LEAVE, 2 },
		{ "a~.", "a~.", ESCAPE_PASS, 3 },         { "a\r~.", "a\r", ESCAPE_LEAVE, 4 },
		{ "a\n~?b", "a\n", ESCAPE_HELP, 4 },      { "~~.", "~.", ESCAPE_PASS, 3 },
		{ "~/bin\r", "~/bin\r", ESCAPE_PASS, 6 }, { "~~~.", "~~.", ESCAPE_PASS, 4 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct escape x = { .key = ESCAPE_DEFAULT };
		char passed[32];
		size_t taken;

		cr_assert_eq(typed(&x, rows[i].in, passed, &taken), rows[i].says, "%zu", i);
		cr_assert_str_eq(passed, rows[i].passed, "%zu", i);
		cr_assert_eq(taken, rows[i].taken, "%zu", i);
	}
}

Test(escape, comes_in_pieces_and_can_be_another_key_or_none)
{
	struct escape x = { .key = '^' };
	struct escape none = { .key = ESCAPE_NONE };
	char passed[32];
	size_t taken;

	cr_assert_eq(typed(&x, "^", passed, &taken), ESCAPE_PASS);
	cr_assert_str_eq(passed, "");
	cr_assert_eq(typed(&x, ".", passed, &taken), ESCAPE_LEAVE);
	cr_assert_eq(typed(&none, "~.", passed, &taken), ESCAPE_PASS);
	cr_assert_str_eq(passed, "~.");
}

Test(escape, is_one_character)
{
	static const char *const bad[] = { "", "ab", "\x1b", "\x7f", "é" };
	struct err e = { 0 };
	int key = 0;

	cr_assert_eq(escape_parse("--escape", "^", &key, &e), 0);
	cr_assert_eq(key, '^');
	cr_assert_eq(escape_parse("--escape", "none", &key, &e), 0);
	cr_assert_eq(key, ESCAPE_NONE);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_lt(escape_parse("--escape", bad[i], &key, &e), 0, "%s", bad[i]);
}
