/* tsc.c - how fast the host's time stamp counter ticks.
 *
 * CPUID leaf 15h states it where it names the crystal's frequency (Intel SDM, volume 2, CPUID);
 * 16h is a nominal figure and no substitute.  Else two readings some 2 ms apart are compared: the
 * daemon's start waits for it.  The error is that of pairing a TSC reading with a clock reading,
 * some tens of ns, so well below 100 ppm.  Linux refines
 * tsc_early_khz by itself when it is within 1 %.
 */
#include <cpuid.h>
#include <errno.h>
#include <time.h>
#include <x86intrin.h>

#include "vmm/vmm.h"

enum {
	INTERVAL_NS = 2 * 1000 * 1000,
	PAIRINGS = 5, /* attempts at an undisturbed pair of readings */
	NS_PER_MS = 1000 * 1000,
};

enum {
	LEAF_TSC = 0x15,
	LEAF_INVARIANT = 0x80000007,
	INVARIANT_BIT = 1 << 8, /* of EDX */
};

struct sample {
	uint64_t tsc;
	uint64_t ns;
};

/* The reading of both clocks that was least disturbed in between. */
static struct sample sample_take(void)
{
	struct sample best = { 0 };
	uint64_t best_gap = UINT64_MAX;

	for (int i = 0; i < PAIRINGS; i++) {
		struct timespec ts;
		const uint64_t before = __rdtsc();
		(void)clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
		const uint64_t gap = __rdtsc() - before;

		if (gap >= best_gap)
			continue;
		best_gap = gap;
		best = (struct sample){
			.tsc = before + gap / 2,
			.ns = (uint64_t)ts.tv_sec * 1000 * NS_PER_MS + (uint64_t)ts.tv_nsec,
		};
	}
	return best;
}

static uint32_t khz_stated(void)
{
	unsigned int denominator = 0;
	unsigned int numerator = 0;
	unsigned int crystal_hz = 0;
	unsigned int unused = 0;

	if (!__get_cpuid(LEAF_TSC, &denominator, &numerator, &crystal_hz, &unused) ||
	    denominator == 0)
		return 0;
	return (uint32_t)((uint64_t)crystal_hz * numerator / denominator / 1000);
}

static bool is_invariant(void)
{
	unsigned int edx = 0;
	unsigned int unused = 0;

	return __get_cpuid(LEAF_INVARIANT, &unused, &unused, &unused, &edx) &&
	       (edx & INVARIANT_BIT) != 0;
}

int vmm_tsc_khz(uint32_t *ret_khz)
{
	struct timespec left = { .tv_nsec = INTERVAL_NS };
	uint32_t khz;

	if (!is_invariant())
		return -EOPNOTSUPP;
	khz = khz_stated();
	if (khz == 0) {
		const struct sample from = sample_take();

		while (nanosleep(&left, &left) < 0 && errno == EINTR)
			continue;
		const struct sample to = sample_take();
		khz = (uint32_t)((to.tsc - from.tsc) * NS_PER_MS / (to.ns - from.ns));
	}
	*ret_khz = khz;
	return 0;
}
