#include "guest/agent/copy.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent/spawn.h"
#include "tar/pack.h"
#include "tar/unpack.h"

enum {
	PIECE = 64 * 1024, /* bytes copied at once: what a pipe holds */
};

static uint8_t piece[PIECE]; /* of the child, which has this memory to itself */

/* The whole end of a copy, in one atomic write to a pipe. */
struct copy_report {
	struct err err;
	struct copy_result result;
};
static_assert(sizeof(struct copy_report) <= PIPE_BUF, "it is written at once");

static int report(const struct copy_report *r)
{
	const bool told = write(SPAWN_REPORT_FD, r, sizeof(*r)) == (ssize_t)sizeof(*r);

	return told && r->err.code == ERR_NONE ? EXIT_SUCCESS : EXIT_FAILURE;
}

int copy_report_read(int fd, struct copy_result *ret_result, struct err *e)
{
	struct copy_report r;

	if (fd < 0 || read(fd, &r, sizeof(r)) != (ssize_t)sizeof(r))
		return err_set(e, ERR_FILE_IO, "the copy ended without a word");
	if (r.err.code != ERR_NONE) {
		*e = r.err;
		return err_errno(e);
	}
	*ret_result = r.result;
	return 0;
}

/* ---- pieces ---- */

static int write_all(int fd, const uint8_t *data, size_t len, struct err *e)
{
	while (len > 0) {
		const ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, ERR_FILE_IO, "archive");
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static ssize_t read_some(uint8_t *to, size_t size, struct err *e)
{
	ssize_t n;

	do
		n = read(STDIN_FILENO, to, size);
	while (n < 0 && errno == EINTR);
	return n < 0 ? err_sys(e, ERR_FILE_IO, "archive") : n;
}

static int notes_write(struct buf *notes, struct err *e)
{
	const int rc = write_all(STDERR_FILENO, buf_data(notes), buf_len(notes), e);

	buf_clear(notes);
	return rc;
}

/* ---- the work ---- */

/* Paths are those of the guest, whatever the agent's directory is; owned by the caller. */
static char *path_of(const struct bytes *path, struct err *e)
{
	char *text = NULL;

	if (path->len > 0 && memchr(path->data, '\0', path->len))
		err_set(e, ERR_BAD_REQUEST, "path: holds NUL");
	else if (chdir("/") < 0)
		err_sys(e, ERR_FILE_IO, "/");
	else if (!(text = strndup(path->len > 0 ? (const char *)path->data : "", path->len)))
		err_set(e, ERR_HOST_MEMORY, "path");
	return text;
}

static int copy_in(struct unpack *u, struct err *e)
{
	ssize_t n;
	int rc = 0;

	while (rc == 0 && (n = read_some(piece, sizeof(piece), e)) != 0) {
		rc = n < 0 ? (int)n : unpack_feed(u, piece, (size_t)n, e);
		if (rc == 0)
			rc = notes_write(unpack_notes(u), e);
	}
	return rc == 0 ? unpack_end(u, e) : rc;
}

int copy_in_work(const void *args)
{
	const struct guest_copy_in_args *a = args;
	const struct unpack_how how = { .as = a->as, .owners = !a->no_owner, .devices = true };
	struct copy_report r = { 0 };
	CLEANUP_FREE char *path = path_of(&a->path, &r.err);
	struct unpack *u = NULL;

	if (path && unpack_open(path, &how, &u, &r.err) == 0 && copy_in(u, &r.err) == 0)
		r.result = (struct copy_result){ unpack_entries(u), unpack_bytes(u) };
	unpack_close(u);
	return report(&r);
}

static int copy_out(struct pack *p, struct err *e)
{
	ssize_t n;
	int rc = 0;

	while (rc == 0 && (n = pack_read(p, piece, sizeof(piece), e)) != 0) {
		rc = n < 0 ? (int)n : write_all(STDOUT_FILENO, piece, (size_t)n, e);
		if (rc == 0)
			rc = notes_write(pack_notes(p), e);
	}
	return rc;
}

int copy_out_work(const void *args)
{
	const struct guest_copy_out_args *a = args;
	struct copy_report r = { 0 };
	CLEANUP_FREE char *path = path_of(&a->path, &r.err);
	char name[NAME_MAX + 1];
	struct pack *p = NULL;

	pack_descriptors_raise();
	pack_name(path ? path : "", name);
	const struct pack_how how = { .as = name, .follow = a->follow };
	if (path && pack_open(path, &how, &p, &r.err) == 0 && copy_out(p, &r.err) == 0)
		r.result = (struct copy_result){ pack_entries(p), pack_bytes(p) };
	pack_close(p);
	return report(&r);
}
