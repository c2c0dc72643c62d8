#include "actors/accel_probe.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "actors/files.h"
#include "actors/limits.h"
#include "actors/vm.h"
#include "base/cleanup.h"

enum {
	PROBE_ID = 0,
	CONSOLE_FD = 3, /* in the child, where the VMM does not write it to its stdout */
};

#define PROBE_WORDS VMM_PROBE_BENCH " exit"

static const uint8_t record_key[8]; /* of PROBE_ID */

static struct accel_probe *probe_of(struct plan *plan)
{
	return container_of(plan, struct accel_probe, plan);
}

static int work(struct plan *plan, io_work_fn *fn)
{
	struct accel_probe *p = probe_of(plan);

	p->work_err = (struct err){ 0 };
	io_work(p->env->io, &plan->op, IO_LANE_ANY, fn, p);
	return STEP_WAIT_OP;
}

static int worked(struct plan *plan, struct msg *m, struct err *e)
{
	if (m->res < 0)
		*e = probe_of(plan)->work_err;
	return m->res < 0 ? m->res : STEP_DONE;
}

/* Its console is its standard output, and its machine a file. */
static bool has_own_channels(const struct accel_probe *p)
{
	return p->driver->channels == VMM_CHANNELS_OWN;
}

/* ---- the machine ---- */

struct paths {
	char elf[ENV_PATH_MAX];
	char control[ENV_PATH_MAX + 16];
	char config[ENV_PATH_MAX + 16];
};

static void machine_of(const struct accel_probe *p, struct paths *paths, struct vmm_machine *m)
{
	*m = (struct vmm_machine){
		.binary = p->binary,
		.id = PROBE_ID,
		.home = p->env->home,
		.name = "probe",
		.guest = VMM_GUEST_PROBE,
		.accel = p->accel,
		.vcpu = 1,
		.memory_bytes = MEMORY_MIN_BYTES,
		.kernel = paths->elf,
		.sandbox = true,
		.append = PROBE_WORDS,
		.net = VMM_NET_NONE,
	};
	(void)snprintf(paths->elf, sizeof(paths->elf), "%.900s/" PROBE_FILE,
		       p->env->conf.libexec_dir);
	for (int s = 0; s < VMM_NSOCKETS; s++)
		m->socket_fd[s] = -1;
	if (!has_own_channels(p)) {
		m->socket_fd[VMM_SOCKET_CONSOLE] = CONSOLE_FD;
		return;
	}
	(void)snprintf(paths->control, sizeof(paths->control), "%s/" VM_FILE_CONTROL, p->dir);
	(void)snprintf(paths->config, sizeof(paths->config), "%s/" VM_FILE_CONFIG, p->dir);
	m->control = paths->control;
	m->config = paths->config;
	m->log = p->log;
}

/* ---- intent ---- */

static int put_resources(struct accel_probe *p)
{
	p->res.version = RECORD_VERSION;
	return db_put(p->env->db, STORE_RESOURCES, record_key, sizeof(record_key),
		      &vm_resources_schema, &p->res);
}

static int commit(struct plan *plan)
{
	struct accel_probe *p = probe_of(plan);

	db_wait(p->env->db, &p->commit, plan->token);
	return STEP_WAIT_OP;
}

static int put_intent(struct plan *plan, struct err *e)
{
	struct accel_probe *p = probe_of(plan);

	p->res = (struct vm_resources){ .runtime = true, .process = true };
	if (put_resources(p) < 0)
		return err_set(e, ERR_HOST_MEMORY, "store");
	return commit(plan);
}

static int drop_intent(struct plan *plan, struct err *e)
{
	struct accel_probe *p = probe_of(plan);

	if (plan->leaks > 0)
		return STEP_DONE; /* the next start of the daemon tries again */
	if (db_del(p->env->db, STORE_RESOURCES, record_key, sizeof(record_key)) < 0)
		return err_set(e, ERR_HOST_MEMORY, "store");
	return commit(plan);
}

static int committed(struct plan *plan, struct msg *m, struct err *e)
{
	if (m->res < 0)
		*e = probe_of(plan)->commit.err;
	return m->res < 0 ? m->res : STEP_DONE;
}

/* ---- runtime ---- */

static int make_runtime(void *arg, const bool *cancelled)
{
	struct accel_probe *p = arg;
	char path[ENV_PATH_MAX + 16];
	const int rc = files_make_dir(p->dir, &p->work_err);

	if (rc < 0 || io_cancelled(cancelled))
		return rc;
	p->log_fd = files_open_log(p->log, &p->work_err);
	if (p->log_fd < 0 || buf_len(&p->config) == 0)
		return p->log_fd < 0 ? p->log_fd : 0;
	(void)snprintf(path, sizeof(path), "%s/" VM_FILE_CONFIG, p->dir);
	return files_write(path, buf_data(&p->config), buf_len(&p->config), &p->work_err);
}

static void last_words(const char *log, const struct vmm_driver *d, char out[ACCEL_WORDS_MAX])
{
	char words[FILES_TAIL_MAX + 1];

	files_tail(log, words);
	files_shorten(d->blame ? d->blame(words) : files_line(words), out, ACCEL_WORDS_MAX);
}

/* With the last words of a VMM that did not do what it should. */
static int remove_runtime(void *arg, const bool *cancelled)
{
	struct accel_probe *p = arg;

	(void)cancelled;
	if (p->lines == 0 && p->driver)
		last_words(p->log, p->driver, p->words);
	return files_remove(p->dir, &p->work_err);
}

static int runtime_up(struct plan *plan, struct err *e)
{
	struct accel_probe *p = probe_of(plan);
	static struct paths paths; /* too large for the stack, and there is one thread */
	struct vmm_machine m;

	machine_of(p, &paths, &m);
	buf_clear(&p->config);
	const int rc = p->driver->config ? p->driver->config(&m, &p->config, e) : 0;
	return rc < 0 ? rc : work(plan, make_runtime);
}

static int runtime_down(struct plan *plan, struct err *e)
{
	(void)e;
	close_fd(&probe_of(plan)->log_fd);
	return work(plan, remove_runtime);
}

/* ---- console ---- */

static int console_take(struct accel_probe *p, int fd, struct err *e)
{
	if (io_stream_open(p->env->io, &p->console, p->owner, MSG_CONSOLE, fd) < 0) {
		io_close(p->env->io, fd);
		return err_set(e, ERR_HOST_MEMORY, "console.sock");
	}
	p->console_open = true;
	return STEP_DONE;
}

static int console_up(struct plan *plan, struct err *e)
{
	struct accel_probe *p = probe_of(plan);
	char path[ENV_PATH_MAX + 16];
	int ends[2];

	if (has_own_channels(p)) {
		const int rc = io_pair(p->env->io, ends);

		if (rc < 0)
			return err_num(e, ERR_HOST_FILES, rc, "socket of the console");
		p->listen_fd = ends[1];
		return console_take(p, ends[0], e);
	}
	(void)snprintf(path, sizeof(path), "%s/console.sock", p->dir);
	const int fd = io_listen_unix(p->env->io, path, e);
	if (fd < 0)
		return fd;
	p->listen_fd = fd;
	io_connect_unix(p->env->io, &plan->op, path);
	return STEP_WAIT_OP;
}

static int console_opened(struct plan *plan, struct msg *m, struct err *e)
{
	struct accel_probe *p = probe_of(plan);

	if (m->res < 0)
		return err_num(e, ERR_HOST_IO, m->res, "connect console.sock");
	return console_take(p, m->res, e);
}

static int console_down(struct plan *plan, struct err *e)
{
	struct accel_probe *p = probe_of(plan);

	(void)e;
	if (p->listen_fd >= 0)
		io_close(p->env->io, take_fd(&p->listen_fd));
	if (!p->console_open)
		return STEP_DONE;
	io_stream_close(p->env->io, &p->console, 0);
	return STEP_WAIT; /* for its last message */
}

/* ---- vmm ---- */

static int vmm_up(struct plan *plan, struct err *e)
{
	struct accel_probe *p = probe_of(plan);
	static struct paths paths;
	struct vmm_machine m;

	machine_of(p, &paths, &m);
	strv_fini(&p->argv);
	const int rc = p->driver->argv(&m, &p->argv, e);
	if (rc < 0)
		return rc;
	p->spawn = (struct io_spawn){
		.argv = &p->argv,
		.fds = { { p->log_fd, STDERR_FILENO },
			 { has_own_channels(p) ? p->listen_fd : p->log_fd, STDOUT_FILENO },
			 { p->listen_fd, CONSOLE_FD } },
		.nfds = has_own_channels(p) ? 2 : 3,
		.cgroup_fd = -EBADF,
		.new_session = true,
		.pidfd = -EBADF,
	};
	p->begun_us = io_now_us(p->env->io);
	io_spawn(p->env->io, &plan->op, &p->spawn);
	return STEP_WAIT_OP;
}

static void watch(struct accel_probe *p, int pidfd)
{
	p->pidfd = pidfd;
	p->exited = false;
	io_poll(p->env->io, &p->exit, p->pidfd, POLLIN);
}

static int vmm_spawned(struct plan *plan, struct msg *m, struct err *e)
{
	struct accel_probe *p = probe_of(plan);

	if (m->res < 0) {
		*e = p->spawn.err;
		return err_num(e, ERR_VMM_START, m->res, "%s", p->binary);
	}
	watch(p, take_fd(&p->spawn.pidfd));
	io_close(p->env->io, take_fd(&p->listen_fd));
	p->res.pid = (uint32_t)p->spawn.pid;
	p->res.start_ticks = p->spawn.start_ticks;
	if (put_resources(p) < 0)
		return err_set(e, ERR_HOST_MEMORY, "store");
	return STEP_DONE;
}

static int vmm_down(struct plan *plan, struct err *e)
{
	struct accel_probe *p = probe_of(plan);

	if (p->pidfd < 0) {
		const int fd = p->exited ? -ESRCH : vmm_seek(p->env, PROBE_ID);

		if (fd == -ESRCH)
			return STEP_DONE;
		if (fd < 0)
			return err_num(e, ERR_HOST_IO, fd, "look for the VMM");
		watch(p, fd);
	}
	const int rc = io_kill(p->env->io, p->pidfd, SIGKILL);
	if (rc < 0 && rc != -ESRCH)
		return err_num(e, ERR_HOST_IO, rc, "kill the VMM");
	return STEP_WAIT; /* for the exit */
}

/* ---- the guest's two lines ---- */

static int up(struct plan *plan, struct err *e)
{
	(void)e;
	return probe_of(plan)->lines > 0 ? STEP_DONE : STEP_WAIT;
}

static int loop(struct plan *plan, struct err *e)
{
	struct accel_probe *p = probe_of(plan);

	(void)e;
	plan->deadline_ms = p->loop_ms;
	return p->lines > 1 ? STEP_DONE : STEP_WAIT;
}

/* clang-format off */
static const struct step probe_steps[] = {
	/* name      start       finish          undo          undone     ms                   arg */
	{ "intent",  put_intent, committed,      drop_intent,  committed, 0,                   0 },
	{ "runtime", runtime_up, worked,         runtime_down, worked,    FILES_DEADLINE_MS,   0 },
	{ "console", console_up, console_opened, console_down, NULL,      CONNECT_DEADLINE_MS, 0 },
	{ "vmm",     vmm_up,     vmm_spawned,    vmm_down,     NULL,      SPAWN_DEADLINE_MS,   0 },
	{ "up",      up,         NULL,           NULL,         NULL,      ACCEL_UP_MS,         0 },
	{ "loop",    loop,       NULL,           NULL,         NULL,      0,                   0 },
};
/* clang-format on */

static void line_came(struct accel_probe *p)
{
	static const char *const wanted[] = { VMM_PROBE_LINE, VMM_PROBE_BENCH_LINE };
	const uint64_t now_us = io_now_us(p->env->io);
	const char *want = p->lines < ARRAY_LEN(wanted) ? wanted[p->lines] : NULL;

	if (!want || buf_len(&p->line) < strlen(want) ||
	    memcmp(buf_data(&p->line), want, strlen(want)) != 0)
		return;
	if (p->lines++ == 0)
		p->up_us = now_us - p->begun_us;
	else
		p->loop_us = now_us - p->begun_us - p->up_us;
}

static void read_lines(struct accel_probe *p)
{
	const uint8_t *data;
	size_t have;

	while ((have = io_stream_peek(&p->console, &data)) > 0) {
		for (size_t i = 0; i < have; i++) {
			if (data[i] == '\n')
				line_came(p);
			if (data[i] == '\n' || buf_append(&p->line, &data[i], 1) < 0)
				buf_clear(&p->line); /* too long to be one of ours */
		}
		io_stream_consume(p->env->io, &p->console, have);
	}
	p->console_over = p->console.eof || p->console.error;
}

/* Goes on where a line was waited for; gives up when none can come any more. */
static void look(struct accel_probe *p)
{
	const struct err gone = { .code = ERR_VMM_EXIT, .text = "the test guest's VMM has ended" };

	if (plan_waits_in(&p->plan, up) && p->lines > 0)
		plan_event(&p->plan, 0);
	if (plan_waits_in(&p->plan, loop) && p->lines > 1)
		plan_event(&p->plan, 0);
	else if (p->exited && p->console_over)
		plan_abort(&p->plan, &gone);
}

static void console_event(struct accel_probe *p)
{
	if (!p->console.closed) {
		read_lines(p);
		look(p);
		return;
	}
	p->console_open = false;
	if (plan_waits_undo(&p->plan, console_down))
		plan_event(&p->plan, 0);
}

static void exited(struct accel_probe *p)
{
	int status;

	IGNORE(io_reap(p->env->io, p->pidfd, &status) < 0); /* one that we adopted is another's */
	io_close(p->env->io, take_fd(&p->pidfd));
	p->exited = true;
	if (plan_waits_undo(&p->plan, vmm_down))
		plan_event(&p->plan, 0);
	else
		look(p); /* its last bytes may still wait on the console */
}

bool accel_probe_message(struct accel_probe *p, struct msg *m)
{
	if (m == &p->console.msg)
		console_event(p);
	else if (m == &p->exit.msg)
		exited(p);
	else if (m == &p->plan.op.msg || m == &p->plan.timer.msg || m == &p->commit.msg)
		plan_deliver(&p->plan, m);
	else
		return false;
	return true;
}

/* ---- life ---- */

static void plan_ended(struct plan *plan, int rc)
{
	struct accel_probe *p = probe_of(plan);

	(void)rc;
	if (plan->completed) {
		plan_unwind(plan, probe_steps, ARRAY_LEN(probe_steps), NULL);
		return;
	}
	/* It ran, for as long as it was let: how long is an answer too. */
	if (p->lines == 1 && plan->err.code == ERR_TIMEOUT)
		p->loop_us = UINT64_C(1000) * p->loop_ms;
	if (!p->words[0] && plan->err.code)
		(void)snprintf(p->words, sizeof(p->words), "%.119s", plan->err.text);
	p->env->leaks += plan->leaks;
	strv_fini(&p->argv);
	buf_fini(&p->line);
	buf_fini(&p->config);
	p->ended(p);
}

static const struct plan_ops plan_ops = { .ended = plan_ended };

void accel_probe_init(struct accel_probe *p, struct env *env, const struct actor *owner,
		      accel_probe_ended_fn *ended)
{
	*p = (struct accel_probe){
		.env = env,
		.owner = owner,
		.ended = ended,
		.listen_fd = -EBADF,
		.log_fd = -EBADF,
		.pidfd = -EBADF,
		.exited = true,
	};
	(void)snprintf(p->dir, sizeof(p->dir), "%.900s/vm/%0*d", env->conf.runtime_dir,
		       (int)VM_ID_CHARS, (int)PROBE_ID);
	(void)snprintf(p->log, sizeof(p->log), "%.1000s/" VM_FILE_LOG, p->dir);
	plan_init(&p->plan, env->io, owner, &plan_ops);
	db_wait_init(&p->commit, owner);
	io_op_init(&p->exit, owner, MSG_EXIT);
	buf_init(&p->line, BOOT_LINE_MAX);
	buf_init(&p->config, VMM_CONFIG_MAX);
}

void accel_probe_begin(struct accel_probe *p, enum vmm_accel accel, uint32_t loop_ms)
{
	p->accel = accel;
	p->loop_ms = loop_ms;
	p->up_us = 0;
	p->loop_us = VMM_BENCH_NONE;
	p->words[0] = '\0';
	p->lines = 0;
	p->console_over = false;
	p->exited = true; /* until it is started */
	plan_begin(&p->plan, probe_steps, ARRAY_LEN(probe_steps), NULL);
}

bool accel_probe_recover(struct accel_probe *p)
{
	if (db_get(p->env->db, STORE_RESOURCES, record_key, sizeof(record_key),
		   &vm_resources_schema, &p->res, NULL) < 0)
		return false;
	p->exited = false; /* for all we know: it is looked for */
	plan_unwind(&p->plan, probe_steps, ARRAY_LEN(probe_steps), NULL);
	return true;
}
