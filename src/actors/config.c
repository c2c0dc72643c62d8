#include "actors/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/msg.h"
#include "base/cleanup.h"

struct config {
	struct actor actor;
	struct env *env;                     /* borrowed */
	char file[CONF_PATH_MAX];            /* of input */
	char libexec[CONF_PATH_MAX];         /* of input */
	struct conf_input input;             /* its strings are those above */
	struct conf next;                    /* read last: what the next start would take */
	struct conf_problems problems;       /* of it */
	struct conf fresh;                   /* the worker's while `busy` */
	struct conf_problems fresh_problems; /* likewise */
	struct err err;                      /* likewise */
	struct io_op work;
	bool busy;
	bool again;    /* SIGHUP came meanwhile */
	struct op *op; /* who asked, while `busy`; may be NULL */
};

/* ---- show ---- */

void config_show(struct env *env, struct op *op)
{
	const struct config *c = env->config;
	struct config_key *keys = calloc(CONF_NKEYS, sizeof(*keys));
	struct config_problem *problems = calloc(CONF_PROBLEMS_MAX, sizeof(*problems));
	struct config_result r = { .keys.items = keys, .problems = { problems, c->problems.n } };
	int rc = keys && problems ? 0 : -ENOMEM;

	for (int i = 0; i < CONF_NKEYS && rc == 0; i++)
		if (!conf_rows[i].cli)
			conf_view_key(&env->conf, &c->next, (enum conf_key)i, &keys[r.keys.n++]);
	for (uint32_t i = 0; i < env->conf.nfiles && rc == 0; i++)
		rc = strv_add(&r.files, env->conf.files[i]);
	if (rc == 0) {
		conf_view_problems(&c->problems, problems);
		op_done(env, op, &config_result_schema, &r);
	} else {
		op_refuse(env, op, ERR_HOST_MEMORY, "settings");
	}
	strv_fini(&r.files);
	free(keys);
	free(problems);
}

/* ---- reload ---- */

void config_apply(struct env *env)
{
	for (int i = 0; conf_log_levels[i]; i++)
		if (strcmp(conf_log_levels[i], env->conf.log_level) == 0)
			log_max_level = (enum log_level)(LOG_LEVEL_ERR + i);
	gate_set_max(&env->gate, env->conf.starts_max);
}

static int read_again(void *arg, const bool *cancelled)
{
	struct config *c = arg;

	(void)cancelled;
	return conf_load(&c->fresh, &c->input, &c->fresh_problems, &c->err);
}

static void begin(struct config *c, struct op *op)
{
	c->busy = true;
	c->op = op;
	c->err = (struct err){ 0 };
	io_work(c->env->io, &c->work, IO_LANE_ANY, read_again, c);
}

/* A setting of the daemon's command line outlives its files. */
static bool is_fixed(const struct conf *now, enum conf_key key)
{
	return conf_rows[key].cli || now->origins[key].source == CONF_FROM_OPTION;
}

/* Files may have moved under a value that is the same: its origin is taken over too. */
static int take_over(struct config *c, struct config_reload_result *r)
{
	struct conf *now = &c->env->conf;
	char name[CONF_KEY_MAX];
	int rc = 0;

	for (int i = 0; i < CONF_NKEYS; i++) {
		const enum conf_key key = (enum conf_key)i;
		const bool same = conf_equal(now, &c->fresh, key);

		if (is_fixed(now, key)) {
			conf_copy(&c->fresh, now, key);
			continue;
		}
		conf_key_name(key, name);
		if (!same && rc == 0)
			rc = strv_add(conf_rows[key].live ? &r->changed : &r->restart, name);
		if (same || conf_rows[key].live)
			conf_copy(now, &c->fresh, key);
	}
	memcpy(now->files, c->fresh.files, sizeof(now->files));
	now->nfiles = c->fresh.nfiles;
	c->next = c->fresh;
	c->problems = c->fresh_problems;
	config_apply(c->env);
	return rc;
}

static void tell(const struct config *c, const struct config_reload_result *r)
{
	const struct log_ctx *log = &c->actor.log;
	const struct op_id *id = c->op ? &c->op->id : NULL;

	for (uint32_t i = 0; i < c->fresh_problems.n; i++)
		LOG_WARN(log, id, "config.problem", K("where", c->fresh_problems.v[i].where),
			 K("why", c->fresh_problems.v[i].text));
	if (c->err.code)
		LOG_ERR(log, id, "config.kept", K("why", c->err.text));
	else
		LOG_NOTICE(log, id, "config.reload", K("changed", r->changed.n),
			   K("restart", r->restart.n));
}

static void answer(struct config *c, struct config_reload_result *r, int rc)
{
	struct config_problem *problems = calloc(CONF_PROBLEMS_MAX, sizeof(*problems));
	struct op *op = take_ptr(&c->op);

	if (op && c->err.code) {
		op_fail(c->env, op, &c->err);
	} else if (op && (rc < 0 || !problems)) {
		op_refuse(c->env, op, ERR_HOST_MEMORY, "what changed");
	} else if (op) {
		conf_view_problems(&c->problems, problems);
		r->problems = (struct seq){ problems, c->problems.n };
		op_done(c->env, op, &config_reload_result_schema, r);
	}
	free(problems);
}

static void handle(struct actor *a, struct msg *m)
{
	struct config *c = container_of(a, struct config, actor);
	struct config_reload_result r = { 0 };
	int rc = 0;

	/* The function's own error is in c->err; this is a worker that did not run it. */
	if (m->res < 0 && !c->err.code)
		err_num(&c->err, ERR_HOST_IO, m->res, "read the configuration");
	c->busy = false;
	if (!c->err.code)
		rc = take_over(c, &r);
	tell(c, &r);
	answer(c, &r, rc);
	strv_fini(&r.changed);
	strv_fini(&r.restart);
	if (c->again) {
		c->again = false;
		begin(c, NULL);
	}
}

void config_reload(struct env *env, struct op *op)
{
	struct config *c = env->config;

	if (!c->busy)
		begin(c, op);
	else if (op)
		op_refuse(env, op, ERR_BUSY, "the configuration is being read");
	else
		c->again = true;
}

/* ---- life ---- */

int config_create(struct env *env, const struct conf_input *input,
		  const struct conf_problems *problems, struct config **ret_config)
{
	struct config *c = calloc(1, sizeof(*c));
	int rc = c ? actor_init(&c->actor, env->actors, handle) : -ENOMEM;

	if (rc < 0) {
		free(c);
		return rc;
	}
	(void)snprintf(c->actor.log.actor, sizeof(c->actor.log.actor), "config");
	c->env = env;
	c->input = *input;
	(void)snprintf(c->libexec, sizeof(c->libexec), "%s", input->libexec);
	c->input.libexec = c->libexec;
	(void)snprintf(c->file, sizeof(c->file), "%s", input->file ? input->file : "");
	c->input.file = input->file ? c->file : NULL;
	c->next = env->conf;
	c->problems = *problems;
	io_op_init(&c->work, &c->actor, MSG_IO);
	*ret_config = c;
	return 0;
}
