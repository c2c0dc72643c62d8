/* confine.h - what is left to a process that parses a guest's frames, should one take it over: its
 * sockets, and the host's name servers' addresses to read. */
#pragma once

#include "base/err.h"

/* From here on: no capability, no other program, no other kind of socket than IPv4's, no file but
 * to read what says who the name servers are (where the kernel has Landlock), so many descriptors
 * and bytes as limits.h says.  ERR_NETWORK. */
int confine(struct err *e) MUST_CHECK;
