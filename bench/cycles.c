/* cycles.c - create, start, stop, delete, as fast as the daemon answers.
 *
 * `--inflight` slots, spread over the connections; each carries one VM at a time through the four
 * requests.  A slot whose request fails goes on to the delete, and the cycle counts as failed.
 * A request's id says its slot: id = slot + 1 (one request per slot at a time).
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/text.h"
#include "bench/bench.h"
#include "bench/conn.h"
#include "bench/report.h"

enum stage {
	STAGE_CREATE,
	STAGE_START,
	STAGE_STOP,
	STAGE_DELETE,
	STAGE_NSTAGES,
};

static const enum client_method stage_methods[STAGE_NSTAGES] = {
	[STAGE_CREATE] = METHOD_VM_CREATE,
	[STAGE_START] = METHOD_VM_START,
	[STAGE_STOP] = METHOD_VM_STOP,
	[STAGE_DELETE] = METHOD_VM_DELETE,
};

struct slot {
	enum stage stage;
	uint32_t cycle;
	uint64_t begun_ns;
	bool bad;
};

struct cycles {
	const struct bench_args *args;
	struct conn *conns;   /* owned, args->connections of them */
	struct pollfd *polls; /* owned, likewise */
	struct slot *slots;   /* owned, args->concurrency of them */
	struct samples times;
	uint32_t begun, ended, failed;
	uint32_t opened; /* of conns */
	char first_failure[ERR_TEXT_MAX];
};

static struct conn *conn_of(struct cycles *y, uint32_t slot)
{
	return &y->conns[slot % y->args->connections];
}

static void name_of(const struct slot *s, char name[VM_NAME_MAX + 1])
{
	(void)snprintf(name, VM_NAME_MAX + 1, "cycle-%ld-%u", (long)getpid(), s->cycle);
}

static int send_create(struct cycles *y, uint32_t i, struct err *e)
{
	struct create_args a = { .no_start = true };

	name_of(&y->slots[i], a.spec.name);
	TEXT_SET(a.spec.vmm, y->args->vmm);
	TEXT_SET(a.spec.image, y->args->image);
	return conn_request(conn_of(y, i), i + 1, METHOD_VM_CREATE, &a, e);
}

static int send_target(struct cycles *y, uint32_t i, struct err *e)
{
	const struct slot *s = &y->slots[i];
	struct targets_args a = { .force = s->stage != STAGE_START };
	char name[VM_NAME_MAX + 1];

	name_of(s, name);
	int rc = strv_add(&a.refs, name);

	if (rc < 0)
		return err_num(e, ERR_HOST_MEMORY, rc, "a name");
	rc = conn_request(conn_of(y, i), i + 1, stage_methods[s->stage], &a, e);
	strv_fini(&a.refs);
	return rc;
}

static int slot_send(struct cycles *y, uint32_t i, struct err *e)
{
	return y->slots[i].stage == STAGE_CREATE ? send_create(y, i, e) : send_target(y, i, e);
}

/* 0 with no request under way when every cycle has begun. */
static int slot_begin(struct cycles *y, uint32_t i, struct err *e)
{
	if (y->begun == y->args->count)
		return 0;
	y->slots[i] = (struct slot){ .cycle = y->begun++, .begun_ns = now_ns() };
	return slot_send(y, i, e);
}

/* Whether the request did what it should; the words of the first failure are kept. */
static bool succeeded(struct cycles *y, const struct slot *s, const struct wire *w)
{
	struct targets_result r;
	struct err e = { 0 };
	bool good;

	if (w->failed) {
		TEXT_SET(e.text, w->error.message);
		good = false;
	} else {
		good = schema_decode(&targets_result_schema, w->body.data, w->body.len, &r, &e) ==
		       0;
		if (good && r.failed > 0) {
			const struct target_result *t = r.targets.items;

			good = false;
			TEXT_SET(e.text, r.targets.n ? t->message : "no result");
		}
		if (e.code == ERR_NONE)
			schema_fini(&targets_result_schema, &r);
	}
	if (!good && !y->first_failure[0])
		(void)snprintf(y->first_failure, sizeof(y->first_failure), "%s: %.200s",
			       client_methods[stage_methods[s->stage]].name, e.text);
	return good;
}

static int slot_reply(struct cycles *y, const struct wire *w, struct err *e)
{
	if (w->id == 0 || w->id > y->args->concurrency)
		return err_set(e, ERR_BAD_FRAME, "a reply to request %u, which was not made",
			       w->id);

	const uint32_t i = w->id - 1;
	struct slot *s = &y->slots[i];
	const bool good = succeeded(y, s, w);

	s->bad = s->bad || !good;
	if (s->stage == STAGE_DELETE || (s->stage == STAGE_CREATE && !good)) {
		y->ended++;
		if (s->bad)
			y->failed++;
		else
			samples_add(&y->times, now_ns() - s->begun_ns);
		return slot_begin(y, i, e);
	}
	s->stage = good ? s->stage + 1 : STAGE_DELETE;
	return slot_send(y, i, e);
}

static int conn_turn(struct cycles *y, struct conn *c, struct err *e)
{
	struct wire w;
	int rc = conn_fill(c, e);

	while (rc == 0 && (rc = conn_take(c, &w, e)) == 1)
		rc = slot_reply(y, &w, e);
	return rc;
}

static int flush_all(struct cycles *y, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < y->args->connections; i++)
		rc = conn_flush(&y->conns[i], e);
	return rc;
}

static int drive(struct cycles *y, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < y->args->concurrency; i++)
		rc = slot_begin(y, i, e);
	while (rc == 0 && y->ended < y->args->count) {
		rc = flush_all(y, e);
		if (rc == 0 && poll(y->polls, y->args->connections, -1) < 0 && errno != EINTR)
			rc = err_sys(e, ERR_HOST_IO, "poll");
		for (uint32_t i = 0; rc == 0 && i < y->args->connections; i++) {
			if (y->polls[i].revents)
				rc = conn_turn(y, &y->conns[i], e);
		}
	}
	return rc;
}

static int cycles_init(struct cycles *y, const struct bench_args *a, struct err *e)
{
	*y = (struct cycles){ .args = a };
	y->conns = calloc(a->connections, sizeof(*y->conns));
	y->polls = calloc(a->connections, sizeof(*y->polls));
	y->slots = calloc(a->concurrency, sizeof(*y->slots));
	if (!y->conns || !y->polls || !y->slots || samples_init(&y->times, a->count) < 0)
		return err_set(e, ERR_HOST_MEMORY, "no memory for %u cycles", a->count);
	for (; y->opened < a->connections; y->opened++) {
		const int rc = conn_open(&y->conns[y->opened], e);

		if (rc < 0)
			return rc;
		y->polls[y->opened].fd = y->conns[y->opened].fd;
		y->polls[y->opened].events = POLLIN;
	}
	return 0;
}

static void cycles_fini(struct cycles *y)
{
	while (y->opened > 0)
		conn_close(&y->conns[--y->opened]);
	samples_fini(&y->times);
	free(y->slots);
	free(y->polls);
	free(y->conns);
}

static int report(struct cycles *y, uint64_t wall_ns)
{
	struct report r;

	if (y->failed)
		fprintf(stderr, "banger-bench: cycles: %u failed; the first: %s\n", y->failed,
			y->first_failure);
	report_init(&r, "cycles", y->args->json);
	report_str(&r, "vmm", y->args->vmm);
	report_uint(&r, "n", y->args->count);
	report_uint(&r, "inflight", y->args->concurrency);
	report_uint(&r, "connections", y->args->connections);
	report_uint(&r, "failed", y->failed);
	report_real(&r, "wall_ms", (double)wall_ns / (double)NS_PER_MS);
	report_real(&r, "cycles_per_s", (double)y->times.n * (double)NS_PER_S / (double)wall_ns);
	report_samples(&r, "ms", &y->times, NS_PER_MS);
	return report_print(&r);
}

int bench_cycles(const struct bench_args *a, struct err *e)
{
	struct cycles y;
	int rc = cycles_init(&y, a, e);

	if (rc == 0) {
		const uint64_t begin = now_ns();

		rc = drive(&y, e);
		if (rc == 0)
			rc = report(&y, now_ns() - begin);
	}
	cycles_fini(&y);
	return rc;
}
