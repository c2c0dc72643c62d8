/* vm_create.c - from a record to a VM that can be started, and back to nothing.
 *
 *   create:  intent -> files -> record          delete:  intent -> files -> record
 *            (undone: every trace goes)                  (goes on after a crash, or a failure)
 *
 * The record says "creating" before the first file is made, and "deleting" before the first one
 * goes, so that a crash in between is finished at the next start.  A VM without files (the null
 * driver) needs no intent: one commit makes it and one removes it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/catalog.h"
#include "actors/files.h"
#include "actors/limits.h"
#include "actors/vm.h"
#include "image/job.h"

enum {
	/* Documentation/admin-guide/device-mapper/snapshot.rst: a header, and 16 bytes of metadata
	 * for each chunk, which is 4 KiB.  So a guest that writes all of its disk does not fill it.
	 */
	COW_HEAD_BYTES = 1 << 20,
	COW_OVERHEAD = 250,
	CONSOLE_MODE = 0640,
};

static bool has_files(const struct vm *vm)
{
	return vm->driver->program != NULL;
}

static int out_of_memory(struct err *e)
{
	return err_set(e, ERR_HOST_MEMORY, "store");
}

static int put_intent(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);

	if (!has_files(vm))
		return STEP_DONE;
	vm->run->res.files = true;
	if (vm_put(vm, VM_CREATING) < 0 || vm_put_resources(vm) < 0)
		return out_of_memory(e);
	return vm_commit(vm, p);
}

/* Last of all: as long as files may be left, the record says whose they are. */
static int drop_record(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);

	if (p->leaks > 0)
		return vm_put(vm, VM_DELETING) < 0 ? out_of_memory(e) : vm_commit(vm, p);
	if (vm_del_record(vm) < 0 || vm_del_resources(vm) < 0)
		return out_of_memory(e);
	return vm_commit(vm, p);
}

/* In system mode the root helper finds them there: where what differs from the image goes, and a
 * console's log that the VMM may write and we may read. */
static int make_jail_files(struct vm_run *run)
{
	const uint64_t disk = run->work_backing ? run->vm->rec.spec.disk_bytes : 0;
	char path[ENV_PATH_MAX];
	int rc = 0;

	vm_disk_path(run->vm, path);
	if (disk > 0 && vm_has_snapshot(run->vm))
		rc = files_make_sparse(path, disk + disk / COW_OVERHEAD + COW_HEAD_BYTES,
				       &run->work_err);
	else if (disk > 0)
		rc = files_make_disk(path, run->work_backing,
				     strcmp(run->vm->rec.disk, "reflink") == 0, disk,
				     &run->work_err);
	vm_state_path(run->vm, VM_FILE_CONSOLE, path);
	return rc < 0 ? rc : files_make_shared(path, CONSOLE_MODE, &run->work_err);
}

/* On a worker. */
static int make_files(void *arg, const bool *cancelled)
{
	struct vm_run *run = arg;
	char path[ENV_PATH_MAX];

	vm_state_path(run->vm, "", path);
	const int rc = files_make_dir(path, &run->work_err);
	if (rc == 0 && vm_is_system(run->vm))
		return make_jail_files(run);
	if (rc < 0 || !run->work_backing || *cancelled)
		return rc;
	vm_disk_path(run->vm, path);
	return vm_has_upper(run->vm)
		       ? files_make_upper(path, run->work_backing, run->vm->rec.spec.disk_bytes,
					  &run->work_err)
		       : files_make_overlay(path, run->work_backing, run->vm->rec.spec.disk_bytes,
					    &run->work_err);
}

static int remove_files(void *arg, const bool *cancelled)
{
	struct vm_run *run = arg;
	char path[ENV_PATH_MAX];

	(void)cancelled; /* what is half removed is of no use */
	vm_state_path(run->vm, "", path);
	return files_remove(path, &run->work_err);
}

static int make(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);
	const struct image_view *image = catalog_image(vm->env->catalog, vm->rec.spec.image);

	if (!has_files(vm))
		return STEP_DONE;
	if (!image)
		return err_set(e, ERR_IMAGE_NOT_FOUND, "image \"%s\" is gone", vm->rec.spec.image);
	if (image_has_disk(image)) {
		char *backing;

		/* An overlay names it as seen from vms/ID, so that both can be moved together. */
		const bool copied = vm_has_upper(vm) || vm_is_system(vm);
		if (asprintf(&backing, "%s/images/%s/%s",
			     copied ? vm->env->conf.state_dir : "../..", image->name,
			     vm_has_upper(vm) ? IMAGE_FILE_UPPER : IMAGE_FILE_ROOT) < 0)
			return err_set(e, ERR_HOST_MEMORY, "path of the image");
		free(vm->run->work_backing);
		vm->run->work_backing = backing;
	}
	return vm_work(p, IO_LANE_ANY, make_files);
}

static int unmake(struct plan *p, struct err *e)
{
	(void)e;
	return has_files(vm_of(p)) ? vm_work(p, IO_LANE_ANY, remove_files) : STEP_DONE;
}

/* Where a start follows, its intent is the commit to wait for: until then a crash takes the create
 * back. */
static int put_created(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);

	if (vm_put(vm, VM_CREATED) < 0)
		return out_of_memory(e);
	return vm->task && !vm->task->no_start ? STEP_DONE : vm_commit(vm, p);
}

/* Before files go, it is durable that they do: it may be durable that the VM was made. */
static int put_deleting(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);

	if (!has_files(vm))
		return STEP_DONE;
	if (vm_put(vm, VM_DELETING) < 0)
		return out_of_memory(e);
	return vm_commit(vm, p);
}

/* clang-format off */
const struct step vm_create_steps[] = {
	/* name      start        finish        undo          undone        ms               arg */
	{ "intent",  put_intent,  vm_committed, drop_record,  vm_committed, 0,                 0 },
	{ "files",   make,        vm_worked,    unmake,       vm_worked,    FILES_DEADLINE_MS, 0 },
	{ "record",  put_created, vm_committed, put_deleting, vm_committed, 0,                 0 },
};
/* clang-format on */

static int deleting(struct plan *p, struct msg *m, struct err *e)
{
	const int rc = vm_committed(p, m, e);

	if (rc == 0)
		vm_of(p)->run->deleting = true;
	return rc;
}

/* clang-format off */
const struct step vm_delete_steps[] = {
	/* name      start         finish        undo  undone ms               arg */
	{ "intent",  put_deleting, deleting,     NULL, NULL,  0,                 0 },
	{ "files",   unmake,       vm_worked,    NULL, NULL,  FILES_DEADLINE_MS, 0 },
	{ "record",  drop_record,  vm_committed, NULL, NULL,  0,                 0 },
};
/* clang-format on */

static const struct op_id *op_of(const struct vm *vm)
{
	return vm->task ? &vm->task->op->id : NULL;
}

void vm_create_begin(struct vm *vm)
{
	if (vm_run_begin(vm)) {
		plan_begin(&vm->run->plan, vm_create_steps, ARRAY_LEN(vm_create_steps), op_of(vm));
		return;
	}
	vm->gone = true; /* nothing was made */
	vm_out_of_memory(vm);
}

void vm_create_undo(struct vm *vm)
{
	if (vm_run_begin(vm))
		plan_unwind(&vm->run->plan, vm_create_steps, ARRAY_LEN(vm_create_steps), NULL);
}

void vm_delete_begin(struct vm *vm)
{
	if (!vm_run_begin(vm)) {
		vm_out_of_memory(vm);
		return;
	}
	vm->run->end_state = vm_state(vm);
	vm->run->deleting = vm_state(vm) == VM_DELETING;
	if (vm_state(vm) != VM_DELETING)
		vm_move(vm, VM_DELETING);
	plan_begin(&vm->run->plan, vm_delete_steps, ARRAY_LEN(vm_delete_steps), op_of(vm));
}
