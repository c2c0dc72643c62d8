/* replay.c - a fuzz target's corpus without a fuzzer: every file of the directories given.
 *
 * A golden vector (.hex) stands for its bytes; with -p before the directories, for its payload.
 * Each file is also played cut short at every length, within bounds; with -w only whole, where an
 * input is a list of acts, which each of its beginnings is.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "proto/frame.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/hex.h"

enum {
	PATH_MAX_BYTES = 512,
	INPUT_MAX = 2 * FRAME_MAX,
	CUTS_MAX = 512, /* bytes of an input up to which every shorter one is played */
};

static int read_raw(const char *path, struct buf *out)
{
	CLEANUP_FILE FILE *f = fopen(path, "re");
	uint8_t chunk[4096];
	size_t n;
	int rc = 0;

	if (!f)
		return -errno;
	while (rc == 0 && (n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		rc = buf_append(out, chunk, n);
	return rc;
}

/* A copy of the exact size, so that the sanitizer sees a read past the end. */
static void play(const uint8_t *data, size_t len)
{
	uint8_t *const copy = malloc(len ? len : 1);

	if (!copy)
		abort();
	if (data && len)
		memcpy(copy, data, len);
	(void)LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

struct how {
	bool payload_only, whole_only;
};

static int replay(const char *path, const struct how *how)
{
	const char *const dot = strrchr(path, '.');
	const bool hex = dot && strcmp(dot, ".hex") == 0;
	struct buf b;

	buf_init(&b, INPUT_MAX);
	const int rc = hex ? hex_read(path, &b) : read_raw(path, &b);
	if (rc < 0) {
		buf_fini(&b);
		return rc;
	}
	if (hex && how->payload_only && buf_len(&b) >= FRAME_HEAD)
		buf_consume(&b, FRAME_HEAD);
	const size_t len = buf_len(&b);
	play(b.mem ? buf_data(&b) : NULL, len);
	for (size_t cut = 0; cut < len && cut < CUTS_MAX && !how->whole_only; cut++)
		play(buf_data(&b), cut);
	buf_fini(&b);
	return 0;
}

static int replay_dir(const char *dir, const struct how *how, int *count)
{
	char path[PATH_MAX_BYTES];
	const struct dirent *entry;
	DIR *const d = opendir(dir);
	int rc = 0;

	if (!d)
		return -errno;
	while (rc == 0 && (entry = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		rc = replay(path, how);
		if (rc == 0)
			++*count;
	}
	(void)closedir(d);
	return rc;
}

int main(int argc, char **argv)
{
	const struct how how = {
		.payload_only = argc > 1 && strcmp(argv[1], "-p") == 0,
		.whole_only = argc > 1 && strcmp(argv[1], "-w") == 0,
	};
	int count = 0;

	for (int i = how.payload_only || how.whole_only ? 2 : 1; i < argc; i++) {
		const int rc = replay_dir(argv[i], &how, &count);

		if (rc < 0) {
			(void)fprintf(stderr, "%s: %s\n", argv[i], err_sys_text(rc));
			return EXIT_FAILURE;
		}
	}
	(void)printf("%d inputs\n", count);
	return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
