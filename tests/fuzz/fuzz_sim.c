/* fuzz_sim.c - a life of the daemon on a simulated host: the bytes are what chance would choose,
 * the order of events, faults and requests (tests/sim/play.h). */
#include <stdio.h>

#include "base/assert.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/play.h"
#include "tests/sim/world.h"

enum {
	BYTES_PER_ACT = 8, /* about what one of them and its consequences choose */
	ACTS_MAX = 200,
	LOG_LINES = 60,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const size_t acts = 1 + size / BYTES_PER_ACT;
	const struct play_config conf = {
		.sim = { .seed = 1, .choices = data, .nchoices = size },
		.acts = (uint32_t)(acts < ACTS_MAX ? acts : ACTS_MAX),
	};
	const char *bad = play(&conf);

	if (bad) {
		fprintf(stderr, "%s\n", bad);
		world_print_log(the_world, LOG_LINES);
	}
	ASSERT(!bad);
	play_over();
	return 0;
}
