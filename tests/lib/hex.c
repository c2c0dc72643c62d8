#include "tests/lib/hex.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

enum {
	LINE_MAX_BYTES = 64 * 1024,
};

static int digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int hex_read(const char *path, struct buf *out)
{
	CLEANUP_FILE FILE *f = fopen(path, "re");
	bool comment = false;
	int high = -1;
	int c;

	if (!f)
		return -errno;
	while ((c = fgetc(f)) != EOF) {
		if (c == '#' || c == '\n')
			comment = c == '#';
		if (comment || isspace(c))
			continue;
		if (digit(c) < 0)
			return -EINVAL;
		if (high < 0) {
			high = digit(c);
			continue;
		}
		const uint8_t byte = (uint8_t)(high << 4 | digit(c));
		const int rc = buf_append(out, &byte, 1);
		if (rc < 0)
			return rc;
		high = -1;
	}
	return high < 0 ? 0 : -EINVAL;
}

int hex_comment(const char *path, const char *key, char *ret_text, size_t size)
{
	static char line[LINE_MAX_BYTES];
	CLEANUP_FILE FILE *f = fopen(path, "re");
	const size_t len = strlen(key);

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "# ", 2) == 0 && strncmp(line + 2, key, len) == 0 &&
		    strncmp(line + 2 + len, ": ", 2) == 0) {
			(void)snprintf(ret_text, size, "%s", line + 4 + len);
			return 0;
		}
	}
	return -ENOENT;
}
