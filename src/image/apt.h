/* apt.h - which of the host's apt sources serve a Debian suite.
 *
 * An image should come from where the host's own packages come from: a mirror nearby, a snapshot, a
 * proxy.  Only files whose every entry is for the suite (or its -updates, -security, -backports)
 * and has the component "main" are taken; the others belong to somebody else's packages. Formats:
 * sources.list(5).
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/strv.h"

/* Appends the paths of such files; none means that mmdebstrap takes Debian's own mirrors. */
int apt_sources_add(struct strv *argv, const char *suite, struct err *e);

/* Whether the text of a sources file (deb822 when `stanzas`, else one line each) is such a file. */
bool apt_serves(const char *text, bool stanzas, const char *suite);
