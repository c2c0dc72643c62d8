#include "image/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "image/fault.h"
#include "image/source.h"

enum {
	COPY_BLOCK = 4096, /* zeros of this many bytes stay a hole */
};

static int file_create(const char *path, int *ret_fd, struct err *e)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return fault_sys(e, "create %s", path);
	*ret_fd = fd;
	return 0;
}

int copy_write(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		const ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static bool is_zero(const char *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static int chunk_write(int fd, const char *data, size_t len, uint64_t at)
{
	while (len > 0) {
		const size_t n = len < COPY_BLOCK ? len : COPY_BLOCK;

		if (!is_zero(data, n)) {
			if (lseek(fd, (off_t)at, SEEK_SET) < 0)
				return -errno;
			const int rc = copy_write(fd, data, n);
			if (rc < 0)
				return rc;
		}
		data += n;
		at += n;
		len -= n;
	}
	return 0;
}

/* A reflink still has to be read once, for the sum. */
static int contents_copy(struct source *src, int fd, const char *path, struct err *e)
{
	const bool cloned = ioctl(fd, FICLONE, src->fd) == 0;
	const void *data;
	ssize_t n;

	for (;;) {
		const uint64_t at = src->done;

		n = source_read(src, &data, e);
		if (n <= 0)
			return (int)n;
		if (cloned)
			continue;
		const int rc = chunk_write(fd, data, (size_t)n, at);
		if (rc < 0)
			return err_num(e, fault_code(rc), rc, "write %s", path);
	}
}

int copy_sparse(struct source *src, const char *path, uint64_t bytes, struct err *e)
{
	CLEANUP_FD int fd = -EBADF;
	int rc = file_create(path, &fd, e);

	if (rc == 0)
		rc = contents_copy(src, fd, path, e);
	if (rc < 0)
		return rc;
	if (bytes < src->done)
		bytes = src->done;
	if (ftruncate(fd, (off_t)bytes) < 0 || fsync(fd) < 0)
		return fault_sys(e, "write %s", path);
	return 0;
}

int copy_out(const char *path, const void *data, size_t len, struct err *e)
{
	CLEANUP_FD int fd = -EBADF;
	int rc = file_create(path, &fd, e);

	if (rc < 0)
		return rc;
	rc = copy_write(fd, data, len);
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	return rc < 0 ? err_num(e, fault_code(rc), rc, "write %s", path) : 0;
}
