#include "actors/job.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/catalog.h"
#include "actors/files.h"
#include "actors/limits.h"
#include "base/cleanup.h"
#include "image/job.h"

struct job {
	struct actor actor;
	struct env *env; /* borrowed */
	struct op *op;   /* owned until it is answered */
	struct plan plan;
	struct db_wait commit;
	bool kernel; /* else an image */
	bool remove; /* image.rm, kernel.rm */
	bool force;
	char name[OBJECT_NAME_MAX + 1];
	char staging[ENV_PATH_MAX];
	char final[ENV_PATH_MAX];
	struct strv argv, envp;
	struct io_spawn spawn;
	int out_fd;           /* the child's end of the pipe, owned until it runs */
	struct io_stream out; /* event lines */
	bool out_open;
	struct buf line;
	int pidfd;
	struct io_op exit;
	bool exited;
	bool swapped;   /* staging holds what was replaced */
	uint32_t leaks; /* undo steps that failed last time, counted in env.leaks */
	uint32_t retry_ms;
	struct io_timer retry;
	int status;
	struct err job_err;  /* from an error line */
	struct err work_err; /* of a job on a worker thread */
	struct image_view image;
	struct kernel_view kview;
};

static struct job *job_of(struct plan *p)
{
	return container_of(p, struct job, plan);
}

/* ---- stage ---- */

static int make_staging(void *arg, const bool *cancelled)
{
	struct job *j = arg;

	(void)cancelled;
	const int rc = files_remove(j->staging, &j->work_err);
	return rc < 0 ? rc : files_make_dir(j->staging, &j->work_err);
}

static int remove_staging(void *arg, const bool *cancelled)
{
	struct job *j = arg;

	(void)cancelled;
	return files_remove(j->staging, &j->work_err);
}

static int work(struct plan *p, io_work_fn *fn)
{
	struct job *j = job_of(p);

	j->work_err = (struct err){ 0 };
	io_work(j->env->io, &p->op, IO_LANE_ANY, fn, j);
	return STEP_WAIT_OP;
}

static int worked(struct plan *p, struct msg *m, struct err *e)
{
	if (m->res < 0)
		*e = job_of(p)->work_err;
	return m->res < 0 ? m->res : STEP_DONE;
}

static int stage(struct plan *p, struct err *e)
{
	(void)e;
	return work(p, make_staging);
}

/* As long as it holds what was replaced, it is the only copy of that. */
static int unstage(struct plan *p, struct err *e)
{
	(void)e;
	return job_of(p)->swapped ? STEP_DONE : work(p, remove_staging);
}

/* ---- run ---- */

static void add_arg(struct job *j, int *rc, const char *text)
{
	if (*rc == 0)
		*rc = strv_add(&j->argv, text);
}

static int make_argv(struct job *j)
{
	const char *dir = j->env->conf.libexec_dir;
	int rc = strv_addf(&j->argv, "%s/banger-imager", dir);
	char bytes[32];

	if (j->op->method == METHOD_IMAGE_IMPORT) {
		const struct image_import_args *a = j->op->args;

		(void)snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)a->disk_bytes);
		add_arg(j, &rc, "image-import");
		add_arg(j, &rc, j->staging);
		add_arg(j, &rc, a->path);
		add_arg(j, &rc, bytes);
	} else if (j->op->method == METHOD_IMAGE_BUILD) {
		const struct image_build_args *a = j->op->args;

		(void)snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)a->disk_bytes);
		add_arg(j, &rc, "image-build");
		add_arg(j, &rc, j->staging);
		add_arg(j, &rc, a->source);
		add_arg(j, &rc, bytes);
		for (uint32_t i = 0; i < a->packages.n; i++)
			add_arg(j, &rc, a->packages.v[i]);
	} else {
		const struct kernel_import_args *a = j->op->args;

		add_arg(j, &rc, "kernel-import");
		add_arg(j, &rc, j->staging);
		add_arg(j, &rc, a->path);
		add_arg(j, &rc, a->initrd);
		add_arg(j, &rc, a->modules);
		if (rc == 0)
			rc = strv_addf(&j->argv, "%s/banger-init", dir);
		if (rc == 0)
			rc = strv_addf(&j->argv, "%s/banger-agent", dir);
	}
	/* Tools that it runs are found as root would find them; a locale would change what they
	 * say. */
	if (rc == 0)
		rc = strv_add(&j->envp,
			      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	if (rc == 0)
		rc = strv_add(&j->envp, "LC_ALL=C.UTF-8");
	return rc;
}

static int run(struct plan *p, struct err *e)
{
	struct job *j = job_of(p);
	int pair[2];

	if (make_argv(j) < 0)
		return err_set(e, ERR_HOST_MEMORY, "arguments");
	const int rc = io_pair(j->env->io, pair);
	if (rc < 0)
		return err_num(e, ERR_HOST_FILES, rc, "pipe to the imager");
	if (io_stream_open(j->env->io, &j->out, &j->actor, MSG_STREAM, pair[0]) < 0) {
		io_close(j->env->io, pair[0]);
		io_close(j->env->io, pair[1]);
		return err_set(e, ERR_HOST_MEMORY, "pipe to the imager");
	}
	j->out_open = true;
	j->out_fd = pair[1];
	j->spawn = (struct io_spawn){
		.argv = &j->argv,
		.envp = &j->envp,
		.fds = { { j->out_fd, STDOUT_FILENO } },
		.nfds = 1,
		.cgroup_fd = -EBADF,
		.new_session = true,
		.pidfd = -EBADF,
	};
	io_spawn(j->env->io, &p->op, &j->spawn);
	return STEP_WAIT_OP;
}

static int spawned(struct plan *p, struct msg *m, struct err *e)
{
	struct job *j = job_of(p);

	io_close(j->env->io, take_fd(&j->out_fd));
	if (m->res < 0) {
		*e = j->spawn.err;
		return err_num(e, ERR_HOST_IO, m->res, "%s", j->argv.v[0]);
	}
	j->pidfd = take_fd(&j->spawn.pidfd);
	io_poll(j->env->io, &j->exit, j->pidfd, POLLIN);
	return STEP_DONE;
}

/* The whole process group, mmdebstrap's too: it was made by new_session, so its id is the pid. */
static int stop(struct plan *p, struct err *e)
{
	struct job *j = job_of(p);

	(void)e;
	if (j->out_fd >= 0)
		io_close(j->env->io, take_fd(&j->out_fd));
	if (j->pidfd >= 0 && !j->exited) {
		IGNORE(io_kill_group(j->env->io, j->spawn.pid, SIGKILL) < 0);
		IGNORE(io_kill(j->env->io, j->pidfd, SIGKILL) < 0);
		return STEP_WAIT;
	}
	if (j->out_open) {
		io_stream_close(j->env->io, &j->out, 0);
		return STEP_WAIT;
	}
	return STEP_DONE;
}

/* Also one that never ran. */
static bool is_over(const struct job *j)
{
	return j->exited || j->pidfd < 0;
}

/* ---- wait: until it has ended and its last line has come ---- */

static int verdict(struct job *j, struct err *e)
{
	char log[ENV_PATH_MAX + 8];
	char tail[VMM_TAIL_BYTES];

	if (j->job_err.code) {
		*e = j->job_err;
		return err_errno(e);
	}
	if (WIFEXITED(j->status) && WEXITSTATUS(j->status) == 0)
		return STEP_DONE;
	(void)snprintf(log, sizeof(log), "%s/" IMAGE_FILE_LOG, j->staging);
	files_last_line(log, tail, sizeof(tail));
	return err_set(e, j->kernel ? ERR_KERNEL_BAD : ERR_IMAGE_BUILD,
		       "the imager ended with status 0x%x%s%s", (unsigned)j->status,
		       tail[0] ? ": " : "", tail);
}

static int ended(struct plan *p, struct err *e)
{
	struct job *j = job_of(p);

	return j->exited && !j->out_open ? verdict(j, e) : STEP_WAIT;
}

static void maybe_ended(struct job *j)
{
	struct plan *p = &j->plan;
	struct err e = { 0 };

	if (plan_waits_undo(p, stop)) {
		if (is_over(j) && !j->out_open)
			plan_event(p, 0);
		else if (is_over(j))
			io_stream_close(j->env->io, &j->out, 0);
	} else if (plan_waits_in(p, ended) && j->exited && !j->out_open) {
		const int rc = verdict(j, &e);

		if (rc < 0)
			plan_abort(p, &e);
		else
			plan_event(p, 0);
	}
}

/* ---- publish ---- */

static int publish_files(void *arg, const bool *cancelled)
{
	struct job *j = arg;

	(void)cancelled;
	return files_publish(j->staging, j->final, &j->swapped, &j->work_err);
}

/* What was replaced goes back to its place; the place of what is new becomes empty. */
static int unpublish_files(void *arg, const bool *cancelled)
{
	struct job *j = arg;

	bool back = false;

	(void)cancelled;
	if (!j->swapped)
		return files_remove(j->final, &j->work_err);
	const int rc = files_publish(j->staging, j->final, &back, &j->work_err);

	/* Also where that could not be made durable: once more would be forward again. */
	if (back)
		j->swapped = false;
	return rc;
}

static int publish(struct plan *p, struct err *e)
{
	struct job *j = job_of(p);

	(void)e;
	(void)j;
	return work(p, publish_files);
}

static bool is_known(const struct job *j)
{
	return j->kernel ? catalog_kernel(j->env->catalog, j->name) != NULL
			 : catalog_image(j->env->catalog, j->name) != NULL;
}

static int unpublish(struct plan *p, struct err *e)
{
	struct job *j = job_of(p);

	(void)e;
	return is_known(j) && !j->swapped ? STEP_DONE : work(p, unpublish_files);
}

static int unpublished(struct plan *p, struct msg *m, struct err *e)
{
	if (m->res == 0)
		job_of(p)->swapped = false;
	return worked(p, m, e);
}

static int record(struct plan *p, struct err *e)
{
	struct job *j = job_of(p);
	int rc;

	if (j->kernel) {
		(void)snprintf(j->kview.name, sizeof(j->kview.name), "%s", j->name);
		catalog_kernel_paths(j->env->conf.state_dir, &j->kview);
		j->kview.created_ms = io_wall_ms(j->env->io);
		rc = db_put(j->env->db, STORE_KERNELS, j->name, strlen(j->name),
			    &kernel_view_schema, &j->kview);
	} else {
		(void)snprintf(j->image.name, sizeof(j->image.name), "%s", j->name);
		(void)snprintf(j->image.kind, sizeof(j->image.kind), IMAGE_KIND_DISK);
		catalog_image_paths(j->env->conf.state_dir, &j->image);
		j->image.created_ms = io_wall_ms(j->env->io);
		rc = db_put(j->env->db, STORE_IMAGES, j->name, strlen(j->name), &image_view_schema,
			    &j->image);
	}
	if (rc < 0)
		return err_num(e, ERR_HOST_MEMORY, rc, "record");
	db_wait(j->env->db, &j->commit, p->token);
	return STEP_WAIT_OP;
}

static int recorded(struct plan *p, struct msg *m, struct err *e)
{
	struct job *j = job_of(p);

	if (m->res < 0) {
		*e = j->commit.err;
		return m->res;
	}
	const int rc = j->remove   ? 0
		       : j->kernel ? catalog_put_kernel(j->env->catalog, &j->kview)
				   : catalog_put_image(j->env->catalog, &j->image);
	return rc < 0 ? err_num(e, ERR_HOST_MEMORY, rc, "catalogue") : STEP_DONE;
}

/* clang-format off */
static const struct step make_steps[] = {
	/* name      start    finish    undo       undone  ms                 arg */
	{ "stage",   stage,   worked,   unstage,   worked, FILES_DEADLINE_MS, 0 },
	{ "run",     run,     spawned,  stop,      NULL,   SPAWN_DEADLINE_MS, 0 },
	{ "wait",    ended,   NULL,     NULL,      NULL,   0,                 0 },
	{ "publish", publish, worked,   unpublish, unpublished, FILES_DEADLINE_MS, 0 },
	{ "record",  record,  recorded, NULL,      NULL,   0,                 0 },
};
/* clang-format on */

/* Once the record names what is new, what it replaced goes. */
/* clang-format off */
static const struct step tidy_steps[] = {
	{ "tidy", NULL, NULL, unstage, worked, FILES_DEADLINE_MS, 0 },
};
/* clang-format on */

/* ---- removal: the record first, then what it named ---- */

static int drop_record(struct plan *p, struct err *e)
{
	struct job *j = job_of(p);
	const int rc = db_del(j->env->db, j->kernel ? STORE_KERNELS : STORE_IMAGES, j->name,
			      strlen(j->name));

	if (rc < 0)
		return err_num(e, ERR_HOST_MEMORY, rc, "record");
	db_wait(j->env->db, &j->commit, p->token);
	return STEP_WAIT_OP;
}

static int drop_files(struct plan *p, struct err *e)
{
	struct job *j = job_of(p);

	(void)e;
	if (j->kernel)
		catalog_remove_kernel(j->env->catalog, j->name);
	else
		catalog_remove_image(j->env->catalog, j->name);
	return work(p, unpublish_files);
}

/* Without its record it is of no use: what could not be removed is tried again. */
static int drop_rest(struct plan *p, struct err *e)
{
	(void)e;
	return is_known(job_of(p)) ? STEP_DONE : work(p, unpublish_files);
}

/* clang-format off */
static const struct step remove_steps[] = {
	{ "record", drop_record, recorded, NULL,      NULL,   0,                 0 },
	{ "files",  drop_files,  worked,   drop_rest, worked, FILES_DEADLINE_MS, 0 },
};
/* clang-format on */

/* ---- the imager's lines ---- */

static void result_line(struct job *j, const char *key, const char *value)
{
	char *const sha = j->kernel ? j->kview.sha256 : j->image.sha256;

	if (strcmp(key, IMAGE_RESULT_SHA256) == 0)
		(void)snprintf(sha, sizeof(j->image.sha256), "%s", value);
	else if (strcmp(key, IMAGE_RESULT_BYTES) == 0)
		*(j->kernel ? &j->kview.bytes : &j->image.bytes) = strtoull(value, NULL, 10);
	else if (strcmp(key, IMAGE_RESULT_VERSION) == 0)
		(void)snprintf(j->kview.version, sizeof(j->kview.version), "%s", value);
	else if (strcmp(key, IMAGE_RESULT_SOURCE) == 0)
		(void)snprintf(j->image.source, sizeof(j->image.source), "%s", value);
}

static void event_line(struct job *j, char *line)
{
	char *save = NULL;
	const char *what = strtok_r(line, " ", &save);
	const char *key = strtok_r(NULL, " ", &save);
	struct progress_event ev = { 0 };
	unsigned long long done = 0;
	unsigned long long total = 0;

	if (!what || !key)
		return;
	if (strcmp(what, "result") == 0) {
		result_line(j, key, save);
	} else if (strcmp(what, "error") == 0) {
		err_set(&j->job_err, err_by_name(key), "%s", save);
	} else if (strcmp(what, "progress") == 0 && save &&
		   sscanf(save, "%llu %llu", &done, &total) == 2) {
		(void)snprintf(ev.name, sizeof(ev.name), "%s", j->name);
		(void)snprintf(ev.stage, sizeof(ev.stage), "%s", key);
		ev.done = done;
		ev.total = total;
		if (j->op)
			op_progress(j->env, j->op, &ev);
	}
}

static void output(struct job *j)
{
	const uint8_t *data;
	size_t have;

	while ((have = io_stream_peek(&j->out, &data)) > 0) {
		for (size_t i = 0; i < have; i++) {
			const char c = data[i] == '\n' ? '\0' : (char)data[i];

			if (buf_append(&j->line, &c, 1) < 0 || c == '\0') {
				if (c == '\0')
					event_line(j, (char *)buf_data(&j->line));
				buf_clear(&j->line);
			}
		}
		io_stream_consume(j->env->io, &j->out, have);
	}
	if (j->out.eof || j->out.error)
		io_stream_close(j->env->io, &j->out, 0);
}

static void exited(struct job *j)
{
	if (io_reap(j->env->io, j->pidfd, &j->status) < 0)
		j->status = W_EXITCODE(1, 0);
	io_close(j->env->io, take_fd(&j->pidfd));
	j->exited = true;
	maybe_ended(j);
}

/* ---- life ---- */

static void answer(struct job *j)
{
	struct env *env = j->env;
	struct op *op = take_ptr(&j->op);

	if (!j->plan.completed) {
		if (j->plan.failed_step)
			(void)snprintf(op->step, sizeof(op->step), "%s", j->plan.failed_step);
		op_fail(env, op, &j->plan.err);
	} else if (j->remove) {
		op_done(env, op, NULL, NULL);
	} else if (j->kernel) {
		op_done(env, op, &kernel_view_schema, &j->kview);
	} else {
		op_done(env, op, &image_view_schema, &j->image);
	}
	env->njobs--;
}

static void job_free(struct job *j)
{
	io_timer_cancel(j->env->io, &j->retry);
	strv_fini(&j->argv);
	strv_fini(&j->envp);
	buf_fini(&j->line);
	actor_fini(&j->actor);
	free(j);
}

/* The same table backward: each undo means "ensure absent". */
static void undo_again(struct job *j)
{
	plan_unwind(&j->plan, j->plan.steps, j->plan.n, &j->plan.op_id);
}

/* Answered, and then as long as anything is left over. */
static void plan_ended(struct plan *p, int rc)
{
	struct job *j = job_of(p);

	(void)rc; /* the plan itself says more */
	if (j->op)
		answer(j);
	j->env->leaks -= j->leaks;
	j->env->leaks += p->leaks;
	j->leaks = p->leaks;
	if (p->completed && j->swapped) {
		j->swapped = false;
		plan_unwind(p, tidy_steps, ARRAY_LEN(tidy_steps), &p->op_id);
	} else if (p->leaks > 0) {
		j->retry_ms = j->retry_ms == 0 ? RETRY_FIRST_MS : j->retry_ms * 2;
		if (j->retry_ms > RETRY_MAX_MS)
			j->retry_ms = RETRY_MAX_MS;
		io_timer_set(j->env->io, &j->retry, j->retry_ms, 0);
	} else {
		job_free(j);
	}
}

static void step_begun(struct plan *p, const char *step, bool undo)
{
	struct job *j = job_of(p);
	struct progress_event ev = { 0 };

	if (!j->op)
		return;
	p->mark = op_step_begun(j->env, j->op, 0, step, undo);
	(void)snprintf(ev.name, sizeof(ev.name), "%s", j->name);
	(void)snprintf(ev.stage, sizeof(ev.stage), "%s%s", undo ? "undo " : "", step);
	op_progress(j->env, j->op, &ev);
}

static void step_over(struct plan *p, int rc)
{
	const struct job *j = job_of(p);

	if (j->op)
		op_step_over(j->env, j->op, p->mark, rc);
}

static const struct plan_ops plan_ops = {
	.begun = step_begun,
	.over = step_over,
	.ended = plan_ended,
};

static void handle(struct actor *a, struct msg *m)
{
	struct job *j = container_of(a, struct job, actor);
	const struct err cancelled = { .code = ERR_CANCELLED, .text = "cancelled" };

	if (m == &j->out.msg) {
		if (j->out.closed) {
			j->out_open = false;
			maybe_ended(j);
		} else {
			output(j);
		}
	} else if (m == &j->exit.msg) {
		exited(j);
	} else if (m == &j->retry.msg) {
		undo_again(j);
	} else if (m->type == MSG_CANCEL) {
		if (!plan_waits_in(&j->plan, record)) /* else it is too late: it may be durable */
			plan_abort(&j->plan, &cancelled);
	} else {
		plan_deliver(&j->plan, m);
	}
}

const char *job_name(const struct op *op)
{
	const struct image_build_args *build = op->args;
	const struct kernel_import_args *kernel = op->args;

	if (op->method == METHOD_IMAGE_IMPORT)
		return ((const struct image_import_args *)op->args)->name;
	if (op->method == METHOD_IMAGE_BUILD)
		return build->name[0] ? build->name : build->source;
	if (op->method == METHOD_KERNEL_IMPORT) {
		const char *slash = strrchr(kernel->path, '/');

		return kernel->name[0] ? kernel->name : slash ? slash + 1 : "debian";
	}
	return ((const struct name_args *)op->args)->name;
}

static int check(const struct job *j, struct err *e)
{
	const bool exists = j->kernel ? catalog_kernel(j->env->catalog, j->name) != NULL
				      : catalog_image(j->env->catalog, j->name) != NULL;
	const int rc = object_name_check("name", j->name, e);

	if (rc < 0)
		return rc;
	if (!j->kernel && (strcmp(j->name, IMAGE_PROBE) == 0 || strcmp(j->name, IMAGE_NULL) == 0))
		return err_set(e, ERR_BAD_REQUEST, "name: \"%s\" is built in", j->name);
	if (j->remove && !exists)
		return err_set(e, j->kernel ? ERR_KERNEL_NOT_FOUND : ERR_IMAGE_NOT_FOUND,
			       "there is no \"%s\"", j->name);
	/* One that a crash has cut short may have come that far already. */
	if (!j->remove && exists && !j->force && !j->op->resumed)
		return err_set(e, j->kernel ? ERR_KERNEL_EXISTS : ERR_IMAGE_EXISTS, "\"%s\" exists",
			       j->name);
	if (j->env->njobs >= JOBS_MAX)
		return err_set(e, ERR_BUSY, "%d imports run already", (int)JOBS_MAX);
	return 0;
}

/* NULL with the reason in *e. */
static struct job *job_make(struct env *env, struct op *op, struct err *e)
{
	struct job *j = calloc(1, sizeof(*j));
	char id[OP_ID_CHARS + 1];

	if (!j || actor_init(&j->actor, env->actors, handle) < 0) {
		free(j);
		err_set(e, ERR_HOST_MEMORY, "job");
		return NULL;
	}
	j->env = env;
	j->op = op;
	j->pidfd = -EBADF;
	j->out_fd = -EBADF;
	j->kernel = op->method == METHOD_KERNEL_IMPORT || op->method == METHOD_KERNEL_RM;
	j->remove = op->method == METHOD_IMAGE_RM || op->method == METHOD_KERNEL_RM;
	j->force = op->method == METHOD_IMAGE_IMPORT
			   ? ((const struct image_import_args *)op->args)->force
		   : op->method == METHOD_IMAGE_BUILD
			   ? ((const struct image_build_args *)op->args)->force
			   : op->method == METHOD_KERNEL_IMPORT &&
				     ((const struct kernel_import_args *)op->args)->force;
	if (op->method == METHOD_IMAGE_IMPORT)
		(void)snprintf(j->image.kernel, sizeof(j->image.kernel), "%s",
			       ((const struct image_import_args *)op->args)->kernel);
	op_id_text(&op->id, id);
	(void)snprintf(j->name, sizeof(j->name), "%s", job_name(op));
	(void)snprintf(j->staging, sizeof(j->staging), "%.900s/staging/%s", env->conf.state_dir,
		       id);
	(void)snprintf(j->final, sizeof(j->final), "%.900s/%s/%s", env->conf.state_dir,
		       j->kernel ? "kernels" : "images", j->name);
	(void)snprintf(j->actor.log.actor, sizeof(j->actor.log.actor), "job/%s", j->name);
	buf_init(&j->line, IMAGE_LINE_MAX);
	db_wait_init(&j->commit, &j->actor);
	io_op_init(&j->exit, &j->actor, MSG_EXIT);
	io_timer_init(&j->retry, &j->actor, MSG_TIMER);
	plan_init(&j->plan, env->io, &j->actor, &plan_ops);
	if (check(j, e) < 0) {
		actor_fini(&j->actor);
		free(j);
		return NULL;
	}
	return j;
}

void job_begin(struct env *env, struct op *op)
{
	struct err e = { 0 };
	struct job *j = job_make(env, op, &e);

	if (!j && op->resumed &&
	    (e.code == ERR_IMAGE_NOT_FOUND || e.code == ERR_KERNEL_NOT_FOUND)) {
		op_done(env, op, NULL, NULL); /* removed, before a crash cut the answer short */
		return;
	}
	if (!j) {
		op_fail(env, op, &e);
		return;
	}
	env->njobs++;
	op->at = j->actor.id;
	if (j->remove)
		plan_begin(&j->plan, remove_steps, ARRAY_LEN(remove_steps), &op->id);
	else
		plan_begin(&j->plan, make_steps, ARRAY_LEN(make_steps), &op->id);
}

void job_cancel(struct env *env, struct op *op)
{
	post_cancel(env->actors, op->at, &op->cancel, op->serial, env->node);
}
