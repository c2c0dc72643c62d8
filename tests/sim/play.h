/* play.h - a daemon's life by chance: clients that ask for anything, faults, deaths, and in the end
 * everything as it should be.
 *
 * All that happens is chosen by the simulated host's source, so a run is a function of its seed, or
 * of the bytes that a fuzzer gives.
 */
#pragma once

#include "io/sim.h"

extern const char sim_commit[]; /* of the tree that this was built from: a seed needs it */

struct play_config {
	struct sim_config sim;
	uint32_t acts; /* things that happen; 0: by chance */
};

/* NULL: all was well.  Else what was not, in a static buffer.  The world is left as it is then, for
 * its log, until play_over(). */
const char *play(const struct play_config *conf);
void play_over(void);
