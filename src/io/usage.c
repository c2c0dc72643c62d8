/* usage.c - what a process has used of this machine, as /proc says it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "io/uring.h"

enum {
	FILE_BYTES = 4096,
	KIB = 1024,
};

/* One line of a file of /proc/PID: "Pss:    1234 kB", "read_bytes: 4096". */
struct row {
	const char *name;
	uint64_t unit;
	size_t offset; /* of a uint64_t in struct io_usage */
};

static const struct row memory_rows[] = {
	{ "\nRss:", KIB, offsetof(struct io_usage, rss_bytes) },
	{ "\nPss:", KIB, offsetof(struct io_usage, pss_bytes) },
};

/* Of another user's process the sums of its mappings are closed to us, its size is not. */
static const struct row size_rows[] = {
	{ "\nVmRSS:", KIB, offsetof(struct io_usage, rss_bytes) },
};

static const struct row storage_rows[] = {
	{ "\nread_bytes:", 1, offsetof(struct io_usage, read_bytes) },
	{ "\nwrite_bytes:", 1, offsetof(struct io_usage, write_bytes) },
};

/* What cannot be read stays 0: a VMM that changed its user keeps some of it from us. */
static void file_read(pid_t pid, const char *file, const struct row *rows, size_t n,
		      struct io_usage *u)
{
	char path[64];
	char text[FILE_BYTES];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (len <= 0)
		return;
	text[len] = '\0';
	for (size_t i = 0; i < n; i++) {
		const char *at = strstr(text, rows[i].name);
		uint64_t value;

		if (at && sscanf(at + strlen(rows[i].name), "%" SCNu64, &value) == 1)
			*(uint64_t *)(void *)((char *)u + rows[i].offset) = value * rows[i].unit;
	}
}

static uint64_t clock_us(clockid_t clock)
{
	struct timespec t = { 0 };

	(void)clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* /proc/PID/stat counts time in ticks of 10 ms; the process's clock in nanoseconds. */
int io_usage(struct io *io, pid_t pid, uint64_t start_ticks, struct io_usage *ret_usage)
{
	struct io_usage u = { 0 };
	clockid_t cpu;
	uint64_t ticks;

	(void)io;
	if (pid <= 0 || clock_getcpuclockid(pid, &cpu) != 0)
		return -ESRCH;
	file_read(pid, "smaps_rollup", memory_rows, ARRAY_LEN(memory_rows), &u);
	if (u.rss_bytes == 0)
		file_read(pid, "status", size_rows, ARRAY_LEN(size_rows), &u);
	file_read(pid, "io", storage_rows, ARRAY_LEN(storage_rows), &u);
	u.sampled_us = clock_us(CLOCK_MONOTONIC);
	u.cpu_us = clock_us(cpu);
	/* Last: all that was read is of the process that this start time tells. */
	const int rc = process_start_ticks(pid, &ticks);
	if (rc < 0)
		return rc;
	if (start_ticks != 0 && ticks != start_ticks)
		return -ESRCH;
	*ret_usage = u;
	return 0;
}
