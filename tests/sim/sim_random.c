/* sim_random.c - lives by chance, one per seed.
 *
 *   sim_random                 SIM_RUNS seeds (200), from SIM_FIRST (1) on
 *   SIM_SEED=7 sim_random      this one, with the daemon's log (SIM_LOG lines of it)
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/play.h"
#include "tests/sim/tap.h"
#include "tests/sim/world.h"

enum {
	RUNS = 200,
	GROUP = 10, /* seeds in one line of the report */
	LOG_LINES = 400,
};

static uint64_t seed;
static uint64_t first;

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static const char *seed_text(void)
{
	static char text[128];

	(void)snprintf(text, sizeof(text), "SIM_SEED=%" PRIu64 " SIM_COMMIT=%s", seed, sim_commit);
	return text;
}

static bool run(size_t i)
{
	bool good = true;

	tap_last_words(seed_text);
	for (seed = first + i * GROUP; seed < first + (i + 1) * GROUP && good; seed++) {
		const struct play_config conf = { .sim = { .seed = seed } };
		const char *bad = play(&conf);

		if (bad) {
			fprintf(stderr, "# %s: %s\n", seed_text(), bad);
			good = false;
			if (getenv("SIM_LOG"))
				world_print_log(the_world, (uint32_t)number("SIM_LOG", LOG_LINES));
		}
		play_over();
	}
	return good;
}

static const char *name(size_t i)
{
	static char text[64];

	(void)snprintf(text, sizeof(text), "seeds %" PRIu64 " to %" PRIu64, first + i * GROUP,
		       first + (i + 1) * GROUP - 1);
	return text;
}

static int alone(void)
{
	const struct play_config conf = { .sim = { .seed = seed } };

	tap_last_words(seed_text);
	const char *bad = play(&conf);

	world_print_log(the_world, (uint32_t)number("SIM_LOG", LOG_LINES));
	printf("%s: %s\n", seed_text(), bad ? bad : "all is well");
	play_over();
	return bad != NULL;
}

int main(int argc, char **argv)
{
	seed = number("SIM_SEED", 0);
	if (seed)
		return alone();
	first = number("SIM_FIRST", 1);
	return tap_main(argc, argv, (size_t)number("SIM_RUNS", RUNS) / GROUP, name, run);
}
