/* each.h - one question to each of several VMs, at once. */
#pragma once

#include "options.h"
#include "session.h"

/* How one VM's answer is shown. */
typedef int each_show(void *arg, const void *result, struct err *e);

/* Asks `m` (whose arguments are struct guest_ask_args) of the VMs that the command's words name, or
 * of those that run and match -l or --all.  `show` gets the answers in that order; who did not
 * answer is reported in its place.  The exit status: STATUS_FAILED where there was one of those. */
int each_vm(const struct options *o, enum client_method m, each_show *show, void *arg);
