/* config.c - `config show`, `config check`, `config reload`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "report.h"
#include "rows.h"
#include "session.h"
#include "settings.h"

/* What there is to say, from the daemon that runs or, where none does, from what one would read. */
struct view {
	const struct options *o;
	bool daemon;
	struct config_result shown; /* lists of its own, items partly the daemon's */
	struct conf *conf;
	struct conf_problems *problems;
};

static int failed(const struct options *o, const struct err *e)
{
	report_error(o, e, NULL, NULL, NULL);
	return STATUS_FAILED;
}

static bool not_running(const struct err *e)
{
	return e->sys == ENOENT || e->sys == ECONNREFUSED;
}

/* ---- show ---- */

static const struct column columns[] = {
	{ .head = "KEY" },
	{ .head = "VALUE", .shrink = true },
	{ .head = "FROM", .shrink = true },
};

static void from_text(const struct config_key *k, char *out, size_t size)
{
	const bool named = strcmp(k->source, "environment") == 0 || strcmp(k->source, "file") == 0;

	(void)snprintf(out, size, "%s%s%s", strcmp(k->source, "file") == 0 ? "" : k->source,
		       named && strcmp(k->source, "file") != 0 ? " " : "", named ? k->where : "");
	if (k->next[0])
		(void)snprintf(out + strlen(out), size - strlen(out),
			       "; %s once the daemon starts again", k->next);
}

static int show_keys(const struct options *o, const struct config_key *keys, uint32_t n)
{
	struct rows rows;
	char from[2 * CONFIG_TEXT_MAX + 64];
	struct err e = { 0 };
	int rc = 0;
	const int status = rows_init(&rows, o, columns, ARRAY_LEN(columns), &config_key_schema);

	if (status != 0)
		return status;
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		const char *const cells[] = { keys[i].key, keys[i].value, from };

		from_text(&keys[i], from, sizeof(from));
		rc = rows_add(&rows, &keys[i], keys[i].key, cells, &e);
	}
	rows_end(&rows, rc < 0);
	return rc < 0 ? failed(o, &e) : STATUS_OK;
}

static void tell_problems(const struct options *o, const struct seq *problems)
{
	const struct config_problem *p = problems->items;

	for (uint32_t i = 0; i < problems->n; i++)
		report_note(o, "%s: %s", p[i].where, p[i].message);
}

static void tell_files(const struct options *o, const struct strv *files, bool daemon)
{
	if (!daemon)
		report_note(o, "no daemon runs; this is what one would read");
	for (uint32_t i = 0; i < files->n; i++)
		report_note(o, "read from %s", files->v[i]);
}

/* The daemon's rows, where it runs, and ours: of [cli] with it, of everything without. */
static int put_view(const struct view *v)
{
	struct config_key *keys = calloc((size_t)2 * CONF_NKEYS + v->shown.keys.n, sizeof(*keys));
	struct err e = { 0 };
	uint32_t n = 0;
	int status;

	if (!keys)
		return failed(v->o, (err_set(&e, ERR_HOST_MEMORY, "settings"), &e));
	for (; n < v->shown.keys.n; n++)
		keys[n] = ((const struct config_key *)v->shown.keys.items)[n];
	for (int i = 0; i < CONF_NKEYS; i++)
		if (!v->daemon || conf_rows[i].cli)
			conf_view_key(v->conf, v->conf, (enum conf_key)i, &keys[n++]);
	status = show_keys(v->o, keys, n);
	free(keys);
	return status;
}

static int show_local(struct view *v)
{
	struct config_problem *problems = calloc(CONF_PROBLEMS_MAX, sizeof(*problems));
	struct strv files = { 0 };
	int status;

	if (!problems)
		return STATUS_FAILED;
	conf_view_problems(v->problems, problems);
	for (uint32_t i = 0; i < v->conf->nfiles; i++)
		IGNORE(strv_add(&files, v->conf->files[i]) < 0);
	status = put_view(v);
	tell_files(v->o, &files, false);
	tell_problems(v->o, &(struct seq){ problems, v->problems->n });
	strv_fini(&files);
	free(problems);
	return status;
}

static int show(struct view *v)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	CLEANUP_CALL struct call c = { .op_id = v->o->op_id };
	struct err e = { 0 };
	int status;

	if (session_open(&s, v->o, false, &e) < 0)
		return not_running(&e) && !v->o->socket ? show_local(v) : failed(v->o, &e);
	if (session_call(&s, &c, METHOD_CONFIG_SHOW, &(struct none){ 0 }) < 0)
		return session_report(&s, &c);
	v->daemon = true;
	v->shown = *(const struct config_result *)c.result; /* lent */
	status = put_view(v);
	tell_files(v->o, &v->shown.files, true);
	tell_problems(v->o, &v->shown.problems);
	return status;
}

/* A configuration of our own to look at, too large for the stack. */
static int with_view(const struct options *o, int (*run)(struct view *v))
{
	struct view v = { .o = o,
			  .conf = malloc(sizeof(*v.conf)),
			  .problems = malloc(sizeof(*v.problems)) };
	struct err e = { 0 };
	int status;

	if (v.conf && v.problems) {
		IGNORE(settings_read(o, v.conf, v.problems, NULL) < 0);
		status = run(&v);
	} else {
		err_set(&e, ERR_HOST_MEMORY, "settings");
		status = failed(o, &e);
	}
	free(v.conf);
	free(v.problems);
	return status;
}

int config_show_run(const struct options *o)
{
	return with_view(o, show);
}

/* ---- check ---- */

static int put_problems(const struct options *o, const struct conf_problems *p)
{
	struct config_problem *rows = calloc(CONF_PROBLEMS_MAX, sizeof(*rows));
	struct err e = { 0 };
	int rc = rows ? 0 : err_set(&e, ERR_HOST_MEMORY, "problems");

	if (rows)
		conf_view_problems(p, rows);
	if (o->json)
		(void)fputs("[", stdout);
	for (uint32_t i = 0; i < p->n && rc == 0; i++) {
		if (!o->json) {
			(void)printf("%s: %s%s\n", rows[i].where,
				     rows[i].fatal ? "" : "warning: ", rows[i].message);
			continue;
		}
		(void)fputs(i ? ",\n" : "", stdout);
		rc = report_json_value(&config_problem_schema, &rows[i], &e);
	}
	if (o->json)
		(void)fputs("]\n", stdout);
	if (p->more)
		report_note(o, "and %u more", p->more);
	free(rows);
	if (rc < 0)
		return failed(o, &e);
	return p->n > 0 ? STATUS_FAILED : STATUS_OK;
}

static int check(struct view *v)
{
	const struct options *o = v->o;
	int status;

	if (o->nargs > 0) {
		*v->problems = (struct conf_problems){ 0 };
		conf_init(v->conf, "");
		conf_read_file(v->conf, o->args[0], v->problems);
	}
	status = put_problems(o, v->problems);
	if (status != 0 || o->json)
		return status;
	for (uint32_t i = 0; i < v->conf->nfiles; i++)
		report_note(o, "%s: no problem", v->conf->files[i]);
	if (v->conf->nfiles == 0)
		report_note(o, "there is no banger.conf, and no problem in the environment");
	return status;
}

int config_check_run(const struct options *o)
{
	return with_view(o, check);
}

/* ---- reload ---- */

static void put_words(const struct strv *words, const char *what)
{
	for (uint32_t i = 0; i < words->n; i++)
		(void)printf("%s%s\n", words->v[i], what);
}

int config_reload_run(const struct options *o)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	CLEANUP_CALL struct call c = { .op_id = o->op_id };
	const struct config_reload_result *r;
	struct err e = { 0 };

	if (session_open(&s, o, false, &e) < 0) {
		if (!not_running(&e))
			return failed(o, &e);
		report_note(o, "no daemon runs; the next one reads its settings when it starts");
		return STATUS_OK;
	}
	if (session_call(&s, &c, METHOD_CONFIG_RELOAD, &(struct none){ 0 }) < 0)
		return session_report(&s, &c);
	r = c.result;
	if (o->json)
		return report_json(&config_reload_result_schema, r, &e) < 0 ? failed(o, &e)
									    : STATUS_OK;
	put_words(&r->changed, "");
	put_words(&r->restart, " once the daemon starts again");
	tell_problems(o, &r->problems);
	if (r->changed.n + r->restart.n == 0)
		report_note(o, "nothing has changed");
	return STATUS_OK;
}
