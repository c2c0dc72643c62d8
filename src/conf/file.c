/* file.c - one INI file, by inih, which knows neither line numbers nor what is wrong with a value.
 */
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/suggest.h"
#include "conf/conf.h"

enum {
	OTHERS_MAY_WRITE = 02,
};

struct reading {
	struct conf *c;
	struct conf_problems *problems;
	const char *path;
	uint8_t file; /* of c->files */
	const char *text;
	size_t left;
	uint32_t line;                    /* the last that was given to inih */
	uint32_t given[CONF_NKEYS];       /* line, or 0 */
	char section_told[CONF_WORD_MAX]; /* unknown, and said so */
};

static void where(const struct reading *r, uint32_t line, char *out, size_t size)
{
	(void)snprintf(out, size, "%s:%u", r->path, line);
}

/* As fgets(3), for inih: one line without leading blanks, which would make it a continuation of the
 * line before.  It has no way to say that a line is too long or holds a NUL: we do. */
static char *next_line(char *out, int size, void *stream)
{
	struct reading *r = stream;
	char at[sizeof(r->problems->v[0].where)];
	const char *from = r->text;
	const char *end = memchr(from, '\n', r->left);
	size_t len = end ? (size_t)(end - from) : r->left;

	if (r->left == 0)
		return NULL;
	r->text += len + (end ? 1 : 0);
	r->left -= len + (end ? 1 : 0);
	r->line++;
	while (len > 0 && (*from == ' ' || *from == '\t')) {
		from++;
		len--;
	}
	where(r, r->line, at, sizeof(at));
	if (memchr(from, '\0', len)) {
		conf_problem(r->problems, at, true, "a NUL byte");
		len = 0;
	} else if (len + 2 > (size_t)size) {
		conf_problem(r->problems, at, true, "longer than %d bytes", size - 2);
		len = 0;
	}
	memcpy(out, from, len);
	(void)snprintf(out + len, (size_t)size - len, "\n");
	return out;
}

static bool known_section(const char *section)
{
	for (int i = 0; i < CONF_NKEYS; i++)
		if (strcmp(conf_rows[i].section, section) == 0)
			return true;
	return false;
}

static void section_unknown(struct reading *r, const char *section)
{
	char at[sizeof(r->problems->v[0].where)];
	struct suggest near = { .word = section };

	if (strncmp(r->section_told, section, sizeof(r->section_told) - 1) == 0)
		return;
	(void)snprintf(r->section_told, sizeof(r->section_told), "%s", section);
	for (int i = 0; i < CONF_NKEYS; i++)
		suggest_offer(&near, conf_rows[i].section);
	where(r, r->line, at, sizeof(at));
	if (near.best)
		conf_problem(r->problems, at, false, "unknown section [%.40s]; did you mean [%s]?",
			     section, near.best);
	else
		conf_problem(r->problems, at, false, "unknown section [%.40s]", section);
}

/* The same word in another section is meant rather than a similar one in this. */
static void key_unknown(struct reading *r, const char *section, const char *name)
{
	char at[sizeof(r->problems->v[0].where)];
	struct suggest near = { .word = name };

	where(r, r->line, at, sizeof(at));
	for (int i = 0; i < CONF_NKEYS; i++)
		if (strcmp(conf_rows[i].name, name) == 0) {
			conf_problem(r->problems, at, false,
				     "unknown key \"%.40s\" in [%s]; it belongs to [%s]", name,
				     section, conf_rows[i].section);
			return;
		}
	for (int i = 0; i < CONF_NKEYS; i++)
		if (strcmp(conf_rows[i].section, section) == 0)
			suggest_offer(&near, conf_rows[i].name);
	if (near.best)
		conf_problem(r->problems, at, false,
			     "unknown key \"%.40s\" in [%s]; did you mean \"%s\"?", name, section,
			     near.best);
	else
		conf_problem(r->problems, at, false, "unknown key \"%.40s\" in [%s]", name,
			     section);
}

static void key_found(struct reading *r, enum conf_key key, const char *value)
{
	char at[sizeof(r->problems->v[0].where)];
	struct err e = { 0 };

	where(r, r->line, at, sizeof(at));
	if (r->given[key])
		conf_problem(r->problems, at, false,
			     "\"%s\" was given in line %u; this line counts", conf_rows[key].name,
			     r->given[key]);
	r->given[key] = r->line;
	if (conf_set(r->c, key, value, &e) < 0) {
		conf_problem(r->problems, at, true, "%s", e.text);
		return;
	}
	r->c->origins[key] = (struct conf_origin){ .source = CONF_FROM_FILE,
						   .file = r->file,
						   .line = r->line };
}

static int take_pair(void *user, const char *section, const char *name, const char *value)
{
	struct reading *r = user;
	char at[sizeof(r->problems->v[0].where)];

	if (section[0] == '\0') {
		where(r, r->line, at, sizeof(at));
		conf_problem(r->problems, at, false, "\"%.40s\" comes before any [section]", name);
		return 1;
	}
	if (!known_section(section)) {
		section_unknown(r, section);
		return 1;
	}
	for (int i = 0; i < CONF_NKEYS; i++)
		if (strcmp(conf_rows[i].section, section) == 0 &&
		    strcmp(conf_rows[i].name, name) == 0) {
			key_found(r, (enum conf_key)i, value);
			return 1;
		}
	key_unknown(r, section, name);
	return 1;
}

void conf_read_text(struct conf *c, const char *path, const char *text, size_t len,
		    struct conf_problems *p)
{
	struct reading r = { .c = c, .problems = p, .path = path, .text = text, .left = len };
	char at[sizeof(p->v[0].where)];

	ASSERT(c->nfiles < CONF_FILES_MAX);
	r.file = (uint8_t)c->nfiles;
	(void)snprintf(c->files[c->nfiles++], CONF_PATH_MAX, "%s", path);
	const int line = ini_parse_stream(next_line, &r, take_pair, &r);
	if (line > 0) {
		where(&r, (uint32_t)line, at, sizeof(at));
		conf_problem(p, at, true, "neither \"[section]\" nor \"key = value\"");
	}
}

/* Whoever can write the file can say which programs we run. */
static int check_owner(int fd, const char *path, struct conf_problems *p)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		conf_problem(p, path, true, "%s", err_sys_text(errno));
	else if (!S_ISREG(st.st_mode))
		conf_problem(p, path, true, "is not a file");
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		conf_problem(p, path, true, "belongs to uid %u, neither to us nor to root",
			     st.st_uid);
	else if (st.st_mode & OTHERS_MAY_WRITE)
		conf_problem(p, path, true, "can be written by everybody (mode %04o)",
			     (unsigned)(st.st_mode & 07777));
	else if (st.st_size > CONF_FILE_MAX)
		conf_problem(p, path, true, "is larger than %d KiB", CONF_FILE_MAX / 1024);
	else
		return 0;
	return -EPERM;
}

/* As much as fits, or -errno. */
static ssize_t read_whole(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && len < size) {
		n = read(fd, text + len, size - len);
		len += n > 0 ? (size_t)n : 0;
	}
	return n < 0 ? -errno : (ssize_t)len;
}

void conf_read_file(struct conf *c, const char *path, struct conf_problems *p)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		conf_problem(p, path, true, "%s", err_sys_text(errno));
		return;
	}
	if (check_owner(fd, path, p) < 0)
		return;
	char *text = malloc(CONF_FILE_MAX);
	const ssize_t len = text ? read_whole(fd, text, CONF_FILE_MAX) : -ENOMEM;
	if (len < 0)
		conf_problem(p, path, true, "%s", err_sys_text((int)len));
	else
		conf_read_text(c, path, text, (size_t)len, p);
	free(text);
}
