#include "base/trim.h"

#include <errno.h>
#include <fcntl.h>

enum {
	BLOCK = 4096, /* holes begin and end at a multiple of this */
};

bool trim_is_due(const struct stat *st, uint64_t keep)
{
	return S_ISREG(st->st_mode) && (uint64_t)st->st_blocks * 512 > 2 * keep &&
	       (uint64_t)st->st_size >= keep + BLOCK;
}

int trim_file(int fd, const struct stat *st, uint64_t keep)
{
	const off_t end = (st->st_size - (off_t)keep) / BLOCK * BLOCK;
	const int rc = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, end);

	return rc < 0 && errno == EOPNOTSUPP ? 0 : rc;
}
