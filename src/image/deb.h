/* deb.h - walks the files of a Debian package without unpacking it: an ar archive whose member
 * data.tar, in whatever compression, holds them.  Format: deb(5). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct archive;
struct source;

enum {
	DEB_ENTRIES_MAX = 200000, /* files of one package */
};

/* Called for each regular file; it may read the contents from `in`, or leave them. */
typedef int deb_visit(void *arg, const char *path, struct archive *in, struct err *e);

bool deb_has_magic(const void *head, size_t len);
int deb_walk(struct source *src, deb_visit *visit, void *arg, struct err *e);
