/* help.c - what the tables of commands and options say.  docs/man/manpages.c says it to man(1). */
#include <stdio.h>
#include <string.h>

#include "command.h"

enum {
	SUMMARY_COLUMN = 16,
	OPTION_COLUMN = 28,
	HELP_WIDTH = 80,
};

static void put_usage(FILE *out, const struct command *c)
{
	(void)fprintf(out, "banger %s [OPTION...]%s%s", c->name, c->args[0] ? " " : "", c->args);
}

static void put_option(FILE *out, const struct option_row *row)
{
	char text[64];
	char letter[8] = "   ";

	if (row->letter)
		(void)snprintf(letter, sizeof(letter), "-%c,", row->letter);
	(void)snprintf(text, sizeof(text), "%s --%s%s%s", letter, row->name, row->arg ? " " : "",
		       row->arg ? row->arg : "");
	(void)fprintf(out, "  %-*s %s\n", OPTION_COLUMN, text, row->doc);
}

static void put_options(FILE *out, uint64_t mask)
{
	for (size_t i = 0; i < OPT_NOPTIONS; i++)
		if (mask & BIT(i))
			put_option(out, &option_rows[i]);
}

/* Words up to HELP_WIDTH columns a line. */
static void put_wrapped(FILE *out, const char *text)
{
	size_t column = 0;

	while (*text) {
		const size_t len = strcspn(text, " ");
		const bool fresh = column == 0 || column + 1 + len > HELP_WIDTH;

		if (column > 0)
			(void)fputc(fresh ? '\n' : ' ', out);
		(void)fprintf(out, "%.*s", (int)len, text);
		column = fresh ? len : column + 1 + len;
		text += len;
		text += strspn(text, " ");
	}
	(void)fputc('\n', out);
}

/* group: "" for the commands of one word. */
static bool is_in_group(const struct command *c, const char *group)
{
	const size_t len = strlen(group);

	if (!len)
		return !strchr(c->name, ' ');
	return strncmp(c->name, group, len) == 0 && c->name[len] == ' ';
}

static void put_summaries(FILE *out, const char *group)
{
	for (size_t i = 0; i < ncommands; i++)
		if (is_in_group(&commands[i], group))
			(void)fprintf(out, "  %-*s %s\n", SUMMARY_COLUMN, commands[i].name,
				      commands[i].summary);
}

void help_all(FILE *out)
{
	(void)fputs("banger - microVMs, one or a fleet\n\nUsage: banger COMMAND [OPTION...]\n",
		    out);
	for (size_t i = 0; i < ncommand_groups; i++) {
		(void)fprintf(out, "\n%s - %s\n", command_groups[i].name,
			      command_groups[i].summary);
		put_summaries(out, command_groups[i].name);
	}
	(void)fputs("\nAnd\n", out);
	put_summaries(out, "");
	(void)fputs("\nShort forms\n", out);
	for (size_t i = 0; i < ncommand_aliases; i++)
		(void)fprintf(out, "  %-*s %s\n", SUMMARY_COLUMN, command_aliases[i].name,
			      command_aliases[i].target);
	(void)fputs("\nOptions of every command:\n", out);
	put_options(out, OPTIONS_GLOBAL);
	(void)fputs("\n`banger COMMAND --help` says more; so does banger(1).\n", out);
}

void help_group(FILE *out, const char *group)
{
	(void)fprintf(out, "Usage: banger %s COMMAND [OPTION...]\n\n", group);
	put_summaries(out, group);
}

void help_command(FILE *out, const struct command *c)
{
	(void)fputs("Usage: ", out);
	put_usage(out, c);
	(void)fprintf(out, "\n\n%s: %s\n", c->name, c->summary);
	if (c->doc) {
		(void)fputc('\n', out);
		put_wrapped(out, c->doc);
	}
	if (c->options) {
		(void)fputs("\nOptions:\n", out);
		put_options(out, c->options);
	}
	(void)fputs("\nOptions of every command:\n", out);
	put_options(out, OPTIONS_GLOBAL);
	if (c->examples)
		(void)fprintf(out, "\nExamples:\n%s\n", c->examples);
}
