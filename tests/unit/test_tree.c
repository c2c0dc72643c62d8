/* test_tree.c - trees packed and unpacked: what is kept, where things go, and what is not let out.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tar/pack.h"
#include "tar/unpack.h"
#include "tar/write.h"

enum {
	ARCHIVE_MAX = 16 << 20,
	OLD_S = 1000000000, /* a time that nothing has by chance */
};

static char top[] = "/tmp/banger-tree-XXXXXX"; /* the working directory of each test */
static struct tar_entry entry;
static struct buf archive;
static const struct unpack_how host = { .as = true, .owners = false, .beneath = true };
static const struct unpack_how guest = { .as = true, .owners = true, .devices = true };

static void setup(void)
{
	cr_assert_not_null(mkdtemp(top));
	cr_assert_eq(chdir(top), 0);
	tar_entry_init(&entry);
	buf_init(&archive, ARCHIVE_MAX);
	(void)umask(022);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

static void teardown(void)
{
	tar_entry_fini(&entry);
	buf_fini(&archive);
	cr_assert_eq(chdir("/"), 0);
	cr_assert_eq(nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

TestSuite(tree, .init = setup, .fini = teardown);

/* ---- files ---- */

static void write_file(const char *path, const char *text)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	cr_assert(fd >= 0, "%s", path);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static const char *read_file(const char *path)
{
	static char text[256];
	CLEANUP_FD int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	const ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return fd < 0 ? "(none)" : text;
}

static struct stat look(const char *path)
{
	struct stat st = { 0 };

	(void)lstat(path, &st);
	return st;
}

static uint32_t names_in(const char *path)
{
	DIR *d = opendir(path);
	uint32_t n = 0;

	cr_assert_not_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

/* ---- archives by hand ---- */

static void add(enum tar_kind kind, const char *path, const char *what)
{
	uint64_t data;
	uint8_t zeros[TAR_BLOCK] = { 0 };

	tar_entry_clear(&entry);
	entry.kind = kind;
	entry.mode = kind == TAR_DIR ? 0750 : 0640;
	entry.mtime_s = OLD_S;
	(void)snprintf(entry.path, sizeof(entry.path), "%s", path);
	if (kind == TAR_HARDLINK || kind == TAR_SYMLINK)
		(void)snprintf(entry.link, sizeof(entry.link), "%s", what);
	else if (kind == TAR_FILE)
		entry.size = strlen(what);
	cr_assert_eq(tar_write_entry(&entry, &archive, &data), 0);
	cr_assert_eq(buf_append(&archive, what, data), 0);
	cr_assert_eq(buf_append(&archive, zeros, tar_padding(data)), 0);
}

static void add_end(void)
{
	static const uint8_t zeros[TAR_END_BYTES];

	cr_assert_eq(buf_append(&archive, zeros, sizeof(zeros)), 0);
}

/* Unpacks what was added; the code of the error, ERR_NONE when it was none. */
static enum err_code into(const char *path, const struct unpack_how *how, struct err *e)
{
	struct unpack *u = NULL;
	struct err none = { 0 };
	int rc;

	e = e ? e : &none;
	add_end();
	rc = unpack_open(path, how, &u, e);
	if (rc == 0)
		rc = unpack_feed(u, buf_data(&archive), buf_len(&archive), e);
	if (rc == 0)
		rc = unpack_end(u, e);
	unpack_close(u);
	buf_clear(&archive);
	cr_assert_eq(rc < 0, e->code != ERR_NONE);
	return e->code;
}

/* ---- what is not let out ---- */

static void assert_untouched(void)
{
	cr_assert_str_eq(read_file("outside/secret"), "secret");
	cr_assert_eq(names_in("outside"), 1);
}

static void victim(void)
{
	cr_assert_eq(mkdir("outside", 0755), 0);
	cr_assert_eq(mkdir("dst", 0755), 0);
	write_file("outside/secret", "secret");
}

Test(tree, names_that_lead_out_are_refused_by_name)
{
	static const char *const names[] = { "/tmp/evil",
					     "../outside/secret",
					     "a/../../outside/x",
					     "a/..",
					     "..",
					     "./../outside/secret",
					     "//x" };

	victim();
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct err e = { 0 };

		add(TAR_FILE, names[i], "evil");
		cr_assert_eq(into("dst", &host, &e), ERR_TAR_BAD, "%s", names[i]);
		cr_assert(strstr(e.text, names[i]), "%s", e.text);
		add(TAR_DIR, "a/", "");
		add(TAR_HARDLINK, "a/link", names[i]);
		cr_assert_eq(into("dst", &host, &e), ERR_TAR_BAD, "%s", names[i]);
		assert_untouched();
	}
}

Test(tree, nothing_is_written_through_a_link)
{
	static const char *const targets[] = { "../outside", "/tmp", ".", ".." };

	victim();
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		add(TAR_SYMLINK, "d", targets[i]);
		add(TAR_FILE, "d/secret", "evil");
		cr_assert_eq(into("dst", &host, NULL), ERR_FILE_KIND, "%s", targets[i]);
		add(TAR_DIR, "d/",
		    ""); /* the link of before is there: nor does it become a directory */
		cr_assert_eq(into("dst", &host, NULL), ERR_FILE_KIND);
		add(TAR_HARDLINK, "e", "d/secret");
		cr_assert_eq(into("dst", &host, NULL), ERR_FILE_KIND);
		assert_untouched();
		cr_assert_eq(access("dst/secret", F_OK), -1);
		cr_assert_eq(unlink("dst/d"), 0);
	}
}

Test(tree, a_link_in_a_files_place_is_replaced)
{
	victim();
	cr_assert_eq(symlink("../outside/secret", "dst/f"), 0);
	add(TAR_FILE, "f", "new");
	cr_assert_eq(into("dst", &host, NULL), ERR_NONE);
	cr_assert_str_eq(read_file("dst/f"), "new");
	assert_untouched();
	cr_assert_eq(link("outside/secret", "dst/h"), 0); /* nor is a file written into */
	add(TAR_FILE, "h", "new");
	cr_assert_eq(into("dst", &host, NULL), ERR_NONE);
	assert_untouched();
}

Test(tree, a_directory_that_becomes_a_link_meanwhile_leads_nowhere)
{
	struct unpack *u;
	struct err e = { 0 };

	victim();
	add(TAR_DIR, "d/", "");
	add(TAR_FILE, "x", "x");
	const size_t first = buf_len(&archive);
	add(TAR_FILE, "d/secret", "evil");
	add_end();
	cr_assert_eq(unpack_open("dst", &host, &u, &e), 0);
	cr_assert_eq(unpack_feed(u, buf_data(&archive), first, &e), 0);
	cr_assert_eq(rmdir("dst/d"), 0);
	cr_assert_eq(symlink("../outside", "dst/d"), 0);
	cr_assert_lt(unpack_feed(u, buf_data(&archive) + first, buf_len(&archive) - first, &e), 0);
	cr_assert_eq(e.code, ERR_FILE_KIND);
	unpack_close(u);
	assert_untouched();
}

Test(tree, in_a_guest_its_own_links_are_followed)
{
	victim();
	cr_assert_eq(symlink("../outside", "dst/lib"), 0);
	add(TAR_DIR, "lib/", "");
	add(TAR_FILE, "lib/new", "new");
	cr_assert_eq(into("dst", &guest, NULL), ERR_NONE);
	cr_assert_str_eq(read_file("outside/new"), "new");
	cr_assert(S_ISLNK(look("dst/lib").st_mode));
}

Test(tree, set_id_bits_go_with_the_owner)
{
	uint64_t data;

	victim();
	tar_entry_clear(&entry);
	entry.mode = 06755;
	entry.uid = getuid();
	entry.gid = getgid();
	(void)snprintf(entry.path, sizeof(entry.path), "su");
	cr_assert_eq(tar_write_entry(&entry, &archive, &data), 0);
	cr_assert_eq(into("dst", &host, NULL), ERR_NONE);
	cr_assert_eq(look("dst/su").st_mode & 07777, 0755);
	cr_assert_eq(tar_write_entry(&entry, &archive, &data), 0);
	cr_assert_eq(into("dst", &guest, NULL), ERR_NONE);
	cr_assert_eq(look("dst/su").st_mode & 07777, 06755);
}

Test(tree, devices_are_left_out_on_the_host)
{
	struct unpack *u;
	struct err e = { 0 };

	victim();
	add(TAR_CHAR, "null", "");
	add(TAR_BLOCKDEV, "disk", "");
	add(TAR_FIFO, "fifo", "");
	add_end();
	cr_assert_eq(unpack_open("dst", &host, &u, &e), 0);
	cr_assert_eq(unpack_feed(u, buf_data(&archive), buf_len(&archive), &e), 0, "%s", e.text);
	cr_assert_eq(unpack_end(u, &e), 0);
	cr_assert_eq(buf_len(unpack_notes(u)), strlen("dst/null: left out: a device\n"
						      "dst/disk: left out: a device\n"));
	unpack_close(u);
	cr_assert_eq(names_in("dst"), 1);
	cr_assert(S_ISFIFO(look("dst/fifo").st_mode));
}

/* ---- whole files only ---- */

Test(tree, an_archive_cut_short_leaves_what_was)
{
	struct unpack *u;
	struct err e = { 0 };

	victim();
	write_file("dst/f", "old");
	add(TAR_FILE, "f", "new, and much longer than it was");
	add_end();
	for (size_t n = 0; n < TAR_BLOCK + 32; n += 30) {
		cr_assert_eq(unpack_open("dst", &host, &u, &e), 0);
		cr_assert_eq(unpack_feed(u, buf_data(&archive), n, &e), 0);
		cr_assert_lt(unpack_end(u, &e), 0);
		unpack_close(u);
		cr_assert_str_eq(read_file("dst/f"), "old");
		cr_assert_eq(names_in("dst"), 1, "%zu bytes", n);
	}
	cr_assert_eq(unlink("dst/f"), 0); /* nor is half of one that was not there left behind */
	cr_assert_eq(unpack_open("dst", &host, &u, &e), 0);
	cr_assert_eq(unpack_feed(u, buf_data(&archive), TAR_BLOCK + 5, &e), 0);
	unpack_close(u);
	cr_assert_eq(names_in("dst"), 0);
}

Test(tree, a_file_does_not_replace_a_directory_nor_the_other_way_round)
{
	struct err e = { 0 };

	victim();
	cr_assert_eq(mkdir("dst/d", 0755), 0);
	write_file("dst/f", "file");
	add(TAR_FILE, "d", "x");
	cr_assert_eq(into("dst", &host, &e), ERR_FILE_KIND);
	cr_assert(strstr(e.text, "dst/d: is a directory"), "%s", e.text);
	add(TAR_SYMLINK, "d", "x");
	cr_assert_eq(into("dst", &host, NULL), ERR_FILE_KIND);
	add(TAR_DIR, "f/", "");
	cr_assert_eq(into("dst", &host, NULL), ERR_FILE_KIND);
	add(TAR_FILE, "f/x", "x");
	cr_assert_eq(into("dst", &host, NULL), ERR_FILE_KIND);
	cr_assert_str_eq(read_file("dst/f"), "file");
	cr_assert_eq(names_in("dst"), 2);
}

/* ---- where things go: as cp(1) and docker have it ---- */

static void assert_goes(enum tar_kind kind, const char *name, const char *to, const char *where)
{
	struct err e = { 0 };

	add(kind, name, "x");
	if (kind == TAR_DIR)
		add(TAR_FILE, strcmp(name, "./") == 0 ? "./in" : "src/in", "x");
	cr_assert_eq(into(to, &host, &e), ERR_NONE, "%s to %s: %s", name, to, e.text);
	cr_assert_eq(access(where, F_OK), 0, "%s to %s is not %s", name, to, where);
}

static void assert_not(enum tar_kind kind, const char *name, const char *to, enum err_code code)
{
	struct err e = { 0 };

	add(kind, name, "x");
	cr_assert_eq(into(to, &host, &e), code, "%s to %s: %s", name, to, e.text);
}

Test(tree, where_a_copy_goes)
{
	cr_assert_eq(mkdir("dir", 0755), 0);
	cr_assert_eq(symlink("dir", "link"), 0);
	write_file("file", "old");
	cr_assert_eq(symlink("file", "filelink"), 0);
	assert_goes(TAR_FILE, "src", "dir", "dir/src");
	assert_goes(TAR_FILE, "src", "dir/", "dir/src");
	assert_goes(TAR_FILE, "src", "new", "new");
	assert_goes(TAR_FILE, "src", "./dir/new", "dir/new");
	assert_goes(TAR_FILE, "src", "file", "file");
	cr_assert_str_eq(read_file("file"), "x");
	write_file("file", "old");
	assert_goes(TAR_FILE, "src", "filelink", "file"); /* the file, not the link */
	cr_assert_str_eq(read_file("file"), "x");
	cr_assert(S_ISLNK(look("filelink").st_mode));
	cr_assert_eq(unlink("dir/src"), 0);
	assert_goes(TAR_DIR, "src/", "dir", "dir/src/in");
	assert_goes(TAR_DIR, "src/", "link", "dir/src/in");
	assert_goes(TAR_DIR, "src/", "tree", "tree/in");
	assert_goes(TAR_DIR, "src/", "tree2/", "tree2/in");
	assert_goes(TAR_DIR, "./", "dir", "dir/in");
	assert_goes(TAR_DIR, "./", "tree3", "tree3/in");
	assert_not(TAR_FILE, "src", "none/new", ERR_FILE_NOT_FOUND);
	assert_not(TAR_FILE, "src", "none/", ERR_FILE_NOT_FOUND);
	assert_not(TAR_FILE, "src", "file/", ERR_FILE_KIND);
	assert_not(TAR_FILE, "src", "file/x", ERR_FILE_KIND);
	assert_not(TAR_DIR, "src/", "file", ERR_FILE_KIND);
	assert_not(TAR_FILE, "src", "", ERR_FILE_NOT_FOUND);
}

Test(tree, an_archive_goes_into_a_directory_only)
{
	const struct unpack_how how = { .beneath = true };

	cr_assert_eq(mkdir("dir", 0755), 0);
	write_file("file", "old");
	add(TAR_FILE, "a", "a");
	add(TAR_FILE, "b/c/d", "directories that no entry announces are made");
	cr_assert_eq(into("dir", &how, NULL), ERR_NONE);
	cr_assert_eq(access("dir/b/c/d", F_OK), 0);
	cr_assert_eq(look("dir/b").st_mode & 07777, 0755);
	add(TAR_FILE, "a", "a");
	cr_assert_eq(into("none", &how, NULL), ERR_FILE_NOT_FOUND);
	add(TAR_FILE, "a", "a");
	cr_assert_eq(into("file", &how, NULL), ERR_FILE_KIND);
}

Test(tree, one_root_is_renamed_not_two)
{
	add(TAR_DIR, "a/", "");
	add(TAR_FILE, "b", "x");
	cr_assert_eq(into("new", &host, NULL), ERR_TAR_BAD);
	add(TAR_DIR, "ab/", "");
	add(TAR_FILE, "abc", "x");
	cr_assert_eq(into("new2", &host, NULL), ERR_TAR_BAD);
	add(TAR_DIR, "a/", "");
	add(TAR_FILE, "a/f", "x");
	add(TAR_HARDLINK, "a/g", "a/f");
	cr_assert_eq(into("new3", &host, NULL), ERR_NONE);
	cr_assert_eq(look("new3/f").st_ino, look("new3/g").st_ino);
}

Test(tree, the_destination_itself_stays_as_it_is)
{
	cr_assert_eq(mkdir("dir", 0711), 0);
	add(TAR_DIR, "./", "");
	add(TAR_DIR, "./sub/", "");
	add(TAR_FILE, "./sub/f", "x");
	cr_assert_eq(into("dir", &host, NULL), ERR_NONE);
	cr_assert_eq(look("dir").st_mode & 07777, 0711);
	cr_assert_neq(look("dir").st_mtime, OLD_S);
	cr_assert_eq(look("dir/sub").st_mode & 07777, 0750);
	cr_assert_eq(look("dir/sub").st_mtime, OLD_S);
}

/* ---- trees, both ways ---- */

static void pack_all(const char *path, const char *as, size_t step, struct buf *notes)
{
	const struct pack_how how = { .as = as };
	struct pack *p;
	struct err e = { 0 };
	ssize_t n;

	cr_assert_eq(pack_open(path, &how, &p, &e), 0, "%s", e.text);
	do {
		uint8_t *at = NULL;

		cr_assert_eq(buf_reserve(&archive, step, &at), 0);
		n = pack_read(p, at, step, &e);
		cr_assert(n >= 0, "%s", e.text);
		buf_commit(&archive, (size_t)n);
	} while (n > 0);
	if (notes && buf_len(pack_notes(p)) > 0)
		cr_assert_eq(buf_append(notes, buf_data(pack_notes(p)), buf_len(pack_notes(p))), 0);
	pack_close(p);
}

static void unpack_all(const char *to, const struct unpack_how *how, size_t step)
{
	struct unpack *u;
	struct err e = { 0 };

	cr_assert_eq(unpack_open(to, how, &u, &e), 0, "%s", e.text);
	for (size_t at = 0; at < buf_len(&archive); at += step) {
		const size_t left = buf_len(&archive) - at;

		cr_assert_eq(unpack_feed(u, buf_data(&archive) + at, left < step ? left : step, &e),
			     0, "%s", e.text);
	}
	cr_assert_eq(unpack_end(u, &e), 0, "%s", e.text);
	unpack_close(u);
}

static void make_old(const char *path)
{
	const struct timespec times[2] = { { OLD_S, 1 }, { OLD_S, 987654321 } };

	cr_assert_eq(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0, "%s", path);
}

static void sparse_file(const char *path)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	cr_assert_eq(pwrite(fd, "begin", 5, 0), 5);
	cr_assert_eq(pwrite(fd, "middle", 6, 5 << 20), 6);
	cr_assert_eq(ftruncate(fd, 64 << 20), 0);
}

static void large_file(const char *path, size_t size)
{
	CLEANUP_FILE FILE *f = fopen(path, "we");

	cr_assert_not_null(f);
	for (size_t i = 0; i < size; i++)
		(void)fputc((int)(i * 31 % 251), f);
}

static void make_tree(void)
{
	cr_assert_eq(mkdir("src", 0755), 0);
	cr_assert_eq(mkdir("src/empty", 01777), 0);
	cr_assert_eq(chmod("src/empty", 01777), 0);
	cr_assert_eq(mkdir("src/ro", 0755), 0);
	write_file("src/ro/f", "in a directory that nobody writes");
	write_file("src/-rf", "leading dash");
	write_file("src/new\nline \xff\xfe", "odd bytes");
	write_file("src/empty file", "");
	large_file("src/large", 200001);
	sparse_file("src/sparse");
	cr_assert_eq(link("src/large", "src/other name"), 0);
	cr_assert_eq(symlink("nowhere", "src/dangling"), 0);
	cr_assert_eq(mkfifo("src/fifo", 0620), 0);
	if (setxattr("src/-rf", "user.key", "a\0b", 3, 0) < 0)
		cr_assert_eq(errno, ENOTSUP);
	cr_assert_eq(chmod("src/-rf", 0477), 0);
	make_old("src/large");
	make_old("src/dangling");
	make_old("src/fifo");
	cr_assert_eq(chmod("src/ro", 0555), 0);
	make_old("src/ro");
	make_old("src/empty");
	make_old("src");
}

/* The same in all that a copy keeps. */
static void assert_equal(const char *a, const char *b)
{
	const struct stat x = look(a);
	const struct stat y = look(b);
	char ax[16] = { 0 };
	char bx[16] = { 0 };

	cr_assert_eq(x.st_mode, y.st_mode, "%s: mode %o, %o", a, x.st_mode, y.st_mode);
	cr_assert_eq(x.st_mtim.tv_sec, y.st_mtim.tv_sec, "%s: time", a);
	cr_assert_eq(x.st_mtim.tv_nsec, y.st_mtim.tv_nsec, "%s: time", a);
	cr_assert_eq(x.st_uid, y.st_uid);
	cr_assert_eq(x.st_gid, y.st_gid);
	if (!S_ISDIR(x.st_mode)) {
		cr_assert_eq(x.st_size, y.st_size, "%s: size", a);
		cr_assert_eq(x.st_nlink, y.st_nlink, "%s: links", a);
	}
	cr_assert_eq(lgetxattr(a, "user.key", ax, sizeof(ax)),
		     lgetxattr(b, "user.key", bx, sizeof(bx)));
	cr_assert_arr_eq(ax, bx, sizeof(ax));
}

static void assert_same_bytes(const char *a, const char *b)
{
	CLEANUP_FILE FILE *f = fopen(a, "re");
	CLEANUP_FILE FILE *g = fopen(b, "re");
	int c;

	cr_assert(f && g);
	while ((c = fgetc(f)) != EOF)
		cr_assert_eq(c, fgetc(g), "%s and %s differ", a, b);
	cr_assert_eq(fgetc(g), EOF);
}

static const char *const tree[] = { "",
				    "/empty",
				    "/ro",
				    "/ro/f",
				    "/-rf",
				    "/large",
				    "/empty file",
				    "/sparse",
				    "/other name",
				    "/dangling",
				    "/fifo",
				    "/new\nline \xff\xfe" };

Test(tree, everything_that_a_copy_keeps)
{
	static const size_t steps[] = { 1000, 4096, 1 << 20 };
	struct unpack_how how = host;

	make_tree();
	how.owners = geteuid() == 0;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		char to[16];

		(void)snprintf(to, sizeof(to), "dst%zu", i);
		pack_all("src", "src", steps[i], NULL);
		unpack_all(to, &how, steps[i] - 1);
		for (size_t k = 0; k < ARRAY_LEN(tree); k++) {
			char a[64];
			char b[64];

			(void)snprintf(a, sizeof(a), "src%s", tree[k]);
			(void)snprintf(b, sizeof(b), "%s%s", to, tree[k]);
			assert_equal(a, b);
			if (S_ISREG(look(a).st_mode))
				assert_same_bytes(a, b);
		}
		cr_assert_lt(buf_len(&archive), 1 << 20, "holes are not sent");
		buf_clear(&archive);
	}
	cr_assert_eq(names_in("dst0"), names_in("src"));
	cr_assert_eq(look("dst0/large").st_ino, look("dst0/other name").st_ino);
	cr_assert_lt(look("dst0/sparse").st_blocks, 64 << 11, "the holes are gone");
}

Test(tree, what_changes_meanwhile_is_told)
{
	const struct pack_how how = { .as = "src" };
	static uint8_t bytes[1 << 20];
	struct pack *p;
	struct err e = { 0 };
	ssize_t n;

	cr_assert_eq(mkdir("src", 0755), 0);
	large_file("src/shrinks", 300000);
	cr_assert_eq(pack_open("src", &how, &p, &e), 0);
	n = pack_read(p, bytes, TAR_BLOCK * 10, &e);
	cr_assert_eq(n, TAR_BLOCK * 10);
	cr_assert_eq(buf_append(&archive, bytes, (size_t)n), 0);
	cr_assert_eq(truncate("src/shrinks", 100000), 0);
	n = pack_read(p, bytes, sizeof(bytes), &e);
	cr_assert_gt(n, 0);
	cr_assert_eq(buf_append(&archive, bytes, (size_t)n), 0);
	cr_assert_eq(pack_read(p, bytes, sizeof(bytes), &e), 0);
	cr_assert(memmem(buf_data(pack_notes(p)), buf_len(pack_notes(p)),
			 "src/shrinks: it has shrunk", 26));
	pack_close(p);
	unpack_all("dst", &host, 4096);
	cr_assert_eq(look("dst/shrinks").st_size, 300000);
}

Test(tree, a_file_of_proc_has_its_contents)
{
	pack_all("/proc/self/status", "status", 4096, NULL);
	unpack_all("status", &host, 4096);
	cr_assert(strstr(read_file("status"), "Name:"), "%s", read_file("status"));
}

Test(tree, a_socket_is_left_out_and_told)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "src/sock" };
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct buf notes;

	buf_init(&notes, 4096);
	cr_assert_eq(mkdir("src", 0755), 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	pack_all("src", "src", 4096, &notes);
	cr_assert_eq(buf_len(&notes), strlen("src/sock: left out: a socket\n"));
	unpack_all("dst", &host, 4096);
	cr_assert_eq(names_in("dst"), 0);
	buf_fini(&notes);
}

Test(tree, what_may_not_be_read_ends_the_copy_by_name)
{
	static uint8_t bytes[64 << 10];
	const struct pack_how how = { .as = "src" };
	struct err e = { 0 };
	struct pack *p;

	cr_assert_eq(mkdir("src", 0755), 0);
	write_file("src/secret", "secret");
	cr_assert_eq(chmod("src/secret", 0), 0);
	cr_assert_eq(chmod(".", 0755), 0);
	if (geteuid() == 0)
		cr_assert_eq(seteuid(65534), 0);
	cr_assert_eq(pack_open("src", &how, &p, &e), 0);
	cr_assert_lt(pack_read(p, bytes, sizeof(bytes), &e), 0);
	cr_assert_eq(e.code, ERR_FILE_DENIED);
	cr_assert_str_eq(e.text, "src/secret: Permission denied");
	pack_close(p);
	cr_assert_eq(seteuid(getuid()), 0);
}

Test(tree, a_destination_that_may_not_be_written)
{
	struct err e = { 0 };

	victim();
	cr_assert_eq(chmod("dst", 0555), 0);
	cr_assert_eq(chmod(".", 0755), 0);
	add(TAR_FILE, "f", "x");
	if (geteuid() == 0)
		cr_assert_eq(seteuid(65534), 0);
	cr_assert_eq(into("dst", &host, &e), ERR_FILE_DENIED);
	cr_assert_str_eq(e.text, "dst/f: Permission denied");
	cr_assert_eq(seteuid(getuid()), 0);
}

Test(tree, a_write_that_fails_leaves_no_half)
{
	struct unpack *u;
	struct err e = { 0 };

	victim();
	add(TAR_FILE, "f", "x");
	(void)signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 4096, RLIM_INFINITY }), 0);
	(void)snprintf(entry.path, sizeof(entry.path), "g");
	entry.size = 3 * sizeof(entry.path);
	uint64_t data;
	cr_assert_eq(tar_write_entry(&entry, &archive, &data), 0);
	for (uint64_t i = 0; i < data + tar_padding(data); i++)
		cr_assert_eq(buf_append(&archive, "x", 1), 0);
	cr_assert_eq(unpack_open("dst", &host, &u, &e), 0);
	cr_assert_lt(unpack_feed(u, buf_data(&archive), buf_len(&archive), &e), 0);
	cr_assert_eq(e.code, ERR_FILE_IO);
	cr_assert_str_eq(e.text, "dst/g: File too large");
	unpack_close(u);
	cr_assert_eq(names_in("dst"), 1, "half of a file stays");
}

Test(tree, the_root_may_be_a_link_that_is_followed)
{
	const struct pack_how plain = { .as = "l" };
	const struct pack_how follow = { .as = "l", .follow = true };
	struct err e = { 0 };
	struct pack *p;

	cr_assert_eq(mkdir("real", 0755), 0);
	cr_assert_eq(symlink("real", "l"), 0);
	pack_all("l", "l", 4096, NULL);
	unpack_all("copy", &host, 4096);
	cr_assert(S_ISLNK(look("copy").st_mode));
	cr_assert_eq(pack_open("l", &follow, &p, &e), 0);
	pack_close(p);
	cr_assert_eq(unlink("l"), 0);
	cr_assert_lt(pack_open("l", &plain, &p, &e), 0);
	cr_assert_eq(e.code, ERR_FILE_NOT_FOUND);
	cr_assert(strstr(e.text, "l: No such file"), "%s", e.text);
}

Test(tree, the_name_of_a_copy)
{
	static const struct {
		const char *path;
		const char *name;
	} rows[] = {
		{ "a", "a" },    { "/x/a", "a" },      { "a/", "a" },  { "a//", "a" },
		{ ".", "." },    { "a/.", "." },       { "/", "." },   { "..", "." },
		{ "a/..", "." }, { "a/./", "." },      { "-n", "-n" }, { "...", "..." },
		{ ".x", ".x" },  { "a b\n", "a b\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char out[NAME_MAX + 1];

		pack_name(rows[i].path, out);
		cr_assert_str_eq(out, rows[i].name, "%s: %s", rows[i].path, out);
	}
}
