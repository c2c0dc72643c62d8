/* fake_fsck.c - stands in the place of e2fsck, as one that a disk has taken over: tells what it can
 * open, a line each: "PATH ERRNO".  Static, so that what it opens is what is listed here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

static const struct {
	const char *path;
	int flags;
} opens[] = {
	{ "/proc/self/fd/3", O_RDWR }, /* its disk */
	{ "/dev/null", O_RDWR },
	{ "/usr/bin/env", O_RDONLY },
	{ "/usr/lib", O_RDONLY | O_DIRECTORY },
	{ "/proc/self/mounts", O_RDONLY },
	{ "/etc/passwd", O_RDONLY },
	{ "/etc/hostname", O_RDONLY },
	{ "/", O_RDONLY | O_DIRECTORY },
	{ "/proc/1/stat", O_RDONLY },
	{ "/proc/meminfo", O_RDONLY },
	{ "/dev/zero", O_RDONLY },
	{ "/sys/kernel", O_RDONLY | O_DIRECTORY },
};

int main(void)
{
	for (size_t i = 0; i < sizeof(opens) / sizeof(opens[0]); i++) {
		errno = 0;
		(void)open(opens[i].path, opens[i].flags | O_CLOEXEC);
		(void)printf("%s %d\n", opens[i].path, errno);
	}
	return 0;
}
