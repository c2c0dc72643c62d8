/* loop.c
 *
 * #syscalls openat2 getdents64 lseek pread64 newfstatat close
 * #ioctls linux/loop.h: LOOP_CTL_GET_FREE LOOP_CONFIGURE LOOP_GET_STATUS64
 */
#include "helper/block/loop.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "helper/fault.h"
#include "helper/root.h"

enum {
	NODE_BYTES = 32,      /* "loop1048575" */
	SYSFS_BYTES = 64,     /* "loop1048575/loop/backing_file" */
	BACKING_BYTES = 4096, /* of a path: PATH_MAX */
	DIRENT_BYTES = 8192,  /* of sysfs's folder, read at once */
	ATTEMPTS_MAX = 32,    /* somebody else takes the free device before us */
	MARK_BYTES = LO_NAME_SIZE,
};

/* Those that a maker sets; the kernel may add others. */
#define LOOP_FLAGS (LO_FLAGS_AUTOCLEAR | LO_FLAGS_READ_ONLY | LO_FLAGS_PARTSCAN)

#define MARK_BASE "banger-base"
#define MARK_COW  "banger-cow-"
#define SYSFS     "/sys/devices/virtual/block"

void loops_open(struct loops *l, const struct helper_conf *conf)
{
	l->conf = conf;
	l->control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	l->nodes = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	l->known = open(SYSFS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* ---- one device ---- */

static void mark_of(vm_id vm, char out[MARK_BYTES])
{
	char id[VM_ID_CHARS + 1];

	vm_id_text(vm, id);
	(void)snprintf(out, MARK_BYTES, vm ? MARK_COW "%s" : MARK_BASE, id);
}

/* -ENOENT where there is no such node. */
static int node_open(const struct loops *l, uint32_t number, int flags, int *ret_fd, struct err *e)
{
	char name[NODE_BYTES];
	struct stat st;
	CLEANUP_FD int fd = -EBADF;

	(void)snprintf(name, sizeof(name), "loop%u", number);
	fd = root_open_beneath(l->nodes, name, (uint64_t)(unsigned)flags);
	if (fd == -ENOENT || fd == -ENXIO)
		return -ENOENT;
	if (fd < 0)
		return err_num(e, ERR_BLOCK_FAILED, fd, "/dev/%s", name);
	if (fstat(fd, &st) < 0)
		return err_sys(e, ERR_BLOCK_FAILED, "/dev/%s", name);
	if (!S_ISBLK(st.st_mode) || major(st.st_rdev) != LOOP_MAJOR)
		return err_set(e, ERR_HELPER_REFUSED, "/dev/%s: is no loop device", name);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Path of the backing file, as the kernel tells; -ENOENT where the device has none. */
static int backing(const struct loops *l, uint32_t number, char out[BACKING_BYTES])
{
	char name[SYSFS_BYTES];
	CLEANUP_FD int fd = -EBADF;
	ssize_t n;

	(void)snprintf(name, sizeof(name), "loop%u/loop/backing_file", number);
	fd = root_open_beneath(l->known, name, O_RDONLY);
	if (fd < 0)
		return fd;
	n = pread(fd, out, BACKING_BYTES - 1, 0);
	if (n < 0)
		return errno == ENODEV || errno == ENXIO ? -ENOENT : -errno;
	out[n > 0 && out[n - 1] == '\n' ? n - 1 : n] = '\0';
	return 0;
}

/* What is left of a path below our root; NULL: it lies elsewhere. */
static const char *below_root(const struct loops *l, const char *path)
{
	const size_t len = strlen(l->conf->state_dir);

	if (strncmp(path, l->conf->state_dir, len) != 0 || path[len] != '/')
		return NULL;
	return path + len + 1;
}

static uint32_t loop_flags(const struct loop_want *want)
{
	return LO_FLAGS_AUTOCLEAR | (want->vm ? 0 : LO_FLAGS_READ_ONLY);
}

/* Whether an open device is the file's, made by us, and wholly so. */
static bool is_wanted(int fd, const struct loop_want *want, uint32_t *ret_number)
{
	const uint32_t flags = loop_flags(want);
	struct loop_info64 info = { .lo_flags = 0 };
	char mark[MARK_BYTES];

	mark_of(want->vm, mark);
	if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
		return false;
	*ret_number = info.lo_number;
	return info.lo_device == want->st->st_dev && info.lo_inode == want->st->st_ino &&
	       info.lo_offset == 0 && info.lo_sizelimit == 0 &&
	       (info.lo_flags & LOOP_FLAGS) == flags &&
	       strncmp((const char *)info.lo_file_name, mark, sizeof(info.lo_file_name)) == 0;
}

int loop_is(struct loops *l, uint32_t number, const struct loop_want *want, struct err *e)
{
	CLEANUP_FD int fd = -EBADF;
	uint32_t its = 0;
	const int rc = node_open(l, number, O_RDONLY, &fd, e);

	if (rc == -ENOENT)
		return 0;
	return rc < 0 ? rc : is_wanted(fd, want, &its) && its == number;
}

/* ---- all of them ---- */

static int each_entry(struct loops *l, loop_each *each, void *arg, const uint8_t *entries,
		      ssize_t n)
{
	static char path[BACKING_BYTES];
	const struct dirent64 *d;

	for (ssize_t at = 0; at < n; at += d->d_reclen) {
		uint32_t number = 0;
		char handle[HELPER_HANDLE_MAX + 1];

		d = (const struct dirent64 *)(const void *)(entries + at);
		(void)snprintf(handle, sizeof(handle), "/dev/%.32s", d->d_name);
		if (handle_parse_loop("", handle, &number, NULL) < 0 ||
		    backing(l, number, path) < 0 || !below_root(l, path))
			continue;
		each(number, below_root(l, path), arg);
	}
	return 0;
}

int loop_list(struct loops *l, loop_each *each, void *arg, struct err *e)
{
	static alignas(max_align_t) uint8_t entries[DIRENT_BYTES];
	ssize_t n = 0;

	if (l->known < 0)
		return 0;
	if (lseek(l->known, 0, SEEK_SET) < 0)
		return err_sys(e, ERR_BLOCK_FAILED, SYSFS);
	while ((n = getdents64(l->known, entries, sizeof(entries))) > 0)
		IGNORE(each_entry(l, each, arg, entries, n));
	return n < 0 ? err_sys(e, ERR_BLOCK_FAILED, SYSFS) : 0;
}

/* ---- present ---- */

struct search {
	struct loops *loops;
	const struct loop_want *want;
	int fd; /* of the one that was found; -EBADF */
	uint32_t number;
};

static void look_at(uint32_t number, const char *path, void *arg)
{
	struct search *const s = arg;
	CLEANUP_FD int fd = -EBADF;
	uint32_t its = 0;

	if (s->fd >= 0 || strcmp(path, s->want->path) != 0 ||
	    node_open(s->loops, number, O_RDONLY, &fd, NULL) < 0 || !is_wanted(fd, s->want, &its) ||
	    its != number)
		return;
	s->fd = take_fd(&fd);
	s->number = number;
}

/* -EBUSY: somebody else has taken the device. */
static int configure(int fd, const struct loop_want *want, int file, struct err *e)
{
	struct loop_config config = {
		.fd = (uint32_t)file,
		.info.lo_flags = loop_flags(want),
	};
	int rc = fault_point("LOOP_CONFIGURE", e);

	if (rc < 0)
		return rc;
	mark_of(want->vm, (char *)config.info.lo_file_name);
	if (ioctl(fd, LOOP_CONFIGURE, &config) < 0)
		return errno == EBUSY
			       ? -EBUSY
			       : err_sys(e, ERR_BLOCK_FAILED, "%s: LOOP_CONFIGURE", want->path);
	return fault_point("LOOP_CONFIGURE", e);
}

static int attach_free(struct loops *l, const struct loop_want *want, int file, int *ret_fd,
		       uint32_t *ret_number, struct err *e)
{
	for (int i = 0; i < ATTEMPTS_MAX; i++) {
		CLEANUP_FD int fd = -EBADF;
		const int number = ioctl(l->control, LOOP_CTL_GET_FREE);
		int rc;

		if (number < 0)
			return err_sys(e, ERR_BLOCK_FAILED, "/dev/loop-control");
		rc = node_open(l, (uint32_t)number, want->vm ? O_RDWR : O_RDONLY, &fd, e);
		if (rc == -ENOENT)
			return err_num(e, ERR_BLOCK_FAILED, rc, "/dev/loop%d", number);
		if (rc == 0)
			rc = configure(fd, want, file, e);
		if (rc == -EBUSY)
			continue;
		if (rc < 0)
			return rc;
		*ret_fd = take_fd(&fd);
		*ret_number = (uint32_t)number;
		return 0;
	}
	return err_set(e, ERR_BLOCK_BUSY, "/dev/loop-control: others take every free device");
}

int loop_attach(struct loops *l, const struct loop_want *want, int file, struct loop *ret,
		struct err *e)
{
	struct search s = { .loops = l, .want = want, .fd = -EBADF };
	int rc;

	if (l->control < 0)
		return err_set(e, ERR_BLOCK_FAILED, "/dev/loop-control: there is none");
	rc = loop_list(l, look_at, &s, e);
	if (rc == 0 && s.fd < 0)
		rc = attach_free(l, want, file, &s.fd, &s.number, e);
	if (rc < 0)
		return rc;
	*ret = (struct loop){ .fd = s.fd,
			      .number = s.number,
			      .dev = makedev(LOOP_MAJOR, s.number),
			      .bytes = (uint64_t)want->st->st_size };
	return 0;
}

/* ---- absent ---- */

static bool is_ours(const char *mark, vm_id vm)
{
	char cow[MARK_BYTES];

	if (vm == 0)
		return strncmp(mark, MARK_COW, strlen(MARK_COW)) == 0 ||
		       strncmp(mark, MARK_BASE, MARK_BYTES) == 0;
	mark_of(vm, cow);
	return strncmp(mark, cow, MARK_BYTES) == 0;
}

/* Ours end by themselves when they are closed for the last time: also by this look at them. */
int loop_release(struct loops *l, const char *field, uint32_t number, vm_id vm, struct err *e)
{
	static char path[BACKING_BYTES];
	struct loop_info64 info = { .lo_flags = 0 };
	CLEANUP_FD int fd = -EBADF;
	int rc = node_open(l, number, O_RDONLY, &fd, e);

	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return rc;
	if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
		return errno == ENXIO
			       ? 0
			       : err_sys(e, ERR_BLOCK_FAILED, "%s: /dev/loop%u", field, number);
	rc = backing(l, number, path);
	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return err_num(e, ERR_BLOCK_FAILED, rc, "%s: /dev/loop%u", field, number);
	if (!below_root(l, path) || !is_ours((const char *)info.lo_file_name, vm))
		return err_set(e, ERR_HELPER_REFUSED, "%s: /dev/loop%u is not ours", field, number);
	return 0;
}
