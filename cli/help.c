/* help.c - what the tables of commands and options say, for people and for man(1). */
#include <ctype.h>
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

static void put_summaries(FILE *out, const char *group)
{
	const size_t len = group ? strlen(group) : 0;

	for (size_t i = 0; i < ncommands; i++) {
		const struct command *c = &commands[i];

		if (group && (strncmp(c->name, group, len) != 0 || c->name[len] != ' '))
			continue;
		(void)fprintf(out, "  %-*s %s\n", SUMMARY_COLUMN, c->name, c->summary);
	}
}

void help_all(FILE *out)
{
	(void)fputs("banger - microVMs, one or a fleet\n\nUsage: banger COMMAND [OPTION...]\n\n"
		    "Commands:\n",
		    out);
	put_summaries(out, NULL);
	(void)fputs("\nShort forms:", out);
	for (size_t i = 0; i < ncommand_aliases; i++)
		(void)fprintf(out, "%s %s = %s", i ? "," : "", command_aliases[i].name,
			      command_aliases[i].target);
	(void)fputs("\n\nOptions of every command:\n", out);
	put_options(out, OPTIONS_GLOBAL);
	(void)fputs("\n`banger COMMAND --help` says more; so does banger(1).\n", out);
}

void help_group(FILE *out, const char *group)
{
	(void)fprintf(out, "Usage: banger %s COMMAND [OPTION...]\n\nCommands:\n", group);
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

/* ---- the man page ---- */

/* scdoc(5) gives a meaning to _ and * and \ and to # and . at a line's begin. */
static void put_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("_*\\[]#.~`<>", *text) && *text != '.')
			(void)fputc('\\', out);
		(void)fputc(*text, out);
	}
}

static void man_option(FILE *out, const struct option_row *row)
{
	(void)fputc('*', out);
	if (row->letter)
		(void)fprintf(out, "-%c*, *", row->letter);
	(void)fprintf(out, "--%s*", row->name);
	if (row->arg) {
		(void)fputs(" _", out);
		for (const char *p = row->arg; *p; p++)
			(void)fprintf(out, *p == '_' ? "\\_" : "%c", *p);
		(void)fputc('_', out);
	}
	(void)fputs("\n\t", out);
	put_escaped(out, row->doc);
	(void)fputs("\n\n", out);
}

static void man_examples(FILE *out, const char *text)
{
	(void)fputs("\tExamples:\n\n", out);
	while (*text) {
		const size_t len = strcspn(text, "\n");

		/* Each its own paragraph: scdoc joins lines. */
		(void)fputs("\t$ ", out);
		for (size_t i = 0; i < len; i++) {
			const char one[2] = { text[i], '\0' };

			put_escaped(out, one);
		}
		(void)fputs("\n\n", out);
		text += len + (text[len] == '\n');
	}
}

static void man_command(FILE *out, const struct command *c)
{
	bool any = false;

	(void)fprintf(out, "*banger %s*%s", c->name, c->args[0] ? " " : "");
	put_escaped(out, c->args);
	(void)fprintf(out, "\n\t%c", toupper((unsigned char)c->summary[0]));
	put_escaped(out, c->summary + 1);
	(void)fputs(".", out);
	if (c->doc) {
		(void)fputc(' ', out);
		put_escaped(out, c->doc);
	}
	(void)fputs("\n\n", out);
	for (size_t i = 0; i < OPT_NOPTIONS; i++) {
		if (!(c->options & BIT(i)))
			continue;
		(void)fprintf(out, "%s*--%s*", any ? ", " : "\tOptions: ", option_rows[i].name);
		any = true;
	}
	if (any)
		(void)fputs("\n\n", out);
	if (c->examples)
		man_examples(out, c->examples);
}

static void man_options(FILE *out, uint64_t mask)
{
	for (size_t i = 0; i < OPT_NOPTIONS; i++)
		if (mask & BIT(i))
			man_option(out, &option_rows[i]);
}

static const char man_head[] =
	"banger(1)\n\n"
	"; Generated by `banger --dump-man` from the tables in cli/; a test checks that it is "
	"current.\n\n"
	"# NAME\n\nbanger - microVMs, one or a fleet\n\n"
	"# SYNOPSIS\n\n*banger* _COMMAND_ [_OPTION_...]\n\n"
	"# DESCRIPTION\n\n"
	"banger creates virtual machines, runs commands in them and returns their exit status. It "
	"speaks to *bangerd*, which it starts when there is none.\n\n"
	"_REF_ is a VM's name, its id, or the beginning of its id. Results go to standard output, "
	"messages to standard error. Every failure names the operation's id, which "
	"*banger op show* explains.\n\n"
	"# COMMANDS\n\n";

static const char man_tail[] =
	"# EXIT STATUS\n\n"
	"0\n\tSuccess.\n\n1\n\tFailure. *vm create*, and *vm run* and *vm exec* in several VMs: "
	"the "
	"number of VMs that failed, at most 100.\n\n"
	"2\n\tThe command line could not be understood.\n\n"
	"125\n\t*vm run*, *vm exec*, *vm shell*: the failure is banger's, not the command's; also "
	"when the command line could not be understood.\n\n"
	"126\n\tThe command could not be executed.\n\n127\n\tThe command was not found.\n\n"
	"128+n\n\tThe command, or banger, was ended by signal n.\n\n"
	"Otherwise *vm run*, *vm exec* and *vm shell* exit as the command did.\n\n"
	"# SIGNALS\n\n"
	"The first interrupt (or SIGTERM, SIGHUP, SIGQUIT) cancels the operation, and what it had "
	"begun is undone; the second leaves at once. While a command runs in a guest without a "
	"terminal, they and SIGUSR1 and SIGUSR2 are passed to it instead; the third interrupt "
	"leaves.\n\n"
	"# ENVIRONMENT\n\n"
	"*BANGER_RUNTIME_DIR*, *BANGER_STATE_DIR*, *BANGER_CACHE_DIR*\n"
	"\tDirectories of the daemon, instead of those under *XDG_RUNTIME_DIR*, "
	"*XDG_STATE_HOME* and *XDG_CACHE_HOME*.\n\n"
	"*BANGER_DAEMON*\n\tThe program to start as the daemon.\n\n"
	"*NO_COLOR*\n\tAs *--no-color*.\n\n"
	"# FILES\n\n"
	"_$XDG_RUNTIME_DIR/banger/bangerd.sock_\n\tThe daemon's socket.\n\n"
	"_~/.local/state/banger/bangerd.log_\n\tThe daemon's log when banger started it.\n";

/* Those constant texts are scdoc already; names in capitals carry underscores inside bold. */
static void put_man_text(FILE *out, const char *text)
{
	for (const char *p = text; *p; p++) {
		const bool inner = *p == '_' && p > text && p[-1] >= 'A' && p[-1] <= 'Z' &&
				   p[1] >= 'A' && p[1] <= 'Z';

		if (inner || *p == '~')
			(void)fputc('\\', out);
		(void)fputc(*p, out);
	}
}

void help_man(FILE *out)
{
	put_man_text(out, man_head);
	for (size_t i = 0; i < ncommands; i++)
		man_command(out, &commands[i]);
	(void)fputs("Short forms: ", out);
	for (size_t i = 0; i < ncommand_aliases; i++)
		(void)fprintf(out, "%s*banger %s* = *%s*", i ? ", " : "", command_aliases[i].name,
			      command_aliases[i].target);
	(void)fputs(".\n\n# OPTIONS OF EVERY COMMAND\n\n", out);
	man_options(out, OPTIONS_GLOBAL);
	(void)fputs("# OPTIONS OF SOME COMMANDS\n\n", out);
	man_options(out, (BIT(OPT_NOPTIONS) - 1) & ~OPTIONS_GLOBAL);
	put_man_text(out, man_tail);
}
