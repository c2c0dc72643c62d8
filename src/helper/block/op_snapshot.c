/* op_snapshot.c - a VM's root disk: an image's disk, shared and read-only, and the VM's own file of
 * what differs from it.
 *
 *   images/NAME (owner's, O_RDONLY) ── /dev/loopN (one per image) ──┐
 *                                                                   ├─ fc-rootfs-ID ─
 * /dev/mapper/fc-rootfs-ID vms/ID/rootfs.cow (owner's)     ── /dev/loopM ──────────────────┘
 *
 * Both loop devices live as long as the snapshot, and not a moment longer.
 *
 * #caps CAP_DAC_OVERRIDE
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "helper/block/block.h"
#include "helper/root.h"

enum {
	SECTOR_SHIFT = 9,
};

#define IMAGES   "images/"
#define VMS      "vms/"
#define COW_NAME "/rootfs.cow"

/* ---- validate ---- */

int snapshot_validate(const struct helper_conf *conf, const void *args,
		      struct op_target *ret_target, struct err *e)
{
	const struct helper_snapshot_args *const a = args;
	struct snapshot_target *const t = &ret_target->snapshot;
	char id[VM_ID_CHARS + 1];
	const int rc = root_path_check("base", a->base, HELPER_PATH_MAX, e);

	if (rc < 0)
		return rc;
	vm_id_text(a->vm, id);
	ret_target->vm = a->vm;
	t->conf = conf;
	handle_of(a->vm, &t->handle);
	(void)snprintf(t->base, sizeof(t->base), IMAGES "%s", a->base);
	(void)snprintf(t->cow, sizeof(t->cow), VMS "%s" COW_NAME, id);
	return 0;
}

static int take_loop(const char *field, const char *text, uint32_t *ret_number, struct err *e)
{
	*ret_number = LOOP_NONE;
	return text[0] == '\0' ? 0 : handle_parse_loop(field, text, ret_number, e);
}

/* Each handle that is given is checked, and all are of one VM. */
int snapshot_cleanup_validate(const struct helper_conf *conf, const void *args,
			      struct op_target *ret_target, struct err *e)
{
	const struct helper_cleanup_args *const a = args;
	struct cleanup_target t = { .conf = conf };
	struct handle device = { .vm = 0 };
	int rc = 0;

	if (a->name[0] != '\0')
		rc = handle_parse_name("name", a->name, &t.handle, e);
	if (rc == 0 && a->device[0] != '\0')
		rc = handle_parse_device("device", a->device, &device, e);
	if (rc == 0)
		rc = take_loop("base_loop", a->base_loop, &t.base_loop, e);
	if (rc == 0)
		rc = take_loop("cow_loop", a->cow_loop, &t.cow_loop, e);
	if (rc < 0)
		return rc;
	if (t.handle.vm && device.vm && t.handle.vm != device.vm)
		return err_set(e, ERR_HELPER_REFUSED, "device: \"%s\" is not that of \"%s\"",
			       a->device, a->name);
	if (device.vm)
		t.handle = device;
	ret_target->vm = t.handle.vm;
	ret_target->cleanup = t;
	return 0;
}

int snapshot_remove_validate(const struct helper_conf *conf, const void *args,
			     struct op_target *ret_target, struct err *e)
{
	const struct helper_device_args *const a = args;
	struct cleanup_target t = { .conf = conf, .base_loop = LOOP_NONE, .cow_loop = LOOP_NONE };
	const int rc = a->device[0] == '/' ? handle_parse_device("device", a->device, &t.handle, e)
					   : handle_parse_name("device", a->device, &t.handle, e);

	if (rc < 0)
		return rc;
	ret_target->vm = t.handle.vm;
	ret_target->cleanup = t;
	return 0;
}

/* ---- present ---- */

struct part {
	int file; /* owned */
	struct stat st;
	struct loop loop; /* owned descriptor */
};

static void part_close(struct part *p)
{
	close_fd(&p->file);
	close_fd(&p->loop.fd);
}

static int part_open(struct block_env *env, const struct snapshot_target *t, bool is_cow,
		     struct part *p, struct err *e)
{
	struct loop_want want = { .path = is_cow ? t->cow : t->base,
				  .st = &p->st,
				  .vm = is_cow ? t->handle.vm : 0 };
	int rc = root_open(t->conf, is_cow ? "vm" : "base", want.path, is_cow ? O_RDWR : O_RDONLY,
			   &p->file, &p->st, e);

	return rc < 0 ? rc : loop_attach(&env->loops, &want, p->file, &p->loop, e);
}

static int make(struct dm *dm, const struct handle *h, uint64_t sectors, const char *params,
		dev_t *ret_dev, struct err *e)
{
	int rc = dm_create(dm, h, ret_dev, e);

	if (rc == 0)
		rc = dm_load(dm, h, sectors, params, e);
	return rc < 0 ? rc : dm_resume(dm, h, e);
}

/* What is there with these very parts is left as it is: a VM may run on it. */
static int find_or_make(struct dm *dm, const struct handle *h, const struct part *base,
			const struct part *cow, dev_t *ret_dev, struct err *e)
{
	struct dm_device found;
	char params[DM_PARAMS_MAX + 1];
	int rc = dm_find(dm, h, &found, e);

	dm_params(base->loop.dev, cow->loop.dev, params);
	if (rc == 0 && found.active && found.own_number && strcmp(found.params, params) == 0) {
		*ret_dev = found.dev;
		return 0;
	}
	if (rc == 0)
		rc = dm_remove(dm, h, 0, e); /* half made, or of other parts */
	if (rc < 0 && rc != -ENXIO)
		return rc;
	return make(dm, h, base->loop.bytes >> SECTOR_SHIFT, params, ret_dev, e);
}

static void tell(const struct snapshot_target *t, const struct part *base, const struct part *cow,
		 struct helper_snapshot_view *view)
{
	(void)snprintf(view->name, sizeof(view->name), "%s", t->handle.name);
	(void)snprintf(view->device, sizeof(view->device), "%s", t->handle.device);
	handle_loop(base->loop.number, view->base_loop);
	handle_loop(cow->loop.number, view->cow_loop);
	view->bytes = base->loop.bytes;
}

int snapshot_act(struct op_call *c, struct err *e)
{
	struct block_env *const env = c->env;
	const struct snapshot_target *const t = &c->target.snapshot;
	struct part base = { .file = -EBADF, .loop.fd = -EBADF };
	struct part cow = { .file = -EBADF, .loop.fd = -EBADF };
	dev_t dev = 0;
	int rc = part_open(env, t, false, &base, e);

	if (rc == 0)
		rc = part_open(env, t, true, &cow, e);
	if (rc == 0)
		rc = find_or_make(&env->dm, &t->handle, &base, &cow, &dev, e);
	if (rc == 0)
		rc = dm_check_valid(&env->dm, &t->handle, e);
	if (rc == 0)
		rc = dm_node_make(&env->dm, &t->handle, dev, e);
	if (rc == 0)
		tell(t, &base, &cow, c->result);
	part_close(&base);
	part_close(&cow);
	return rc;
}

/* ---- absent ---- */

int snapshot_undo(struct op_call *c, struct err *e)
{
	struct block_env *const env = c->env;

	return dm_remove(&env->dm, &c->target.snapshot.handle, 0, e);
}

int snapshot_remove_undo(struct op_call *c, struct err *e)
{
	struct block_env *const env = c->env;

	return dm_remove(&env->dm, &c->target.cleanup.handle, DM_PATIENCE_MS, e);
}

/* To the end, whichever of them there are; tells the first that could not go.  Which loop devices
 * are ours is looked at before anything goes. */
int snapshot_cleanup_undo(struct op_call *c, struct err *e)
{
	struct block_env *const env = c->env;
	const struct cleanup_target *const t = &c->target.cleanup;
	const struct {
		const char *field;
		uint32_t number;
		vm_id vm;
	} loops[] = {
		{ "base_loop", t->base_loop, 0 },
		{ "cow_loop", t->cow_loop, t->handle.vm },
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(loops); i++)
		if (loops[i].number != LOOP_NONE)
			rc = loop_release(&env->loops, loops[i].field, loops[i].number, loops[i].vm,
					  e);
	if (rc == 0 && t->handle.vm)
		rc = dm_remove(&env->dm, &t->handle, DM_PATIENCE_MS, e);
	return rc;
}
