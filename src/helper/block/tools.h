/* tools.h - what reads disks that guests have written: a process beside `block`, with a uid that
 * nobody else has and no capability at all.
 *
 *   block ── one message, with the opened disk ──▶ tools ── forks, per request ──▶ ext4: libext2fs,
 * no open ◀── one message ────────────────────────       ◀── a pipe ──────────── fsck: e2fsck
 *
 * It is forked before the worker is confined and dies with it; its children die with it.  What a
 * child says is bounded, and taken as the words of somebody who may have been taken over by the
 * disk.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "helper/conf.h"
#include "proto/helper.h"

enum tool_kind {
	TOOL_FSCK,
	TOOL_READ,
	TOOL_WRITE,
	TOOL_NKINDS,
};

struct tool_file {
	char path[HELPER_PATH_MAX + 1];
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	uint32_t bytes;
};

/* The contents of the files to write follow, one after the other. */
struct tool_ask {
	uint32_t kind;
	uint32_t deadline_ms;
	uint32_t nfiles; /* read: 1, of which the path counts */
	struct tool_file files[HELPER_EXT4_FILES_MAX];
};

/* The contents of a file that was read follow. */
struct tool_told {
	struct err e; /* ERR_NONE: it went well */
	bool corrected;
	struct tool_file file;
	char text[HELPER_TEXT_MAX + 1];
};

struct tools {
	int link; /* owned */
	uid_t uid;
};

enum {
	TOOL_DATA_MAX = HELPER_FRAME_MAX, /* bytes of contents, either way */
	TOOL_DEVICE_FD = 3,               /* where a child has the disk */
};

/* Called before the worker is confined. */
int tools_open(struct tools *t, const struct helper_conf *conf, struct err *e) MUST_CHECK;

/* One request on the opened disk; `data` is what it writes.  *ret_data is valid until the next. */
int tools_run(struct tools *t, int disk, const struct tool_ask *ask, const struct iovec *data,
	      size_t ndata, struct tool_told *ret, const uint8_t **ret_data,
	      struct err *e) MUST_CHECK;

/* What the children do: ext4.c. */
void ext4_read(int disk, const struct tool_ask *ask, struct tool_told *told, uint8_t *data);
void ext4_write(int disk, const struct tool_ask *ask, const uint8_t *data, struct tool_told *told);
