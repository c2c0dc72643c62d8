/* test_files.c - disks made of templates, where the kernel copies by itself and where it does not.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actors/files.h"
#include "base/cleanup.h"

#define HERE  "/tmp/banger-test-files-XXXXXX"
#define THERE "/dev/shm/banger-test-files-XXXXXX" /* a tmpfs, which /tmp may be too */
#define WORDS "data at both ends"

enum {
	TEMPLATE_BYTES = 4 << 20,
	DISK_BYTES = 16 << 20,
	MOST_BYTES = 64 << 10, /* of room: the rest is holes */
};

/* Two pieces of data with a hole between them. */
static void make_template(char *path)
{
	CLEANUP_FD int fd = mkstemp(path);
	const off_t last = TEMPLATE_BYTES - (off_t)strlen(WORDS);

	cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
	cr_assert_eq(ftruncate(fd, TEMPLATE_BYTES), 0);
	cr_assert_eq(pwrite(fd, WORDS, strlen(WORDS), 0), (ssize_t)strlen(WORDS));
	cr_assert_eq(pwrite(fd, WORDS, strlen(WORDS), last), (ssize_t)strlen(WORDS));
}

static void expect_words(int fd, off_t at)
{
	char got[sizeof(WORDS)] = "";

	cr_assert_eq(pread(fd, got, strlen(WORDS), at), (ssize_t)strlen(WORDS));
	cr_expect_str_eq(got, WORDS);
}

static void expect_upper(const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	cr_assert_geq(fd, 0);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_expect_eq(st.st_size, DISK_BYTES);
	cr_expect_leq(st.st_blocks * 512, MOST_BYTES, "%ld bytes of room",
		      (long)st.st_blocks * 512);
	expect_words(fd, 0);
	expect_words(fd, TEMPLATE_BYTES - (off_t)strlen(WORDS));
}

static void make_and_look(const char *template)
{
	char path[] = HERE;
	struct err e = { 0 };
	CLEANUP_FD int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	cr_expect_eq(files_make_upper(path, template, DISK_BYTES, &e), 0, "%s", e.text);
	expect_upper(path);
	unlink(path);
}

Test(files, an_upper_layer_is_a_sparse_copy)
{
	char template[] = HERE;

	make_template(template);
	make_and_look(template);
	unlink(template);
}

/* EXDEV of copy_file_range(2), since Linux 5.19 where the two file systems are of different kinds.
 */
Test(files, an_upper_layer_may_be_copied_from_another_file_system)
{
	char template[] = THERE;

	make_template(template);
	make_and_look(template);
	unlink(template);
}

Test(files, an_image_without_an_upper_layer_is_named)
{
	struct err e = { 0 };

	cr_expect_lt(files_make_upper("/nonexistent/disk", "/nonexistent/upper", DISK_BYTES, &e),
		     0);
	cr_expect_eq(e.code, ERR_IMAGE_BAD);
	cr_expect_not_null(strstr(e.text, "/nonexistent/upper"));
}
