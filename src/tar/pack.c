/* pack.c - see pack.h.
 *
 * One directory is open for each level of the tree, none is read ahead.  pack_read() serves, in
 * this order: headers that wait in `out`, the data of the file that is open, its padding; when all
 * are empty, the next name is looked at.
 */
#include "tar/pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "tar/write.h"

enum {
	SHOWN = 160,          /* bytes of a path in a message */
	SMALL_MAX = 64 << 10, /* bytes of a file that is read before its header is written */
	XATTR_NAMES_MAX = 64 << 10,
};

/* A file with several links that was packed under one of its names. */
struct link {
	struct map_node node; /* pack.links */
	dev_t dev;
	ino_t ino;
	nlink_t left; /* names not met yet */
	char path[];  /* in the archive */
};

struct level {
	DIR *dir;        /* owned */
	size_t path_len; /* of entry.path, with its "/" */
};

struct pack {
	struct tar_entry entry; /* its path is the place in the archive */
	char *source;           /* owned; for messages: what pack_open() was given */
	size_t root_len;        /* of the root's name in the archive */
	struct level *levels;   /* owned; levels[0] is the root */
	size_t nlevels, cap;
	struct map links;
	struct buf out;   /* headers that wait */
	int fd;           /* the file whose data are being read, or absent */
	uint32_t segment; /* of a sparse one */
	uint64_t at;      /* bytes of it, or of its segment, that were read */
	uint64_t left;    /* bytes of data still to be given */
	size_t padding;   /* zeros after them, or at the end */
	struct buf small; /* a whole small file: its length is what was read, not what was said */
	bool ended;
	struct buf notes;
	uint64_t notes_lost;
	uint64_t entries, bytes;
};

/* ---- messages ---- */

/* What is being packed, as its owner would name it. */
static void shown(const struct pack *p, char out[SHOWN + 1])
{
	const char *below = p->entry.path + p->root_len;
	int len = (int)strlen(p->source);

	while (below[0] == '/' && below[1] != '\0' && len > 0 && p->source[len - 1] == '/')
		len--;
	(void)snprintf(out, SHOWN + 1, "%.*s%s", len, p->source, below[0] && below[1] ? below : "");
}

static void note(struct pack *p, const char *what)
{
	char where[SHOWN + 1];
	char line[SHOWN + 80];

	shown(p, where);
	const int n = snprintf(line, sizeof(line), "%s: %s\n", where, what);
	if (buf_append(&p->notes, line, (size_t)n) < 0)
		p->notes_lost++;
}

static int fault(const struct pack *p, struct err *e, int num)
{
	char where[SHOWN + 1];

	shown(p, where);
	return tar_fault(e, num, "%s", where);
}

/* ---- hard links ---- */

static struct link *link_find(const struct pack *p, const struct stat *st)
{
	const uint64_t hash = map_hash_u64(st->st_ino ^ ((uint64_t)st->st_dev << 32));

	for (struct map_node *n = map_find(&p->links, hash); n; n = map_find_next(n)) {
		struct link *l = container_of(n, struct link, node);

		if (l->ino == st->st_ino && l->dev == st->st_dev)
			return l;
	}
	return NULL;
}

/* Not remembered for want of room: its other names become files of their own. */
static void link_remember(struct pack *p, const struct stat *st)
{
	const size_t len = strlen(p->entry.path) + 1;
	struct link *l;

	if (p->links.count >= PACK_LINKS_MAX)
		return;
	l = malloc(sizeof(*l) + len);
	if (!l)
		return;
	l->dev = st->st_dev;
	l->ino = st->st_ino;
	l->left = st->st_nlink - 1;
	memcpy(l->path, p->entry.path, len);
	if (map_insert(&p->links, &l->node,
		       map_hash_u64(st->st_ino ^ ((uint64_t)st->st_dev << 32))) < 0)
		free(l);
}

/* True when the entry is only another name of one before it. */
static bool link_take(struct pack *p, const struct stat *st)
{
	struct link *l;

	if (st->st_nlink < 2)
		return false;
	l = link_find(p, st);
	if (!l) {
		link_remember(p, st);
		return false;
	}
	p->entry.kind = TAR_HARDLINK;
	memcpy(p->entry.link, l->path, strlen(l->path) + 1);
	if (--l->left == 0) {
		map_remove(&p->links, &l->node);
		free(l);
	}
	return true;
}

/* ---- what an entry is ---- */

static void entry_stat(struct tar_entry *t, const struct stat *st)
{
	t->mode = st->st_mode & 07777;
	t->uid = st->st_uid;
	t->gid = st->st_gid;
	t->mtime_s = st->st_mtim.tv_sec;
	t->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
	t->dev_major = major(st->st_rdev);
	t->dev_minor = minor(st->st_rdev);
}

/* Those that mean the same on any machine; an attribute that cannot be read is left out. */
static bool xattr_wanted(const char *name)
{
	return strncmp(name, "user.", 5) == 0 || strcmp(name, "security.capability") == 0;
}

static void entry_xattr(struct tar_entry *t, int fd, const char *name)
{
	const ssize_t len = xattr_wanted(name) ? fgetxattr(fd, name, NULL, 0) : -1;
	const size_t before = buf_len(&t->xattrs);
	uint8_t *at;

	if (len < 0 || tar_xattr_add(t, name, (size_t)len, &at) < 0)
		return;
	if (fgetxattr(fd, name, at, (size_t)len) != len)
		buf_truncate(&t->xattrs, before);
}

static void entry_xattrs(struct tar_entry *t, int fd)
{
	const ssize_t len = flistxattr(fd, NULL, 0);
	CLEANUP_FREE char *names = len > 0 && len <= XATTR_NAMES_MAX ? malloc((size_t)len) : NULL;
	const ssize_t n = names ? flistxattr(fd, names, (size_t)len) : 0;

	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1)
		entry_xattr(t, fd, names + at);
}

/* The data between holes.  When there are too many pieces the last one reaches to the end: its
 * holes are packed as zeros. */
static int entry_segments(struct tar_entry *t, int fd)
{
	off_t at = 0;

	for (;;) {
		const off_t data = lseek(fd, at, SEEK_DATA);
		const off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);

		if (data < 0 && errno == ENXIO)
			return 0; /* a hole up to the end */
		if (data < 0 || hole < 0)
			return -errno;
		if ((uint64_t)data >= t->size)
			return 0; /* it has grown */
		uint64_t end = (uint64_t)hole < t->size ? (uint64_t)hole : t->size;
		if (t->nsegments == TAR_SEGMENTS_MAX - 1)
			end = t->size;
		const int rc = tar_segment_add(t, (uint64_t)data, end - (uint64_t)data);
		if (rc < 0 || end == t->size)
			return rc;
		at = hole;
	}
}

static int entry_sparse(struct tar_entry *t, int fd, const struct stat *st)
{
	if ((uint64_t)st->st_blocks * 512 >= t->size)
		return 0;
	const int rc = entry_segments(t, fd);

	t->sparse = rc == 0 &&
		    !(t->nsegments == 1 && t->segments[0].at == 0 && t->segments[0].len == t->size);
	if (!t->sparse) { /* no holes, or a file system that does not tell */
		free(take_ptr(&t->segments));
		t->nsegments = 0;
	}
	return rc == -ENOMEM ? rc : 0;
}

/* ---- putting an entry out ---- */

static int put(struct pack *p, struct err *e)
{
	const int rc = tar_write_entry(&p->entry, &p->out, &p->left);

	if (rc == -ENOMEM)
		return err_set(e, ERR_HOST_MEMORY, "tar: entry");
	if (rc < 0)
		return fault(p, e, ENOBUFS);
	p->padding = tar_padding(p->left);
	p->segment = 0;
	p->at = 0;
	p->entries++;
	p->bytes += p->entry.kind == TAR_FILE ? p->entry.size : 0;
	return 0;
}

/* So that files of /proc, which say that they are empty, and files that are being written are what
 * they were at one moment. */
static int small_read(struct pack *p, int fd, struct err *e)
{
	uint8_t *at;
	ssize_t n;
	int rc;

	do {
		rc = buf_reserve(&p->small, BUF_KEEP, &at);
		n = rc < 0 ? 0 : read(fd, at, BUF_KEEP);
		if (n > 0)
			buf_commit(&p->small, (size_t)n);
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0 && errno != EAGAIN)
		return fault(p, e, errno);
	if (rc == -ENOMEM)
		return err_set(e, ERR_HOST_MEMORY, "tar: file");
	if (rc < 0)
		note(p, "it has grown meanwhile; only its beginning is copied");
	p->entry.size = buf_len(&p->small);
	return 0;
}

static int put_file(struct pack *p, int dir, const char *name, struct err *e)
{
	CLEANUP_FD int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int rc = 0;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return fault(p, e, errno);
	if (!S_ISREG(st.st_mode)) {
		note(p, "left out: it has become something else meanwhile");
		return 0;
	}
	entry_stat(&p->entry, &st);
	p->entry.kind = TAR_FILE;
	if (link_take(p, &st))
		return put(p, e);
	p->entry.size = (uint64_t)st.st_size;
	entry_xattrs(&p->entry, fd);
	if (st.st_size <= SMALL_MAX - BUF_KEEP)
		rc = small_read(p, fd, e);
	else if (entry_sparse(&p->entry, fd, &st) < 0)
		rc = err_set(e, ERR_HOST_MEMORY, "tar: sparse file");
	if (rc == 0)
		rc = put(p, e);
	if (rc == 0 && p->left > 0 && buf_len(&p->small) == 0)
		p->fd = take_fd(&fd);
	return rc;
}

static int level_push(struct pack *p, int fd, struct err *e)
{
	DIR *dir = fdopendir(fd);

	if (!dir) {
		const int rc = fault(p, e, errno);

		close(fd);
		return rc;
	}
	if (p->nlevels == p->cap) {
		const size_t cap = p->cap ? 2 * p->cap : 16;
		struct level *more = reallocarray(p->levels, cap, sizeof(*more));

		if (!more) {
			closedir(dir);
			return err_set(e, ERR_HOST_MEMORY, "tar: directory");
		}
		p->levels = more;
		p->cap = cap;
	}
	const size_t len = strlen(p->entry.path);
	ASSERT(len > 0 && p->entry.path[len - 1] == '/');
	p->levels[p->nlevels++] = (struct level){ .dir = dir, .path_len = len };
	return 0;
}

static int put_dir(struct pack *p, int dir, const char *name, struct err *e)
{
	CLEANUP_FD int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	const size_t len = strlen(p->entry.path);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return fault(p, e, errno);
	if (len == TAR_PATH_MAX)
		return fault(p, e, ENAMETOOLONG);
	memcpy(p->entry.path + len, "/", 2);
	entry_stat(&p->entry, &st);
	p->entry.kind = TAR_DIR;
	entry_xattrs(&p->entry, fd);
	const int rc = put(p, e);

	return rc < 0 ? rc : level_push(p, take_fd(&fd), e);
}

static int put_symlink(struct pack *p, int dir, const char *name, struct err *e)
{
	const ssize_t n = readlinkat(dir, name, p->entry.link, TAR_PATH_MAX);

	if (n < 0 && errno == ENOENT)
		return 0;
	if (n < 0)
		return fault(p, e, errno);
	if (n == TAR_PATH_MAX)
		return fault(p, e, ENAMETOOLONG);
	p->entry.link[n] = '\0';
	p->entry.kind = TAR_SYMLINK;
	return put(p, e);
}

static int put_special(struct pack *p, const struct stat *st, enum tar_kind kind, struct err *e)
{
	p->entry.kind = kind;
	(void)link_take(p, st);
	return put(p, e);
}

/* What entry.path names, as `name` in the directory. */
static int put_name(struct pack *p, int dir, const char *name, struct err *e)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fault(p, e, errno); /* it has vanished */
	entry_stat(&p->entry, &st);
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return put_file(p, dir, name, e);
	case S_IFDIR:
		return put_dir(p, dir, name, e);
	case S_IFLNK:
		return put_symlink(p, dir, name, e);
	case S_IFIFO:
		return put_special(p, &st, TAR_FIFO, e);
	case S_IFCHR:
		return put_special(p, &st, TAR_CHAR, e);
	case S_IFBLK:
		return put_special(p, &st, TAR_BLOCKDEV, e);
	default:
		note(p, "left out: a socket");
		return 0;
	}
}

/* ---- the walk ---- */

/* A fresh entry for `name` in the directory on top. */
static int entry_name(struct pack *p, const char *name, struct err *e)
{
	const size_t at = p->nlevels > 0 ? p->levels[p->nlevels - 1].path_len : 0;
	const size_t len = strlen(name);
	char *path = p->entry.path;

	free(take_ptr(&p->entry.segments));
	p->entry.nsegments = 0;
	p->entry.sparse = false;
	p->entry.size = 0;
	p->entry.link[0] = '\0';
	buf_clear(&p->entry.xattrs);
	buf_clear(&p->small);
	if (at + len > TAR_PATH_MAX) {
		path[at] = '\0';
		return fault(p, e, ENAMETOOLONG);
	}
	memcpy(path + at, name, len + 1);
	return 0;
}

static int next(struct pack *p, struct err *e)
{
	while (p->nlevels > 0) {
		struct level *top = &p->levels[p->nlevels - 1];
		const struct dirent *d;

		errno = 0;
		d = readdir(top->dir);
		if (!d && errno != 0 && errno != ENOENT) {
			p->entry.path[top->path_len] = '\0';
			return fault(p, e, errno);
		}
		if (!d) {
			closedir(top->dir);
			p->nlevels--;
			continue;
		}
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		const int rc = entry_name(p, d->d_name, e);

		return rc < 0 ? rc : put_name(p, dirfd(top->dir), d->d_name, e);
	}
	p->ended = true;
	p->padding = TAR_END_BYTES;
	return 0;
}

/* ---- data ---- */

static ssize_t file_read(struct pack *p, uint8_t *to, size_t size, uint64_t from, struct err *e)
{
	ssize_t n = 0;

	if (p->fd >= 0) {
		do
			n = pread(p->fd, to, size, (off_t)from);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			return fault(p, e, errno);
	}
	if (n > 0)
		return n;
	if (p->fd >= 0)
		note(p, "it has shrunk meanwhile; what is missing is copied as zeros");
	close_fd(&p->fd);
	memset(to, 0, size);
	return (ssize_t)size;
}

/* From the file, at its place. */
static ssize_t data_read(struct pack *p, uint8_t *to, size_t size, struct err *e)
{
	const struct tar_segment *s = p->entry.sparse ? &p->entry.segments[p->segment] : NULL;
	const uint64_t most = s ? s->len - p->at : p->left;
	const ssize_t n = file_read(p, to, size < most ? size : (size_t)most,
				    s ? s->at + p->at : p->at, e);

	if (n < 0)
		return n;
	p->at += (uint64_t)n;
	p->left -= (uint64_t)n;
	if (s && p->at == s->len) {
		p->segment++;
		p->at = 0;
	}
	if (p->left == 0)
		close_fd(&p->fd);
	return n;
}

static size_t take(struct buf *from, uint8_t *to, size_t size)
{
	const size_t n = buf_len(from) < size ? buf_len(from) : size;

	memcpy(to, buf_data(from), n);
	buf_consume(from, n);
	return n;
}

/* Some bytes of what waits; 0 when nothing does. */
static ssize_t serve(struct pack *p, uint8_t *to, size_t size, struct err *e)
{
	size_t n;

	if (buf_len(&p->out) > 0)
		return (ssize_t)take(&p->out, to, size);
	if (buf_len(&p->small) > 0) {
		n = take(&p->small, to, size);
		p->left -= n;
		return (ssize_t)n;
	}
	if (p->left > 0)
		return data_read(p, to, size, e);
	n = size < p->padding ? size : p->padding;
	memset(to, 0, n);
	p->padding -= n;
	return (ssize_t)n;
}

ssize_t pack_read(struct pack *p, uint8_t *to, size_t size, struct err *e)
{
	size_t got = 0;

	while (got < size) {
		const ssize_t n = serve(p, to + got, size - got, e);

		if (n < 0)
			return n;
		got += (size_t)n;
		if (n > 0)
			continue;
		if (p->ended)
			break;
		const int rc = next(p, e);
		if (rc < 0)
			return rc;
	}
	return (ssize_t)got;
}

/* ---- life ---- */

void pack_descriptors_raise(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		IGNORE(setrlimit(RLIMIT_NOFILE, &files) < 0); /* less deep trees do */
	}
}

void pack_name(const char *path, char out[NAME_MAX + 1])
{
	size_t end = strlen(path);
	size_t begin;

	while (end > 0 && path[end - 1] == '/')
		end--;
	begin = end;
	while (begin > 0 && path[begin - 1] != '/')
		begin--;
	const size_t len = end - begin;
	const bool own = len > 0 && len <= NAME_MAX && !(len == 1 && path[begin] == '.') &&
			 !(len == 2 && memcmp(path + begin, "..", 2) == 0);
	(void)snprintf(out, NAME_MAX + 1, "%.*s", own ? (int)len : 1, own ? path + begin : ".");
}

/* The root is looked at as its owner wrote it; below it nothing is followed. */
static int root_put(struct pack *p, const char *path, bool follow, struct err *e)
{
	CLEANUP_FREE char *real = NULL;
	struct stat st;

	if (follow || path[strlen(path) - 1] == '/') {
		real = realpath(path, NULL);
		if (!real)
			return fault(p, e, errno);
		path = real;
	}
	if (lstat(path, &st) < 0)
		return fault(p, e, errno);
	if (strcmp(p->entry.path, ".") == 0 && !S_ISDIR(st.st_mode))
		return fault(p, e, ENOTDIR);
	return put_name(p, AT_FDCWD, path, e);
}

int pack_open(const char *path, const struct pack_how *how, struct pack **ret_pack, struct err *e)
{
	struct pack *p = calloc(1, sizeof(*p));
	int rc = 0;

	if (!p)
		return err_set(e, ERR_HOST_MEMORY, "tar");
	tar_entry_init(&p->entry);
	map_init(&p->links);
	buf_init(&p->out, TAR_HEADERS_MAX);
	buf_init(&p->small, SMALL_MAX);
	buf_init(&p->notes, PACK_NOTES_MAX);
	p->fd = -EBADF;
	p->root_len = strlen(how->as);
	p->source = strdup(path);
	if (!p->source)
		rc = err_set(e, ERR_HOST_MEMORY, "tar");
	if (rc == 0)
		rc = path[0] ? entry_name(p, how->as, e) : fault(p, e, ENOENT);
	if (rc == 0)
		rc = root_put(p, path, how->follow, e);
	if (rc < 0) {
		pack_close(p);
		return rc;
	}
	*ret_pack = p;
	return 0;
}

void pack_close(struct pack *p)
{
	struct map_node *n;

	if (!p)
		return;
	for (size_t i = 0; i < p->nlevels; i++)
		closedir(p->levels[i].dir);
	while ((n = map_first(&p->links)) != NULL) {
		map_remove(&p->links, n);
		free(container_of(n, struct link, node));
	}
	map_fini(&p->links);
	free(p->levels);
	free(p->source);
	close_fd(&p->fd);
	tar_entry_fini(&p->entry);
	buf_fini(&p->out);
	buf_fini(&p->small);
	buf_fini(&p->notes);
	free(p);
}

uint64_t pack_entries(const struct pack *p)
{
	return p->entries;
}

uint64_t pack_bytes(const struct pack *p)
{
	return p->bytes;
}

struct buf *pack_notes(struct pack *p)
{
	return &p->notes;
}
