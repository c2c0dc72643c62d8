#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "human.h"
#include "term.h"

enum {
	BAR_CELLS = 30,
	BAR_ROOM = 60, /* columns below which the bar itself is left out */
};

void progress_init(struct progress *p, const struct options *o, uint32_t expected)
{
	*p = (struct progress){ .live = term_live(o), .expected = expected };
	p->plain = !p->live && !o->quiet && !o->json && expected <= PROGRESS_ROWS_MAX;
}

/* Also keeps what a daemon says from driving the terminal. */
static void finish(char out[PROGRESS_LINE_MAX], unsigned width)
{
	for (char *p = out; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	if (width > 0 && strlen(out) > width - 1)
		out[width - 1] = '\0'; /* one column stays free: a full line would wrap */
}

void progress_row_text(const struct progress_row *row, unsigned width, char out[PROGRESS_LINE_MAX])
{
	char amount[3 * HUMAN_MAX] = "";
	char done[HUMAN_MAX];
	char total[HUMAN_MAX];

	if (row->total > 0) {
		human_bytes(row->done, done);
		human_bytes(row->total, total);
		(void)snprintf(amount, sizeof(amount), "  %s of %s", done, total);
	}
	(void)snprintf(out, PROGRESS_LINE_MAX, "%s%s%s%s%s%s", row->name, row->name[0] ? "  " : "",
		       row->stage, amount, row->message[0] ? "  " : "", row->message);
	finish(out, width);
}

void progress_bar_text(uint32_t up, uint32_t failed, uint32_t expected, unsigned width,
		       char out[PROGRESS_LINE_MAX])
{
	const uint32_t ended = up + failed < expected ? up + failed : expected;
	const uint32_t cells = expected ? (uint32_t)((uint64_t)BAR_CELLS * ended / expected) : 0;
	char bar[BAR_CELLS + 4] = "";
	char failures[32] = "";

	if (width == 0 || width >= BAR_ROOM) {
		bar[0] = '[';
		memset(bar + 1, '#', cells);
		memset(bar + 1 + cells, '.', BAR_CELLS - cells);
		memcpy(bar + 1 + BAR_CELLS, "] ", sizeof("] "));
	}
	if (failed > 0)
		(void)snprintf(failures, sizeof(failures), ", %u failed", failed);
	(void)snprintf(out, PROGRESS_LINE_MAX, "%s%u of %u up%s", bar, up, expected, failures);
	finish(out, width);
}

/* Back to the display's first line, and everything below it blank. */
static void wipe(struct progress *p)
{
	if (p->drawn > 0)
		(void)fprintf(stderr, "\033[%uA\r\033[J", p->drawn);
	p->drawn = 0;
}

static void draw(struct progress *p)
{
	const unsigned width = term_width(STDERR_FILENO);
	char line[PROGRESS_LINE_MAX];

	wipe(p);
	if (p->expected > PROGRESS_ROWS_MAX) {
		progress_bar_text(p->up, p->failed, p->expected, width, line);
		(void)fprintf(stderr, "%s\n", line);
		p->drawn = 1;
		return;
	}
	for (uint32_t i = 0; i < p->nrows; i++) {
		progress_row_text(&p->rows[i], width, line);
		(void)fprintf(stderr, "%s\n", line);
	}
	p->drawn = p->nrows;
}

static struct progress_row *row_of(struct progress *p, vm_id id)
{
	for (uint32_t i = 0; i < p->nrows; i++)
		if (p->rows[i].id == id)
			return &p->rows[i];
	if (p->nrows == PROGRESS_ROWS_MAX)
		return NULL;
	p->rows[p->nrows] = (struct progress_row){ .id = id };
	return &p->rows[p->nrows++];
}

/* A plain log has each stage once; byte counts are for the live display. */
static void say(const struct progress_row *row)
{
	char line[PROGRESS_LINE_MAX];
	struct progress_row still = *row;

	still.total = 0;
	progress_row_text(&still, 0, line);
	(void)fprintf(stderr, "%s\n", line);
}

static void row_update(struct progress *p, const struct progress_event *ev)
{
	struct progress_row *row = row_of(p, ev->id);
	bool news;

	if (!row)
		return;
	news = strcmp(row->stage, ev->stage) != 0 ||
	       strncmp(row->message, ev->message, sizeof(row->message) - 1) != 0;
	(void)snprintf(row->name, sizeof(row->name), "%s", ev->name);
	(void)snprintf(row->stage, sizeof(row->stage), "%s", ev->stage);
	(void)snprintf(row->message, sizeof(row->message), "%.79s", ev->message);
	row->done = ev->done;
	row->total = ev->total;
	if (p->plain && news)
		say(row);
}

void progress_event(struct progress *p, const struct progress_event *ev)
{
	if (ev->id == 0 && p->expected > 0) { /* the whole's count */
		p->failed = ev->failed;
		p->up = (uint32_t)(ev->done > ev->failed ? ev->done - ev->failed : 0);
	} else {
		row_update(p, ev);
	}
	if (p->live)
		draw(p);
}

void progress_end(struct progress *p)
{
	if (p->live)
		wipe(p);
	(void)fflush(stderr);
}
