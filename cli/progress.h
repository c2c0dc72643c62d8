/* progress.h - what is happening, on stderr, while a request is under way.
 *
 * Up to PROGRESS_ROWS_MAX VMs get a line each; more share one bar.  On a terminal the display
 * redraws itself; otherwise each new stage is a plain line (for few VMs), and with --quiet or
 * --json there is nothing.
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
};

struct progress_row {
	vm_id id;
	char name[VM_NAME_MAX + 1];
	char stage[24];
	char message[80];
	uint64_t done, total; /* bytes, where total is known */
};

struct progress {
	bool live, plain;
	uint32_t expected; /* VMs; 0: this is about one job, not about VMs */
	uint32_t up, failed;
	struct progress_row rows[PROGRESS_ROWS_MAX];
	uint32_t nrows;
	uint32_t drawn; /* lines on the screen */
};

void progress_init(struct progress *p, const struct options *o, uint32_t expected);

/* Takes one event and shows it. */
void progress_event(struct progress *p, const struct progress_event *ev);

/* Wipes the live display; what follows starts on a clean line. */
void progress_end(struct progress *p);

/* The texts, cut to `width` columns (0: not cut). */
void progress_row_text(const struct progress_row *row, unsigned width, char out[PROGRESS_LINE_MAX]);
void progress_bar_text(uint32_t up, uint32_t failed, uint32_t expected, unsigned width,
		       char out[PROGRESS_LINE_MAX]);
