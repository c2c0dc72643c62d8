/* files.h - directories and files of a VM or a job, made and removed.
 *
 * These block: they run on worker threads.  Each is safe to repeat; removing what is absent is
 * success.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum {
	FILES_DEPTH_MAX = 64, /* directories that a removal descends at most */
};

/* mkdir 0700; one that exists is fine. */
int files_make_dir(const char *path, struct err *e);

/* The directory and all in it.  Follows no symlink and enters no other file system. */
int files_remove(const char *path, struct err *e);

/* A qcow2 overlay over a raw image, durable when this returns. */
int files_make_overlay(const char *path, const char *backing, uint64_t bytes, struct err *e);
/* A file of that many bytes, of zeros that take no room. */
int files_make_sparse(const char *path, uint64_t bytes, struct err *e);
/* An empty file, unless there is one, of that very mode. */
int files_make_shared(const char *path, unsigned mode, struct err *e);
/* A copy that all may read, in the place of whatever was there. */
int files_copy(const char *from, const char *to, struct err *e);
/* Makes its disk larger, while no VMM has it; likewise. */
/* A raw one, which is an empty file system that its guest makes as large: a sparse copy, durable
 * when this returns. */
int files_make_upper(const char *path, const char *from, uint64_t bytes, struct err *e);
/* The same of any disk; `shared`: its blocks are the image's until they are written. */
int files_make_disk(const char *path, const char *from, bool shared, uint64_t bytes, struct err *e);
/* Whether the file system of this directory has such files. */
bool files_can_share(const char *dir);
int files_grow_upper(const char *path, uint64_t bytes, struct err *e);
int files_grow_overlay(const char *path, uint64_t bytes, struct err *e);

/* Calls fn for each name in the directory but "." and "..", until it is not 0.  One that is absent
 * is empty. */
typedef int files_each_fn(void *arg, const char *name);
int files_each(const char *dir, files_each_fn *fn, void *arg, struct err *e);

/* Within one file system, to a name that is free; the directory of `to` is made. */
int files_move(const char *from, const char *to, struct err *e);

/* Puts the directory `from` at the place of `to`, durably.  What was there is then at `from`:
 * *ret_swapped says so, and a second call puts it back. */
int files_publish(const char *from, const char *to, bool *ret_swapped, struct err *e);

/* A file of these bytes, 0600, whatever was there; not durable. */
int files_write(const char *path, const void *data, size_t len, struct err *e);

/* Opens (or makes, 0600) a log for appending; a descriptor. */
int files_open_log(const char *path, struct err *e);

/* Copies the end of a file, unless that is empty, to the place of another.  As far as it goes: a
 * log that cannot be kept is nobody's failure. */
void files_keep_end(const char *from, const char *to, uint32_t most);

enum {
	FILES_TAIL_MAX = 4096, /* bytes that are looked at for last words */
};

/* The end of a text file without the line ends there; "" when there is none. */
void files_tail(const char *path, char out[FILES_TAIL_MAX + 1]);
/* The last line of a text. */
const char *files_line(const char *text);
/* Of a line that is too long its end: that is where the reason stands. */
void files_shorten(const char *line, char *out, size_t size);
/* All three. */
void files_last_line(const char *path, char *out, size_t size);

/* What follows the last `words` of a text file, to the end of the line; looked for in its last
 * bytes from the offset on.  False when they are not there. */
bool files_find_last(const char *path, uint64_t from, const char *words, char *out, size_t size);
uint64_t files_bytes(const char *path);      /* of a file; 0 when there is none */
uint64_t files_disk_bytes(const char *path); /* ... that it takes of the disk */
