#include "guest/agent/stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/cleanup.h"

enum {
	LINE_MAX_BYTES = 512,
	KIB = 1024,
};

/* "MemTotal:       16315764 kB" */
static void memory_read(struct guest_stats *s)
{
	static const struct {
		const char *name;
		size_t offset;
	} rows[] = {
		{ "MemTotal:", offsetof(struct guest_stats, memory_bytes) },
		{ "MemAvailable:", offsetof(struct guest_stats, memory_available_bytes) },
	};
	CLEANUP_FILE FILE *f = fopen("/proc/meminfo", "re");
	char line[LINE_MAX_BYTES];

	while (f && fgets(line, sizeof(line), f))
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			const size_t len = strlen(rows[i].name);
			uint64_t kib;

			if (strncmp(line, rows[i].name, len) == 0 &&
			    sscanf(line + len, "%" SCNu64, &kib) == 1)
				*(uint64_t *)(void *)((char *)s + rows[i].offset) = kib * KIB;
		}
}

/* "0.34 0.51 0.47 2/1043 12345": runnable processes, then threads that there are */
static void load_read(struct guest_stats *s)
{
	CLEANUP_FILE FILE *f = fopen("/proc/loadavg", "re");
	unsigned whole, hundredths, threads;

	if (!f || fscanf(f, "%u.%2u %*s %*s %*u/%u", &whole, &hundredths, &threads) != 3)
		return;
	s->load_milli = UINT64_C(1000) * whole + UINT64_C(10) * hundredths;
	s->processes = threads;
}

/* "  eth0:  1500 12 0 0 0 0 0 0  900 7 0 ...": the first number is received, the ninth sent. */
static void network_read(struct guest_stats *s)
{
	CLEANUP_FILE FILE *f = fopen("/proc/net/dev", "re");
	char line[LINE_MAX_BYTES];

	while (f && fgets(line, sizeof(line), f)) {
		const char *colon = strchr(line, ':');
		uint64_t rx, tx;

		if (!colon || strstr(line, "lo:") ||
		    sscanf(colon + 1, "%" SCNu64 " %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &rx,
			   &tx) != 2)
			continue;
		s->rx_bytes += rx;
		s->tx_bytes += tx;
	}
}

static void disk_read(struct guest_stats *s)
{
	struct statvfs fs;

	if (statvfs("/", &fs) < 0)
		return;
	s->disk_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
	s->disk_available_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	s->disk_read_only = (fs.f_flag & ST_RDONLY) != 0;
}

void stats_read(struct guest_stats *ret_stats)
{
	struct timespec up;

	*ret_stats = (struct guest_stats){ 0 };
	if (clock_gettime(CLOCK_BOOTTIME, &up) == 0)
		ret_stats->uptime_ms = (uint64_t)up.tv_sec * 1000 + (uint64_t)up.tv_nsec / 1000000;
	memory_read(ret_stats);
	load_read(ret_stats);
	network_read(ret_stats);
	disk_read(ret_stats);
}
