/* modules.h - loads what the initrd brought along, in the order of its list.
 *
 * The list has one path per line, dependencies first.  A module that the kernel has built in is
 * missing, and one may be loaded already: neither is an error.  Blocks while a module probes.
 */
#pragma once

#include "base/err.h"

int modules_load(const char *list_path, struct err *e);
