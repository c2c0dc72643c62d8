#include "actors/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "vmm/vmm.h"

enum {
	COPY_BYTES = 4096,
	OVERLAY_MAX = 16 << 20, /* bytes of an empty overlay's tables */
	STAT_BLOCK_BYTES = 512, /* stat(2) */
};

int files_make_dir(const char *path, struct err *e)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(e, ERR_HOST_IO, "mkdir %s", path);
	return 0;
}

static int remove_all(int parent, const char *name, dev_t dev, int depth);

static int remove_entries(int fd, dev_t dev, int depth)
{
	DIR *d = fdopendir(fd);
	const struct dirent *entry;
	int rc = 0;

	if (!d) {
		close(fd);
		return -errno;
	}
	while (rc == 0 &&
	       (entry = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): our own stream */
		const char *name = entry->d_name;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		if (entry->d_type == DT_DIR)
			rc = remove_all(dirfd(d), name, dev, depth + 1);
		else if (unlinkat(dirfd(d), name, 0) < 0 && errno != ENOENT)
			rc = errno == EISDIR ? remove_all(dirfd(d), name, dev, depth + 1) : -errno;
	}
	closedir(d);
	return rc;
}

/* A directory.  Only directories tell their file system: on overlayfs a file's may be another.  dev
 * 0: whichever it is. */
static int remove_all(int parent, const char *name, dev_t dev, int depth)
{
	CLEANUP_FD int fd = -EBADF;
	struct stat st;

	if (depth > FILES_DEPTH_MAX)
		return -ELOOP;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (dev && st.st_dev != dev)
		return -EXDEV;
	const int rc = remove_entries(take_fd(&fd), st.st_dev, depth);

	if (rc < 0)
		return rc;
	return unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

int files_remove(const char *path, struct err *e)
{
	const int rc = remove_all(AT_FDCWD, path, 0, 0);

	return rc < 0 ? err_num(e, ERR_HOST_IO, rc, "remove %s", path) : 0;
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
	while (len > 0) {
		const ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int sync_parent(const char *path, struct err *e)
{
	char dir[4096];
	CLEANUP_FD int fd = -EBADF;

	(void)snprintf(dir, sizeof(dir), "%s", path);
	char *slash = strrchr(dir, '/');
	if (slash)
		*slash = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return err_sys(e, ERR_HOST_IO, "sync %s", dir);
	return 0;
}

int files_make_overlay(const char *path, const char *backing, uint64_t bytes, struct err *e)
{
	CLEANUP_FD int fd = -EBADF;
	struct buf head;

	buf_init(&head, OVERLAY_MAX);
	int rc = qcow2_overlay(backing, bytes, &head, e);
	if (rc == 0) {
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		rc = fd < 0 ? -errno : write_all(fd, buf_data(&head), buf_len(&head));
		if (rc == 0 && fdatasync(fd) < 0)
			rc = -errno;
		if (rc < 0)
			err_num(e, ERR_HOST_IO, rc, "disk %s", path);
	}
	buf_fini(&head);
	return rc < 0 ? rc : sync_parent(path, e);
}

int files_make_sparse(const char *path, uint64_t bytes, struct err *e)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0 || fdatasync(fd) < 0)
		return err_sys(e, ERR_HOST_IO, "disk %s", path);
	return sync_parent(path, e);
}

/* Between two file systems, which may be two layers of an overlayfs, the kernel refuses to copy by
 * itself. */
static ssize_t copy_some(int in, off_t *at, int out, off_t *to, size_t len)
{
	ssize_t n = copy_file_range(in, at, out, to, len, 0);

	if (n >= 0 || (errno != EXDEV && errno != EOPNOTSUPP && errno != EINVAL))
		return n;
	if (lseek(out, *to, SEEK_SET) < 0)
		return -1;
	n = sendfile(out, in, at, len);
	*to += n > 0 ? n : 0;
	return n;
}

/* The bytes from `at` to `end`, at the same place. */
static int copy_extent(int in, int out, off_t at, off_t end)
{
	off_t to = at;

	while (at < end) {
		const ssize_t n = copy_some(in, &at, out, &to, (size_t)(end - at));

		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO; /* it has become shorter under our hands */
	}
	return 0;
}

/* What the template has of data, at the same places; the rest is holes. */
static int copy_data(int in, int out)
{
	off_t at = 0;
	int rc = 0;

	while (rc == 0 && (at = lseek(in, at, SEEK_DATA)) >= 0) {
		const off_t end = lseek(in, at, SEEK_HOLE);

		rc = end < 0 ? -errno : copy_extent(in, out, at, end);
		at = end;
	}
	return rc < 0 || errno == ENXIO ? rc : -errno; /* ENXIO: nothing but a hole follows */
}

/* A file's blocks become another's too. */
static int share_data(int in, int out)
{
	return ioctl(out, FICLONE, in) < 0 ? -errno : 0;
}

bool files_can_share(const char *dir)
{
	static const char block[4096] = "a block";
	CLEANUP_FD int in = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	CLEANUP_FD int out = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	return in >= 0 && out >= 0 && write_all(in, (const uint8_t *)block, sizeof(block)) == 0 &&
	       share_data(in, out) == 0;
}

int files_make_upper(const char *path, const char *from, uint64_t bytes, struct err *e)
{
	return files_make_disk(path, from, false, bytes, e);
}

int files_make_disk(const char *path, const char *from, bool shared, uint64_t bytes, struct err *e)
{
	CLEANUP_FD int in = open(from, O_RDONLY | O_CLOEXEC);
	CLEANUP_FD int out = -EBADF;

	if (in < 0 && errno == ENOENT)
		return err_set(e, ERR_IMAGE_BAD,
			       "%s is not there: the image was made by an older version", from);
	if (in < 0)
		return err_sys(e, ERR_HOST_IO, "%s", from);
	out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int rc = out < 0 ? -errno : shared ? share_data(in, out) : copy_data(in, out);
	if (rc == 0 && (ftruncate(out, (off_t)bytes) < 0 || fdatasync(out) < 0))
		rc = -errno;
	return rc < 0 ? err_num(e, ERR_HOST_IO, rc, "disk %s", path) : sync_parent(path, e);
}

int files_grow_upper(const char *path, uint64_t bytes, struct err *e)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0 || fdatasync(fd) < 0)
		return err_sys(e, ERR_HOST_IO, "grow %s", path);
	return 0;
}

int files_make_shared(const char *path, unsigned mode, struct err *e)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);

	if (fd < 0 || fchmod(fd, mode) < 0) /* the umask does not count */
		return err_sys(e, ERR_HOST_IO, "%s", path);
	return 0;
}

int files_copy(const char *from, const char *to, struct err *e)
{
	CLEANUP_FD int in = open(from, O_RDONLY | O_CLOEXEC);
	CLEANUP_FD int out = -EBADF;
	uint8_t bytes[COPY_BYTES];
	ssize_t n;
	int rc = 0;

	if (in < 0)
		return err_sys(e, ERR_HOST_IO, "%s", from);
	if (unlink(to) < 0 && errno != ENOENT) /* a VM may run what is there: it keeps that */
		return err_sys(e, ERR_HOST_IO, "%s", to);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (out < 0 || fchmod(out, 0644) < 0)
		return err_sys(e, ERR_HOST_IO, "%s", to);
	while (rc == 0 && (n = read(in, bytes, sizeof(bytes))) != 0)
		rc = n < 0 ? -errno : write_all(out, bytes, (size_t)n);
	return rc < 0 ? err_num(e, ERR_HOST_IO, rc, "copy %s to %s", from, to) : 0;
}

/* Longer first: the header may only speak of what is there. */
static int grow_file(int fd, uint64_t bytes, struct err *e)
{
	uint8_t header[QCOW2_HEADER_BYTES];
	struct qcow2_growth g;
	struct stat st;

	if (fstat(fd, &st) < 0 || pread(fd, header, sizeof(header), 0) != (ssize_t)sizeof(header))
		return err_sys(e, ERR_HOST_IO, "read the disk");
	int rc = qcow2_grow(header, bytes, &g, e);
	if (rc < 0)
		return rc;
	if ((uint64_t)st.st_size < g.file_bytes && ftruncate(fd, (off_t)g.file_bytes) < 0)
		rc = -errno;
	if (rc == 0 && lseek(fd, (off_t)g.at, SEEK_SET) < 0)
		rc = -errno;
	if (rc == 0)
		rc = write_all(fd, g.bytes, sizeof(g.bytes));
	if (rc == 0 && fdatasync(fd) < 0)
		rc = -errno;
	return rc < 0 ? err_num(e, ERR_HOST_IO, rc, "grow the disk") : 0;
}

int files_grow_overlay(const char *path, uint64_t bytes, struct err *e)
{
	CLEANUP_FD int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? err_sys(e, ERR_HOST_IO, "open %s", path) : grow_file(fd, bytes, e);
}

int files_each(const char *dir, files_each_fn *fn, void *arg, struct err *e)
{
	DIR *d = opendir(dir);
	const struct dirent *entry;
	int rc = 0;

	if (!d)
		return errno == ENOENT ? 0 : err_sys(e, ERR_HOST_IO, "open %s", dir);
	while (rc == 0 &&
	       (entry = readdir(d)) != NULL) /* NOLINT(concurrency-mt-unsafe): our own stream */
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			rc = fn(arg, entry->d_name);
	closedir(d);
	return rc;
}

int files_move(const char *from, const char *to, struct err *e)
{
	char dir[4096];

	(void)snprintf(dir, sizeof(dir), "%s", to);
	char *slash = strrchr(dir, '/');
	if (slash)
		*slash = '\0';
	const int rc = files_make_dir(dir, e);
	if (rc < 0)
		return rc;
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0)
		return err_sys(e, ERR_HOST_IO, "rename %s to %s", from, to);
	return 0;
}

int files_publish(const char *from, const char *to, bool *ret_swapped, struct err *e)
{
	int rc = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE);
	const bool swapped = rc == 0;

	if (rc < 0 && errno == ENOENT)
		rc = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
	if (rc < 0)
		return err_sys(e, ERR_HOST_IO, "rename %s to %s", from, to);
	*ret_swapped = swapped;
	return sync_parent(to, e);
}

int files_write(const char *path, const void *data, size_t len, struct err *e)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	const int rc = fd < 0 ? -errno : write_all(fd, data, len);

	return rc < 0 ? err_num(e, ERR_HOST_IO, rc, "write %s", path) : 0;
}

int files_open_log(const char *path, struct err *e)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? err_sys(e, ERR_HOST_IO, "open %s", path) : fd;
}

void files_keep_end(const char *from, const char *to, uint32_t most)
{
	CLEANUP_FD int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	CLEANUP_FD int out = -EBADF;
	struct stat st;

	if (in < 0 || fstat(in, &st) < 0 || st.st_size == 0)
		return;
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (out < 0)
		return;
	off_t at = st.st_size > most ? st.st_size - most : 0;
	ssize_t n = 1;

	while (at < st.st_size && n > 0)
		n = sendfile(out, in, &at, (size_t)(st.st_size - at));
}

/* The end of a text file, at most FILES_TAIL_MAX bytes of what follows the offset; the NUL is
 * added.  How many they are. */
static size_t read_tail(const char *path, uint64_t from, char out[FILES_TAIL_MAX + 1])
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	out[0] = '\0';
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	off_t at = st.st_size > FILES_TAIL_MAX ? st.st_size - FILES_TAIL_MAX : 0;
	if ((uint64_t)at < from)
		at = (off_t)from;
	const ssize_t n = pread(fd, out, FILES_TAIL_MAX, at);
	const size_t len = n > 0 ? (size_t)n : 0;
	out[len] = '\0';
	return len;
}

void files_tail(const char *path, char out[FILES_TAIL_MAX + 1])
{
	size_t n = read_tail(path, 0, out);

	while (n > 0 && (out[n - 1] == '\n' || out[n - 1] == '\r'))
		out[--n] = '\0';
}

const char *files_line(const char *text)
{
	const char *end = strrchr(text, '\n');

	return end ? end + 1 : text;
}

void files_shorten(const char *line, char *out, size_t size)
{
	const size_t len = strlen(line);

	if (len < size)
		(void)snprintf(out, size, "%s", line);
	else
		(void)snprintf(out, size, "...%s", line + len + sizeof("...") - size);
}

void files_last_line(const char *path, char *out, size_t size)
{
	char tail[FILES_TAIL_MAX + 1];

	files_tail(path, tail);
	files_shorten(files_line(tail), out, size);
}

bool files_find_last(const char *path, uint64_t from, const char *words, char *out, size_t size)
{
	char tail[FILES_TAIL_MAX + 1];
	const char *found = NULL;

	IGNORE(read_tail(path, from, tail) == 0);
	for (const char *at = tail; (at = strstr(at, words)) != NULL; at += strlen(words))
		found = at + strlen(words);
	if (found)
		(void)snprintf(out, size, "%.*s", (int)strcspn(found, "\r\n"), found);
	return found != NULL;
}

uint64_t files_bytes(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

uint64_t files_disk_bytes(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (uint64_t)st.st_blocks * STAT_BLOCK_BYTES : 0;
}
