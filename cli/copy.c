/* copy.c - `vm cp`: files and trees into VMs and out of them, as tar streams both ways.
 *
 *   into:    pack or stdin  --data within the daemon's credit-->  the agent unpacks
 *   out of:  unpack or stdout  <--data within ours--  the agent packs;  credit goes back as used
 *
 * Nothing is kept but what is on its way, so memory is bounded by the windows.  What the guest
 * sends is unpacked as what a stranger sent: see tar/unpack.h.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "command.h"
#include "human.h"
#include "progress.h"
#include "report.h"
#include "session.h"
#include "sink.h"
#include "tar/pack.h"
#include "tar/unpack.h"

enum {
	SEND_AHEAD = 128 * 1024, /* bytes unsent above which no more is packed */
	SINK_LOW = 64 * 1024,    /* bytes unwritten below which credit is given back */
	NOTE_MAX = 512,          /* bytes of a note that are shown */
	SHOW_EVERY_MS = 100,
};

/* One end of a copy, as written: PATH, REF:PATH or -. */
struct side {
	char ref[REF_MAX + 1]; /* "": here */
	const char *path;      /* borrowed */
};

struct copy {
	const struct options *o; /* borrowed */
	struct session *s;       /* borrowed */
	struct call call;
	const struct side *from, *to; /* borrowed */
	struct progress progress;
	int64_t shown_ms; /* when the progress was told last */
	uint64_t bytes;   /* of the archive that have passed */
	struct err here;  /* what went wrong on this side */
	/* into the VM */
	struct pack *pack; /* owned; NULL: standard input is the archive */
	uint32_t credit;
	bool sent; /* the end, too */
	/* out of the VM */
	struct unpack *unpack; /* owned; NULL: to standard output */
	struct sink sink;
	uint32_t owed[WIRE_NSTREAMS]; /* bytes taken, credit not given back */
	char note[NOTE_MAX];          /* the line that is not whole yet */
	size_t note_len;
};

static uint8_t piece[WIRE_CHUNK_MAX];

static bool is_stream(const struct side *s)
{
	return !s->ref[0] && strcmp(s->path, "-") == 0;
}

static bool goes_in(const struct copy *c)
{
	return c->to->ref[0] != '\0';
}

static const struct side *in_vm(const struct copy *c)
{
	return goes_in(c) ? c->to : c->from;
}

/* ---- words ---- */

/* A colon before any slash, and not at the beginning: docker's rule.  "./a:b" is a file. */
static int side_parse(const char *word, struct side *ret_side, struct err *e)
{
	const size_t len = strcspn(word, ":/");

	*ret_side = (struct side){ .path = word };
	if (word[0] == '\0')
		return err_set(e, ERR_BAD_REQUEST, "an empty path");
	if (word[len] != ':' || len == 0 || word[0] == '.')
		return 0;
	if (len > REF_MAX)
		return err_set(e, ERR_BAD_REQUEST, "\"%.40s...\" is no name or id of a VM", word);
	memcpy(ret_side->ref, word, len);
	ret_side->path = word + len + 1;
	if (ret_side->path[0] == '\0')
		return err_set(e, ERR_BAD_REQUEST, "%s which path in the VM?", word);
	if (strlen(ret_side->path) > PATH_BYTES_MAX)
		return err_set(e, ERR_BAD_REQUEST, "a path of more than %d bytes", PATH_BYTES_MAX);
	return 0;
}

static int sides_check(const struct side *sides, uint32_t n, struct err *e)
{
	const struct side *to = &sides[n - 1];

	for (uint32_t i = 0; i < n - 1; i++) {
		const struct side *from = &sides[i];

		if (!from->ref[0] && !to->ref[0])
			return err_set(e, ERR_BAD_REQUEST,
				       "neither is in a VM: write REF:PATH for one of them");
		if (from->ref[0] && to->ref[0])
			return err_set(
				e, ERR_BAD_REQUEST,
				"from VM to VM: `banger vm cp %s:%.60s - | banger vm cp - %s:DIR`",
				from->ref, from->path, to->ref);
		if (n > 2 && (is_stream(from) || is_stream(to)))
			return err_set(e, ERR_BAD_REQUEST,
				       "- is one source, or the destination of one");
	}
	if (is_stream(&sides[0]) && isatty(STDIN_FILENO))
		return err_set(e, ERR_BAD_REQUEST, "-: no tar archive comes from a terminal");
	if (is_stream(to) && isatty(STDOUT_FILENO))
		return err_set(e, ERR_BAD_REQUEST,
			       "-: a tar archive is not for a terminal; redirect it");
	return 0;
}

/* ---- telling ---- */

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void show(struct copy *c)
{
	struct progress_event ev = { .stage = "copying" };
	char amount[HUMAN_MAX];

	if (now_ms() - c->shown_ms < SHOW_EVERY_MS)
		return;
	c->shown_ms = now_ms();
	human_bytes(c->bytes, amount);
	(void)snprintf(ev.name, sizeof(ev.name), "%.63s", c->from->path);
	(void)snprintf(ev.message, sizeof(ev.message), "%s", c->progress.live ? amount : "");
	report_clean(ev.name);
	progress_take(&c->progress, &ev);
}

static void note(struct copy *c, const char *ref, const char *line)
{
	char text[NOTE_MAX];

	(void)snprintf(text, sizeof(text), "%s", line);
	report_clean(text);
	progress_end(&c->progress);
	report_note(c->o, "%s%s%s", ref, ref[0] ? ":" : "", text);
}

/* Whole lines of `bytes`; the rest is kept for the next. */
static void notes_take(struct copy *c, const char *ref, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != '\n') {
			if (c->note_len < sizeof(c->note) - 1)
				c->note[c->note_len++] = (char)bytes[i];
			continue;
		}
		c->note[c->note_len] = '\0';
		c->note_len = 0;
		note(c, ref, c->note);
	}
}

static void notes_here(struct copy *c, struct buf *notes)
{
	notes_take(c, "", buf_data(notes), buf_len(notes));
	buf_clear(notes);
}

/* The other side stops too, and what it then says is not what went wrong. */
static void fail_here(struct copy *c)
{
	session_cancel_all(c->s);
	c->sent = true;
}

/* ---- into a VM ---- */

static void send_piece(struct copy *c, size_t len)
{
	struct wire w = { .type = WIRE_DATA, .stream = WIRE_STDIN, .bytes = { piece, len } };

	if (session_send(c->s, &c->call, &w) < 0)
		return; /* it has ended, and is about to say why */
	c->credit -= (uint32_t)len;
	c->sent = len == 0;
	c->bytes += len;
	show(c);
}

static size_t piece_size(const struct copy *c)
{
	return c->credit < sizeof(piece) ? c->credit : sizeof(piece);
}

static bool may_send(const struct copy *c)
{
	return !c->sent && !c->call.ended && c->credit > 0 && buf_len(&c->s->out) < SEND_AHEAD;
}

static void send_packed(struct copy *c)
{
	while (may_send(c)) {
		const ssize_t n = pack_read(c->pack, piece, piece_size(c), &c->here);

		if (n < 0) {
			fail_here(c);
			return;
		}
		notes_here(c, pack_notes(c->pack));
		send_piece(c, (size_t)n);
	}
}

static void send_stdin(struct copy *c)
{
	const ssize_t n = read(STDIN_FILENO, piece, piece_size(c));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0) {
		err_sys(&c->here, ERR_FILE_IO, "standard input");
		fail_here(c);
		return;
	}
	send_piece(c, (size_t)n);
}

/* ---- out of a VM ---- */

static void archive_take(struct copy *c, const struct wire *w)
{
	int rc;

	c->bytes += w->bytes.len;
	if (c->here.code)
		return;
	if (!c->unpack) {
		rc = sink_add(&c->sink, w->bytes.data, w->bytes.len);
		if (rc < 0)
			err_num(&c->here, ERR_FILE_IO, rc, "standard output");
	} else {
		rc = unpack_feed(c->unpack, w->bytes.data, w->bytes.len, &c->here);
		notes_here(c, unpack_notes(c->unpack));
	}
	if (rc < 0)
		fail_here(c);
	show(c);
}

static void credit_give(struct copy *c, enum wire_stream stream)
{
	struct wire w = { .type = WIRE_CREDIT, .stream = stream, .credit = c->owed[stream] };

	if (c->call.ended || c->owed[stream] < WIRE_STREAM_WINDOW / 4)
		return;
	if (session_send(c->s, &c->call, &w) == 0)
		c->owed[stream] = 0;
}

static void sink_empty(struct copy *c)
{
	const int rc = sink_write(&c->sink);

	if (rc < 0 && !c->here.code) {
		err_num(&c->here, ERR_FILE_IO, rc, "standard output");
		fail_here(c);
	}
}

/* ---- both ways ---- */

static void on_event(struct call *call, const struct wire *w)
{
	struct copy *c = call->arg;

	if (w->type == WIRE_CREDIT && w->stream == WIRE_STDIN)
		c->credit += w->credit;
	if (w->type != WIRE_DATA || w->stream == WIRE_STDIN)
		return;
	c->owed[w->stream] += (uint32_t)w->bytes.len;
	if (w->stream == WIRE_STDERR)
		notes_take(c, in_vm(c)->ref, w->bytes.data, w->bytes.len);
	else
		archive_take(c, w);
}

static void turn(struct copy *c)
{
	struct pollfd fds[] = {
		{ .fd = -1, .events = POLLIN },
		{ .fd = sink_len(&c->sink) > 0 ? STDOUT_FILENO : -1, .events = POLLOUT },
	};

	if (c->pack)
		send_packed(c);
	else if (goes_in(c) && may_send(c))
		fds[0].fd = STDIN_FILENO;
	session_turn(c->s, fds, ARRAY_LEN(fds));
	if (fds[0].revents && may_send(c))
		send_stdin(c);
	if (fds[1].revents)
		sink_empty(c);
	if (sink_len(&c->sink) < SINK_LOW)
		credit_give(c, WIRE_STDOUT);
	credit_give(c, WIRE_STDERR);
}

static void path_lend(struct bytes *to, const struct side *side)
{
	*to = (struct bytes){ (uint8_t *)(uintptr_t)side->path, strlen(side->path) };
}

static int begin(struct copy *c, bool as)
{
	struct copy_in_args in = { .as = as, .no_owner = c->o->no_owner };
	struct copy_out_args out = { .follow = c->o->follow_link };

	c->call.on_event = on_event;
	c->call.arg = c;
	c->call.progress = &c->progress;
	if (goes_in(c)) {
		(void)snprintf(in.ref, sizeof(in.ref), "%s", c->to->ref);
		path_lend(&in.path, c->to);
		return session_begin(c->s, &c->call, METHOD_VM_COPY_IN, &in);
	}
	(void)snprintf(out.ref, sizeof(out.ref), "%s", c->from->ref);
	path_lend(&out.path, c->from);
	return session_begin(c->s, &c->call, METHOD_VM_COPY_OUT, &out);
}

/* What can go wrong here is tried before the VM is asked. */
static int open_here(struct copy *c, bool as)
{
	const struct unpack_how to = { .as = as,
				       .owners = geteuid() == 0 && !c->o->no_owner,
				       .beneath = true };
	char name[NAME_MAX + 1];

	if (goes_in(c) && !is_stream(c->from)) {
		pack_name(c->from->path, name);
		return pack_open(c->from->path,
				 &(struct pack_how){ .as = name, .follow = c->o->follow_link },
				 &c->pack, &c->here);
	}
	if (!goes_in(c) && !is_stream(c->to))
		return unpack_open(c->to->path, &to, &c->unpack, &c->here);
	return 0;
}

static bool about_files(enum err_code code)
{
	return code == ERR_FILE_NOT_FOUND || code == ERR_FILE_DENIED || code == ERR_FILE_KIND ||
	       code == ERR_FILE_SPACE || code == ERR_FILE_IO || code == ERR_TAR_BAD;
}

/* The exit status, after having told what went wrong. */
static int copy_end(struct copy *c)
{
	progress_end(&c->progress);
	if (!c->here.code && !c->call.err.code && c->unpack)
		IGNORE(unpack_end(c->unpack, &c->here) < 0); /* told below */
	if (c->here.code && !c->s->signo) {
		if (c->here.code == ERR_FILE_IO && c->here.sys == EPIPE)
			return STATUS_SIGNAL + SIGPIPE; /* who read it has enough */
		report_error(c->o, &c->here, NULL, NULL, NULL);
		return STATUS_FAILED;
	}
	if (c->call.err.code) {
		if (about_files(c->call.err.code))
			err_ctx(&c->call.err, "%s", in_vm(c)->ref);
		return session_report(c->s, &c->call);
	}
	if (c->o->json && report_json(&copy_result_schema, c->call.result, &c->here) < 0) {
		report_error(c->o, &c->here, NULL, NULL, NULL);
		return STATUS_FAILED;
	}
	return STATUS_OK;
}

static int copy_one(struct session *s, const struct options *o, const struct side *from,
		    const struct side *to, bool as)
{
	struct copy c = { .o = o, .s = s, .from = from, .to = to, .call.op_id = o->op_id };
	int status;

	progress_init(&c.progress, o, 0);
	sink_init(&c.sink, STDOUT_FILENO, WIRE_STREAM_WINDOW + SINK_LOW);
	if (open_here(&c, as) == 0 && begin(&c, as) == 0)
		while (!c.call.ended || sink_len(&c.sink) > 0)
			turn(&c);
	status = copy_end(&c);
	pack_close(c.pack);
	unpack_close(c.unpack);
	sink_fini(&c.sink);
	call_fini(&c.call);
	return status;
}

static int copy_all(const struct options *o, const struct side *sides, struct err *e)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	const uint32_t n = o->nargs;
	int status = STATUS_OK;

	if (session_open(&s, o, true, e) < 0)
		return STATUS_FAILED;
	pack_descriptors_raise();
	/* Of several each goes into a directory; an archive on standard input holds names of its
	 * own. */
	const bool as = n == 2 && !is_stream(&sides[0]);
	for (uint32_t i = 0; i < n - 1 && !s.signo && !s.lost; i++) {
		const int one = copy_one(&s, o, &sides[i], &sides[n - 1], as);

		status = status == STATUS_OK || s.signo ? one : status;
	}
	return status;
}

int copy_run(const struct options *o)
{
	CLEANUP_FREE struct side *sides = calloc(o->nargs, sizeof(*sides));
	struct err e = { 0 };
	int status = STATUS_USAGE;
	int rc = sides ? 0 : err_set(&e, ERR_HOST_MEMORY, "words");

	for (uint32_t i = 0; rc == 0 && i < o->nargs; i++)
		rc = side_parse(o->args[i], &sides[i], &e);
	if (rc == 0)
		rc = sides_check(sides, o->nargs, &e);
	if (rc == 0)
		status = copy_all(o, sides, &e);
	if (e.code)
		report_error(o, &e, NULL, NULL, NULL);
	return status;
}
