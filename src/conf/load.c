/* load.c - all settings: from the host, then files, then the environment. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/paths.h"
#include "conf/conf.h"

#define VARIABLE_CONF "BANGER_CONFIG"

void conf_problem(struct conf_problems *p, const char *where, bool fatal, const char *fmt, ...)
{
	va_list ap;

	p->fatal += fatal;
	if (p->n == CONF_PROBLEMS_MAX) {
		p->more++;
		return;
	}
	struct conf_problem *to = &p->v[p->n++];
	to->fatal = fatal;
	(void)snprintf(to->where, sizeof(to->where), "%s", where);
	va_start(ap, fmt);
	(void)vsnprintf(to->text, sizeof(to->text), fmt, ap);
	va_end(ap);
}

/* ---- the environment ---- */

static void read_environment(struct conf *c, struct conf_problems *p)
{
	for (int i = 0; i < CONF_NKEYS; i++) {
		const enum conf_key key = (enum conf_key)i;
		const char *value = getenv(conf_rows[i].env);
		struct err e = { 0 };

		if (!value || !value[0])
			continue;
		if (conf_set(c, key, value, &e) < 0)
			conf_problem(p, conf_rows[i].env, true, "%s", e.text);
		else
			c->origins[key] = (struct conf_origin){ .source = CONF_FROM_ENVIRONMENT };
	}
}

/* ---- all of it ---- */

/* Where one looks: a file that is not there is no problem. */
static void read_usual_files(struct conf *c, bool system, struct conf_problems *p)
{
	char path[CONF_PATH_MAX];
	char home[PATHS_DIR_MAX + 1];
	struct err e = { 0 };

	if (access(BANGER_SYSCONF_FILE, F_OK) == 0)
		conf_read_file(c, BANGER_SYSCONF_FILE, p);
	if (system)
		return;
	if (paths_config(home, sizeof(home), &e) < 0) {
		conf_problem(p, "home directory", false, "%s", e.text);
		return;
	}
	if ((size_t)snprintf(path, sizeof(path), "%s/banger.conf", home) < sizeof(path) &&
	    access(path, F_OK) == 0)
		conf_read_file(c, path, p);
}

static void read_files(struct conf *c, const struct conf_input *in, struct conf_problems *p)
{
	const char *said = in->file ? in->file : in->environment ? getenv(VARIABLE_CONF) : NULL;

	if (!said || !said[0])
		read_usual_files(c, in->system, p);
	else if (said[0] != '/')
		conf_problem(p, VARIABLE_CONF, true, "\"%.80s\" is not an absolute path", said);
	else
		conf_read_file(c, said, p);
}

int conf_load(struct conf *c, const struct conf_input *in, struct conf_problems *p, struct err *e)
{
	*p = (struct conf_problems){ 0 };
	conf_init(c, in->libexec);
	read_files(c, in, p);
	if (in->environment)
		read_environment(c, p);
	for (uint32_t i = 0; i < p->n; i++)
		if (p->v[i].fatal)
			return err_set(e, ERR_CONFIG_BAD, "%.120s: %.100s%s", p->v[i].where,
				       p->v[i].text, p->fatal > 1 ? "; and more" : "");
	return p->fatal ? err_set(e, ERR_CONFIG_BAD, "%u problems", p->fatal) : 0;
}
