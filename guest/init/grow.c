#include "guest/init/grow.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Of Linux's fs/ext4/ext4.h, which is not among the headers for programs: grows a mounted file
 * system to so many blocks. */
#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t)

/* Documentation/filesystems/ext4/super.rst: little-endian, so far into the superblock. */
enum {
	SUPER_AT = 1024, /* on the disk */
	SUPER_BYTES = 1024,
	AT_BLOCKS_LOW = 0x4,
	AT_LOG_BLOCK_SIZE = 0x18, /* 0: 1 KiB */
	AT_MAGIC = 0x38,
	AT_INCOMPATIBLE = 0x60,
	AT_BLOCKS_HIGH = 0x150,
	MAGIC = 0xef53,
	FEATURE_64BIT = 0x80,
	LOG_BLOCK_SIZE_MAX = 6, /* 64 KiB */
};

static uint32_t number_at(const uint8_t *super, size_t at)
{
	uint32_t n;

	memcpy(&n, super + at, sizeof(n));
	return le32toh(n);
}

/* How many blocks the file system has, and how many the disk has room for. */
static int blocks_count(const char *device, uint64_t *ret_has, uint64_t *ret_room, struct err *e)
{
	CLEANUP_FD int fd = open(device, O_RDONLY | O_CLOEXEC);
	uint8_t super[SUPER_BYTES];
	uint64_t bytes;

	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes) < 0)
		return err_sys(e, ERR_GUEST_BOOT, "size of %s", device);
	if (pread(fd, super, sizeof(super), SUPER_AT) != (ssize_t)sizeof(super))
		return err_sys(e, ERR_GUEST_BOOT, "superblock of %s", device);
	const uint32_t log = number_at(super, AT_LOG_BLOCK_SIZE);
	const bool wide = number_at(super, AT_INCOMPATIBLE) & FEATURE_64BIT;

	if ((number_at(super, AT_MAGIC) & 0xffff) != MAGIC || log > LOG_BLOCK_SIZE_MAX)
		return err_set(e, ERR_GUEST_BOOT, "superblock of %s", device);
	*ret_has = number_at(super, AT_BLOCKS_LOW) |
		   (wide ? (uint64_t)number_at(super, AT_BLOCKS_HIGH) << 32 : 0);
	*ret_room = bytes >> (10 + log);
	return 0;
}

int root_grow(const char *device, const char *mounted_at, struct err *e)
{
	CLEANUP_FD int fd = -EBADF;
	uint64_t has = 0;
	uint64_t room = 0;
	const int rc = blocks_count(device, &has, &room, e);

	if (rc < 0 || room <= has)
		return rc;
	fd = open(mounted_at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, EXT4_IOC_RESIZE_FS, &room) < 0)
		return err_sys(e, ERR_GUEST_BOOT,
			       "grow the root file system from %llu to %llu blocks",
			       (unsigned long long)has, (unsigned long long)room);
	return 0;
}
