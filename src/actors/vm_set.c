/* vm_set.c - change what a VM is to have: its sizes while it does not run, its labels and its way
 * out at any time.
 *
 *   disk -> nat -> record -> limits
 *
 * The disk first: one that is larger than its record says harms nobody, and the same request again
 * makes both equal.  It is never made smaller, so there is nothing to undo.  What the way out is,
 * the record says, and what it may move: whoever takes the VM over after a crash in between makes
 * it so.  A VMM that refuses its limits takes nothing back: they are recorded, for the next start.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "actors/files.h"
#include "actors/limits.h"
#include "actors/vm_steps.h"

static const struct vm_change *change_of(const struct vm *vm)
{
	return vm->task->set;
}

/* ---- disk ---- */

/* On a worker. */
static int grow_disk(void *arg, const bool *cancelled)
{
	struct vm_run *run = arg;
	char path[ENV_PATH_MAX];

	(void)cancelled;
	vm_disk_path(run->vm, path);
	return vm_has_upper(run->vm) || vm_is_system(run->vm)
		       ? files_grow_upper(path, change_of(run->vm)->disk_bytes, &run->work_err)
		       : files_grow_overlay(path, change_of(run->vm)->disk_bytes, &run->work_err);
}

static int grow(struct plan *p, struct err *e)
{
	const struct vm *vm = vm_of(p);
	const uint64_t has = vm->rec.spec.disk_bytes;
	const uint64_t wanted = change_of(vm)->disk_bytes;

	if (wanted == 0 || wanted == has)
		return STEP_DONE;
	if (has == 0)
		return err_set(e, ERR_VM_SIZE, "disk: image \"%s\" has none", vm->rec.spec.image);
	if (vm_has_snapshot(vm))
		return err_set(e, ERR_VM_SIZE, "disk: a dm-snapshot is as large as its image");
	if (wanted < has)
		return err_set(e, ERR_VM_SIZE, "disk: it has %llu MiB, and only grows",
			       (unsigned long long)(has >> 20));
	return vm_work(p, IO_LANE_ANY, grow_disk);
}

/* ---- nat ---- */

static bool is_on(const char *nat)
{
	return strcmp(nat, "on") == 0;
}

/* A VM that does not run has it with its next start. */
static bool changes_nat(const struct vm *vm)
{
	return change_of(vm)->nat[0] && vm_is_system(vm) && vm_runs(vm);
}

static int set_nat(struct plan *p, struct err *e)
{
	const struct vm *vm = vm_of(p);

	return changes_nat(vm) ? vm_nat_as(p, is_on(change_of(vm)->nat), e) : STEP_DONE;
}

/* The record says again what it was. */
static int unset_nat(struct plan *p, struct err *e)
{
	const struct vm *vm = vm_of(p);

	return changes_nat(vm) && !vm->run->set_stays ? vm_nat_as(p, vm->rec.spec.nat, e)
						      : STEP_DONE;
}

/* ---- record ---- */

static bool is_dropped(const struct vm_change *set, const char *label)
{
	const size_t len = strcspn(label, "=");

	for (uint32_t i = 0; i < set->drop_labels.n; i++)
		if (strlen(set->drop_labels.v[i]) == len &&
		    strncmp(set->drop_labels.v[i], label, len) == 0)
			return true;
	return false;
}

static bool is_replaced(const struct vm_change *set, const char *label)
{
	const size_t len = strcspn(label, "=") + 1;

	for (uint32_t i = 0; i < set->labels.n; i++)
		if (strncmp(set->labels.v[i], label, len) == 0)
			return true;
	return false;
}

static int merge_labels(const struct vm_change *set, const struct strv *has, struct strv *ret)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < has->n; i++)
		if (!is_dropped(set, has->v[i]) && !is_replaced(set, has->v[i]))
			rc = strv_add(ret, has->v[i]);
	for (uint32_t i = 0; rc == 0 && i < set->labels.n; i++)
		rc = strv_add(ret, set->labels.v[i]);
	return rc;
}

static bool drops(const struct vm_change *set, const char *limit)
{
	for (uint32_t i = 0; i < set->drop_limits.n; i++)
		if (strcmp(set->drop_limits.v[i], limit) == 0)
			return true;
	return false;
}

static void apply_limits(const struct vm_change *set, struct vm_spec *spec)
{
	if (set->disk_rate || drops(set, "disk_rate"))
		spec->disk_rate = set->disk_rate;
	if (set->disk_iops || drops(set, "disk_iops"))
		spec->disk_iops = set->disk_iops;
	if (set->net_rate || drops(set, "net_rate"))
		spec->net_rate = set->net_rate;
}

/* In memory; what it was goes to run->was. */
static int apply(struct vm *vm, struct err *e)
{
	const struct vm_change *set = change_of(vm);
	struct vm_spec *spec = &vm->rec.spec;
	struct vm_change *was = &vm->run->was;
	struct strv labels = { 0 };

	int rc = merge_labels(set, &spec->labels, &labels);
	if (rc < 0)
		err_num(e, ERR_HOST_MEMORY, rc, "labels");
	else
		rc = vm_labels_check(&labels, e);
	if (rc < 0) {
		strv_fini(&labels);
		return rc;
	}
	*was = (struct vm_change){ .vcpu = spec->vcpu,
				   .memory_bytes = spec->memory_bytes,
				   .disk_bytes = spec->disk_bytes,
				   .disk_rate = spec->disk_rate,
				   .disk_iops = spec->disk_iops,
				   .net_rate = spec->net_rate,
				   .labels = spec->labels };
	(void)snprintf(was->nat, sizeof(was->nat), "%s", spec->nat ? "on" : "off");
	spec->labels = labels;
	spec->vcpu = set->vcpu ? set->vcpu : spec->vcpu;
	spec->memory_bytes = set->memory_bytes ? set->memory_bytes : spec->memory_bytes;
	spec->disk_bytes = set->disk_bytes ? set->disk_bytes : spec->disk_bytes;
	apply_limits(set, spec);
	if (set->nat[0])
		spec->nat = is_on(set->nat);
	return 0;
}

static void restore(struct vm *vm)
{
	struct vm_spec *spec = &vm->rec.spec;
	struct vm_change *was = &vm->run->was;

	if (was->vcpu == 0)
		return; /* nothing was changed */
	strv_fini(&spec->labels);
	spec->labels = was->labels;
	spec->vcpu = was->vcpu;
	spec->memory_bytes = was->memory_bytes;
	spec->disk_bytes = was->disk_bytes;
	spec->disk_rate = was->disk_rate;
	spec->disk_iops = was->disk_iops;
	spec->net_rate = was->net_rate;
	spec->nat = is_on(was->nat);
	*was = (struct vm_change){ 0 };
}

static int put_set(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);
	const int rc = apply(vm, e);

	if (rc < 0)
		return rc;
	if (vm_put(vm, vm_state(vm)) < 0)
		return err_set(e, ERR_HOST_MEMORY, "store");
	return vm_commit(vm, p);
}

/* The commit that failed may have been durable all the same: what was before is written again. */
static int put_back(struct plan *p, struct err *e)
{
	struct vm *vm = vm_of(p);

	if (vm->run->set_stays)
		return STEP_DONE;
	restore(vm);
	if (vm_put(vm, vm_state(vm)) < 0)
		return err_set(e, ERR_HOST_MEMORY, "store");
	return vm_commit(vm, p);
}

static int put_done(struct plan *p, struct msg *m, struct err *e)
{
	const int rc = vm_committed(p, m, e);

	vm_of(p)->run->set_stays = rc == STEP_DONE;
	return rc;
}

/* clang-format off */
const struct step vm_set_steps[] = {
	/* name     start       finish          undo       undone        ms                  arg */
	{ "disk",   grow,       vm_worked,      NULL,      NULL,         FILES_DEADLINE_MS,  0 },
	{ "nat",    set_nat,    vm_helped,      unset_nat, vm_helped,    HELPER_DEADLINE_MS, 0 },
	{ "record", put_set,    put_done,       put_back,  vm_committed, 0,                  0 },
	{ "limits", vm_limits_set, NULL,        NULL,      NULL,         LIMITS_DEADLINE_MS, 0 },
};
/* clang-format on */

static int limits_check(const struct vm *vm, const struct vm_change *set, struct err *e)
{
	struct vm_spec spec = vm->rec.spec; /* borrows the vectors */

	for (uint32_t i = 0; i < set->drop_limits.n; i++) {
		const char *limit = set->drop_limits.v[i];

		if (strcmp(limit, "disk_rate") != 0 && strcmp(limit, "disk_iops") != 0 &&
		    strcmp(limit, "net_rate") != 0)
			return err_set(
				e, ERR_BAD_REQUEST,
				"set.drop_limits: \"%s\" is none of disk_rate, disk_iops and "
				"net_rate",
				limit);
	}
	apply_limits(set, &spec);
	return vm_limits_check(vm->env, &spec, spec.disk_bytes > 0, e);
}

static int change_check(const struct vm *vm, const struct vm_change *set, struct err *e)
{
	if (vm_limits_changed(set) && limits_check(vm, set, e) < 0)
		return err_errno(e);
	if (set->nat[0] && !is_on(set->nat) && strcmp(set->nat, "off") != 0)
		return err_set(e, ERR_BAD_REQUEST, "set.nat: \"%s\" is neither on nor off",
			       set->nat);
	return 0;
}

static bool changes_sizes(const struct vm_change *set)
{
	return set->vcpu || set->memory_bytes || set->disk_bytes;
}

void vm_set_begin(struct vm *vm)
{
	struct err e = { 0 };

	if (change_check(vm, change_of(vm), &e) < 0) {
		vm_task_done(vm, &e);
		vm_next_task(vm);
	} else if (changes_sizes(change_of(vm)) && (!vm_at_rest(vm_state(vm)) || vm->leaks > 0)) {
		err_set(&e, ERR_VM_STATE, "the VM is %s: its sizes change while it is stopped",
			vm_at_rest(vm_state(vm)) ? "not torn down yet" : fsm_name(&vm->fsm));
		vm_task_done(vm, &e);
		vm_next_task(vm);
	} else if (!vm_run_begin(vm)) {
		vm_out_of_memory(vm);
	} else {
		vm->run->set_stays = false;
		plan_begin(&vm->run->plan, vm_set_steps, ARRAY_LEN(vm_set_steps),
			   &vm->task->op->id);
	}
}

/* A VMM that ended meanwhile was not looked at: the answer follows when the VM is torn down. */
void vm_set_ended(struct vm *vm, const struct plan *p)
{
	const struct err e = p->err;

	strv_fini(&vm->run->was.labels);
	vm->run->was = (struct vm_change){ 0 };
	if (vm_runs(vm) && vm->run->exited) {
		vm->run->given_up = e;
		vm_lost(vm, -1);
		return;
	}
	vm_task_done(vm, &e);
	if (vm_at_rest(vm_state(vm)) && vm->leaks == 0)
		vm_run_end(vm);
	vm_next_task(vm);
}
