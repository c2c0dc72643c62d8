#include "image/apt.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

enum {
	APT_FILE_MAX = 65536, /* bytes of one sources file */
	APT_LINE_MAX = 1024,
};

/* What the entries of a file have said so far. */
struct served {
	const char *suite;
	bool release;   /* the suite itself is among them */
	bool stranger;  /* so is something else */
	bool suites_ok; /* of the entry being read */
	bool main;
	bool any;
};

static bool is_blank(const char *s)
{
	return s[strspn(s, " \t\r")] == '\0';
}

/* "bookworm", "bookworm-updates", "bookworm-security", "bookworm-backports". */
static bool suite_matches(struct served *s, const char *word)
{
	static const char *const tails[] = { "", "-updates", "-security", "-backports" };
	const size_t len = strlen(s->suite);

	if (strncmp(word, s->suite, len) != 0)
		return false;
	if (word[len] == '\0')
		s->release = true;
	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		if (strcmp(word + len, tails[i]) == 0)
			return true;
	}
	return false;
}

static void words_take(struct served *s, char *text, bool suites)
{
	char *word;

	while ((word = strsep(&text, " \t\r")) != NULL) {
		if (!word[0])
			continue;
		if (suites)
			s->suites_ok = suite_matches(s, word) && s->suites_ok;
		else if (strcmp(word, "main") == 0)
			s->main = true;
	}
}

static void entry_begin(struct served *s)
{
	s->any = false;
	s->main = false;
	s->suites_ok = true;
}

static void entry_end(struct served *s)
{
	if (s->any && !(s->main && s->suites_ok))
		s->stranger = true;
	entry_begin(s);
}

static void stanza_line(struct served *s, char *line)
{
	char *value = strchr(line, ':');

	if (is_blank(line)) {
		entry_end(s);
		return;
	}
	if (line[0] == '#' || !value)
		return;
	*value++ = '\0';
	s->any = true;
	if (strcasecmp(line, "Suites") == 0)
		words_take(s, value, true);
	else if (strcasecmp(line, "Components") == 0)
		words_take(s, value, false);
}

/* deb [options] URI SUITE COMPONENT... */
static void one_line(struct served *s, char *line)
{
	char *rest = line + strspn(line, " \t");

	if (strncmp(rest, "deb", 3) != 0 || !strchr(" \t", rest[3]) || !rest[3])
		return; /* a comment, an empty line, deb-src */
	rest += 3;
	rest += strspn(rest, " \t");
	if (*rest == '[') {
		rest = strchr(rest, ']');
		if (!rest)
			return;
		rest++;
	}
	rest += strspn(rest, " \t");
	rest += strcspn(rest, " \t"); /* the URI */
	rest += strspn(rest, " \t");

	const size_t n = strcspn(rest, " \t\r");
	char *components = rest[n] ? rest + n + 1 : rest + n;

	rest[n] = '\0';
	entry_begin(s);
	s->any = true;
	words_take(s, rest, true);
	words_take(s, components, false);
	entry_end(s);
}

bool apt_serves(const char *text, bool stanzas, const char *suite)
{
	struct served s = { .suite = suite, .suites_ok = true };
	char line[APT_LINE_MAX];

	while (*text) {
		const size_t n = strcspn(text, "\n");

		if (n >= sizeof(line))
			return false;
		memcpy(line, text, n);
		line[n] = '\0';
		if (stanzas)
			stanza_line(&s, line);
		else
			one_line(&s, line);
		text += n + (text[n] == '\n');
	}
	entry_end(&s);
	return s.release && !s.stranger;
}

static bool file_serves(const char *path, const char *suite)
{
	static char text[APT_FILE_MAX];
	CLEANUP_FILE FILE *f = fopen(path, "re");
	const size_t len = strlen(path);

	if (!f)
		return false;
	const size_t n = fread(text, 1, sizeof(text) - 1, f);

	text[n] = '\0';
	return n < sizeof(text) - 1 &&
	       apt_serves(text, len > 8 && strcmp(path + len - 8, ".sources") == 0, suite);
}

int apt_sources_add(struct strv *argv, const char *suite, struct err *e)
{
	static const char *const patterns[] = {
		"/etc/apt/sources.list",
		"/etc/apt/sources.list.d/*.list",
		"/etc/apt/sources.list.d/*.sources",
	};
	glob_t found = { 0 };
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(patterns); i++) /* GLOB_NOMATCH: nothing appended */
		(void)glob(patterns[i], i > 0 ? GLOB_APPEND : 0, NULL, &found);
	for (size_t i = 0; i < found.gl_pathc && rc == 0; i++) {
		if (file_serves(found.gl_pathv[i], suite) && strv_add(argv, found.gl_pathv[i]) < 0)
			rc = err_set(e, ERR_HOST_MEMORY, "no memory for a command line");
	}
	globfree(&found);
	return rc;
}
