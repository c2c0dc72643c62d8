/* root.h - files below the managed root, which is the daemon's state directory.
 *
 * A request names a file by its path below that directory, or not at all.  What is opened is what
 * is looked at and what is used: no symbolic link, no magic link, no other file system and no ".."
 * is followed on the way, whoever renames what meanwhile, and the opened file must be regular and
 * the owner's own (a hard link to somebody else's is his).
 */
#pragma once

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/id.h"
#include "helper/conf.h"

/* The shape of a path below the root: names that are neither empty nor "." nor "..", and no more
 * than `max` bytes.  Pure; ERR_HELPER_REFUSED names the field. */
int root_path_check(const char *field, const char *path, size_t max, struct err *e) MUST_CHECK;

/* Opens it with `flags` (O_RDONLY, O_RDWR); the refusal names the field. */
int root_open(const struct helper_conf *conf, const char *field, const char *path, int flags,
	      int *ret_fd, struct stat *ret_st, struct err *e) MUST_CHECK;

/* openat2() without any kind of link on the way; -errno. */
int root_open_beneath(int dir, const char *path, uint64_t flags) MUST_CHECK;

/* The same for an absolute path, which may lie on another file system; -ELOOP: there is a link. */
int root_open_plain(const char *path, uint64_t flags) MUST_CHECK;
