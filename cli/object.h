/* object.h - what images and kernels have in common on the command line. */
#pragma once

#include "options.h"
#include "rows.h"
#include "session.h"

/* A long request with a progress display; 0 with c->result, or the exit status. */
int object_make(const struct options *o, struct call *c, enum client_method m, const void *args);

/* Asks for one by the command's word and shows it as JSON. */
int object_show(const struct options *o, enum client_method m);

/* Removes each of the command's words; the good ones proceed. */
int object_rm(const struct options *o, enum client_method m);

/* An absolute path of a file that is there: the daemon has another working directory. */
int object_path(const char *path, char *out, size_t size, struct err *e) MUST_CHECK;

/* Ends the list; `status` is of its request, which reported its own error, `rc` < 0 reports e.
 * The exit status. */
int object_list_end(struct rows *r, int status, int rc, const struct err *e);
