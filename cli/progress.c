#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"
#include "human.h"
#include "term.h"

enum {
	BAR_CELLS = 30,
	BAR_ROOM = 60,           /* columns below which the bar itself is left out */
	TIME_AFTER_US = 1000000, /* what is quicker is not told: it would flicker, and fill logs */
};

static const char undo_prefix[] = "undo ";

/* Steps that are not here are named as they are; "" is one that only waits for what goes on. */
static const struct {
	const char *stage;
	const char *phase;
} phases[] = {
	{ "accel", "measuring this host" },
	{ "admit", "waiting for its turn" },
	{ "intent", "preparing" },
	{ "files", "preparing" },
	{ "record", "" },
	{ "runtime", "preparing" },
	{ "console", "preparing" },
	{ "agent", "preparing" },
	{ "control", "preparing" },
	{ "stage", "preparing" },
	{ "run", "preparing" },
	{ "wait", "" },
	{ "fetch", "fetching packages" },
	{ "bootstrap", "installing packages" },
	{ "import", "reading" },
	{ "modules", "choosing modules" },
	{ "build", "writing the file system" },
	{ "publish", "publishing" },
	{ "vmm", "booting" },
	{ "boot", "booting" },
	{ "poweroff", "powering off" },
	{ "done", "done" },
	{ "failed", "failed" },
	{ "undone", "undone" },
};

static uint64_t clock_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void progress_phase(const char *stage, char *out, size_t size)
{
	if (strncmp(stage, undo_prefix, sizeof(undo_prefix) - 1) == 0) {
		(void)snprintf(out, size, "undoing");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
		if (strcmp(phases[i].stage, stage) == 0) {
			(void)snprintf(out, size, "%s", phases[i].phase);
			return;
		}
	}
	(void)snprintf(out, size, "%s", stage);
}

void progress_init(struct progress *p, const struct options *o, uint32_t expected)
{
	*p = (struct progress){
		.live = term_live(o),
		.expected = expected,
		.begun_us = clock_us(),
	};
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

static void elapsed_text(uint64_t begun_us, uint64_t ended_us, uint64_t now_us, char out[HUMAN_MAX])
{
	const uint64_t until_us = ended_us ? ended_us : now_us;
	const uint64_t us = until_us > begun_us ? until_us - begun_us : 0;

	out[0] = '\0';
	if (ended_us || us >= TIME_AFTER_US)
		human_duration(us, out);
}

void progress_row_text(const struct progress_row *row, unsigned width, uint64_t now_us,
		       char out[PROGRESS_LINE_MAX])
{
	char amount[3 * HUMAN_MAX] = "";
	char done[HUMAN_MAX];
	char total[HUMAN_MAX];
	char elapsed[HUMAN_MAX];

	elapsed_text(row->begun_us, row->ended_us, now_us, elapsed);
	if (row->total > 0 && !row->ended_us) {
		human_bytes(row->done, done);
		human_bytes(row->total, total);
		(void)snprintf(amount, sizeof(amount), "  %s of %s", done, total);
	}
	(void)snprintf(out, PROGRESS_LINE_MAX, "%s%s%s%s%s%s%s%s", row->name,
		       row->name[0] ? "  " : "", row->phase, amount, elapsed[0] ? "  " : "",
		       elapsed, row->message[0] ? "  " : "", row->message);
	finish(out, width);
}

void progress_bar_text(const struct progress *p, unsigned width, uint64_t now_us,
		       char out[PROGRESS_LINE_MAX])
{
	const uint32_t ended = p->ended < p->expected ? p->ended : p->expected;
	const uint32_t failed = p->failed < ended ? p->failed : ended;
	const uint32_t cells = p->expected ? (uint32_t)((uint64_t)BAR_CELLS * ended / p->expected)
					   : 0;
	char of[16] = "";
	char bar[BAR_CELLS + 4] = "";
	char failures[32] = "";
	char elapsed[HUMAN_MAX];

	elapsed_text(p->begun_us, 0, now_us, elapsed);
	if (p->expected != PROGRESS_UNKNOWN)
		(void)snprintf(of, sizeof(of), " of %u", p->expected);
	if (p->expected != PROGRESS_UNKNOWN && (width == 0 || width >= BAR_ROOM)) {
		bar[0] = '[';
		memset(bar + 1, '#', cells);
		memset(bar + 1 + cells, '.', BAR_CELLS - cells);
		memcpy(bar + 1 + BAR_CELLS, "] ", sizeof("] "));
	}
	if (failed > 0)
		(void)snprintf(failures, sizeof(failures), ", %u failed", failed);
	(void)snprintf(out, PROGRESS_LINE_MAX, "%s%u%s done%s%s%s", bar, ended - failed, of,
		       failures, elapsed[0] ? "  " : "", elapsed);
	finish(out, width);
}

/* One picture, written at once and over the one before: neither half of it nor a blank is seen. */
struct frame {
	char text[(PROGRESS_ROWS_MAX + 1) * (PROGRESS_LINE_MAX + 8) + 32];
	size_t len;
	uint32_t lines;
};

static void frame_line(struct frame *f, const char *line)
{
	f->len += (size_t)snprintf(f->text + f->len, sizeof(f->text) - f->len, "%s\033[K\n", line);
	f->lines++;
}

static void frame_up(struct frame *f, uint32_t lines)
{
	if (lines > 0)
		f->len += (size_t)snprintf(f->text + f->len, sizeof(f->text) - f->len, "\033[%uA\r",
					   lines);
}

static void frame_show(struct frame *f)
{
	f->len += (size_t)snprintf(f->text + f->len, sizeof(f->text) - f->len, "\033[J");
	(void)fwrite(f->text, 1, f->len, stderr);
	(void)fflush(stderr);
}

/* Back to the display's first line, and everything below it blank. */
static void wipe(struct progress *p)
{
	struct frame f = { .len = 0 };

	if (p->drawn == 0)
		return;
	frame_up(&f, p->drawn);
	frame_show(&f);
	p->drawn = 0;
}

static void draw(struct progress *p)
{
	const unsigned width = term_width(STDERR_FILENO);
	const uint64_t now_us = clock_us();
	struct frame f = { .len = 0 };
	char line[PROGRESS_LINE_MAX];

	frame_up(&f, p->drawn);
	if (p->expected > PROGRESS_ROWS_MAX) {
		progress_bar_text(p, width, now_us, line);
		frame_line(&f, line);
	}
	for (uint32_t i = 0; i < p->nrows; i++) {
		progress_row_text(&p->rows[i], width, now_us, line);
		frame_line(&f, line);
	}
	frame_show(&f);
	p->drawn = f.lines;
}

/* A plain log has each phase that lasts once, without what is for the live display: bytes and time.
 */
static void say(struct progress_row *row)
{
	char line[PROGRESS_LINE_MAX];
	struct progress_row still = *row;

	row->said = true;
	still.total = 0;
	progress_row_text(&still, 0, still.begun_us, line);
	(void)fprintf(stderr, "%s\n", line);
}

static void say_slow(struct progress *p)
{
	const uint64_t now_us = clock_us();

	for (uint32_t i = 0; i < p->nrows; i++) {
		struct progress_row *row = &p->rows[i];

		if (!row->said && !row->ended_us && now_us - row->phase_us >= TIME_AFTER_US)
			say(row);
	}
}

void progress_tick(struct progress *p)
{
	if (p->plain)
		say_slow(p);
	if (p->live && (p->nrows > 0 || p->expected > PROGRESS_ROWS_MAX))
		draw(p);
}

static struct progress_row *row_of(struct progress *p, vm_id id)
{
	for (uint32_t i = 0; i < p->nrows; i++)
		if (p->rows[i].id == id)
			return &p->rows[i];
	if (p->nrows == PROGRESS_ROWS_MAX)
		return NULL;
	p->rows[p->nrows] = (struct progress_row){ .id = id, .begun_us = clock_us() };
	return &p->rows[p->nrows++];
}

static void row_update(struct progress_row *row, const struct progress_event *ev, bool over)
{
	char phase[sizeof(row->phase)];

	progress_phase(ev->stage, phase, sizeof(phase));
	const bool waits = !phase[0]; /* for what goes on: that is still shown */

	if (waits)
		memcpy(phase, row->phase, sizeof(phase));
	const bool news = strcmp(row->phase, phase) != 0 ||
			  strncmp(row->message, ev->message, sizeof(row->message) - 1) != 0;

	(void)snprintf(row->name, sizeof(row->name), "%s", ev->name);
	memcpy(row->phase, phase, sizeof(phase));
	(void)snprintf(row->message, sizeof(row->message), "%.79s", ev->message);
	if (!waits || over) {
		row->done = ev->done;
		row->total = ev->total;
	}
	if (news) {
		row->phase_us = clock_us();
		row->said = false;
	}
	if (over)
		row->ended_us = clock_us();
}

void progress_take(struct progress *p, const struct progress_event *ev)
{
	const bool failed = strcmp(ev->stage, "failed") == 0 || strcmp(ev->stage, "undone") == 0;
	const bool over = ev->id != 0 && (failed || strcmp(ev->stage, "done") == 0);

	if (over && p->expected == PROGRESS_UNKNOWN && ev->total <= COUNT_MAX)
		p->expected = (uint32_t)ev->total;
	p->ended += over;
	p->failed += over && failed;
	const bool bar = p->expected > PROGRESS_ROWS_MAX;

	if (!bar) {
		struct progress_row *row = row_of(p, ev->id);
		struct progress_event shown = *ev;

		if (over) /* its result follows: the reason is told there */
			shown.message[0] = '\0';
		if (ev->id != 0) /* done and total count VMs, not bytes */
			shown.total = 0;
		if (row)
			row_update(row, &shown, over);
	}
	if (p->live && (over || !bar)) /* thousands of stages pass under one bar */
		draw(p);
}

void progress_end(struct progress *p)
{
	if (p->live)
		wipe(p);
	(void)fflush(stderr);
}
