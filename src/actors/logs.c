#include "actors/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actors/limits.h"
#include "actors/node.h"
#include "base/cleanup.h"
#include "base/trim.h"

enum {
	LOGS_FEW = 64, /* VMs that there is room for at first */
};

/* A VM whose logs are looked at. */
struct looked {
	vm_id id;
	uint32_t slot;
	bool jailed;  /* its VMM's log is the slot's: only the root helper can cut it ... */
	bool printed; /* ... and its console's as well */
	bool asks;    /* one of them is long */
};

struct logs {
	struct actor actor;
	struct node *node; /* borrowed: it lives as long as the daemon */
	struct io_timer look;
	struct io_op work;
	struct looked *vms; /* owned array: at whose logs the worker looks */
	uint32_t n, cap;
	uint32_t failures; /* of the root helper to cut any */
};

/* ---- on a worker ---- */

/* A file system without holes keeps it all, and one that is gone takes no room: there is nobody to
 * tell. */
static void cut(const char *path, uint64_t keep)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && trim_is_due(&st, keep))
		IGNORE(trim_file(fd, &st, keep) < 0);
}

static const struct {
	const char *file;
	bool runtime; /* in the runtime directory or the jail, else in that of the state */
	uint64_t keep;
} kept[] = {
	{ VM_FILE_CONSOLE, false, CONSOLE_KEEP_BYTES },
	{ VM_FILE_LOG, true, VMM_LOG_KEEP_BYTES },
	{ VM_FILE_ERRORS, true, VMM_LOG_KEEP_BYTES },
};

static void look_at(const struct conf *conf, struct looked *v)
{
	const char *const runtime = v->jailed ? conf->state_dir : conf->runtime_dir;
	const char *const under = v->jailed ? "jails" : "vm";
	char path[ENV_PATH_MAX];
	char id[VM_ID_CHARS + 1];
	struct stat st;

	vm_id_text(v->id, id);
	for (size_t k = 0; k < ARRAY_LEN(kept); k++) {
		(void)snprintf(path, sizeof(path), "%.900s/%s/%s/%s",
			       kept[k].runtime ? runtime : conf->state_dir,
			       kept[k].runtime ? under : "vms", id, kept[k].file);
		if (lstat(path, &st) < 0 || !trim_is_due(&st, kept[k].keep))
			continue; /* as nearly always */
		if (kept[k].runtime ? v->jailed : v->printed)
			v->asks = true;
		else
			cut(path, kept[k].keep);
	}
}

static int look_at_all(void *arg, const bool *cancelled)
{
	const struct logs *l = arg;

	for (uint32_t i = 0; i < l->n && !io_cancelled(cancelled); i++)
		look_at(&l->node->env->conf, &l->vms[i]);
	return 0;
}

/* ---- whose ---- */

/* One for which there is no memory is looked at another time. */
static void note(struct logs *l, const struct vm *vm)
{
	if (l->n == l->cap) {
		const uint32_t cap = l->cap ? 2 * l->cap : LOGS_FEW;
		struct looked *vms = realloc(l->vms, cap * sizeof(*vms));

		if (!vms)
			return;
		l->vms = vms;
		l->cap = cap;
	}
	l->vms[l->n++] = (struct looked){ .id = vm->rec.id,
					  .slot = vm->rec.slot,
					  .jailed = vm_is_system(vm),
					  .printed = vm_is_system(vm) && !vm_console_is_ours(vm) };
}

static void look(struct logs *l)
{
	l->n = 0;
	list_for_each (link, &l->node->vms) {
		const struct vm *vm = list_entry(link, struct vm, link);

		if (vm_at_work(vm_state(vm)) && vm->driver->program)
			note(l, vm);
	}
	if (l->n > 0)
		io_work(l->node->env->io, &l->work, IO_LANE_ANY, look_at_all, l);
}

/* ---- those that the root helper cuts ---- */

/* They are looked at again soon, so it is told each time that there are twice as many. */
static void missed(struct logs *l, const struct err *e)
{
	l->failures++;
	if ((l->failures & (l->failures - 1)) == 0)
		LOG_WARN(&l->actor.log, NULL, "logs.uncut", K("failures", l->failures),
			 K("code", err_name(e->code)), K("why", e->text));
}

static void ask(struct logs *l)
{
	const struct system *s = l->node->env->system;

	for (uint32_t i = 0; s && i < l->n; i++) {
		const struct helper_trim_args args = {
			.vm = l->vms[i].id,
			.slot = l->vms[i].slot,
			.console_keep = l->vms[i].printed ? CONSOLE_KEEP_BYTES : 0,
			.log_keep = VMM_LOG_KEEP_BYTES,
		};
		const struct helper_question q = { .method = HELPER_TRIM_LOGS,
						   .args = &args,
						   .owner = l->actor.id,
						   .msg_type = MSG_HELPER };
		struct err e = { 0 };

		if (l->vms[i].asks && helper_ask(s->helper, &q, &e) < 0)
			missed(l, &e);
	}
}

static void answered(struct logs *l, struct helper_answer *a)
{
	if (a->err.code)
		missed(l, &a->err);
	helper_answer_free(a);
}

static void handle(struct actor *a, struct msg *m)
{
	struct logs *l = container_of(a, struct logs, actor);

	if (m->type == MSG_HELPER) {
		answered(l, container_of(m, struct helper_answer, msg));
	} else if (m == &l->look.msg) {
		look(l);
	} else {
		ask(l);
		io_timer_set(l->node->env->io, &l->look, LOGS_LOOK_MS, 0);
	}
}

int logs_begin(struct node *n, struct logs **ret_logs)
{
	struct logs *l = calloc(1, sizeof(*l));

	if (!l || actor_init(&l->actor, n->env->actors, handle) < 0) {
		free(l);
		return -ENOMEM;
	}
	(void)snprintf(l->actor.log.actor, sizeof(l->actor.log.actor), "logs");
	l->node = n;
	io_op_init(&l->work, &l->actor, MSG_IO);
	io_timer_init(&l->look, &l->actor, MSG_TIMER);
	*ret_logs = l;
	return 0;
}

void logs_look_after(struct logs *l)
{
	if (!io_timer_pending(&l->look) && !io_op_busy(&l->work))
		io_timer_set(l->node->env->io, &l->look, LOGS_LOOK_MS, 0);
}
