#include "store/pages.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum {
	LINE_BYTES = 512, /* of /proc/self/maps: what we read of one is at its beginning */
};

/* LMDB does not say where its map is.  /proc/self/maps, proc(5):
 * "start-end perms offset major:minor inode path" */
void pages_find(struct pages *p, int fd)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[LINE_BYTES];
	struct stat st;

	p->map = NULL;
	p->bytes = 0;
	if (maps && fstat(fd, &st) == 0) {
		while (!p->map && fgets(line, sizeof(line), maps)) {
			uintptr_t start;
			uintptr_t end;
			unsigned int dev[2];
			uint64_t inode;

			if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %x:%x %" SCNu64, &start,
				   &end, &dev[0], &dev[1], &inode) == 5 &&
			    inode == st.st_ino && makedev(dev[0], dev[1]) == st.st_dev) {
				p->map = (void *)start;
				p->bytes = end - start;
			}
		}
	}
	if (maps)
		(void)fclose(maps);
}

void pages_touched(struct pages *p, size_t bytes, size_t keep)
{
	if (atomic_fetch_add(&p->touched, bytes) + bytes < keep)
		return;
	atomic_store(&p->touched, 0);
	if (p->map)
		(void)madvise(p->map, p->bytes, MADV_DONTNEED);
}
