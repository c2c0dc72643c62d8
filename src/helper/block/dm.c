/* dm.c
 *
 * #caps CAP_SYS_ADMIN CAP_MKNOD CAP_CHOWN
 * #syscalls mknodat fchownat unlinkat newfstatat poll?
 * #ioctls linux/dm-ioctl.h: DM_DEV_CREATE DM_TABLE_LOAD DM_DEV_SUSPEND DM_DEV_STATUS
 * #ioctls linux/dm-ioctl.h: DM_TABLE_STATUS DM_DEV_REMOVE DM_LIST_DEVICES
 */
#include "helper/block/dm.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <poll.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "helper/fault.h"
#include "helper/root.h"

enum {
	DM_BYTES = 64 * 1024,  /* of the longest answer: some hundred devices of a list */
	DM_USUAL_BYTES = 1024, /* of all others: the kernel copies what it is told to, both ways */
	CHUNK_SECTORS = 8,     /* 4 KiB, what a guest's file system writes at once */
	NODE_BYTES = HELPER_HANDLE_MAX + 8,
	BUSY_FIRST_MS = 2,
	NUMBER_TRIES = 64, /* two VMs in half a million share one */
	BUSY_PAUSE_MS = 100,
};

/* udev's rules read these from the upper half of an event's cookie; a cookie whose lower half is 0
 * asks for no answer (libdevmapper.h, DM_UDEV_*; "base is zero" in dmsetup.c).  A VM's disk is the
 * guest's: nothing of udev's may look into it as root, and none of its links may stand where our
 * node does. */
enum {
	UDEV_DISABLE_DM_RULES = 0x0001,
	UDEV_DISABLE_SUBSYSTEM_RULES = 0x0002,
	UDEV_DISABLE_DISK_RULES = 0x0004,
	UDEV_DISABLE_OTHER_RULES = 0x0008,
	UDEV_PRIMARY_SOURCE = 0x0040,
	UDEV_FLAGS_SHIFT = 16,
};
static const uint32_t quiet_cookie = (uint32_t)(UDEV_DISABLE_DM_RULES |
						UDEV_DISABLE_SUBSYSTEM_RULES |
						UDEV_DISABLE_DISK_RULES | UDEV_DISABLE_OTHER_RULES |
						UDEV_PRIMARY_SOURCE)
				     << UDEV_FLAGS_SHIFT;

/* One request at a time: its head, and what follows it. */
static union {
	struct dm_ioctl head;
	uint8_t bytes[DM_BYTES];
} request;

static_assert(sizeof(struct dm_ioctl) + sizeof(struct dm_target_spec) + DM_PARAMS_MAX <
		      DM_USUAL_BYTES,
	      "a table fits");
static_assert(HELPER_HANDLE_MAX < DM_NAME_LEN, "names fit");
static_assert(HELPER_HANDLE_MAX < DM_UUID_LEN, "uuids fit");

void dm_open(struct dm *dm)
{
	dm->control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	dm->nodes = open("/dev/mapper", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* ---- one request ---- */

static void *payload(void)
{
	return request.bytes + sizeof(request.head);
}

static void begin_head(uint32_t flags)
{
	memset(request.bytes, 0, sizeof(request.head) + sizeof(struct dm_target_spec));
	request.head = (struct dm_ioctl){
		.version = { DM_VERSION_MAJOR, 0, 0 },
		.data_size = DM_USUAL_BYTES,
		.data_start = sizeof(request.head),
		.flags = flags,
	};
}

static void begin(const struct handle *h, uint32_t flags)
{
	begin_head(flags);
	(void)snprintf(request.head.name, sizeof(request.head.name), "%s", h->name);
}

static int ask(const struct dm *dm, unsigned long what, struct err *e)
{
	if (dm->control < 0)
		return err_set(e, ERR_BLOCK_FAILED,
			       "/dev/mapper/control: this kernel has no device-mapper");
	return ioctl(dm->control, what, &request) < 0 ? -errno : 0;
}

/* What a request that changes the host has come to. */
static int changed(const struct dm *dm, int rc, const char *name, const struct handle *h,
		   struct err *e)
{
	if (rc < 0 && dm->control >= 0)
		return err_num(e, ERR_BLOCK_FAILED, rc, "%s: %s", h->name, name);
	return rc < 0 ? rc : fault_point(name, e);
}

static int change(const struct dm *dm, unsigned long what, const char *name, const struct handle *h,
		  struct err *e)
{
	const int rc = fault_point(name, e);

	return rc < 0 ? rc : changed(dm, ask(dm, what, e), name, h, e);
}

/* ---- what there is ---- */

/* Of a device whose request.head has just been answered. */
static int check_ours(const struct handle *h, struct err *e)
{
	if (strncmp(request.head.uuid, h->uuid, sizeof(request.head.uuid)) == 0)
		return 0;
	return err_set(e, ERR_HELPER_REFUSED, "%s: is there and is not ours", h->name);
}

static int status(struct dm *dm, const struct handle *h, struct err *e)
{
	int rc;

	begin(h, 0);
	rc = ask(dm, DM_DEV_STATUS, e);
	if (rc == -ENXIO)
		return rc;
	if (rc < 0)
		return dm->control < 0 ? rc : err_num(e, ERR_BLOCK_FAILED, rc, "%s", h->name);
	return check_ours(h, e);
}

/* The live table's parameters, where it is one snapshot target. */
static int table(struct dm *dm, const struct handle *h, struct dm_device *ret, struct err *e)
{
	const struct dm_target_spec *const spec = payload();
	const char *const params = (const char *)(spec + 1);
	int rc;

	begin(h, DM_STATUS_TABLE_FLAG);
	rc = ask(dm, DM_TABLE_STATUS, e);
	if (rc < 0)
		return err_num(e, ERR_BLOCK_FAILED, rc, "%s: table", h->name);
	if (request.head.target_count == 1 &&
	    strncmp(spec->target_type, "snapshot", sizeof(spec->target_type)) == 0 &&
	    strnlen(params, DM_PARAMS_MAX + 1) <= DM_PARAMS_MAX)
		(void)snprintf(ret->params, sizeof(ret->params), "%s", params);
	return 0;
}

int dm_check_valid(struct dm *dm, const struct handle *h, struct err *e)
{
	const struct dm_target_spec *const spec = payload();
	const char *const words = (const char *)(spec + 1);
	int rc;

	begin(h, 0);
	rc = ask(dm, DM_TABLE_STATUS, e);
	if (rc < 0)
		return err_num(e, ERR_BLOCK_FAILED, rc, "%s: status", h->name);
	if (request.head.target_count == 1 && words[0] >= '0' && words[0] <= '9')
		return 0; /* "USED/ALL METADATA" in sectors, else a word: snapshot.rst */
	return err_set(e, ERR_FILE_SPACE, "%s: its rootfs.cow was full or damaged: \"%.32s\"",
		       h->name, request.head.target_count == 1 ? words : "no snapshot");
}

int dm_find(struct dm *dm, const struct handle *h, struct dm_device *ret, struct err *e)
{
	struct dm_device found = { .dev = 0 };
	int rc = status(dm, h, e);

	if (rc < 0)
		return rc;
	found.dev = (dev_t)request.head.dev;
	found.opened = (uint32_t)request.head.open_count;
	found.active = (request.head.flags & DM_ACTIVE_PRESENT_FLAG) != 0;
	found.own_number = minor(found.dev) >= DM_NUMBER_FIRST;
	if (found.active)
		rc = table(dm, h, &found, e);
	if (rc == 0)
		*ret = found;
	return rc;
}

int dm_list(struct dm *dm, dm_each *each, void *arg, bool *ret_partial, struct err *e)
{
	const struct dm_name_list *at = payload();
	int rc;

	*ret_partial = false;
	if (dm->control < 0)
		return 0; /* so there are none */
	begin_head(0);
	request.head.data_size = sizeof(request.bytes);
	rc = ask(dm, DM_LIST_DEVICES, e);
	if (rc < 0)
		return err_num(e, ERR_BLOCK_FAILED, rc, "device-mapper: list");
	if ((request.head.flags & DM_BUFFER_FULL_FLAG) != 0) {
		*ret_partial = true;
		return 0;
	}
	while (at->dev != 0) {
		each(at->name, arg);
		if (at->next == 0)
			break;
		at = (const struct dm_name_list *)(const void *)((const uint8_t *)at + at->next);
	}
	return 0;
}

/* ---- present ---- */

/* Made of the VM's id, and the next ones where it is taken. */
static uint32_t number_of(vm_id vm, uint32_t attempt)
{
	const uint64_t mixed = vm * 0x9e3779b97f4a7c15; /* 2^64 by the golden ratio */

	return DM_NUMBER_FIRST +
	       ((uint32_t)(mixed >> (64 - DM_NUMBER_BITS)) + attempt) % DM_NUMBER_FIRST;
}

static int create_once(const struct dm *dm, const struct handle *h, uint32_t number, struct err *e)
{
	begin(h, DM_PERSISTENT_DEV_FLAG);
	(void)snprintf(request.head.uuid, sizeof(request.head.uuid), "%s", h->uuid);
	request.head.dev = makedev(0, number);
	return ask(dm, DM_DEV_CREATE, e);
}

int dm_create(struct dm *dm, const struct handle *h, dev_t *ret_dev, struct err *e)
{
	int rc = fault_point("DM_DEV_CREATE", e);

	if (rc < 0)
		return rc;
	rc = -ENXIO; /* what a number that is taken is told as: dm_create() of the kernel's dm.c */
	for (uint32_t i = 0; rc == -ENXIO && i < NUMBER_TRIES; i++)
		rc = create_once(dm, h, number_of(h->vm, i), e);
	rc = changed(dm, rc, "DM_DEV_CREATE", h, e);
	if (rc == 0)
		*ret_dev = (dev_t)request.head.dev;
	return rc;
}

void dm_params(dev_t origin, dev_t cow, char out[DM_PARAMS_MAX + 1])
{
	(void)snprintf(out, DM_PARAMS_MAX + 1, "%u:%u %u:%u P %d", major(origin), minor(origin),
		       major(cow), minor(cow), CHUNK_SECTORS);
}

int dm_load(struct dm *dm, const struct handle *h, uint64_t sectors, const char *params,
	    struct err *e)
{
	struct dm_target_spec *const spec = payload();

	begin(h, 0);
	request.head.target_count = 1;
	spec->length = sectors;
	spec->next = (uint32_t)(sizeof(*spec) + DM_PARAMS_MAX + 1);
	(void)snprintf(spec->target_type, sizeof(spec->target_type), "snapshot");
	(void)snprintf((char *)(spec + 1), DM_PARAMS_MAX + 1, "%s", params);
	return change(dm, DM_TABLE_LOAD, "DM_TABLE_LOAD", h, e);
}

int dm_resume(struct dm *dm, const struct handle *h, struct err *e)
{
	begin(h, 0);
	request.head.event_nr = quiet_cookie;
	return change(dm, DM_DEV_SUSPEND, "DM_DEV_SUSPEND", h, e);
}

/* Whatever else bears our name there is stale, or was put there by udev. */
int dm_node_make(struct dm *dm, const struct handle *h, dev_t dev, struct err *e)
{
	const mode_t mode = S_IFBLK | S_IRUSR | S_IWUSR;
	struct stat st;
	int rc;

	if (fstatat(dm->nodes, h->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (st.st_mode == mode && st.st_rdev == dev && st.st_uid == 0)
			return 0;
		IGNORE(unlinkat(dm->nodes, h->name, 0));
	}
	rc = fault_point("mknod", e);
	if (rc == 0 && mknodat(dm->nodes, h->name, mode, dev) < 0)
		rc = err_sys(e, ERR_BLOCK_FAILED, "%s", h->device);
	return rc < 0 ? rc : fault_point("mknod", e);
}

int dm_node_open(struct dm *dm, const struct handle *h, dev_t dev, int flags, int *ret_fd,
		 struct err *e)
{
	struct stat st;
	CLEANUP_FD int fd = root_open_beneath(dm->nodes, h->name, (uint64_t)(unsigned)flags);

	if (fd < 0)
		return err_num(e, ERR_BLOCK_FAILED, fd, "%s", h->device);
	if (fstat(fd, &st) < 0)
		return err_sys(e, ERR_BLOCK_FAILED, "%s", h->device);
	if (!S_ISBLK(st.st_mode) || st.st_rdev != dev)
		return err_set(e, ERR_HELPER_REFUSED, "%s: is not the node of %s", h->device,
			       h->name);
	*ret_fd = take_fd(&fd);
	return 0;
}

static void lent_name(const struct handle *h, char out[NODE_BYTES])
{
	(void)snprintf(out, NODE_BYTES, "%s.lent", h->name);
}

static int lend(struct dm *dm, const char *name, dev_t dev, uid_t uid, int *ret_fd, struct err *e)
{
	int rc = fault_point("mknod", e);
	int fd;

	if (rc == 0 && (mknodat(dm->nodes, name, S_IFBLK | S_IRUSR | S_IWUSR, dev) < 0 ||
			fchownat(dm->nodes, name, uid, uid, AT_SYMLINK_NOFOLLOW) < 0))
		rc = err_sys(e, ERR_BLOCK_FAILED, "%s", name);
	if (rc == 0)
		rc = fault_point("mknod", e);
	if (rc < 0)
		return rc;
	fd = root_open_beneath(dm->nodes, name, O_RDWR);
	if (fd < 0)
		return err_num(e, ERR_BLOCK_FAILED, fd, "%s", name);
	*ret_fd = fd;
	return 0;
}

int dm_lend(struct dm *dm, const struct handle *h, int disk, uid_t uid, int *ret_fd, struct err *e)
{
	char name[NODE_BYTES];
	struct stat st;
	int rc;

	if (fstat(disk, &st) < 0)
		return err_sys(e, ERR_BLOCK_FAILED, "%s", h->name);
	lent_name(h, name);
	IGNORE(unlinkat(dm->nodes, name, 0)); /* of a worker that died */
	rc = lend(dm, name, st.st_rdev, uid, ret_fd, e);
	IGNORE(unlinkat(dm->nodes, name, 0));
	return rc;
}

/* ---- absent ---- */

static int node_remove(struct dm *dm, const struct handle *h, struct err *e)
{
	char lent[NODE_BYTES];

	lent_name(h, lent);
	if (dm->nodes >= 0)
		IGNORE(unlinkat(dm->nodes, lent, 0));
	if (dm->nodes < 0 || unlinkat(dm->nodes, h->name, 0) == 0 || errno == ENOENT)
		return 0;
	return err_sys(e, ERR_BLOCK_FAILED, "%s", h->device);
}

static int remove_once(struct dm *dm, const struct handle *h, struct err *e)
{
	begin(h, 0);
	request.head.event_nr = quiet_cookie;
	return ask(dm, DM_DEV_REMOVE, e);
}

/* The kernel tells nobody when a device is no longer open: it must be asked. */
static int remove_patiently(struct dm *dm, const struct handle *h, int patience_ms, struct err *e)
{
	int pause_ms = BUSY_FIRST_MS;
	int rc = remove_once(dm, h, e);

	for (int waited_ms = 0; rc == -EBUSY && waited_ms < patience_ms; waited_ms += pause_ms) {
		IGNORE(poll(NULL, 0, pause_ms));
		pause_ms = pause_ms * 2 < BUSY_PAUSE_MS ? pause_ms * 2 : BUSY_PAUSE_MS;
		rc = remove_once(dm, h, e);
	}
	if (rc == -EBUSY)
		return err_num(e, ERR_BLOCK_BUSY, rc, "%s: is in use", h->name);
	return rc < 0 && rc != -ENXIO ? err_num(e, ERR_BLOCK_FAILED, rc, "%s: remove", h->name) : 0;
}

int dm_remove(struct dm *dm, const struct handle *h, int patience_ms, struct err *e)
{
	int rc;

	if (dm->control < 0)
		return 0;
	rc = status(dm, h, e);
	if (rc == 0)
		rc = remove_patiently(dm, h, patience_ms, e);
	if (rc < 0 && rc != -ENXIO)
		return rc; /* the node is of what is still there */
	return node_remove(dm, h, e);
}
