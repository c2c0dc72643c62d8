/* settings.h - what the command line takes of banger.conf and the environment.
 *
 * The settings of a daemon are its own, which it read when it started.  Ours are which daemon to
 * start, colour, and those defaults of a new VM that the environment names: they count more than
 * the daemon's, and less than an option.
 */
#pragma once

#include "conf/conf.h"
#include "options.h"

/* Into o->conf.  What is wrong in a file is no reason to refuse here (`config check` and the daemon
 * say it); a variable that this command would use is. */
int settings_load(struct options *o, struct err *e) MUST_CHECK;

/* All that can be read and what is wrong in it; as conf_load(). */
int settings_read(const struct options *o, struct conf *conf, struct conf_problems *problems,
		  struct err *e);
