/* object.h - what images and kernels have in common on the command line. */
#pragma once

#include "options.h"
#include "session.h"
#include "table.h"

/* A long request with a progress display; 0 with c->result, or the exit status. */
int object_make(const struct options *o, struct call *c, enum client_method m, const void *args);

/* Asks for one by the command's word and shows it as JSON. */
int object_show(const struct options *o, enum client_method m);

/* Removes each of the command's words; the good ones proceed. */
int object_rm(const struct options *o, enum client_method m);

/* An absolute path of a file that is there: the daemon has another working directory. */
int object_path(const char *path, char *out, size_t size, struct err *e) MUST_CHECK;

/* Prints and releases the table; `rc` < 0 reports e instead. */
int object_table(const struct options *o, struct table *t, int rc, const struct err *e);
