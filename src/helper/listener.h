/* listener.h - the helper's socket, made by itself where no service manager has made it. */
#pragma once

#include "base/err.h"
#include "base/macros.h"
#include "helper/conf.h"

/* Binds `path` in a directory of root's own (made with mode 0711 when absent); the socket is 0600
 * from its birth and then the owner's.  One that is left from a helper that is gone is replaced;
 * that of a helper that lives is not.  Not blocking. */
int listener_open(const char *path, const struct helper_conf *conf, int *ret_fd,
		  struct err *e) MUST_CHECK;

/* Makes one that was handed over ready for use, and the owner's. */
int listener_adopt(int fd, const struct helper_conf *conf, struct err *e) MUST_CHECK;
