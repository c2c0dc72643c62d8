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

enum {
	LOGS_BLOCK = 4096, /* holes begin and end at a multiple of this */
	LOGS_FEW = 64,     /* VMs that there is room for at first */
};

struct logs {
	struct actor actor;
	struct node *node; /* borrowed: it lives as long as the daemon */
	struct io_timer look;
	struct io_op work;
	vm_id *ids; /* owned array: whose logs the worker looks at */
	uint32_t n, cap;
};

/* ---- on a worker ---- */

static bool is_long(const struct stat *st, uint64_t keep)
{
	return S_ISREG(st->st_mode) && (uint64_t)st->st_blocks * 512 > 2 * keep &&
	       (uint64_t)st->st_size > keep;
}

/* A file system without holes keeps it all: there is nobody to tell. */
static void cut(const char *path, uint64_t keep)
{
	CLEANUP_FD int fd = -EBADF;
	struct stat st;

	if (lstat(path, &st) < 0 || !is_long(&st, keep))
		return; /* as nearly always */
	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0 || !is_long(&st, keep))
		return;
	IGNORE(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			 (st.st_size - (off_t)keep) / LOGS_BLOCK * LOGS_BLOCK) < 0);
}

static const struct {
	const char *file;
	bool runtime; /* in the runtime directory, else in that of the state */
	uint64_t keep;
} kept[] = {
	{ VM_FILE_CONSOLE, false, CONSOLE_KEEP_BYTES },
	{ VM_FILE_LOG, true, VMM_LOG_KEEP_BYTES },
	{ VM_FILE_ERRORS, true, VMM_LOG_KEEP_BYTES },
};

static int cut_all(void *arg, const bool *cancelled)
{
	const struct logs *l = arg;
	const struct conf *conf = &l->node->env->conf;
	char path[ENV_PATH_MAX];
	char id[VM_ID_CHARS + 1];

	for (uint32_t i = 0; i < l->n && !io_cancelled(cancelled); i++) {
		vm_id_text(l->ids[i], id);
		for (size_t k = 0; k < ARRAY_LEN(kept); k++) {
			(void)snprintf(path, sizeof(path), "%.900s/%s/%s/%s",
				       kept[k].runtime ? conf->runtime_dir : conf->state_dir,
				       kept[k].runtime ? "vm" : "vms", id, kept[k].file);
			cut(path, kept[k].keep);
		}
	}
	return 0;
}

/* ---- whose ---- */

/* One for which there is no memory is looked at another time. */
static void note(struct logs *l, vm_id id)
{
	if (l->n == l->cap) {
		const uint32_t cap = l->cap ? 2 * l->cap : LOGS_FEW;
		vm_id *ids = realloc(l->ids, cap * sizeof(*ids));

		if (!ids)
			return;
		l->ids = ids;
		l->cap = cap;
	}
	l->ids[l->n++] = id;
}

static void look(struct logs *l)
{
	l->n = 0;
	list_for_each (link, &l->node->vms) {
		const struct vm *vm = list_entry(link, struct vm, link);

		if (vm_at_work(vm_state(vm)) && vm->driver->program)
			note(l, vm->rec.id);
	}
	if (l->n > 0)
		io_work(l->node->env->io, &l->work, IO_LANE_ANY, cut_all, l);
}

static void handle(struct actor *a, struct msg *m)
{
	struct logs *l = container_of(a, struct logs, actor);

	if (m == &l->look.msg)
		look(l);
	else
		io_timer_set(l->node->env->io, &l->look, LOGS_LOOK_MS, 0);
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
