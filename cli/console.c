/* console.c - `vm console`: a VM's serial line, as if one sat in front of it.
 *
 *   keys  --escape-->  vm.console  -->  the guest  -->  the console log  --inotify-->  standard
 * output
 *
 * What the guest prints is read from its log, so that it has a beginning, as many as like to can
 * read along, and none of them can hold the guest up.  vm.wait tells that the VM has ended.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "command.h"
#include "escape.h"
#include "list.h"
#include "logfile.h"
#include "report.h"
#include "session.h"
#include "term.h"

#define TAIL_DEFAULT "20"

enum {
	KEYS_MAX = 512, /* read at once */
};

static const char help[] = "\r\n%c.  leaves\r\n%c%c  sends %c\r\n%c?  this help\r\n";

struct console {
	const struct options *o; /* borrowed */
	struct session *s;       /* borrowed */
	struct call view;        /* vm.show */
	struct call over;        /* vm.wait */
	struct call keys;        /* vm.console; not begun where we only read */
	struct log log;
	struct escape escape;
	uint32_t credit;
	bool terminal; /* raw */
	bool typing;   /* input is passed until it ends */
	bool left;
	int signo; /* that ended it, or 0 */
	struct err err;
};

static const char *name_of(const struct console *c)
{
	return ((const struct vm_view *)c->view.result)->spec.name;
}

/* ---- keys ---- */

static void on_event(struct call *call, const struct wire *w)
{
	struct console *c = call->arg;

	if (w->type == WIRE_CREDIT && w->stream == WIRE_STDIN)
		c->credit += w->credit;
}

static void send(struct console *c, const uint8_t *bytes, size_t len)
{
	struct wire w = { .type = WIRE_DATA, .stream = WIRE_STDIN, .bytes = { bytes, len } };

	if (!c->keys.ended && session_send(c->s, &c->keys, &w) < 0)
		err_set(&c->err, ERR_HOST_MEMORY, "input");
	c->credit -= (uint32_t)len;
}

/* Input has ended, or somebody leaves: the daemon answers once all that was typed has been passed.
 */
static void type_end(struct console *c)
{
	send(c, NULL, 0);
	c->typing = false;
}

static void keys_take(struct console *c, const uint8_t *in, size_t len)
{
	uint8_t out[2 * KEYS_MAX];
	size_t n, taken;

	for (size_t at = 0; at < len && c->typing; at += taken) {
		const enum escape_says says = escape_feed(&c->escape, in + at, len - at, out, &n,
							  &taken);

		if (n > 0)
			send(c, out, n);
		if (says == ESCAPE_HELP && c->terminal) {
			const char k = (char)c->escape.key;

			(void)fprintf(stderr, help, k, k, k, k, k);
		} else if (says == ESCAPE_LEAVE) {
			c->left = true;
			type_end(c);
		}
	}
}

/* A held key can make two of one byte. */
static void keys_read(struct console *c)
{
	uint8_t in[KEYS_MAX];
	const size_t want = c->credit / 2 < sizeof(in) ? c->credit / 2 : sizeof(in);
	const ssize_t n = read(STDIN_FILENO, in, want);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0)
		keys_take(c, in, (size_t)n);
	else
		type_end(c);
}

/* ---- what the guest prints ---- */

static int log_show(struct console *c)
{
	int rc;

	log_drop_if_gone(&c->log);
	rc = log_open(&c->log, &c->err);
	return rc == 0 && c->log.fd >= 0 ? log_put(&c->log, &c->err) : rc;
}

static int log_begin(struct console *c)
{
	int rc = log_init(&c->log, c->view.result, false, &c->err);

	if (rc == 0)
		rc = log_follow(&c->log, &c->err);
	if (rc == 0)
		rc = log_open(&c->log, &c->err);
	if (rc == 0 && c->log.fd >= 0)
		rc = log_skip(&c->log, c->o->tail_lines ? c->o->tail_lines : TAIL_DEFAULT, &c->err);
	return rc;
}

/* ---- the conversation ---- */

static int begin(struct console *c)
{
	struct targets_args over = { 0 };
	struct ref_args keys = { 0 };
	const struct vm_view *vm = c->view.result;
	int rc;

	vm_id_text(vm->id, keys.ref);
	c->keys.on_event = on_event;
	c->keys.arg = c;
	if (strv_add(&over.refs, keys.ref) < 0)
		return err_set(&c->err, ERR_HOST_MEMORY, "console");
	rc = session_begin(c->s, &c->over, METHOD_VM_WAIT, &over);
	strv_fini(&over.refs);
	if (rc == 0 && !c->o->read_only) {
		rc = session_begin(c->s, &c->keys, METHOD_VM_CONSOLE, &keys);
		c->typing = rc == 0;
	}
	return rc;
}

/* Nothing is under way that would have to be undone. */
static bool on_signal(struct session *s, int signo)
{
	struct console *c = s->arg;

	if (signo != SIGWINCH)
		c->signo = signo;
	return true;
}

static bool goes_on(const struct console *c)
{
	return !c->err.code && !c->over.ended && !c->keys.err.code && !c->signo &&
	       !(c->left && c->keys.ended) && !ferror(stdout);
}

static void pump(struct console *c)
{
	while (log_show(c) == 0 && goes_on(c)) {
		struct pollfd fds[] = {
			{ .fd = c->typing && c->credit >= 2 ? STDIN_FILENO : -1, .events = POLLIN },
			{ .fd = c->log.inotify, .events = POLLIN },
		};

		session_turn(c->s, fds, ARRAY_LEN(fds));
		log_events_take(&c->log);
		if (fds[0].revents && !c->keys.ended)
			keys_read(c);
	}
	if (!c->err.code)
		IGNORE(log_show(c) < 0); /* its last words */
}

/* The keys are raw once the daemon passes them: until then, an interrupt is one. */
static int console_open(struct console *c)
{
	int rc = begin(c);

	while (rc == 0 && c->typing && c->credit == 0 && !c->keys.ended && !c->signo)
		session_turn(c->s, NULL, 0);
	if (rc < 0 || c->keys.err.code || c->signo)
		return -ECONNREFUSED;
	c->terminal = c->typing && isatty(STDIN_FILENO);
	c->escape.key = c->terminal ? ESCAPE_DEFAULT : ESCAPE_NONE;
	if (c->o->escape && escape_parse("--escape", c->o->escape, &c->escape.key, &c->err) < 0)
		return err_errno(&c->err);
	if (!c->terminal)
		return 0;
	if (c->escape.key == ESCAPE_NONE)
		report_note(c->o, "the console of %s; there is no key to leave with", name_of(c));
	else
		report_note(c->o, "the console of %s; Enter %c. leaves", name_of(c), c->escape.key);
	return term_raw(&c->err);
}

static int console_end(struct console *c)
{
	const struct call *failed = c->keys.err.code   ? &c->keys
				    : c->over.err.code ? &c->over
						       : NULL;

	if (c->terminal)
		(void)fputs("\r\n", stderr); /* whatever the guest's last line is */
	if (c->err.code) {
		report_error(c->o, &c->err, NULL, NULL, NULL);
		return STATUS_FAILED;
	}
	if (c->signo)
		return STATUS_SIGNAL + c->signo;
	if (c->left)
		report_note(c->o, "left the console of %s, which runs on", name_of(c));
	else if (failed)
		return session_report(c->s, failed);
	else if (c->over.ended)
		report_note(c->o, "%s has ended", name_of(c));
	return STATUS_OK;
}

static int attach(struct console *c)
{
	c->s->on_signal = on_signal;
	c->s->arg = c;
	if (log_begin(c) == 0 && console_open(c) == 0)
		pump(c);
	term_restore();
	return console_end(c);
}

static int converse(struct console *c, struct err *e)
{
	CLEANUP_SESSION struct session s = SESSION_INIT;
	struct ref_args args = { 0 };
	int status;

	if (ref_args_fill(c->o, &args, e) < 0)
		return STATUS_USAGE;
	if (session_open(&s, c->o, true, e) < 0)
		return STATUS_FAILED;
	c->s = &s;
	status = session_call(&s, &c->view, METHOD_VM_SHOW, &args) < 0
			 ? session_report(&s, &c->view)
			 : attach(c);
	log_fini(&c->log);
	call_fini(&c->view);
	call_fini(&c->over);
	call_fini(&c->keys);
	return status;
}

int console_run(const struct options *o)
{
	CLEANUP_FREE struct console *c = calloc(1, sizeof(*c)); /* large */
	struct err e = { 0 };
	int status = STATUS_FAILED;

	if (c) {
		c->o = o;
		c->log.fd = c->log.inotify = -EBADF;
		status = converse(c, &e);
	} else {
		err_set(&e, ERR_HOST_MEMORY, "console");
	}
	if (e.code)
		report_error(o, &e, NULL, NULL, NULL);
	return status;
}
