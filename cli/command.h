/* command.h - the table of commands, from which dispatch, help, the man page and errors derive. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "options.h"

/* Exit statuses; those of `run`, `exec` and `shell` are docker's. */
enum status {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_COUNT_MAX = 100, /* "so many failed" is cut here */
	STATUS_OURS = 125,      /* run, exec, shell: the failure is not the command's */
	STATUS_DENIED = 126,
	STATUS_NOT_FOUND = 127,
	STATUS_SIGNAL = 128, /* + its number */
};

struct command {
	const char *name;     /* "vm run" */
	const char *args;     /* "[-- CMD [ARG...]]" */
	const char *summary;  /* one line, no capital, no full stop */
	const char *doc;      /* a paragraph more, or NULL */
	const char *examples; /* lines, or NULL */
	uint64_t options;     /* BIT(enum option) besides the global ones */
	uint32_t min_args, max_args;
	bool rest, tail;                     /* as in struct option_rules */
	bool guest;                          /* its own failures are STATUS_OURS */
	int (*run)(const struct options *o); /* reports its errors; returns the exit status */
};

struct command_alias {
	const char *name;
	const char *target;
};

/* The first words of commands that have two. */
struct command_group {
	const char *name;
	const char *summary;
};

struct exit_status {
	const char *status; /* "128+n" */
	bool guest, other;  /* of commands that run something in a guest, of the other ones */
	const char *doc;
};

extern const struct command commands[];
extern const size_t ncommands;
extern const struct command_alias command_aliases[];
extern const size_t ncommand_aliases;
extern const struct command_group command_groups[];
extern const size_t ncommand_groups;
extern const struct exit_status exit_statuses[];
extern const size_t nexit_statuses;

/* The command that argv[0..argc) begins with and how many words name it; NULL with a sentence. */
const struct command *command_find(int argc, char **argv, int *ret_words, struct err *e);
const struct command *command_by_name(const char *name); /* "vm run", or an alias; NULL */
bool command_is_group(const char *word);                 /* "vm", "image", ... */

/* What this command's own failures exit with. */
int command_failure(const struct command *c);

/* ---- help.c ---- */
void help_all(FILE *out);
void help_group(FILE *out, const char *group);
void help_command(FILE *out, const struct command *c);

/* ---- the commands, by file ---- */
int run_run(const struct options *o);
int create_run(const struct options *o);
int lifecycle_run(const struct options *o);
int list_run(const struct options *o);
int show_run(const struct options *o);
int vm_ping_run(const struct options *o);
int health_run(const struct options *o);
int ports_run(const struct options *o);
int stats_run(const struct options *o);
int top_run(const struct options *o);
int prune_run(const struct options *o);
int set_run(const struct options *o);
int console_run(const struct options *o);
int logs_run(const struct options *o);
int exec_run(const struct options *o);
int shell_run(const struct options *o);
int copy_run(const struct options *o);
int image_import_run(const struct options *o);
int image_build_run(const struct options *o);
int image_list_run(const struct options *o);
int image_show_run(const struct options *o);
int image_rm_run(const struct options *o);
int kernel_import_run(const struct options *o);
int kernel_list_run(const struct options *o);
int kernel_show_run(const struct options *o);
int kernel_rm_run(const struct options *o);
int op_list_run(const struct options *o);
int op_show_run(const struct options *o);
int op_wait_run(const struct options *o);
int op_cancel_run(const struct options *o);
int info_run(const struct options *o);
int ping_run(const struct options *o);
int version_run(const struct options *o);
int doctor_run(const struct options *o);
int daemon_start_run(const struct options *o);
int daemon_stop_run(const struct options *o);
int daemon_status_run(const struct options *o);
int events_run(const struct options *o);
int completion_run(const struct options *o);
int config_show_run(const struct options *o);
int config_check_run(const struct options *o);
int config_reload_run(const struct options *o);
