/* progress.h - what is happening, on stderr, while a request is under way.
 *
 * On a terminal the display redraws itself: up to PROGRESS_ROWS_MAX VMs have a line each with what
 * they do and for how long, more of them share one bar.  Off a terminal a phase that lasts is a
 * plain line (for few VMs), so that a log tells what is slow and nothing else; with --quiet or
 * --json there is nothing.  The session feeds it (call.progress) and lets it redraw every
 * PROGRESS_TICK_MS, so that a long phase is seen to be alive.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"
#include "proto/client.h"

enum {
	PROGRESS_ROWS_MAX = 10,
	PROGRESS_LINE_MAX = 320, /* bytes of one line */
	PROGRESS_TICK_MS = 100,
};
#define PROGRESS_UNKNOWN UINT32_MAX /* `expected`: the daemon will say how many */

struct progress_row {
	vm_id id;
	char name[VM_NAME_MAX + 1];
	char phase[32]; /* in words for people */
	char message[80];
	uint64_t done, total; /* bytes, where total is known */
	uint64_t begun_us;
	uint64_t phase_us; /* when the phase began */
	bool said;         /* the phase, in a plain line */
	uint64_t ended_us; /* 0 until it is up or has failed */
};

struct progress {
	bool live, plain;
	uint32_t expected; /* VMs, or PROGRESS_UNKNOWN; 0: this is about one job, not about VMs */
	uint32_t ended, failed;
	uint64_t begun_us;
	struct progress_row rows[PROGRESS_ROWS_MAX];
	uint32_t nrows;
	uint32_t drawn; /* lines on the screen */
};

void progress_init(struct progress *p, const struct options *o, uint32_t expected);

/* Takes the body of one "progress" event and shows it. */
void progress_take(struct progress *p, const struct progress_event *ev);

/* Draws again what changes by itself: the time. */
void progress_tick(struct progress *p);

/* Wipes the live display; what follows starts on a clean line. */
void progress_end(struct progress *p);

/* The texts, cut to `width` columns (0: not cut); `now_us` is the time at which they are shown. */
void progress_row_text(const struct progress_row *row, unsigned width, uint64_t now_us,
		       char out[PROGRESS_LINE_MAX]);
void progress_bar_text(const struct progress *p, unsigned width, uint64_t now_us,
		       char out[PROGRESS_LINE_MAX]);

/* "boot" -> "booting": what a step is to somebody who does not know the plan. */
void progress_phase(const char *stage, char *out, size_t size);
