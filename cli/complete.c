#include "complete.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "command.h"
#include "list.h"
#include "session.h"
#include "values.h"

enum {
	NAME_BYTES = 64, /* of a command's name */
};

/* Where the cursor is, from the words before it. */
struct cursor {
	char **words; /* borrowed */
	int n;        /* words before the one at the cursor */
	const char *word;
	const char *prefix; /* of every candidate: "--image=" */
	size_t prefix_len;
	char group[NAME_BYTES]; /* first of two words that name a command; "" */
	const struct command *command;
	bool lost;  /* the words so far name no command */
	bool tail;  /* in the guest's command */
	bool helps; /* "help": only names of commands follow */
	uint32_t nargs;
	int first_arg;                  /* index of the first word after the command's name */
	const struct option_row *value; /* whose value the word at the cursor is; NULL */
	const char *socket;
	bool system, session; /* --system, --session */
};

static uint64_t allowed(const struct cursor *at)
{
	return OPTIONS_GLOBAL | (at->command ? at->command->options : 0);
}

/* ---- reading the words ---- */

static const struct option_row *row_long(const struct cursor *at, const char *name, size_t len)
{
	for (size_t i = 0; i < OPT_NOPTIONS; i++)
		if ((allowed(at) & BIT(i)) && strlen(option_rows[i].name) == len &&
		    strncmp(option_rows[i].name, name, len) == 0)
			return &option_rows[i];
	return NULL;
}

static const struct option_row *row_short(const struct cursor *at, char letter)
{
	for (size_t i = 0; i < OPT_NOPTIONS; i++)
		if ((allowed(at) & BIT(i)) && option_rows[i].letter == letter)
			return &option_rows[i];
	return NULL;
}

/* The row whose value the next word is, or NULL. */
static const struct option_row *wants_value(const struct cursor *at, const char *word)
{
	const struct option_row *row = NULL;

	if (word[1] == '-') {
		const size_t len = strcspn(word + 2, "=");

		row = word[2 + len] == '=' ? NULL : row_long(at, word + 2, len);
		return row && row->arg ? row : NULL;
	}
	for (const char *p = word + 1; *p; p++) {
		row = row_short(at, *p);
		if (!row || row->arg) /* "-n5" has its value */
			return row && !p[1] ? row : NULL;
	}
	return NULL;
}

static void name_word(struct cursor *at, const char *word)
{
	char name[2 * NAME_BYTES];

	if (!at->group[0] && command_is_group(word)) {
		(void)snprintf(at->group, sizeof(at->group), "%s", word);
		return;
	}
	if (!at->group[0] && strcmp(word, "help") == 0) {
		at->helps = true;
		return;
	}
	(void)snprintf(name, sizeof(name), "%s%s%s", at->group, at->group[0] ? " " : "", word);
	at->command = command_by_name(name);
	at->lost = !at->command;
}

static void read_word(struct cursor *at, const char *word)
{
	if (at->value) {
		if (at->value == &option_rows[OPT_SOCKET])
			at->socket = word;
		at->value = NULL;
	} else if (at->tail || at->lost) {
		return;
	} else if (strcmp(word, "--") == 0) {
		at->tail = at->command && at->command->tail;
		at->lost = !at->tail;
	} else if (word[0] == '-' && word[1]) {
		at->value = wants_value(at, word);
		at->system |= strcmp(word, "--system") == 0;
		at->session |= strcmp(word, "--session") == 0;
	} else if (!at->command) {
		name_word(at, word);
	} else if (at->helps) {
		at->lost = true;
	} else {
		at->nargs++;
		at->tail = at->command->rest && at->nargs > at->command->max_args;
	}
}

static void read_words(struct cursor *at, int argc, char **argv)
{
	*at = (struct cursor){ .words = argv,
			       .n = argc > 0 ? argc - 1 : 0,
			       .word = argc > 0 ? argv[argc - 1] : "",
			       .prefix = "" };
	for (int i = 0; i < at->n; i++) {
		const bool named = at->command != NULL;

		read_word(at, argv[i]);
		if (!named && at->command)
			at->first_arg = i + 1;
	}
}

/* ---- candidates ---- */

static void offer(const struct cursor *at, const char *word, const char *what)
{
	if (strncmp(word, at->word, strlen(at->word)) != 0)
		return;
	(void)printf("%.*s%s\t%.100s\n", (int)at->prefix_len, at->prefix, word, what);
}

static bool given(const struct cursor *at, const char *word)
{
	for (int i = at->first_arg; i < at->n; i++)
		if (strcmp(at->words[i], word) == 0)
			return true;
	return false;
}

static bool repeatable(const struct option_row *row)
{
	return row->kind == OPTION_PAIRS || row->kind == OPTION_WORDS ||
	       row->kind == OPTION_PUBLISH;
}

static void offer_options_of(const struct cursor *at, uint64_t mask)
{
	char word[NAME_BYTES];

	for (size_t i = 0; i < OPT_NOPTIONS; i++) {
		(void)snprintf(word, sizeof(word), "--%s", option_rows[i].name);
		if ((mask & BIT(i)) && (repeatable(&option_rows[i]) || !given(at, word)))
			offer(at, word, option_rows[i].doc);
	}
}

static void offer_options(const struct cursor *at)
{
	offer_options_of(at, allowed(at) & ~OPTIONS_GLOBAL);
	offer_options_of(at, OPTIONS_GLOBAL);
}

/* The second words of a group, or first words: of commands and groups. */
static void offer_name(const struct cursor *at, const char *name, const char *what)
{
	const size_t len = strlen(at->group);

	if (len > 0 && strncmp(name, at->group, len) == 0 && name[len] == ' ')
		offer(at, name + len + 1, what);
	else if (len == 0 && !strchr(name, ' '))
		offer(at, name, what);
}

static void offer_commands(const struct cursor *at)
{
	for (size_t i = 0; i < ncommands; i++)
		offer_name(at, commands[i].name, commands[i].summary);
	for (size_t i = 0; i < ncommand_aliases; i++)
		offer_name(at, command_aliases[i].name,
			   command_by_name(command_aliases[i].name)->summary);
	for (size_t i = 0; i < ncommand_groups && !at->group[0]; i++)
		offer(at, command_groups[i].name, command_groups[i].summary);
	if (!at->group[0] && !at->helps)
		offer(at, "help", "say what a command does");
}

static void offer_signals(const struct cursor *at)
{
	for (int i = 1; i < SIGRTMIN; i++)
		if (sigabbrev_np(i))
			offer(at, sigabbrev_np(i), sigdescr_np(i));
}

/* ---- what the daemon knows ---- */

static int offer_vm(void *arg, const struct vm_view *vm, struct err *e)
{
	const struct cursor *at = arg;

	(void)e;
	if (!given(at, vm->spec.name))
		offer(at, vm->spec.name, vm->state);
	return 0;
}

static int offer_labels(void *arg, const struct vm_view *vm, struct err *e)
{
	(void)e;
	for (uint32_t i = 0; i < vm->spec.labels.n; i++)
		offer(arg, vm->spec.labels.v[i], vm->spec.name);
	return 0;
}

static void offer_images(const struct cursor *at, const struct image_list_result *r)
{
	const struct image_view *v = r->images.items;

	for (uint32_t i = 0; i < r->images.n; i++)
		if (!given(at, v[i].name))
			offer(at, v[i].name, v[i].source[0] ? v[i].source : v[i].kind);
}

static void offer_kernels(const struct cursor *at, const struct kernel_list_result *r)
{
	const struct kernel_view *v = r->kernels.items;

	for (uint32_t i = 0; i < r->kernels.n; i++)
		if (!given(at, v[i].name))
			offer(at, v[i].name, v[i].version);
}

static void offer_ops(const struct cursor *at, const struct op_list_result *r)
{
	const struct op_view *v = r->ops.items;
	char id[OP_ID_CHARS + 1];
	char what[sizeof(v->method) + sizeof(v->state) + 1];

	for (uint32_t i = 0; i < r->ops.n; i++) {
		op_id_text(&v[i].op_id, id);
		(void)snprintf(what, sizeof(what), "%s %s", v[i].method, v[i].state);
		offer(at, id, what);
	}
}

static _Noreturn void too_late(int signo)
{
	(void)signo;
	_exit(STATUS_OK);
}

/* Whatever the daemon does: at the end of COMPLETE_MS the shell has its answer. */
static void limit_time(void)
{
	const struct sigaction act = { .sa_handler = too_late };
	const struct itimerval limit = { .it_value.tv_usec = COMPLETE_MS * 1000 };

	(void)fflush(stdout); /* what is known without the daemon */
	(void)sigaction(SIGALRM, &act, NULL);
	(void)setitimer(ITIMER_REAL, &limit, NULL);
}

static void offer_live(const struct cursor *at, enum value_source source)
{
	static const struct strv no_labels = { 0 };
	CLEANUP_SESSION struct session s = SESSION_INIT;
	CLEANUP_CALL struct call c = { 0 };
	const struct options o = {
		.quiet = true, .socket = at->socket, .system = at->system, .session = at->session
	};
	struct cursor to = *at;
	struct err e = { 0 };

	limit_time();
	if (session_open(&s, &o, false, &e) < 0)
		return;
	switch (source) {
	case VALUE_VMS:
		IGNORE(list_each(&s, true, &no_labels, offer_vm, &to) != 0);
		break;
	case VALUE_LABELS:
		IGNORE(list_each(&s, true, &no_labels, offer_labels, &to) != 0);
		break;
	case VALUE_IMAGES:
		if (session_call(&s, &c, METHOD_IMAGE_LIST, &(struct none){ 0 }) == 0)
			offer_images(at, c.result);
		break;
	case VALUE_KERNELS:
		if (session_call(&s, &c, METHOD_KERNEL_LIST, &(struct none){ 0 }) == 0)
			offer_kernels(at, c.result);
		break;
	case VALUE_OPS:
		if (session_call(&s, &c, METHOD_OP_LIST, &(struct none){ 0 }) == 0)
			offer_ops(at, c.result);
		break;
	case VALUE_FREE:
	case VALUE_WORDS:
	case VALUE_SIGNALS:
	case VALUE_COMMANDS:
	case VALUE_FILES:
	case VALUE_DIRS:
	case VALUE_NSOURCES:
		break;
	}
}

/* ---- the answer ---- */

static void offer_values(const struct cursor *at, const struct value_kind *kind)
{
	if (kind->source == VALUE_COMMANDS)
		offer_commands(at);
	else if (kind->source == VALUE_SIGNALS)
		offer_signals(at);
	else if (kind->source == VALUE_WORDS)
		for (const char *const *w = kind->words; *w; w++)
			offer(at, *w, "");
	else if (kind->source >= VALUE_VMS)
		offer_live(at, kind->source);
}

static void put_head(const struct value_kind *kind)
{
	const char *head = ":none";

	if (kind && kind->source == VALUE_FILES)
		head = ":files";
	else if (kind && kind->source == VALUE_DIRS)
		head = ":dirs";
	(void)printf("%s\n", head);
}

/* "--image=deb": the value of that option, and every candidate begins with "--image=". */
static void split_assignment(struct cursor *at)
{
	const size_t len = strcspn(at->word, "=");

	if (at->value || strncmp(at->word, "--", 2) != 0 || at->word[len] != '=')
		return;
	at->value = row_long(at, at->word + 2, len - 2);
	at->prefix = at->word;
	at->prefix_len = len + 1;
	at->word += len + 1;
	at->lost = !at->value;
}

int complete_words(int argc, char **argv)
{
	struct cursor at;
	const struct value_kind *kind = NULL;

	read_words(&at, argc, argv);
	if (!at.tail && !at.lost)
		split_assignment(&at);
	if (at.value && at.value->arg)
		kind = value_kind(at.value->arg, strlen(at.value->arg));
	else if (at.command && !at.tail && at.word[0] != '-')
		kind = value_kind_at(at.command->args, at.nargs);
	if (at.lost || at.tail)
		kind = NULL;
	put_head(kind);
	if (at.lost || at.tail)
		return STATUS_OK;
	if (kind)
		offer_values(&at, kind);
	else if (!at.command && at.word[0] != '-')
		offer_commands(&at);
	else
		offer_options(&at);
	return STATUS_OK;
}
