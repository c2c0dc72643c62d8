/* fuzz_conf.c - a configuration file of any bytes: what is accepted can be written and read again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "conf/conf.h"
#include "tests/fuzz/fuzz.h"

/* Every value as a file says it makes the same settings, without a word of complaint. */
static void read_back(const struct conf *c)
{
	static struct conf again;
	static struct conf_problems problems;
	static char text[CONF_NKEYS * (CONF_TEXT_MAX + CONF_KEY_MAX)];
	char value[CONF_TEXT_MAX];
	size_t len = 0;

	for (int i = 0; i < CONF_NKEYS; i++) {
		conf_text(c, (enum conf_key)i, value);
		/* A line is bounded, a value from the environment is not. */
		if (strlen(value) > 150)
			return;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "[%s]\n%s = %s\n",
					conf_rows[i].section, conf_rows[i].name, value);
	}
	problems = (struct conf_problems){ 0 };
	again = (struct conf){ 0 };
	conf_read_text(&again, "again", text, len, &problems);
	ASSERT(problems.n == 0);
	for (int i = 0; i < CONF_NKEYS; i++)
		ASSERT(conf_equal(c, &again, (enum conf_key)i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct conf c;
	static struct conf_problems problems;

	problems = (struct conf_problems){ 0 };
	conf_init(&c, "/libexec");
	conf_read_text(&c, "fuzz", (const char *)data, size, &problems);
	ASSERT(problems.n <= CONF_PROBLEMS_MAX);
	ASSERT(problems.more == 0 || problems.n == CONF_PROBLEMS_MAX);
	read_back(&c);
	return 0;
}
