/* stats.c - `vm stats` and `vm top`: what VMs use, now and again.
 *
 *   ask all -> rows, with what each used since the round before -> show -> wait -> ask all ...
 *
 * On a terminal the table is drawn over itself; else a table, or --format, or an object a line,
 * follows the other.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "command.h"
#include "each.h"
#include "human.h"
#include "live.h"
#include "report.h"
#include "rows.h"
#include "term.h"

enum {
	INTERVAL_MS = 1000,      /* unless said */
	INTERVAL_LEAST_MS = 100, /* asking costs too */
	GUEST_MS = 1000,  /* for a guest's answer: what is silent does not hold up the others */
	LINES_BESIDE = 4, /* of a screen: its title, the heads, the total, the cursor's */
	CPU_ONE = 1000,   /* thousandths: one CPU, wholly busy */
};

/* One VM in one round. */
struct stats_row {
	struct vm_stats s;
	bool cpu_known; /* there was a round before */
	uint32_t cpu_milli;
};

#define ROW(member, kind, text) FIELD(struct stats_row, member, kind, true, 0, 0, text)
#define SAMPLE(member, kind, text)                                                                 \
	FIELD_AS(struct stats_row, s.member, #member, kind, true, 0, 0, text)
/* clang-format off */
static const struct field row_fields[] = {
	SAMPLE(id,              FIELD_VM_ID, "of the VM"),
	SAMPLE(name,            FIELD_STR,   "of the VM"),
	SAMPLE(pid,             FIELD_U32,   "of the VMM"),
	SAMPLE(started_ms,      FIELD_U64,   "Unix time"),
	SAMPLE(sampled_us,      FIELD_U64,   "clock of the sample"),
	SAMPLE(vcpu,            FIELD_U32,   "given"),
	SAMPLE(memory_bytes,    FIELD_U64,   "given"),
	SAMPLE(disk_bytes,      FIELD_U64,   "given"),
	ROW(cpu_milli,          FIELD_U32,   "since the sample before, in thousandths of one CPU"),
	SAMPLE(cpu_us,          FIELD_U64,   "since its start"),
	SAMPLE(rss_bytes,       FIELD_U64,   "of the VMM"),
	SAMPLE(pss_bytes,       FIELD_U64,   "of the VMM"),
	SAMPLE(read_bytes,      FIELD_U64,   "of storage"),
	SAMPLE(write_bytes,     FIELD_U64,   "of storage"),
	SAMPLE(disk_used_bytes, FIELD_U64,   "of the host's disk"),
	SAMPLE(guest_known,     FIELD_BOOL,  "the guest has answered"),
	SAMPLE(guest_error,     FIELD_TEXT,  "why not"),
	FIELD_SUB_AS(struct stats_row, s.guest, "guest", FIELD_STRUCT, true, 0, 0, &guest_stats_schema, "as it says"),
	SAMPLE(balloon_known,   FIELD_BOOL,  "its balloon's driver has"),
	SAMPLE(balloon_error,   FIELD_TEXT,  "why not"),
	FIELD_SUB_AS(struct stats_row, s.balloon, "balloon", FIELD_STRUCT, false, 0, 0, &vm_balloon_schema, "as that says"),
};
/* clang-format on */
static const struct schema row_schema = SCHEMA("stats", struct stats_row, row_fields);

static const struct column columns[] = {
	{ .head = "NAME", .shrink = true },
	{ .head = "CPU", .right = true },
	{ .head = "GUEST MEM", .right = true, .drop = 2 },
	{ .head = "CACHE", .right = true, .drop = 10 },
	{ .head = "SWAPPED", .right = true, .drop = 12 },
	{ .head = "FAULTS", .right = true, .drop = 11 },
	{ .head = "PSS", .right = true, .drop = 1 },
	{ .head = "RSS", .right = true, .drop = 8 },
	{ .head = "DISK", .right = true, .drop = 5 },
	{ .head = "READ", .right = true, .drop = 4 },
	{ .head = "WRITTEN", .right = true, .drop = 3 },
	{ .head = "RX", .right = true, .drop = 7 },
	{ .head = "TX", .right = true, .drop = 6 },
	{ .head = "UP", .right = true, .drop = 9 },
};

struct table_of_stats {
	struct stats_row *v; /* owned */
	uint32_t n;
};

struct stats {
	const struct options *o; /* borrowed */
	bool top;                /* a screen of its own, the busiest first */
	bool live;               /* drawn over itself */
	struct table_of_stats now, before;
	uint64_t round;
	int left; /* by a signal: the exit status; -1: by a key */
	struct live screen;
};

/* ---- a round's rows ---- */

static const struct stats_row *row_before(const struct table_of_stats *t, vm_id id)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (t->v[i].s.id == id)
			return &t->v[i];
	return NULL;
}

/* Nothing is known across a restart: another VMM counts from 0. */
static void cpu_since(struct stats_row *row, const struct stats_row *before)
{
	if (!before || before->s.pid != row->s.pid || before->s.cpu_us > row->s.cpu_us ||
	    before->s.sampled_us >= row->s.sampled_us)
		return;
	row->cpu_known = true;
	row->cpu_milli = (uint32_t)((row->s.cpu_us - before->s.cpu_us) * CPU_ONE /
				    (row->s.sampled_us - before->s.sampled_us));
}

static int keep_row(void *arg, const void *result, struct err *e)
{
	struct stats *st = arg;
	struct stats_row *v = reallocarray(st->now.v, st->now.n + 1, sizeof(*v));

	if (!v)
		return err_set(e, ERR_HOST_MEMORY, "stats");
	st->now.v = v;
	v = &v[st->now.n++];
	*v = (struct stats_row){ .s = *(const struct vm_stats *)result };
	cpu_since(v, row_before(&st->before, v->s.id));
	return 0;
}

static int busier(const void *a, const void *b)
{
	const struct stats_row *x = a;
	const struct stats_row *y = b;

	if (x->cpu_milli != y->cpu_milli)
		return x->cpu_milli > y->cpu_milli ? -1 : 1;
	return strcmp(x->s.name, y->s.name);
}

/* ---- as text ---- */

enum {
	CELLS = ARRAY_LEN(columns),
};

struct cells {
	char text[CELLS][2 * HUMAN_MAX + 4];
	const char *at[CELLS];
};

static void bytes_cell(char *out, uint64_t bytes)
{
	if (bytes > 0)
		human_bytes(bytes, out);
	else
		(void)snprintf(out, HUMAN_MAX, "-");
}

static void cpu_cell(char *out, bool known, uint64_t milli)
{
	if (known)
		(void)snprintf(out, HUMAN_MAX, "%llu.%llu%%", (unsigned long long)milli / 10,
			       (unsigned long long)milli % 10);
	else
		(void)snprintf(out, HUMAN_MAX, "-");
}

/* Its agent says it of now, its balloon's driver of some seconds ago. */
static void guest_cell(char *out, size_t size, const struct vm_stats *s)
{
	const uint64_t all = s->guest_known ? s->guest.memory_bytes : s->balloon.memory_bytes;
	const uint64_t available = s->guest_known ? s->guest.memory_available_bytes
						  : s->balloon.available_bytes;
	char used[HUMAN_MAX] = "-";
	char given[HUMAN_MAX];

	human_bytes(s->memory_bytes, given);
	if ((s->guest_known || s->balloon_known) && available <= all) /* a guest may say anything */
		human_bytes(all - available, used);
	(void)snprintf(out, size, "%s / %s", used, given);
}

static void count_cell(char *out, bool known, uint64_t n)
{
	if (known)
		(void)snprintf(out, HUMAN_MAX, "%llu", (unsigned long long)n);
	else
		(void)snprintf(out, HUMAN_MAX, "-");
}

static void cells_fill(struct cells *c, const struct stats_row *row, bool total)
{
	const struct vm_stats *s = &row->s;
	const uint64_t now_ms = (uint64_t)time(NULL) * 1000;

	for (size_t i = 0; i < CELLS; i++)
		c->at[i] = c->text[i];
	c->at[0] = s->name;
	cpu_cell(c->text[1], row->cpu_known, row->cpu_milli);
	guest_cell(c->text[2], sizeof(c->text[2]), s);
	bytes_cell(c->text[3], s->balloon.cache_bytes);
	bytes_cell(c->text[4], s->balloon.swapped_out_bytes);
	count_cell(c->text[5], s->balloon_known, s->balloon.major_faults);
	bytes_cell(c->text[6], s->pss_bytes);
	bytes_cell(c->text[7], s->rss_bytes);
	bytes_cell(c->text[8], s->disk_used_bytes);
	bytes_cell(c->text[9], s->read_bytes);
	bytes_cell(c->text[10], s->write_bytes);
	bytes_cell(c->text[11], s->guest.rx_bytes);
	bytes_cell(c->text[12], s->guest.tx_bytes);
	c->text[13][0] = '\0';
	if (!total)
		human_age(now_ms > s->started_ms ? (now_ms - s->started_ms) / 1000 : 0,
			  c->text[13]);
}

/* Of all in the round; what one guest does not tell counts as nothing. */
static struct stats_row total_of(const struct table_of_stats *t)
{
	struct stats_row sum = { .cpu_known = false };

	(void)snprintf(sum.s.name, sizeof(sum.s.name), "TOTAL");
	for (uint32_t i = 0; i < t->n; i++) {
		const struct stats_row *r = &t->v[i];

		sum.cpu_known = sum.cpu_known || r->cpu_known;
		sum.cpu_milli += r->cpu_milli;
		sum.s.memory_bytes += r->s.memory_bytes;
		sum.s.rss_bytes += r->s.rss_bytes;
		sum.s.pss_bytes += r->s.pss_bytes;
		sum.s.disk_used_bytes += r->s.disk_used_bytes;
		sum.s.read_bytes += r->s.read_bytes;
		sum.s.write_bytes += r->s.write_bytes;
		sum.s.guest_known = sum.s.guest_known || r->s.guest_known;
		sum.s.guest.memory_bytes += r->s.guest.memory_bytes;
		sum.s.guest.memory_available_bytes += r->s.guest.memory_available_bytes;
		sum.s.guest.rx_bytes += r->s.guest.rx_bytes;
		sum.s.guest.tx_bytes += r->s.guest.tx_bytes;
		sum.s.balloon_known = sum.s.balloon_known || r->s.balloon_known;
		sum.s.balloon.cache_bytes += r->s.balloon.cache_bytes;
		sum.s.balloon.swapped_out_bytes += r->s.balloon.swapped_out_bytes;
		sum.s.balloon.major_faults += r->s.balloon.major_faults;
	}
	return sum;
}

static int rows_fill(const struct stats *st, struct rows *rows, uint32_t most, struct err *e)
{
	const bool table = rows->format.kind == FORMAT_NONE && !st->o->json && !st->o->quiet;
	struct stats_row sum;
	struct cells c;
	int rc = 0;

	for (uint32_t i = 0; i < st->now.n && i < most && rc == 0; i++) {
		cells_fill(&c, &st->now.v[i], false);
		rc = rows_add(rows, &st->now.v[i], st->now.v[i].s.name, c.at, e);
	}
	if (rc == 0 && table && st->now.n > 1) {
		sum = total_of(&st->now);
		cells_fill(&c, &sum, true);
		rc = rows_add(rows, &sum, "", c.at, e);
	}
	return rc;
}

/* ---- showing a round ---- */

static int show_lines(struct stats *st, struct err *e)
{
	struct rows rows;
	int rc = 0;

	if (st->o->json &&
	    !st->o->no_stream) { /* an object a line: a stream has no end to wait for */
		for (uint32_t i = 0; i < st->now.n && rc == 0; i++) {
			rc = report_json_value(&row_schema, &st->now.v[i], e);
			(void)fputc('\n', stdout);
		}
	} else if (rows_init(&rows, st->o, columns, CELLS, &row_schema) == 0) {
		rc = rows_fill(st, &rows, UINT32_MAX, e);
		rows_end(&rows, rc < 0);
	}
	(void)fflush(stdout);
	return rc;
}

static int show_live(struct stats *st, struct err *e)
{
	CLEANUP_FREE char *text = NULL;
	uint32_t height, width;
	struct rows rows;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	term_size(&height, &width);
	const uint32_t most = height > LINES_BESIDE + 1 ? height - LINES_BESIDE - 1 : 1;
	if (!out)
		return err_set(e, ERR_HOST_MEMORY, "stats");
	int rc = rows_init(&rows, st->o, columns, CELLS, &row_schema) == 0 ? 0 : -EINVAL;
	if (rc == 0)
		rc = rows_fill(st, &rows, most, e);
	if (st->top)
		(void)fprintf(out, "%u VM%s run; q leaves\n", st->now.n, st->now.n == 1 ? "" : "s");
	rows_print(&rows, out, term_width(STDOUT_FILENO));
	if (st->now.n > most)
		(void)fprintf(out, "and %u more\n", st->now.n - most);
	(void)fclose(out);
	if (rc == 0 && text)
		live_draw(&st->screen, text);
	return rc;
}

/* A rate needs two rounds: the first is shown on a terminal only, where somebody waits. */
static int show(struct stats *st, struct err *e)
{
	if (st->top)
		qsort(st->now.v, st->now.n, sizeof(*st->now.v), busier);
	if (st->live)
		return show_live(st, e);
	return st->round > 0 ? show_lines(st, e) : 0;
}

/* ---- rounds ---- */

static bool on_signal(struct session *s, int signo)
{
	struct stats *st = s->arg;

	if (signo == SIGWINCH || signo == SIGUSR1 || signo == SIGUSR2)
		return true;
	if (st->left > 0)
		exit(STATUS_SIGNAL + signo);
	st->left = STATUS_SIGNAL + signo;
	session_cancel_all(s);
	return true;
}

/* One that has gone since it was listed is no failure; a picture has no place for errors. */
static bool is_worth_telling(const struct stats *st, const struct err *e)
{
	const bool gone = e->code == ERR_VM_STATE || e->code == ERR_VM_NOT_FOUND;

	return !st->live && (st->o->nargs > 0 || !gone);
}

static int take_answers(struct stats *st, struct session *s, struct questions *q)
{
	int status = STATUS_OK;

	for (uint32_t i = 0; i < q->n; i++) {
		struct call *c = &q->v[i].call;
		struct err e = c->err;

		if (e.code == 0 && keep_row(st, c->result, &e) == 0)
			continue;
		if (s->lost || is_worth_telling(st, &e)) {
			questions_report(s, &q->v[i]);
			status = STATUS_FAILED;
		}
		if (s->lost)
			break; /* the others say the same */
	}
	return status;
}

static int round_once(struct stats *st, struct session *s)
{
	const struct guest_ask_args ask = { .deadline_ms = st->o->timeout_ms ? st->o->timeout_ms
									     : GUEST_MS };
	struct questions q = { 0 };
	struct err e = { 0 };

	free(st->before.v);
	st->before = st->now;
	st->now = (struct table_of_stats){ 0 };
	int status = questions_gather(s, st->o, true, &q);
	if (status == 0) {
		questions_ask(s, METHOD_VM_STATS, &ask, &q);
		status = st->left ? 0 : take_answers(st, s, &q);
	}
	questions_fini(&q);
	if (!st->left && !s->lost && status != STATUS_USAGE && show(st, &e) < 0) {
		report_error(st->o, &e, NULL, NULL, NULL);
		status = STATUS_FAILED;
	}
	return status;
}

static bool key_leaves(void)
{
	char key;

	return read(STDIN_FILENO, &key, 1) == 1 && (key == 'q' || key == 'Q');
}

/* Until the next round is due, or somebody leaves. */
static void pause_between(struct stats *st, struct session *s, int timer)
{
	struct pollfd extra[] = { { .fd = timer, .events = POLLIN },
				  { .fd = st->top ? STDIN_FILENO : -1, .events = POLLIN } };
	uint64_t times;

	do {
		session_turn(s, extra, ARRAY_LEN(extra));
		if ((extra[1].revents & POLLIN) && key_leaves())
			st->left = -1;
	} while (!st->left && !s->lost && !(extra[0].revents & POLLIN));
	IGNORE(read(timer, &times, sizeof(times)) < 0);
}

static int timer_open(uint32_t ms, struct err *e)
{
	const struct timespec every = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
	const struct itimerspec spec = { .it_value = every, .it_interval = every };
	CLEANUP_FD int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0 || timerfd_settime(fd, 0, &spec, NULL) < 0)
		return err_sys(e, ERR_HOST_IO, "timerfd");
	return take_fd(&fd);
}

static int rounds(struct stats *st, struct session *s, int timer)
{
	struct err e = { 0 };
	int status;

	s->arg = st;
	s->on_signal = on_signal;
	for (;; st->round++) {
		status = round_once(st, s);
		if (st->left || s->lost || status == STATUS_USAGE || ferror(stdout) ||
		    (st->o->nargs > 0 && st->now.n == 0))
			break; /* those that were named have gone: there is nothing to wait for */
		if (st->o->no_stream && st->round > 0)
			break;
		pause_between(st, s, timer);
		if (st->left)
			break;
		if (s->lost) {
			err_set(&e, ERR_DAEMON_DOWN, "the daemon closed the connection");
			report_error(st->o, &e, NULL, NULL, NULL);
			break;
		}
	}
	return st->left > 0   ? st->left
	       : st->left < 0 ? STATUS_OK
	       : s->lost      ? STATUS_FAILED
			      : status;
}

static int check(const struct options *o, bool top, struct err *e)
{
	if (top && !term_draws(STDOUT_FILENO))
		return err_set(e, ERR_BAD_REQUEST,
			       "vm top draws on a terminal, and this is none; see vm stats");
	if (o->interval_ms && o->interval_ms < INTERVAL_LEAST_MS)
		return err_set(e, ERR_BAD_REQUEST, "--interval: at least %dms", INTERVAL_LEAST_MS);
	return 0;
}

static int stats_open(struct stats *st, struct session *s, int *ret_timer, struct err *e)
{
	const struct options *o = st->o;
	int rc = session_open(s, o, true, e);

	if (rc == 0)
		rc = timer_open(o->interval_ms ? o->interval_ms : INTERVAL_MS, e);
	if (rc >= 0)
		*ret_timer = rc;
	if (rc >= 0 && st->top)
		rc = term_keys(e);
	if (rc >= 0 && st->live)
		live_begin(&st->screen, st->top);
	return rc;
}

static int run(const struct options *o, bool top)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	CLEANUP_FD int timer = -EBADF;
	struct stats st = { .o = o, .top = top };
	struct format format;
	struct err e = { 0 };
	int rc = format_init(&format, o->format, columns, CELLS, &row_schema, &e);
	int status;

	st.live = top || (format.kind == FORMAT_NONE && !o->no_stream && !o->json && !o->quiet &&
			  term_draws(STDOUT_FILENO));
	format_fini(&format);
	if (rc == 0)
		rc = check(o, top, &e);
	if (rc < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_USAGE;
	}
	if (stats_open(&st, &s, &timer, &e) < 0) {
		report_error(o, &e, NULL, NULL, NULL);
		return STATUS_FAILED;
	}
	status = rounds(&st, &s, timer);
	live_end();
	term_restore();
	free(st.now.v);
	free(st.before.v);
	return status;
}

int stats_run(const struct options *o)
{
	return run(o, false);
}

int top_run(const struct options *o)
{
	return run(o, true);
}
