/* unpack.c - see unpack.h.
 *
 * The path of an entry is taken apart once (place()); its directory is walked to from the base, or
 * is the one of the entry before.  Directories get owner, mode and time when the archive has left
 * them: a stack holds those that are being filled, each within the one below it.
 */
#include "tar/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "tar/read.h"

enum {
	SHOWN = 160,                             /* bytes of a name in a message */
	NOTES_MAX = 8 << 10,                     /* bytes of notes not taken yet */
	PLACE_MAX = TAR_PATH_MAX + NAME_MAX + 2, /* the root may get a longer name */
	LEVELS_MAX = PLACE_MAX / 2,
	DIR_WORK_MODE = 0700,  /* of a directory that is being filled ... */
	FILE_WORK_MODE = 0600, /* ... and a file */
	DIR_MADE_MODE = 0755,  /* of one that no entry announced */
	SET_ID_BITS = 06000,
};

/* A directory that is being filled: its place is the first path_len bytes of unpack.dirs_path. */
struct level {
	size_t path_len;
	uint32_t mode, uid, gid;
	int64_t mtime_s;
	uint32_t mtime_ns;
	bool keep; /* it was there, and is the destination itself: not ours to change */
};

struct unpack {
	struct unpack_how how;
	struct tar_reader reader;
	int base;                /* everything is below it */
	char *base_path;         /* owned; for messages */
	char *rename;            /* owned; the root's new name; NULL: as in the archive */
	bool rename_dir;         /* the new name ended in "/": the root must be a directory */
	char root[NAME_MAX + 1]; /* first component of every name; "": they have none in common */
	bool began;              /* the root's entry has come */
	char path[PLACE_MAX];    /* of the entry, below the base */
	size_t name_at;          /* where its last component begins */
	int dir;                 /* the directory of dir_path, or absent */
	char dir_path[PLACE_MAX];
	int file;             /* being written, or absent */
	char temporary[32];   /* its name until it is whole; "": its own */
	struct level *levels; /* owned; LEVELS_MAX */
	size_t nlevels;
	char dirs_path[PLACE_MAX];
	struct buf notes;
	uint64_t entries, bytes;
};

/* ---- messages ---- */

/* A place below the base, as the user would write it. */
static void shown(const struct unpack *u, const char *path, char out[SHOWN + 1])
{
	const size_t len = strlen(u->base_path);
	const bool slash = path[0] && len > 0 && u->base_path[len - 1] != '/';

	(void)snprintf(out, SHOWN + 1, "%s%s%s", u->base_path, slash ? "/" : "", path);
}

static int fault_at(const struct unpack *u, struct err *e, int num, const char *path)
{
	char where[SHOWN + 1];

	shown(u, path, where);
	return tar_fault(e, num, "%s", where);
}

static int fault(const struct unpack *u, struct err *e, int num)
{
	return fault_at(u, e, num, u->path);
}

/* What is there already is not what is needed. */
static int clash(const struct unpack *u, struct err *e, const char *path, const char *why)
{
	char where[SHOWN + 1];

	shown(u, path, where);
	return err_set(e, ERR_FILE_KIND, "%s: %s", where, why);
}

static int refuse(const struct unpack *u, struct err *e, const char *why)
{
	return err_set(e, ERR_TAR_BAD, "tar: entry \"%.*s\": %s", (int)SHOWN, u->reader.entry.path,
		       why);
}

static void note(struct unpack *u, const char *what)
{
	char where[SHOWN + 1];
	char line[SHOWN + 80];

	shown(u, u->path, where);
	const int n = snprintf(line, sizeof(line), "%s: %s\n", where, what);

	IGNORE(buf_append(&u->notes, line, (size_t)n) < 0); /* more than anybody reads */
}

/* ---- places ---- */

/* The components of a name, one after the other into `out`, without "." and doubled slashes. */
static int normalise(const struct unpack *u, const char *name, char *out, size_t size,
		     struct err *e)
{
	size_t at = 0;

	if (name[0] == '\0')
		return refuse(u, e, "no name");
	if (name[0] == '/')
		return refuse(u, e, "an absolute name");
	while (*name) {
		const size_t len = strcspn(name, "/");

		if (len == 2 && name[0] == '.' && name[1] == '.')
			return refuse(u, e, "\"..\" in a name");
		if (len > NAME_MAX)
			return refuse(u, e, "a name is too long");
		if (len > 0 && !(len == 1 && name[0] == '.')) {
			ASSERT(at + len + 2 <= size);
			if (at > 0)
				out[at++] = '/';
			memcpy(out + at, name, len);
			at += len;
		}
		name += len + (name[len] == '/');
	}
	out[at] = '\0';
	return 0;
}

/* The first entry is the root; with a new name for it all others must be below it. */
static int rename_root(struct unpack *u, char *path, size_t size, struct err *e)
{
	const size_t root_len = strlen(u->root);
	const size_t new_len = strlen(u->rename);
	size_t below = root_len;

	if (strncmp(path, u->root, root_len) != 0 ||
	    (root_len > 0 && path[root_len] != '\0' && path[root_len] != '/'))
		return refuse(u, e, "not below the first one, which is to get another name");
	if (path[below] == '/')
		below++;
	const size_t rest = strlen(path + below);
	ASSERT(new_len + 1 + rest + 1 <= size);
	memmove(path + new_len + (rest > 0), path + below, rest + 1);
	memcpy(path, u->rename, new_len);
	if (rest > 0)
		path[new_len] = '/';
	return 0;
}

static int place(struct unpack *u, const char *name, char *path, size_t size, struct err *e)
{
	int rc = normalise(u, name, path, size, e);

	if (rc < 0)
		return rc;
	if (!u->began)
		(void)snprintf(u->root, sizeof(u->root), "%.*s", (int)strcspn(path, "/"), path);
	u->began = true;
	return u->rename ? rename_root(u, path, size, e) : 0;
}

/* ---- walking ---- */

/* One step down; makes the directory where there is none. */
static int step_down(const struct unpack *u, int from, const char *name, bool make)
{
	const int flags = O_PATH | O_DIRECTORY | (u->how.beneath ? O_NOFOLLOW : 0);
	int fd = openat(from, name, flags | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && make &&
	    (mkdirat(from, name, DIR_MADE_MODE) == 0 || errno == EEXIST))
		fd = openat(from, name, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The directory of the first `len` bytes of path, from the base on; owned by the caller. */
static int walk(const struct unpack *u, const char *path, size_t len, bool make, struct err *e)
{
	CLEANUP_FD int fd = fcntl(u->base, F_DUPFD_CLOEXEC, 0);
	size_t at = 0;

	while (fd >= 0 && at < len) {
		char name[NAME_MAX + 1];
		const size_t n = strcspn(path + at, "/");

		ASSERT(n <= NAME_MAX);
		memcpy(name, path + at, n);
		name[n] = '\0';
		at += n + 1;
		const int below = step_down(u, fd, name, make);
		if (below == -ENOTDIR || below == -ELOOP)
			return clash(u, e, path,
				     "on the way there is something that is no directory");
		if (below < 0)
			return fault_at(u, e, below, path);
		close(fd);
		fd = below;
	}
	return fd < 0 ? fault_at(u, e, errno, path) : take_fd(&fd);
}

/* The directory that the entry goes into, kept for the next one. */
static int enter(struct unpack *u, struct err *e)
{
	const char *slash = strrchr(u->path, '/');
	const size_t len = slash ? (size_t)(slash - u->path) : 0;

	u->name_at = slash ? len + 1 : 0;
	if (u->dir >= 0 && strlen(u->dir_path) == len && memcmp(u->dir_path, u->path, len) == 0)
		return 0;
	close_fd(&u->dir);
	const int fd = walk(u, u->path, len, true, e);
	if (fd < 0)
		return fd;
	u->dir = fd;
	memcpy(u->dir_path, u->path, len);
	u->dir_path[len] = '\0';
	return 0;
}

/* ---- owner, mode, times, attributes ---- */

static uint32_t mode_of(const struct unpack *u, uint32_t mode)
{
	return u->how.owners ? mode : mode & ~(uint32_t)SET_ID_BITS;
}

static void times_of(int64_t s, uint32_t ns, struct timespec out[2])
{
	out[0] = (struct timespec){ .tv_nsec = UTIME_OMIT };
	out[1] = (struct timespec){ .tv_sec = s, .tv_nsec = ns };
}

/* Through /proc: a descriptor that was opened only as a place takes neither mode nor times. */
static int place_attributes(const struct unpack *u, int fd, uint32_t mode, uint32_t uid,
			    uint32_t gid, const struct timespec times[2])
{
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (u->how.owners && fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
		return -errno;
	if (chmod(path, mode_of(u, mode)) < 0 || utimensat(AT_FDCWD, path, times, 0) < 0)
		return -errno;
	return 0;
}

/* Those that a file system does not have, or we may not give, are left out. */
static int xattrs_set(struct unpack *u, int fd)
{
	struct tar_xattr x;

	for (size_t at = 0; tar_xattr_next(&u->reader.entry, &at, &x);) {
		const bool user = strncmp(x.name, "user.", 5) == 0;

		if (!user && !(u->how.owners && strcmp(x.name, "security.capability") == 0))
			continue;
		if (fsetxattr(fd, x.name, x.value, x.len, 0) < 0 && errno != ENOTSUP &&
		    errno != EPERM)
			return -errno;
	}
	return 0;
}

/* ---- directories ---- */

static int level_leave(struct unpack *u, struct err *e)
{
	const struct level *l = &u->levels[--u->nlevels];
	struct timespec times[2];

	u->dirs_path[l->path_len] = '\0';
	if (l->keep)
		return 0;
	CLEANUP_FD int fd = walk(u, u->dirs_path, l->path_len, false, e);
	if (fd < 0)
		return fd;
	times_of(l->mtime_s, l->mtime_ns, times);
	const int rc = place_attributes(u, fd, l->mode, l->uid, l->gid, times);
	return rc < 0 ? fault_at(u, e, rc, u->dirs_path) : 0;
}

/* Leaves the directories that the path is not below. */
static int levels_leave(struct unpack *u, const char *path, struct err *e)
{
	int rc = 0;

	while (rc == 0 && u->nlevels > 0) {
		const size_t len = u->levels[u->nlevels - 1].path_len;

		if (strncmp(path, u->dirs_path, len) == 0 && (len == 0 || path[len] == '/'))
			break;
		rc = level_leave(u, e);
	}
	return rc;
}

static void level_enter(struct unpack *u, bool keep)
{
	const struct tar_entry *t = &u->reader.entry;
	const size_t len = strlen(u->path);

	ASSERT(u->nlevels < LEVELS_MAX);
	memcpy(u->dirs_path, u->path, len + 1);
	u->levels[u->nlevels++] = (struct level){
		.path_len = len,
		.mode = t->mode,
		.uid = t->uid,
		.gid = t->gid,
		.mtime_s = t->mtime_s,
		.mtime_ns = t->mtime_ns,
		.keep = keep,
	};
}

static int make_dir(struct unpack *u, struct err *e)
{
	const char *name = u->path + u->name_at;
	CLEANUP_FD int fd = -EBADF;

	if (u->path[0] == '\0') { /* the destination itself, which somebody else has made */
		level_enter(u, true);
		return 0;
	}
	if (mkdirat(u->dir, name, DIR_WORK_MODE) < 0 && errno != EEXIST)
		return fault(u, e, errno);
	fd = openat(u->dir, name,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC | (u->how.beneath ? O_NOFOLLOW : 0));
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return clash(u, e, u->path, "is no directory, and is not replaced by one");
	/* One that we may enter but not read is filled all the same. */
	if (fd < 0 && errno != EACCES)
		return fault(u, e, errno);
	const int rc = fd < 0 ? 0 : xattrs_set(u, fd);
	if (rc < 0)
		return fault(u, e, rc);
	level_enter(u, false);
	return 0;
}

/* ---- replacing what is there ---- */

static void temporary_name(struct unpack *u)
{
	uint64_t random = 0;

	IGNORE(getrandom(&random, sizeof(random), 0) < 0);
	(void)snprintf(u->temporary, sizeof(u->temporary), ".banger-cp-%016" PRIx64, random);
}

/* What is no directory may be replaced.  True when there is something. */
static int in_the_way(struct unpack *u, struct err *e)
{
	struct stat st;

	if (fstatat(u->dir, u->path + u->name_at, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fault(u, e, errno);
	if (S_ISDIR(st.st_mode))
		return clash(u, e, u->path, "is a directory, and is not replaced");
	return 1;
}

/* How a node without data is made: under this name, in the entry's directory. */
struct maker {
	int (*make)(const struct unpack *u, const struct maker *how, const char *name);
	int dir;          /* of a hard link's target */
	const char *name; /* of it */
};

/* Under its own name or, where that is taken, under another that then replaces it. */
static int make_node(struct unpack *u, const struct maker *how, struct err *e)
{
	const char *name = u->path + u->name_at;
	int rc = how->make(u, how, name);

	if (rc != -EEXIST)
		return rc < 0 ? fault(u, e, rc) : 0;
	rc = in_the_way(u, e);
	if (rc < 0)
		return rc;
	temporary_name(u);
	rc = how->make(u, how, u->temporary);
	if (rc == 0 && renameat(u->dir, u->temporary, u->dir, name) < 0)
		rc = -errno;
	/* Still there when both names were of one file: rename(2) then leaves both. */
	(void)unlinkat(u->dir, u->temporary, 0);
	u->temporary[0] = '\0';
	return rc < 0 ? fault(u, e, rc) : 0;
}

static int make_symlink(const struct unpack *u, const struct maker *how, const char *name)
{
	const struct tar_entry *t = &u->reader.entry;
	struct timespec times[2];

	(void)how;
	times_of(t->mtime_s, t->mtime_ns, times);
	if (symlinkat(t->link, u->dir, name) < 0)
		return -errno;
	if (u->how.owners && fchownat(u->dir, name, t->uid, t->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return utimensat(u->dir, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int make_special(const struct unpack *u, const struct maker *how, const char *name)
{
	const struct tar_entry *t = &u->reader.entry;
	const mode_t type = t->kind == TAR_FIFO ? S_IFIFO : t->kind == TAR_CHAR ? S_IFCHR : S_IFBLK;
	struct timespec times[2];

	(void)how;
	times_of(t->mtime_s, t->mtime_ns, times);
	if (mknodat(u->dir, name, type | FILE_WORK_MODE, makedev(t->dev_major, t->dev_minor)) < 0)
		return -errno;
	CLEANUP_FD int fd = openat(u->dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : place_attributes(u, fd, t->mode, t->uid, t->gid, times);
}

static int make_link(const struct unpack *u, const struct maker *how, const char *name)
{
	return linkat(how->dir, how->name, u->dir, name, 0) < 0 ? -errno : 0;
}

/* To an entry before it, by the name that that one has got. */
static int make_hardlink(struct unpack *u, struct err *e)
{
	CLEANUP_FREE char *path = malloc(PLACE_MAX);
	CLEANUP_FD int dir = -EBADF;
	int rc;

	if (!path)
		return err_set(e, ERR_HOST_MEMORY, "tar: link");
	rc = place(u, u->reader.entry.link, path, PLACE_MAX, e);
	if (rc < 0)
		return rc;
	const char *slash = strrchr(path, '/');
	dir = walk(u, path, slash ? (size_t)(slash - path) : 0, false, e);
	if (dir < 0)
		return dir;
	const struct maker how = { make_link, dir, slash ? slash + 1 : path };
	return make_node(u, &how, e);
}

/* ---- files ---- */

static int file_begin(struct unpack *u, struct err *e)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
	const char *name = u->path + u->name_at;

	u->temporary[0] = '\0';
	u->file = openat(u->dir, name, flags | O_CLOEXEC, FILE_WORK_MODE);
	if (u->file < 0 && errno == EEXIST) {
		const int rc = in_the_way(u, e);

		if (rc < 0)
			return rc;
		temporary_name(u);
		u->file = openat(u->dir, u->temporary, flags | O_CLOEXEC, FILE_WORK_MODE);
	}
	if (u->file < 0) {
		const int num = errno;

		u->file = -EBADF;
		return fault(u, e, num);
	}
	return 0;
}

static int file_write(struct unpack *u, struct err *e)
{
	const uint8_t *data = u->reader.bytes;
	size_t left = u->reader.len;
	uint64_t at = u->reader.at;

	while (left > 0) {
		const ssize_t n = pwrite(u->file, data, left, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault(u, e, errno);
		data += n;
		at += (uint64_t)n;
		left -= (size_t)n;
	}
	return 0;
}

static void file_discard(struct unpack *u)
{
	if (u->file < 0)
		return;
	close_fd(&u->file);
	(void)unlinkat(u->dir, u->temporary[0] ? u->temporary : u->path + u->name_at, 0);
}

static int file_attributes(struct unpack *u)
{
	const struct tar_entry *t = &u->reader.entry;
	struct timespec times[2];
	int rc;

	times_of(t->mtime_s, t->mtime_ns, times);
	if (t->sparse && ftruncate(u->file, (off_t)t->size) < 0) /* a hole at its end */
		return -errno;
	if (u->how.owners && fchown(u->file, t->uid, t->gid) < 0)
		return -errno;
	rc = xattrs_set(u, u->file); /* a change of owner drops capabilities */
	if (rc < 0)
		return rc;
	if (fchmod(u->file, mode_of(u, t->mode)) < 0 || futimens(u->file, times) < 0)
		return -errno;
	return 0;
}

static int file_end(struct unpack *u, struct err *e)
{
	const char *name = u->path + u->name_at;
	int rc = file_attributes(u);

	if (rc < 0)
		return fault(u, e, rc);
	rc = close(u->file) < 0 ? -errno : 0; /* a file system over a network says it now */
	u->file = -EBADF;
	if (rc == 0 && u->temporary[0] && renameat(u->dir, u->temporary, u->dir, name) < 0)
		rc = -errno;
	if (rc < 0) {
		(void)unlinkat(u->dir, u->temporary[0] ? u->temporary : name, 0);
		return fault(u, e, rc);
	}
	return 0;
}

/* ---- entries ---- */

/* A new name with "/" at its end is that of a directory. */
static int root_check(const struct unpack *u, struct err *e)
{
	const struct tar_entry *t = &u->reader.entry;

	if (u->path[0] == '\0' && t->kind != TAR_DIR)
		return refuse(u, e, "the destination itself is a directory");
	if (u->rename && u->rename_dir && t->kind != TAR_DIR && !strchr(u->path, '/'))
		return fault(u, e, ENOENT);
	return 0;
}

static int entry_begin(struct unpack *u, struct err *e)
{
	const struct tar_entry *t = &u->reader.entry;
	int rc = place(u, t->path, u->path, sizeof(u->path), e);

	if (rc == 0)
		rc = root_check(u, e);
	if (rc == 0)
		rc = levels_leave(u, u->path, e);
	if (rc == 0)
		rc = enter(u, e);
	if (rc < 0)
		return rc;
	u->entries++;
	switch (t->kind) {
	case TAR_FILE:
		u->bytes += t->size;
		return file_begin(u, e);
	case TAR_DIR:
		return make_dir(u, e);
	case TAR_HARDLINK:
		return make_hardlink(u, e);
	case TAR_SYMLINK:
		return make_node(u, &(struct maker){ .make = make_symlink }, e);
	case TAR_CHAR:
	case TAR_BLOCKDEV:
		if (!u->how.devices) {
			note(u, "left out: a device");
			return 0;
		}
		return make_node(u, &(struct maker){ .make = make_special }, e);
	case TAR_FIFO:
		return make_node(u, &(struct maker){ .make = make_special }, e);
	}
	return 0;
}

int unpack_feed(struct unpack *u, const uint8_t *data, size_t len, struct err *e)
{
	size_t used;
	int rc;

	do {
		rc = tar_read(&u->reader, data, len, &used, e);
		data += used;
		len -= used;
		if (rc == TAR_ENTRY) {
			const int done = entry_begin(u, e);

			rc = done < 0 ? done : rc;
		} else if (rc == TAR_DATA && u->file >= 0) {
			const int done = file_write(u, e);

			rc = done < 0 ? done : rc;
		} else if (rc == TAR_DONE && u->file >= 0) {
			const int done = file_end(u, e);

			rc = done < 0 ? done : rc;
		}
	} while (rc > 0);
	return rc;
}

int unpack_end(struct unpack *u, struct err *e)
{
	int rc = tar_read_end(&u->reader, e);

	while (rc == 0 && u->nlevels > 0)
		rc = level_leave(u, e);
	return rc;
}

/* ---- the destination ---- */

static int open_base(struct unpack *u, const char *path, const char *what, struct err *e)
{
	u->base = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (u->base < 0)
		return tar_fault(e, errno, "%.*s", (int)SHOWN, what);
	u->base_path = strdup(strcmp(path, ".") == 0 ? "" : path);
	return u->base_path ? 0 : err_set(e, ERR_HOST_MEMORY, "tar");
}

/* The path is not there, or is a file to be replaced: its directory must be. */
static int open_parent(struct unpack *u, const char *path, struct err *e)
{
	CLEANUP_FREE char *copy = strdup(path);
	size_t end = strlen(path);

	if (!copy)
		return err_set(e, ERR_HOST_MEMORY, "tar");
	while (end > 1 && copy[end - 1] == '/')
		copy[--end] = '\0';
	u->rename_dir = path[end] == '/';
	char *slash = strrchr(copy, '/');
	const char *name = slash ? slash + 1 : copy;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return tar_fault(e, ENOENT, "%.*s", (int)SHOWN, path);
	u->rename = strdup(name);
	if (!u->rename)
		return err_set(e, ERR_HOST_MEMORY, "tar");
	if (strlen(name) > NAME_MAX)
		return tar_fault(e, ENAMETOOLONG, "%.*s", (int)SHOWN, path);
	if (!slash)
		return open_base(u, ".", path, e);
	slash[slash == copy] = '\0';
	return open_base(u, copy, copy, e);
}

static int open_destination(struct unpack *u, const char *path, struct err *e)
{
	CLEANUP_FREE char *real = NULL;
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return open_base(u, path, path, e);
	if (!u->how.as)
		return tar_fault(e, stat(path, &st) < 0 ? errno : ENOTDIR, "%.*s", (int)SHOWN,
				 path);
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? open_parent(u, path, e)
				       : tar_fault(e, errno, "%.*s", (int)SHOWN, path);
	/* A link to a file: the file is replaced, not the link. */
	real = realpath(path, NULL);
	if (!real)
		return tar_fault(e, errno, "%.*s", (int)SHOWN, path);
	return open_parent(u, real, e);
}

/* ---- life ---- */

int unpack_open(const char *path, const struct unpack_how *how, struct unpack **ret_unpack,
		struct err *e)
{
	struct unpack *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return err_set(e, ERR_HOST_MEMORY, "tar");
	u->how = *how;
	u->base = u->dir = u->file = -EBADF;
	tar_reader_init(&u->reader);
	buf_init(&u->notes, NOTES_MAX);
	u->levels = calloc(LEVELS_MAX, sizeof(*u->levels));
	if (!u->levels)
		rc = err_set(e, ERR_HOST_MEMORY, "tar");
	else
		rc = path[0] ? open_destination(u, path, e) : tar_fault(e, ENOENT, "\"\"");
	if (rc < 0) {
		unpack_close(u);
		return rc;
	}
	*ret_unpack = u;
	return 0;
}

void unpack_close(struct unpack *u)
{
	if (!u)
		return;
	file_discard(u);
	close_fd(&u->dir);
	close_fd(&u->base);
	tar_reader_fini(&u->reader);
	buf_fini(&u->notes);
	free(u->rename);
	free(u->base_path);
	free(u->levels);
	free(u);
}

uint64_t unpack_entries(const struct unpack *u)
{
	return u->entries;
}

uint64_t unpack_bytes(const struct unpack *u)
{
	return u->bytes;
}

struct buf *unpack_notes(struct unpack *u)
{
	return &u->notes;
}
