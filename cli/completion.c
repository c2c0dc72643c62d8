/* completion.c - `completion`: prints the script of one shell. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "command.h"
#include "complete.h"

int completion_run(const struct options *o)
{
	static const struct {
		const char *shell;
		const char *script;
	} scripts[] = {
		{ "bash", completion_bash },
		{ "zsh", completion_zsh },
		{ "fish", completion_fish },
	};

	for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
		if (strcmp(scripts[i].shell, o->args[0]) == 0) {
			(void)fputs(scripts[i].script, stdout);
			return STATUS_OK;
		}
	ASSERT(!"the word was checked: SHELL in values.c");
	return STATUS_FAILED;
}
