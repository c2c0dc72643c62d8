#include "values.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/suggest.h"
#include "conf/conf.h"

static const char *const states[] = { "created", "starting", "running", "stopping", "stopped",
				      "failed",  "deleting", "gone",    NULL };
static const char *const pulls[] = { "missing", "never", NULL };
static const char *const event_types[] = { "vm", "op", "image", "kernel", NULL };
static const char *const limits[] = { "disk-rate", "disk-iops", "net-rate", NULL };
static const char *const shells[] = { "bash", "zsh", "fish", NULL };

const struct value_kind value_free = { .placeholder = "", .source = VALUE_FREE };

static const struct value_kind kinds[] = {
	{ "COMMAND", VALUE_COMMANDS, NULL },   { "DIR", VALUE_DIRS, NULL },
	{ "SRC", VALUE_FILES, NULL },          { "DST", VALUE_FILES, NULL },
	{ "FILE", VALUE_FILES, NULL },         { "IMAGE", VALUE_IMAGES, NULL },
	{ "KERNEL", VALUE_KERNELS, NULL },     { "KEY=VALUE", VALUE_LABELS, NULL },
	{ "LIMIT", VALUE_WORDS, limits },      { "OP_ID", VALUE_OPS, NULL },
	{ "PATH", VALUE_FILES, NULL },         { "REF", VALUE_VMS, NULL },
	{ "SHELL", VALUE_WORDS, shells },      { "SIGNAL", VALUE_SIGNALS, NULL },
	{ "STATE", VALUE_WORDS, states },      { "TYPE", VALUE_WORDS, event_types },
	{ "VMM", VALUE_WORDS, conf_vmms + 1 }, { "WHEN", VALUE_WORDS, pulls },
};

const struct value_kind *value_kind(const char *placeholder, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strlen(kinds[i].placeholder) == len &&
		    strncmp(kinds[i].placeholder, placeholder, len) == 0)
			return &kinds[i];
	return &value_free;
}

/* One word of `args`, without its brackets; *ret_more: it may be repeated. */
static const struct value_kind *word_kind(const char *word, size_t len, bool *ret_more)
{
	while (len > 0 && word[0] == '[') {
		word++;
		len--;
	}
	while (len > 0 && strchr("].", word[len - 1])) {
		*ret_more = *ret_more || word[len - 1] == '.';
		len--;
	}
	return value_kind(word, len);
}

/* What follows "|" says the same in another way, and what follows "--" is the guest's. */
static bool ends_words(const char *word)
{
	return word[0] == '|' || word[0] == '-' || strncmp(word, "[-", 2) == 0;
}

const struct value_kind *value_kind_at(const char *args, uint32_t n)
{
	for (args += strspn(args, " "); *args && !ends_words(args); args += strspn(args, " ")) {
		const size_t len = strcspn(args, " ");
		bool more = false;
		const struct value_kind *kind = word_kind(args, len, &more);

		if (n == 0 || more)
			return kind;
		n--;
		args += len;
	}
	return NULL;
}

int value_check(const char *what, const struct value_kind *kind, const char *text, struct err *e)
{
	return kind->source == VALUE_WORDS ? suggest_check(what, kind->words, text, e) : 0;
}
