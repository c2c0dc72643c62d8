/* daemon_start.h - starts bangerd as a process of its own. */
#pragma once

#include "base/err.h"
#include "options.h"

/* `listener` becomes its descriptor 3, `log` its standard output and error; both stay ours too.
 * Its program is $BANGER_DAEMON, else cli.daemon of banger.conf, else bangerd beside our own, in
 * the libexec directory it was installed with, or in PATH.  It is told of --config. */
int spawn_daemon(const struct options *o, int listener, int log, struct err *e) MUST_CHECK;

/* The program that spawn_daemon() would start; ERR_DAEMON_DOWN where there is none. */
int spawn_find(const struct options *o, char *ret_path, size_t size, struct err *e) MUST_CHECK;
