#include "actors/sweep.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/catalog.h"
#include "actors/files.h"
#include "actors/sweeper.h"
#include "vmm/usernet.h"

#define IMAGER "/banger-imager"

enum {
	SWEEP_PLACES = 2, /* a directory can be moved within its file system only */
};

/* What of a VM's may outlive us, and by what it is known.  In both is PROCESS_PREFIXES. */
static const struct kind {
	const char *name, *prefix;
} kinds[] = {
	{ "vmm", VMM_PROCESS_PREFIX },
	{ "network", USERNET_PROCESS_PREFIX },
};
#define PROCESS_PREFIXES "=bg-"

/* A VM's: of ours, or, with pid 0, of another daemon. */
struct swept_process {
	const struct kind *kind;
	vm_id id;
	pid_t pid;
	uint64_t start_ticks;
};

struct sweep {
	struct sweeper w;
	struct io_op work;
	const struct place *place;
	struct swept_process *processes; /* owned array */
	uint32_t nprocesses, processes_cap;
	bool listed; /* ... and they are in it */
	bool imagers_killed, vms_killed;
	uint32_t killed;
	char trash[SWEEP_PLACES][ENV_PATH_MAX];
	uint32_t next;  /* name in the trash */
	uint32_t moved; /* into it */
	struct err err; /* of the worker */
};

/* ---- processes ---- */

static int note_process(void *arg, pid_t pid, uint64_t start_ticks, const char *cmdline, size_t len)
{
	struct sweep *s = arg;
	struct swept_process p = { .start_ticks = start_ticks };

	for (size_t i = 0; i < ARRAY_LEN(kinds) && !p.id; i++) {
		p.kind = &kinds[i];
		p.id = vmm_word_find(p.kind->prefix, cmdline, len, s->w.env->home);
		p.pid = p.id ? pid : 0;
		if (!p.id)
			p.id = vmm_word_find(p.kind->prefix, cmdline, len, NULL);
	}
	if (!p.id)
		return 0;
	if (s->nprocesses == s->processes_cap) {
		const uint32_t cap = s->processes_cap ? s->processes_cap * 2 : 64;
		struct swept_process *grown = reallocarray(s->processes, cap, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		s->processes = grown;
		s->processes_cap = cap;
	}
	s->processes[s->nprocesses++] = p;
	return 0;
}

/* Blocks, for the longer the more processes the host has. */
static int list_processes(struct sweep *s)
{
	if (s->listed)
		return 0;
	s->listed = true;
	return io_each_process(s->w.env->io, PROCESS_PREFIXES, note_process, s);
}

static bool is_used_by_others(struct sweep *s, vm_id id)
{
	if (list_processes(s) < 0)
		return true; /* for all we know */
	for (uint32_t i = 0; i < s->nprocesses; i++)
		if (s->processes[i].id == id && s->processes[i].pid == 0)
			return true;
	return false;
}

/* Those that still write into the staging directories of a daemon before us; with what they have
 * started, which is their process group. */
static int kill_imager(void *arg, pid_t pid, uint64_t start_ticks, const char *cmdline, size_t len)
{
	struct sweep *s = arg;
	const size_t program = strnlen(cmdline, len);

	(void)start_ticks;
	if (program < strlen(IMAGER) ||
	    memcmp(cmdline + program - strlen(IMAGER), IMAGER, strlen(IMAGER)) != 0)
		return 0;
	IGNORE(io_kill_group(s->w.env->io, pid, SIGKILL) < 0);
	s->killed++;
	LOG_NOTICE(&s->w.actor.log, NULL, "sweep.killed", K("what", "imager"), K("pid", pid));
	return 0;
}

static void kill_process(struct sweep *s, const struct swept_process *p)
{
	char word[VMM_WORD_BYTES];

	vmm_word(p->kind->prefix, p->id, s->w.env->home, word);
	const int fd = io_adopt(s->w.env->io, p->pid, p->start_ticks, word);
	if (fd < 0)
		return; /* it has ended meanwhile */
	const int rc = io_kill(s->w.env->io, fd, SIGKILL);
	io_close(s->w.env->io, fd);
	if (rc < 0 && rc != -ESRCH) {
		LOG_WARN(&s->w.actor.log, NULL, "sweep.failed", K("pid", p->pid),
			 K("why", err_sys_text(-rc)));
		return;
	}
	s->killed++;
	LOG_NOTICE(&s->w.actor.log, NULL, "sweep.killed", K("what", p->kind->name),
		   K("pid", p->pid), K("word", word));
}

/* Ids are not used twice: what is nobody's stays nobody's. */
static void kill_processes(struct sweep *s)
{
	for (uint32_t i = 0; i < s->nprocesses; i++)
		if (s->processes[i].pid > 0 && !node_vm(s->w.node, s->processes[i].id))
			kill_process(s, &s->processes[i]);
}

/* ---- who is known ---- */

typedef bool known_fn(struct sweep *s, const char *name);

/* What is named as no VM is, is not ours.  The id 0 is the accelerator's, which has its record. */
static bool is_vm(struct sweep *s, const char *name)
{
	vm_id id;

	return vm_id_parse(name, &id) < 0 || id == 0 || node_vm(s->w.node, id);
}

/* At rest it has no sockets; else they are its own to remove. */
static bool is_vm_at_work(struct sweep *s, const char *name)
{
	vm_id id;

	if (vm_id_parse(name, &id) < 0 || id == 0)
		return true;
	const struct vm *vm = node_vm(s->w.node, id);
	return vm ? vm->run != NULL : is_used_by_others(s, id);
}

static bool is_image(struct sweep *s, const char *name)
{
	return object_name_check("image", name, NULL) < 0 || catalog_image(s->w.env->catalog, name);
}

static bool is_kernel(struct sweep *s, const char *name)
{
	return object_name_check("kernel", name, NULL) < 0 ||
	       catalog_kernel(s->w.env->catalog, name);
}

/* No job runs yet: whatever is staged is of one that was cut short. */
static bool is_nothing(struct sweep *s, const char *name)
{
	char staging[ENV_PATH_MAX + 16];

	(void)name;
	(void)snprintf(staging, sizeof(staging), "%.900s/staging/", s->w.env->conf.state_dir);
	if (!s->imagers_killed)
		IGNORE(io_each_process(s->w.env->io, staging, kill_imager, s) < 0);
	s->imagers_killed = true;
	return false;
}

static const struct place {
	bool runtime;  /* else below the state directory */
	bool precious; /* stays where the store is new */
	const char *dir;
	known_fn *known;
} places[] = {
	{ true, false, "vm", is_vm_at_work }, /* sockets */
	{ false, true, "vms", is_vm },        /* disks and logs */
	{ false, true, "images", is_image },     { false, true, "kernels", is_kernel },
	{ false, false, "staging", is_nothing }, /* of jobs that were cut short */
};

/* ---- moving ---- */

static int look_at(void *arg, const char *name)
{
	struct sweep *s = arg;
	const struct place *p = s->place;
	const struct conf *conf = &s->w.env->conf;
	const char *base = p->runtime ? conf->runtime_dir : conf->state_dir;
	char from[ENV_PATH_MAX + 288];
	char to[ENV_PATH_MAX + 32];
	struct err e = { 0 };

	if (p->known(s, name))
		return 0;
	(void)snprintf(from, sizeof(from), "%.900s/%s/%s", base, p->dir, name);
	(void)snprintf(to, sizeof(to), "%.1000s/%u", s->trash[p->runtime], s->next);
	if (files_move(from, to, &e) < 0) {
		LOG_WARN(&s->w.actor.log, NULL, "sweep.failed", K("why", e.text));
		return 0;
	}
	LOG_NOTICE(&s->w.actor.log, NULL, "sweep.moved", K("path", from));
	s->next++;
	s->moved++;
	return 0;
}

/* What an earlier start has moved and not removed is there already: names go on after it. */
static int count(void *arg, const char *name)
{
	struct sweep *s = arg;
	const unsigned long n = strtoul(name, NULL, 10);

	if (n >= s->next && n < UINT32_MAX)
		s->next = (uint32_t)n + 1;
	return 0;
}

static void look_around(struct sweep *s)
{
	char dir[ENV_PATH_MAX];
	struct err e = { 0 };

	for (int i = 0; i < SWEEP_PLACES; i++)
		IGNORE(files_each(s->trash[i], count, s, NULL) < 0);
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		const struct conf *conf = &s->w.env->conf;

		s->place = &places[i];
		if (places[i].precious && store_is_new(db_store(s->w.env->db)))
			continue;
		(void)snprintf(dir, sizeof(dir), "%.900s/%s",
			       places[i].runtime ? conf->runtime_dir : conf->state_dir,
			       places[i].dir);
		if (files_each(dir, look_at, s, &e) < 0)
			LOG_WARN(&s->w.actor.log, NULL, "sweep.failed", K("why", e.text));
	}
}

/* ---- removing ---- */

static int remove_trash(void *arg, const bool *cancelled)
{
	struct sweep *s = arg;
	int rc = 0;

	(void)cancelled;
	for (int i = 0; i < SWEEP_PLACES && rc == 0; i++)
		rc = files_remove(s->trash[i], &s->err);
	return rc;
}

static int look_for_processes(void *arg, const bool *cancelled)
{
	(void)cancelled;
	return list_processes(arg);
}

static void work(struct sweep *s, io_work_fn *fn)
{
	s->err = (struct err){ 0 };
	io_work(s->w.env->io, &s->work, IO_LANE_ANY, fn, s);
}

static void trash_removed(struct sweep *s, int rc)
{
	sweeper_ended(&s->w, rc < 0);
	if (rc == 0) {
		if (s->moved + s->killed > 0)
			LOG_NOTICE(&s->w.actor.log, NULL, "sweep.done", K("moved", s->moved),
				   K("killed", s->killed));
		free(s->processes);
		actor_fini(&s->w.actor);
		free(s);
		return;
	}
	LOG_WARN(&s->w.actor.log, NULL, "sweep.failed", K("why", s->err.text));
	sweeper_retry(&s->w);
}

static void handle(struct actor *a, struct msg *m)
{
	struct sweep *s = container_of(a, struct sweep, w.actor);

	if (m == &s->w.retry.msg) {
		work(s, remove_trash);
	} else if (!s->vms_killed) {
		s->vms_killed = true;
		kill_processes(s);
		work(s, remove_trash);
	} else {
		trash_removed(s, m->res);
	}
}

int sweep_begin(struct node *n)
{
	struct sweep *s = calloc(1, sizeof(*s));

	if (!s || sweeper_init(&s->w, n, handle, "sweep") < 0) {
		free(s);
		return -ENOMEM;
	}
	io_op_init(&s->work, &s->w.actor, MSG_IO);
	(void)snprintf(s->trash[0], ENV_PATH_MAX, "%.900s/trash", n->env->conf.state_dir);
	(void)snprintf(s->trash[1], ENV_PATH_MAX, "%.900s/trash", n->env->conf.runtime_dir);
	look_around(s);
	work(s, look_for_processes);
	return 0;
}
