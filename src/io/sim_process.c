/* sim_process.c - programs that run on the simulated host, and how the daemon starts, watches and
 * ends them.
 *
 * A process is a zombie from its exit until the daemon reaps it; one whose parent has died is
 * init's, which reaps at once.  A pid may be given again, with another start time.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "io/sim_host.h"

enum {
	CMDLINE_BYTES = 4096,
};

struct alarm {
	struct sim_event ev;
	struct list_node link; /* sim_proc.alarms */
	struct sim_proc *proc;
	void (*fn)(struct sim_proc *p);
};

/* ---- the table ---- */

void sim_install(struct sim *s, const struct sim_program *program)
{
	ASSERT(s->nprograms < SIM_PROGRAMS_MAX);
	s->programs[s->nprograms++] = program;
}

static const struct sim_program *program_find(const struct sim *s, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	for (uint32_t i = 0; i < s->nprograms; i++)
		if (strcmp(s->programs[i]->name, name) == 0)
			return s->programs[i];
	return NULL;
}

struct sim_proc *sim_find(struct sim *s, pid_t pid)
{
	list_for_each (n, &s->procs) {
		struct sim_proc *p = list_entry(n, struct sim_proc, link);

		if (p->pid == pid && !p->exited)
			return p;
	}
	return NULL;
}

struct sim_proc *sim_next(struct sim *s, const struct sim_proc *after)
{
	bool found = !after;

	list_for_each (n, &s->procs) {
		struct sim_proc *p = list_entry(n, struct sim_proc, link);

		if (found && !p->exited)
			return p;
		found = found || p == after;
	}
	return NULL;
}

static bool pid_taken(const struct sim *s, pid_t pid)
{
	list_for_each (n, &s->procs)
		if (list_entry(n, struct sim_proc, link)->pid == pid)
			return true;
	return false;
}

/* Mostly the next one; now and then one that somebody had before. */
static pid_t pid_give(struct sim *s)
{
	pid_t pid = s->last_pid;

	if (!s->conf.steady && sim_chance(s, 8))
		pid = SIM_PID_FIRST + (pid_t)sim_choose(s, (uint32_t)(pid - SIM_PID_FIRST) + 1);
	do {
		pid = pid + 1 < SIM_PID_MAX ? pid + 1 : SIM_PID_FIRST;
	} while (pid_taken(s, pid));
	if (pid > s->last_pid)
		s->last_pid = pid;
	return pid;
}

static void proc_run(struct sim_proc *p, void (*fn)(struct sim_proc *p))
{
	SIM_HOST_SCOPE;

	p->refs++; /* it may end itself in there */
	fn(p);
	proc_unref(p);
}

static void dies(struct sim_event *ev)
{
	struct sim_proc *p = container_of(ev, struct sim_proc, dying);

	if (p->dying_by == SIGKILL || !p->program->signal)
		sim_proc_exit(p, W_EXITCODE(0, p->dying_by));
	else
		p->program->signal(p, p->dying_by);
}

static struct sim_proc *proc_make(struct sim *s, const struct sim_program *program)
{
	struct sim_proc *p = sim_alloc(sizeof(*p));

	p->sim = s;
	p->program = program;
	p->mem = sim_alloc(program->bytes > 0 ? program->bytes : 1);
	p->pid = pid_give(s);
	p->group = p->pid;
	p->start_ticks = (s->now_us - s->boot_us) / SIM_TICK_US;
	p->refs = 1;
	p->dying.fire = dies;
	list_init(&p->pollers);
	list_init(&p->alarms);
	list_append(&s->procs, &p->link);
	return p;
}

void proc_unref(struct sim_proc *p)
{
	ASSERT(p->refs > 0);
	if (--p->refs > 0)
		return;
	SIM_HOST_SCOPE;

	ASSERT(p->exited);
	ASSERT(!list_linked(&p->link));
	strv_fini(&p->argv);
	free(p->mem);
	free(p);
}

static void proc_reaped(struct sim_proc *p)
{
	list_remove(&p->link);
	proc_unref(p);
}

static void proc_close_all(struct sim_proc *p)
{
	list_for_each_safe (n, &p->sim->conns) {
		struct sim_conn *c = list_entry(n, struct sim_conn, link);

		if (c->proc == p)
			sim_conn_close(c);
	}
	for (uint32_t i = 0; i < p->nfds; i++) {
		struct sim_inherited *fd = &p->fds[i];

		if (fd->listener && fd->listener->proc == p) {
			fd->listener->proc = NULL;
			fd->listener->on_accept = NULL;
		}
		if (fd->listener)
			listener_unref(fd->listener);
		if (fd->sock)
			sock_unref(fd->sock);
		free(fd->path);
	}
	p->nfds = 0;
}

void sim_proc_exit(struct sim_proc *p, int status)
{
	SIM_HOST_SCOPE;
	struct list_node *n;

	if (p->exited)
		return;
	if (p->program->end)
		p->program->end(p);
	p->exited = true;
	p->status = status;
	if (p->ret_status)
		*p->ret_status = status;
	sim_event_cancel(p->sim, &p->dying);
	while ((n = list_pop(&p->alarms)) != NULL) {
		struct alarm *a = list_entry(n, struct alarm, link);

		sim_event_cancel(p->sim, &a->ev);
		free(a);
	}
	proc_close_all(p);
	list_for_each_safe (f, &p->pollers)
		flight_answer(list_entry(f, struct flight, wait), p->program->name);
	if (!p->ours)
		proc_reaped(p);
}

void proc_drop_all(struct sim *s)
{
	while (!list_empty(&s->procs)) {
		struct sim_proc *p = list_entry(list_first(&s->procs), struct sim_proc, link);

		p->ours = false;
		if (p->exited)
			proc_reaped(p);
		else
			sim_proc_exit(p, W_EXITCODE(0, SIGKILL));
	}
}

void proc_orphan_all(struct sim *s)
{
	list_for_each_safe (n, &s->procs) {
		struct sim_proc *p = list_entry(n, struct sim_proc, link);

		if (p->ours && p->exited)
			proc_reaped(p);
		else
			p->ours = false;
	}
}

uint32_t sim_daemon_children(struct sim *s)
{
	uint32_t n = 0;

	list_for_each (l, &s->procs)
		n += list_entry(l, struct sim_proc, link)->ours;
	return n;
}

/* ---- for programs ---- */

struct sim_proc *sim_spawn(struct sim *s, const struct sim_program *program, const char *word,
			   bool foreign)
{
	SIM_HOST_SCOPE;
	struct sim_proc *p = proc_make(s, program);

	if (strv_add(&p->argv, program->name) < 0 || strv_add(&p->argv, word) < 0)
		ASSERT(!"memory");
	p->foreign = foreign;
	if (program->start)
		proc_run(p, program->start);
	return p;
}

struct sim_proc *sim_fork(struct sim *s, const struct sim_program *program)
{
	SIM_HOST_SCOPE;
	struct sim_proc *p = proc_make(s, program);

	p->foreign = true;
	return p;
}

void sim_proc_open(struct sim_proc *p, int number, const char *path)
{
	SIM_HOST_SCOPE;

	ASSERT(p->nfds < SIM_PROC_FDS);
	p->fds[p->nfds++] = (struct sim_inherited){ .number = number, .path = strdup(path) };
}

void sim_exec(struct sim_proc *p)
{
	if (p->program->start)
		proc_run(p, p->program->start);
}

static void rings(struct sim_event *ev)
{
	struct alarm *a = container_of(ev, struct alarm, ev);
	struct sim_proc *p = a->proc;
	void (*fn)(struct sim_proc * p) = a->fn;

	list_remove(&a->link);
	free(a);
	proc_run(p, fn);
}

void sim_proc_after(struct sim_proc *p, uint64_t delay_us, void (*fn)(struct sim_proc *p))
{
	struct alarm *a = sim_alloc(sizeof(*a));

	a->ev.fire = rings;
	a->proc = p;
	a->fn = fn;
	list_append(&p->alarms, &a->link);
	sim_event_set(p->sim, &a->ev, delay_us);
}

void sim_proc_write(struct sim_proc *p, int number, const char *text)
{
	for (uint32_t i = 0; i < p->nfds; i++) {
		if (p->fds[i].number != number || !p->fds[i].path)
			continue;
		CLEANUP_FILE FILE *f = fopen(p->fds[i].path, "ae");

		if (f)
			(void)fwrite(text, 1, strlen(text), f);
	}
}

void sim_proc_signal(struct sim_proc *p, int signo)
{
	SIM_HOST_SCOPE;

	if (p->exited || (p->dying.slot != 0 && p->dying_by == SIGKILL))
		return;
	p->dying_by = signo;
	sim_event_set(p->sim, &p->dying, sim_usual_us(p->sim, SIM_KILL));
}

/* ---- the daemon starts one ---- */

static void inherit(struct sim_proc *p, struct sim_io *io, const struct io_spawn_fd *from)
{
	struct sim_inherited *to = &p->fds[p->nfds++];
	const struct sim_fd *fd = sim_fd_at(io, from->fd);
	char link[64];
	char path[4096];

	ASSERT(p->nfds <= SIM_PROC_FDS);
	to->number = from->target;
	if (fd && fd->kind == SIM_FD_LISTENER) {
		to->listener = fd->listener;
		to->listener->refs++;
	} else if (fd && fd->kind == SIM_FD_SOCK) {
		to->sock = fd->sock;
		to->sock->refs++;
	} else {
		(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", from->fd);
		const ssize_t n = readlink(link, path, sizeof(path) - 1);

		ASSERT(n > 0); /* a descriptor that is not open would fail the clone */
		to->path = strndup(path, (size_t)n);
	}
}

/* Called when the spawn is answered: its process begins then. */
int proc_start(struct sim_io *io, struct io_spawn *sp)
{
	struct sim *s = io->sim;
	const struct sim_program *program = program_find(s, sp->argv->v[0]);
	SIM_HOST_SCOPE;

	if (!program)
		return err_num(&sp->err, ERR_HOST_IO, ENOENT, "spawn %s: exec", sp->argv->v[0]);
	struct sim_proc *p = proc_make(s, program);
	const int fd = sim_fd_put(io, (struct sim_fd){ .kind = SIM_FD_PROC, .proc = p });

	p->ours = true;
	p->refs++;
	for (uint32_t i = 0; i < sp->argv->n; i++)
		if (strv_add(&p->argv, sp->argv->v[i]) < 0)
			ASSERT(!"memory");
	for (uint32_t i = 0; i < sp->nfds; i++)
		inherit(p, io, &sp->fds[i]);
	sp->pid = p->pid;
	sp->pidfd = fd;
	sp->start_ticks = p->start_ticks;
	if (program->start)
		proc_run(p, program->start);
	return 0;
}

static struct sim_proc *proc_at(struct io *io, int pidfd)
{
	const struct sim_fd *fd = sim_fd_at(sim_io_of(io), pidfd);

	ASSERT(fd && fd->kind == SIM_FD_PROC);
	return fd->proc;
}

int io_reap(struct io *io, int pidfd, int *ret_status)
{
	SIM_HOST_SCOPE;
	struct sim_proc *p = proc_at(io, pidfd);

	if (!p->ours)
		return -ECHILD;
	if (!p->exited)
		return -EAGAIN;
	*ret_status = p->status;
	p->ours = false;
	proc_reaped(p);
	return 0;
}

int io_kill(struct io *io, int pidfd, int signo)
{
	SIM_HOST_SCOPE;
	struct sim_proc *p = proc_at(io, pidfd);
	const int rc = sim_ask(sim_io_of(io)->sim, SIM_KILL, p->program->name);

	if (rc < 0)
		return rc;
	if (!list_linked(&p->link))
		return -ESRCH; /* reaped; a zombie takes signals, to no effect */
	if (p->foreign)
		return -EPERM;
	sim_proc_signal(p, signo);
	return 0;
}

int io_kill_group(struct io *io, pid_t leader, int signo)
{
	SIM_HOST_SCOPE;
	struct sim *s = sim_io_of(io)->sim;
	int rc = sim_ask(s, SIM_KILL, "group");
	bool found = false;

	if (rc < 0)
		return rc;
	list_for_each (n, &s->procs) {
		struct sim_proc *p = list_entry(n, struct sim_proc, link);

		if (p->group != leader || p->foreign)
			continue;
		found = true;
		sim_proc_signal(p, signo);
	}
	return found ? 0 : -ESRCH;
}

static bool cmdline_contains(const struct sim_proc *p, const char *text)
{
	for (uint32_t i = 0; i < p->argv.n && !p->foreign; i++)
		if (strstr(p->argv.v[i], text))
			return true;
	return false;
}

static int proc_open(struct sim_io *io, struct sim_proc *p)
{
	const int fd = sim_fd_put(io, (struct sim_fd){ .kind = SIM_FD_PROC, .proc = p });

	if (fd >= 0)
		p->refs++;
	return fd;
}

int io_adopt(struct io *io, pid_t pid, uint64_t start_ticks, const char *text)
{
	SIM_HOST_SCOPE;
	struct sim_io *sio = sim_io_of(io);
	struct sim_proc *p = sim_find(sio->sim, pid);
	const int rc = sim_ask(sio->sim, SIM_ADOPT, p ? p->program->name : "");

	if (rc < 0)
		return rc;
	if (!p || p->start_ticks != start_ticks || !cmdline_contains(p, text))
		return -ESRCH;
	return proc_open(sio, p);
}

/* As /proc has it: words ended by NULs. */
static size_t cmdline_of(const struct sim_proc *p, char out[CMDLINE_BYTES])
{
	size_t len = 0;

	for (uint32_t i = 0; i < p->argv.n; i++) {
		const size_t word = strlen(p->argv.v[i]) + 1;

		if (word > CMDLINE_BYTES - len)
			break;
		memcpy(out + len, p->argv.v[i], word);
		len += word;
	}
	return len;
}

static int ask_proc(struct sim *s, const char *text)
{
	SIM_HOST_SCOPE;

	return sim_ask(s, SIM_ADOPT, text);
}

int io_each_process(struct io *io, const char *text, io_process_fn *fn, void *arg)
{
	struct sim *s = sim_io_of(io)->sim;
	const struct sim_proc *next = NULL;
	int rc = ask_proc(s, text);

	for (const struct sim_proc *p = sim_next(s, NULL); p && rc == 0; p = next) {
		char cmdline[CMDLINE_BYTES];

		next = sim_next(s, p);
		if (cmdline_contains(p, text))
			rc = fn(arg, p->pid, p->start_ticks, cmdline, cmdline_of(p, cmdline));
	}
	return rc;
}

/* Ten percent of a CPU, and a little memory, from its start on. */
int io_usage(struct io *io, pid_t pid, uint64_t start_ticks, struct io_usage *ret_usage)
{
	SIM_HOST_SCOPE;
	struct sim_io *sio = sim_io_of(io);
	const struct sim_proc *p = sim_find(sio->sim, pid);

	if (!p || (start_ticks != 0 && p->start_ticks != start_ticks))
		return -ESRCH;
	*ret_usage = (struct io_usage){
		.sampled_us = sio->sim->now_us,
		.cpu_us = (sio->sim->now_us - sio->sim->boot_us - start_ticks * SIM_TICK_US) / 10,
		.rss_bytes = 16 << 20,
		.pss_bytes = 12 << 20,
	};
	return 0;
}
