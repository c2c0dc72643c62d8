#include "image/source.h"

#include <archive.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "image/fault.h"
#include "image/report.h"

int source_adopt(struct source *s, int fd, const char *name, const char *stage, struct err *e)
{
	*s = (struct source){ .fd = fd, .name = name, .stage = stage };
	s->chunk = malloc(SOURCE_CHUNK);
	s->sum = EVP_MD_CTX_new();
	if (!s->chunk || !s->sum || EVP_DigestInit_ex(s->sum, EVP_sha256(), NULL) != 1) {
		source_close(s);
		return err_set(e, ERR_HOST_MEMORY, "%s: no memory to read it", name);
	}
	return 0;
}

int source_open(struct source *s, const char *path, const char *stage, struct err *e)
{
	CLEANUP_FD int fd = -EBADF;
	struct stat st;

	*s = (struct source){ .fd = -EBADF };
	/* O_NONBLOCK: opening a FIFO must not hang before we can see that it is one. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fault_sys(e, "open %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_HOST_IO, "%s: not a regular file", path);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	const int rc = source_adopt(s, take_fd(&fd), path, stage, e);
	if (rc == 0)
		s->size = (uint64_t)st.st_size;
	return rc;
}

void source_close(struct source *s)
{
	close_fd(&s->fd);
	EVP_MD_CTX_free(s->sum);
	s->sum = NULL;
	free(take_ptr(&s->chunk));
}

int source_count(struct source *s, const void *data, size_t len, struct err *e)
{
	if (EVP_DigestUpdate(s->sum, data, len) != 1)
		return err_set(e, ERR_INTERNAL, "%s: sha256 failed", s->name);
	s->done += len;
	if (s->stage)
		report_progress(s->stage, s->done, s->size);
	return 0;
}

ssize_t source_read(struct source *s, const void **ret_data, struct err *e)
{
	ssize_t n;

	do
		n = read(s->fd, s->chunk, SOURCE_CHUNK);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fault_sys(e, "read %s", s->name);
	const int rc = source_count(s, s->chunk, (size_t)n, e);
	if (rc < 0)
		return rc;
	s->ended = n == 0;
	*ret_data = s->chunk;
	return n;
}

int source_finish(struct source *s, char ret_sha256[SOURCE_SHA256_CHARS + 1], struct err *e)
{
	unsigned char sum[SOURCE_SHA256_CHARS / 2];
	const void *data;
	ssize_t n;

	while ((n = source_read(s, &data, e)) > 0)
		continue;
	if (n < 0)
		return (int)n;
	if (EVP_DigestFinal_ex(s->sum, sum, NULL) != 1)
		return err_set(e, ERR_INTERNAL, "%s: sha256 failed", s->name);
	for (size_t i = 0; i < sizeof(sum); i++)
		(void)snprintf(ret_sha256 + 2 * i, 3, "%02x", sum[i]);
	return 0;
}

static la_ssize_t archive_in(struct archive *a, void *arg, const void **ret_data)
{
	struct err e = { 0 };
	const ssize_t n = source_read(arg, ret_data, &e);

	if (n < 0)
		archive_set_error(a, e.sys ? e.sys : EIO, "%s", e.text);
	return n < 0 ? -1 : n;
}

int source_archive(struct source *s, struct archive *a, struct err *e)
{
	if (archive_read_open(a, s, NULL, archive_in, NULL) == ARCHIVE_OK)
		return 0;
	return err_set(e, ERR_IMAGE_BAD, "%s: %s", s->name, archive_error_string(a));
}

void source_filters(struct archive *a)
{
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_lzma(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_filter_lz4(a);
}
