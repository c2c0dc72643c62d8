/* manpages.c - writes every man page: from the tables of the command line, and from templates.
 *
 *   manpages TEMPLATES OUT      TEMPLATES holds *.in; pages go to OUT/man1, man5, man7, man8
 *
 * Each command has a page of its own (banger-vm-run.1), each group of commands one that lists them,
 * each short form a link to its command's.  NAME.SECTION.in is a page by hand, in which a
 * line "@commands@" stands for what the tables say.  A file banger-COMMAND.1.more, where there is
 * one, goes into that command's page before its exit status.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/options.h"
#include "conf/conf.h"
#include "proto/client.h"
#include "proto/helper.h"
#include "roff.h"

enum {
	PATH_BYTES = 1024,
	NAME_BYTES = 128,
	DIR_MODE = 0755,
};

static const int sections[] = { 1, 5, 7, 8 };

struct place {
	const char *templates;
	const char *out;
};

static _Noreturn void fail(const char *what)
{
	(void)fprintf(stderr, "manpages: %s: %s\n", what, err_sys_text(errno));
	exit(EXIT_FAILURE);
}

/* ---- pages ---- */

struct page {
	FILE *f;
	char temporary[PATH_BYTES];
	char path[PATH_BYTES];
};

/* "banger vm run" -> "banger-vm-run" */
static void page_name(const char *words, char out[NAME_BYTES])
{
	(void)snprintf(out, NAME_BYTES, "banger-%s", words);
	for (char *p = out; *p; p++)
		if (*p == ' ')
			*p = '-';
}

static void page_open(struct page *p, const struct place *at, const char *name, int section)
{
	(void)snprintf(p->path, sizeof(p->path), "%s/man%d/%s.%d", at->out, section, name, section);
	if ((size_t)snprintf(p->temporary, sizeof(p->temporary), "%s.new", p->path) >=
	    sizeof(p->temporary))
		fail(name);
	p->f = fopen(p->temporary, "we");
	if (!p->f)
		fail(p->temporary);
}

/* Renamed into place: that makes the directory, which the build looks at, as new as its pages. */
static void page_close(struct page *p)
{
	if (fclose(p->f) != 0 || rename(p->temporary, p->path) < 0)
		fail(p->path);
}

static void put_title(FILE *out, const char *name, int section)
{
	(void)fputs(".TH ", out);
	for (; *name; name++)
		(void)fputc(toupper((unsigned char)*name), out);
	(void)fprintf(out, " %d \"%s\" \"banger %s\" \"banger manual\"\n", section, BANGER_DATE,
		      BANGER_VERSION);
}

/* ---- what the tables say ---- */

/* "Create a VM." out of "create a VM" */
static void put_sentence(FILE *out, const char *text)
{
	char sentence[512];

	(void)snprintf(sentence, sizeof(sentence), "%c%s.", toupper((unsigned char)text[0]),
		       text + 1);
	roff_prose(out, sentence);
}

static void put_option(FILE *out, const struct option_row *row)
{
	(void)fputs(".TP\n", out);
	if (row->letter)
		(void)fprintf(out, "\\fB\\-%c\\fR, ", row->letter);
	(void)fputs("\\fB\\-\\-", out);
	roff_literal(out, row->name);
	(void)fputs("\\fR", out);
	if (row->arg)
		(void)fprintf(out, " \\fI%s\\fR", row->arg);
	(void)fputc('\n', out);
	put_sentence(out, row->doc);
}

static void put_options(FILE *out, uint64_t mask)
{
	for (size_t i = 0; i < OPT_NOPTIONS; i++)
		if (mask & BIT(i))
			put_option(out, &option_rows[i]);
}

static void put_global_options(FILE *out)
{
	put_options(out, OPTIONS_GLOBAL);
}

static void put_exit_statuses(FILE *out, bool guest, bool other)
{
	for (size_t i = 0; i < nexit_statuses; i++) {
		if (!(exit_statuses[i].guest && guest) && !(exit_statuses[i].other && other))
			continue;
		(void)fprintf(out, ".TP\n%s\n", exit_statuses[i].status);
		roff_prose(out, exit_statuses[i].doc);
	}
}

static void put_every_exit_status(FILE *out)
{
	put_exit_statuses(out, true, true);
}

static bool in_group(const struct command *c, const char *group)
{
	const size_t len = strlen(group);

	return strncmp(c->name, group, len) == 0 && c->name[len] == ' ';
}

static void put_command_rows(FILE *out, const char *group)
{
	char name[NAME_BYTES];

	for (size_t i = 0; i < ncommands; i++) {
		if (group && !in_group(&commands[i], group))
			continue;
		page_name(commands[i].name, name);
		(void)fputs(".TP\n.BR ", out);
		roff_literal(out, name);
		(void)fputs(" (1)\n", out);
		put_sentence(out, commands[i].summary);
	}
}

static void put_commands(FILE *out)
{
	put_command_rows(out, NULL);
}

static void put_short_forms(FILE *out)
{
	for (size_t i = 0; i < ncommand_aliases; i++) {
		(void)fputs(".TP\n.B banger ", out);
		roff_literal(out, command_aliases[i].name);
		(void)fputs("\nfor\n.B banger ", out);
		roff_literal(out, command_aliases[i].target);
		(void)fputc('\n', out);
	}
}

static void put_conf_range(FILE *out, const struct conf_row *row)
{
	char text[128];

	switch (row->kind) {
	case CONF_KIND_U32:
		(void)snprintf(text, sizeof(text), "A number from %llu to %llu.",
			       (unsigned long long)row->min, (unsigned long long)row->max);
		roff_prose(out, text);
		break;
	case CONF_KIND_SIZE:
		roff_prose(out, "A size, such as `4GiB`, `512M`, or a number of MiB.");
		break;
	case CONF_KIND_DURATION:
		roff_prose(out, "A duration, such as `500ms`, `10s`, `2m` or `1m30s`.");
		break;
	case CONF_KIND_WORD:
		(void)fputs("One of\n", out);
		for (const char *const *w = row->words; *w; w++)
			(void)fprintf(out, ".BR %s %s\n", *w, w[1] ? "," : ".");
		break;
	case CONF_KIND_NAME:
		roff_prose(out, "A name, or nothing.");
		break;
	case CONF_KIND_PATH:
		roff_prose(out, "An absolute path.");
		break;
	}
}

static void put_conf_row(FILE *out, const struct conf_row *row)
{
	char text[512];

	(void)fprintf(out, ".TP\n.BR %s \" = \"\n", row->name);
	roff_prose(out, row->doc);
	put_conf_range(out, row);
	(void)snprintf(text, sizeof(text), "Default: %s.", row->fallback);
	roff_prose(out, text);
	(void)snprintf(text, sizeof(text), "Variable: `%s`.", row->env);
	roff_prose(out, text);
	if (!row->live)
		roff_prose(out, "The daemon takes a new value when it starts again.");
}

static void put_conf_rows(FILE *out)
{
	for (size_t i = 0; i < CONF_NKEYS; i++) {
		if (i == 0 || strcmp(conf_rows[i].section, conf_rows[i - 1].section) != 0)
			(void)fprintf(out, ".SS [%s]\n", conf_rows[i].section);
		put_conf_row(out, &conf_rows[i]);
	}
}

static void put_method_rows(FILE *out, const struct client_method_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		(void)fprintf(out, ".TP\n.B %s\n", rows[i].name);
		put_sentence(out, rows[i].doc);
	}
}

static void put_methods(FILE *out)
{
	put_method_rows(out, client_methods, METHOD_NMETHODS);
}

static void put_helper_methods(FILE *out)
{
	put_method_rows(out, helper_methods, HELPER_NMETHODS);
}

static void put_errors(FILE *out)
{
	for (int i = ERR_NONE + 1; i < ERR_NCODES; i++) {
		const enum err_code code = (enum err_code)i;

		(void)fputs(".TP\n.B ", out);
		roff_literal(out, err_name(code));
		(void)fputc('\n', out);
		roff_prose(out, err_cause(code));
		if (err_retryable(code))
			roff_prose(out, "The same request may succeed later.");
		if (err_hint(code)[0])
			roff_prose(out, err_hint(code));
	}
}

/* ---- pages by hand ---- */

static const struct {
	const char *line;
	void (*put)(FILE *out);
} insertions[] = {
	{ "@commands@\n", put_commands },       { "@conf-keys@\n", put_conf_rows },
	{ "@errors@\n", put_errors },           { "@exit-statuses@\n", put_every_exit_status },
	{ "@methods@\n", put_methods },         { "@options@\n", put_global_options },
	{ "@short-forms@\n", put_short_forms }, { "@helper-methods@\n", put_helper_methods },
};

static void put_line(FILE *out, const char *line)
{
	for (size_t i = 0; i < ARRAY_LEN(insertions); i++)
		if (strcmp(line, insertions[i].line) == 0) {
			insertions[i].put(out);
			return;
		}
	if (line[0] == '@') {
		errno = EINVAL;
		fail(line);
	}
	(void)fputs(line, out);
}

static void put_file(FILE *out, const char *path)
{
	CLEANUP_FILE FILE *in = fopen(path, "re");
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;

	if (!in)
		fail(path);
	while (getline(&line, &size, in) >= 0)
		put_line(out, line);
}

/* "banger.conf.5.in" is banger.conf(5). */
static void write_template(const struct place *at, const char *file)
{
	const size_t len = strlen(file) - strlen(".N.in");
	const int section = file[len + 1] - '0';
	char path[PATH_BYTES];
	char name[NAME_BYTES];
	struct page p;

	(void)snprintf(name, sizeof(name), "%.*s", (int)len, file);
	(void)snprintf(path, sizeof(path), "%s/%s", at->templates, file);
	page_open(&p, at, name, section);
	put_title(p.f, name, section);
	put_file(p.f, path);
	page_close(&p);
}

static bool is_template(const char *file)
{
	const size_t len = strlen(file);

	return len > strlen("x.N.in") && strcmp(file + len - strlen(".in"), ".in") == 0 &&
	       isdigit((unsigned char)file[len - strlen("N.in")]);
}

static void write_templates(const struct place *at)
{
	DIR *dir = opendir(at->templates);
	const struct dirent *entry;

	if (!dir)
		fail(at->templates);
	while ((entry = readdir(dir)) != NULL)
		if (is_template(entry->d_name))
			write_template(at, entry->d_name);
	(void)closedir(dir);
}

/* ---- pages of commands ---- */

static void put_name(FILE *out, const char *name, const char *summary)
{
	(void)fputs(".SH NAME\n", out);
	roff_literal(out, name);
	(void)fputs(" \\-\n", out);
	roff_prose(out, summary);
}

static void put_synopsis(FILE *out, const struct command *c)
{
	(void)fputs(".SH SYNOPSIS\n.B banger ", out);
	roff_literal(out, c->name);
	(void)fputs("\n.RI [ OPTION ...]\n", out);
	if (c->args[0]) {
		(void)fputs("\\fI", out);
		roff_literal(out, c->args);
		(void)fputs("\\fR\n", out);
	}
}

static void put_description(FILE *out, const struct command *c)
{
	(void)fputs(".SH DESCRIPTION\n", out);
	put_sentence(out, c->summary);
	if (c->doc)
		roff_prose(out, c->doc);
	for (size_t i = 0; i < ncommand_aliases; i++) {
		if (strcmp(command_aliases[i].target, c->name) != 0)
			continue;
		(void)fputs(".PP\nShort form:\n.BR \"banger ", out);
		roff_literal(out, command_aliases[i].name);
		(void)fputs("\" .\n", out);
	}
}

static void put_more(FILE *out, const struct place *at, const char *name)
{
	char path[PATH_BYTES];

	(void)snprintf(path, sizeof(path), "%s/%s.1.more", at->templates, name);
	if (access(path, F_OK) == 0)
		put_file(out, path);
}

static void put_see_also(FILE *out, const struct command *c)
{
	char group[NAME_BYTES];
	const char *space = strchr(c->name, ' ');

	(void)fputs(".SH SEE ALSO\n.BR banger (1)", out);
	if (space) {
		(void)snprintf(group, sizeof(group), "%.*s", (int)(space - c->name), c->name);
		(void)fprintf(out, ",\n.BR banger\\-%s (1)", group);
	}
	(void)fputs(",\n.BR bangerd (8)\n", out);
}

static void write_command(const struct place *at, const struct command *c)
{
	char name[NAME_BYTES];
	struct page p;

	page_name(c->name, name);
	page_open(&p, at, name, 1);
	put_title(p.f, name, 1);
	put_name(p.f, name, c->summary);
	put_synopsis(p.f, c);
	put_description(p.f, c);
	if (c->options) {
		(void)fputs(".SH OPTIONS\n", p.f);
		put_options(p.f, c->options);
	}
	(void)fputs(".SH OPTIONS OF EVERY COMMAND\n", p.f);
	put_global_options(p.f);
	put_more(p.f, at, name);
	(void)fputs(".SH EXIT STATUS\n", p.f);
	put_exit_statuses(p.f, c->guest, !c->guest);
	if (c->examples) {
		(void)fputs(".SH EXAMPLES\n", p.f);
		roff_lines(p.f, c->examples);
	}
	put_see_also(p.f, c);
	page_close(&p);
}

static void write_group(const struct place *at, const struct command_group *g)
{
	char name[NAME_BYTES];
	struct page p;

	page_name(g->name, name);
	page_open(&p, at, name, 1);
	put_title(p.f, name, 1);
	put_name(p.f, name, g->summary);
	(void)fprintf(p.f,
		      ".SH SYNOPSIS\n.B banger %s\n.I COMMAND\n.RI [ OPTION ...]\n"
		      ".SH DESCRIPTION\n",
		      g->name);
	put_sentence(p.f, g->summary);
	(void)fputs(".SH COMMANDS\n", p.f);
	put_command_rows(p.f, g->name);
	(void)fputs(".SH SEE ALSO\n.BR banger (1)\n", p.f);
	page_close(&p);
}

/* A hard link: mandoc(1) finds .so fragile, and meson does not install symbolic links as such. */
static void write_alias(const struct place *at, const struct command_alias *a)
{
	char name[NAME_BYTES];
	char old[PATH_BYTES];
	char new[PATH_BYTES];

	page_name(a->target, name);
	(void)snprintf(old, sizeof(old), "%s/man1/%s.1", at->out, name);
	page_name(a->name, name);
	(void)snprintf(new, sizeof(new), "%s/man1/%s.1", at->out, name);
	if (link(old, new) < 0)
		fail(new);
}

/* ---- the directories ---- */

static void remove_pages(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;

	if (!dir)
		fail(path);
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.' && unlinkat(dirfd(dir), entry->d_name, 0) < 0)
			fail(entry->d_name);
	(void)closedir(dir);
}

/* Empty: a page whose command is gone goes too. */
static void make_sections(const struct place *at)
{
	char path[PATH_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		(void)snprintf(path, sizeof(path), "%s/man%d", at->out, sections[i]);
		if (mkdir(path, DIR_MODE) < 0 && errno != EEXIST)
			fail(path);
		remove_pages(path);
	}
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		(void)fputs("usage: manpages TEMPLATES OUT\n", stderr);
		return EXIT_FAILURE;
	}
	const struct place at = { .templates = argv[1], .out = argv[2] };

	make_sections(&at);
	write_templates(&at);
	for (size_t i = 0; i < ncommands; i++)
		write_command(&at, &commands[i]);
	for (size_t i = 0; i < ncommand_groups; i++)
		write_group(&at, &command_groups[i]);
	for (size_t i = 0; i < ncommand_aliases; i++)
		write_alias(&at, &command_aliases[i]);
	return EXIT_SUCCESS;
}
