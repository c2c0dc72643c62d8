/* crew.c
 *
 * #syscalls(supervisor) waitid wait4 kill? openat close setsockopt
 */
#include "helper/crew.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "proto/frame.h"

static const char *worker_name(const struct member *m)
{
	return filters[m->role].name;
}

/* ---- one line per request ---- */

static void log_request(const struct member *m, const struct slot *s, enum err_code code, vm_id vm,
			uint64_t now_us)
{
	struct log_ctx ctx;
	char id[VM_ID_CHARS + 1] = "-";

	(void)snprintf(ctx.actor, sizeof(ctx.actor), "helper/%s", worker_name(m));
	if (vm)
		vm_id_text(vm, id);
	LOG_AT(code == ERR_NONE ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, &ctx, &s->op_id, "request",
	       K("operation", helper_methods[s->method].name), K("vm", id),
	       K("result", err_name(code)), K("dur_us", now_us - s->begun_us));
}

/* ---- to the worker ---- */

static uint32_t open_devices(const struct slot *s, int fds[HELPER_SLOTS_MAX])
{
	const uint32_t wanted = helper_ops[s->method].tuns;
	uint32_t n = 0;

	while (n < wanted) {
		fds[n] = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
		if (fds[n] < 0)
			break; /* the operation says that it has none */
		n++;
	}
	return n;
}

static uint64_t deadline_us(const struct slot *s)
{
	return s->begun_us + (uint64_t)helper_ops[s->method].deadline_ms * 1000;
}

/* The link takes so many that wait, all short, and one more. */
static bool may_be_passed(const struct member *m, const struct slot *s)
{
	return helper_ops[s->method].waits && m->nbegun < WORKER_LATE_MAX;
}

static void begin(struct member *m, struct slot *s, uint64_t now_us)
{
	const struct serve_ask ask = { .ticket = ++m->tickets };
	const struct iovec message[] = {
		{ (void *)(uintptr_t)&ask, sizeof(ask) },
		{ (void *)(uintptr_t)slot_payload(s), slot_payload_len(s) },
	};
	int fds[HELPER_SLOTS_MAX];
	const uint32_t nfds = open_devices(s, fds);

	s->begun_us = now_us;
	s->ticket = ask.ticket;
	list_append(&m->begun, &s->link);
	m->nbegun++;
	m->current = may_be_passed(m, s) ? NULL : s;
	/* A worker that died is seen on its link; the request then ends as any under way. */
	IGNORE(link_send(m->link, message, ARRAY_LEN(message), fds, nfds));
	for (uint32_t i = 0; i < nfds; i++)
		close_fd(&fds[i]);
}

static void next(struct member *m, uint64_t now_us)
{
	struct list_node *n;

	while (m->link >= 0 && !m->killed && !m->current && (n = list_pop(&m->queue)) != NULL) {
		struct slot *const s = list_entry(n, struct slot, link);

		if (s->peer->fd < 0)
			slot_free(s); /* nobody waits for it, and it has not begun */
		else
			begin(m, s, now_us);
	}
}

void crew_take(struct crew *c, struct slot *s, uint64_t now_us)
{
	struct member *const m = &c->members[helper_ops[s->method].worker];

	list_append(&m->queue, &s->link);
	next(m, now_us);
}

/* ---- from the worker ---- */

static struct slot *find(const struct member *m, uint64_t ticket)
{
	list_for_each (n, &m->begun) {
		struct slot *const s = list_entry(n, struct slot, link);

		if (s->ticket == ticket)
			return s;
	}
	return NULL;
}

static void finish(struct member *m, struct slot *s)
{
	list_remove(&s->link);
	m->nbegun--;
	if (m->current == s)
		m->current = NULL;
}

static void describe_death(const struct member *m, const siginfo_t *how, struct err *e)
{
	if (m->killed)
		(void)err_set(e, ERR_HELPER_WORKER,
			      "worker %s: no answer within the deadline, killed", worker_name(m));
	else if (how->si_code == CLD_EXITED)
		(void)err_set(e, ERR_HELPER_WORKER, "worker %s: exited with %d", worker_name(m),
			      how->si_status);
	else if (how->si_status == SIGSYS)
		(void)err_set(e, ERR_HELPER_WORKER,
			      "worker %s: killed for a system call that its filter denies",
			      worker_name(m));
	else
		(void)err_set(e, ERR_HELPER_WORKER, "worker %s: killed by signal %d",
			      worker_name(m), how->si_status);
}

static void pause_before_next(struct member *m, uint64_t now_us)
{
	m->restart_us = now_us + (uint64_t)m->pause_ms * 1000;
	m->pause_ms = m->pause_ms * 2 < CREW_PAUSE_MAX_MS ? m->pause_ms * 2 : CREW_PAUSE_MAX_MS;
}

static void bury(struct member *m, uint64_t now_us)
{
	const struct log_ctx ctx = { .actor = "helper" };
	siginfo_t how = { .si_status = 0 };
	struct err e = { 0 };
	struct list_node *n;

	close_fd(&m->link);
	while (waitid(P_PID, (id_t)m->pid, &how, WEXITED) < 0 && errno == EINTR) {
	}
	describe_death(m, &how, &e);
	LOG_ERR(&ctx, NULL, "worker.died", K("worker", worker_name(m)), K("pid", m->pid),
		K("error", e.text), K("pause_ms", m->pause_ms));
	m->pid = 0;
	m->killed = false;
	pause_before_next(m, now_us);
	while ((n = list_first(&m->begun)) != NULL) {
		struct slot *const s = list_entry(n, struct slot, link);

		finish(m, s);
		log_request(m, s, e.code, 0, now_us);
		slot_refuse(s, &e);
	}
}

/* What the worker sent must be a frame as long as it says; more is not asked of it here. */
static bool is_answer(const uint8_t *frame, ssize_t len, const struct serve_note *note)
{
	return len > FRAME_HEAD && note->code < ERR_NCODES &&
	       frame_length(frame, HELPER_FRAME_MAX, NULL) == len - FRAME_HEAD;
}

void crew_readable(struct crew *c, struct member *m, uint64_t now_us)
{
	static uint8_t frame[SLOT_BYTES];
	struct serve_note note = { .code = 0 };
	const struct iovec iov[] = { { &note, sizeof(note) }, { frame, sizeof(frame) } };
	int fds[HELPER_FDS_MAX];
	uint32_t nfds = 0;
	const ssize_t n = link_receive(m->link, iov, ARRAY_LEN(iov), fds, HELPER_FDS_MAX, &nfds);
	const ssize_t len = n - (ssize_t)sizeof(note);
	struct slot *const s = n > 0 && !m->killed ? find(m, note.ticket) : NULL;

	(void)c;
	if (s && is_answer(frame, len, &note)) {
		finish(m, s);
		m->pause_ms = CREW_PAUSE_MIN_MS;
		memcpy(s->bytes, frame, (size_t)len);
		s->len = (size_t)len;
		memcpy(s->fds, fds, nfds * sizeof(int));
		s->nfds = nfds;
		log_request(m, s, (enum err_code)note.code, note.vm, now_us);
		slot_reply(s);
		next(m, now_us);
		return;
	}
	for (uint32_t i = 0; i < nfds; i++)
		close_fd(&fds[i]);
	if (n > 0)
		kill(m->pid, SIGKILL); /* it speaks out of turn, or too late */
	bury(m, now_us);
}

/* ---- their lives ---- */

static int start(struct crew *c, struct member *m, struct err *e)
{
	const struct log_ctx ctx = { .actor = "helper" };
	const int rc = zygote_worker(c->zygote, m->role, &m->pid, &m->link, e);

	if (rc == 0)
		LOG_INFO(&ctx, NULL, "worker.start", K("worker", worker_name(m)), K("pid", m->pid));
	return rc;
}

int crew_open(struct crew *c, const struct zygote *zygote, struct err *e)
{
	int rc = 0;

	c->zygote = zygote;
	for (int i = 0; i < WORKER_NWORKERS; i++) {
		c->members[i] = (struct member){ .role = (enum filter_role)i,
						 .link = -EBADF,
						 .pause_ms = CREW_PAUSE_MIN_MS };
		list_init(&c->members[i].queue);
		list_init(&c->members[i].begun);
	}
	for (int i = 0; rc == 0 && i < WORKER_NWORKERS; i++)
		rc = start(c, &c->members[i], e);
	if (rc < 0)
		crew_close(c);
	return rc;
}

/* Each ends by itself when its link closes. */
void crew_close(struct crew *c)
{
	for (int i = 0; i < WORKER_NWORKERS; i++) {
		struct member *const m = &c->members[i];

		close_fd(&m->link);
		if (m->pid > 0)
			while (waitpid(m->pid, NULL, 0) < 0 && errno == EINTR) {
			}
		m->pid = 0;
	}
}

static void restart(struct crew *c, struct member *m, uint64_t now_us)
{
	const struct log_ctx ctx = { .actor = "helper" };
	struct err e = { 0 };

	if (start(c, m, &e) == 0) {
		next(m, now_us);
		return;
	}
	LOG_ERR(&ctx, NULL, "worker.start", K("worker", worker_name(m)), K("error", e.text));
	pause_before_next(m, now_us);
}

/* Of what it has, what is to be answered first; UINT64_MAX: nothing. */
static uint64_t first_deadline_us(const struct member *m)
{
	uint64_t first = UINT64_MAX;

	list_for_each (n, &m->begun) {
		const uint64_t at = deadline_us(list_entry(n, struct slot, link));

		if (at < first)
			first = at;
	}
	return first;
}

void crew_tick(struct crew *c, uint64_t now_us)
{
	for (int i = 0; i < WORKER_NWORKERS; i++) {
		struct member *const m = &c->members[i];

		if (m->link < 0 && now_us >= m->restart_us)
			restart(c, m, now_us);
		if (!m->killed && now_us >= first_deadline_us(m)) {
			m->killed = true;
			kill(m->pid, SIGKILL); /* its link closes, and it is buried */
		}
	}
}

uint64_t crew_next_us(const struct crew *c)
{
	uint64_t soonest = UINT64_MAX;

	for (int i = 0; i < WORKER_NWORKERS; i++) {
		const struct member *const m = &c->members[i];
		uint64_t at = UINT64_MAX;

		if (m->link < 0)
			at = m->restart_us;
		else if (!m->killed)
			at = first_deadline_us(m);
		if (at < soonest)
			soonest = at;
	}
	return soonest;
}

bool crew_drain(struct crew *c, const struct err *why)
{
	bool idle = true;

	for (int i = 0; i < WORKER_NWORKERS; i++) {
		struct member *const m = &c->members[i];
		struct list_node *n;

		while ((n = list_first(&m->queue)) != NULL)
			slot_refuse(list_entry(n, struct slot, link), why);
		if (!list_empty(&m->begun))
			idle = false;
	}
	return idle;
}
