/* paths.h - where a daemon keeps its things; CLI and daemon must agree on it.
 *
 *                                 a session's                                    the system's
 *   runtime  $BANGER_RUNTIME_DIR, else $XDG_RUNTIME_DIR/banger, else             /run/banger
 *                                 /tmp/banger-runtime-UID
 *   state    $BANGER_STATE_DIR,   else $XDG_STATE_HOME/banger,  else             /var/lib/banger
 *                                 ~/.local/state/banger
 *   cache    $BANGER_CACHE_DIR,   else $XDG_CACHE_HOME/banger,  else             /var/cache/banger
 *                                 ~/.cache/banger
 *   config   $BANGER_CONFIG_DIR,  else $XDG_CONFIG_HOME/banger, else             none of its own
 *                                 ~/.config/banger
 *   socket   <runtime>/bangerd.sock        log   <state>/bangerd.log
 *
 * Relative XDG_* values are ignored, as the XDG base directory specification 0.8 demands; relative
 * BANGER_* values are refused.  HOME is read before the password database.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

#include "base/err.h"
#include "base/macros.h"

enum {
	PATHS_DIR_MAX = 1000, /* bytes of a directory's path */
	PATHS_FILE_MAX = PATHS_DIR_MAX + 24,
	PATHS_SOCKET_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1, /* unix(7): 107 */
};

struct paths {
	char runtime[PATHS_DIR_MAX + 1];
	char state[PATHS_DIR_MAX + 1];
	char cache[PATHS_DIR_MAX + 1];
	char log[PATHS_FILE_MAX + 1];
	char socket[PATHS_SOCKET_MAX + 1];
};

/* Computes the paths; touches no file system.  ERR_HOST_IO names what is wrong. */
int paths_find(bool system, struct paths *ret_paths, struct err *e) MUST_CHECK;

/* The directory of the user's own banger.conf, for a session, likewise. */
int paths_config(char *ret_dir, size_t size, struct err *e) MUST_CHECK;

/* Creates `dir` (absolute) and its missing parents with mode 0700, then checks the directory that
 * is really there: no symbolic link, ours, and closed to group and others. */
int paths_ensure_dir(const char *dir, struct err *e) MUST_CHECK;
