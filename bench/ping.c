/* ping.c - round trips to the daemon; `echo` is what they are measured against. */
#include <stdint.h>

#include "bench/bench.h"
#include "bench/conn.h"
#include "bench/report.h"

enum {
	INFLIGHT_MAX = 256,
	WARM_UP = 200, /* round trips before the clock counts */
};

/* Answers to pings come in the order asked, so a ring of times by number is enough; the id is
 * checked all the same. */
static int drive(struct conn *c, const struct bench_args *a, struct samples *times, struct err *e)
{
	static uint64_t sent_ns[INFLIGHT_MAX];
	const uint32_t total = a->count + WARM_UP;
	uint32_t sent = 0, answered = 0;
	int rc = 0;

	while (answered < total) {
		const struct none nothing = { 0 };
		struct wire w;

		while (rc == 0 && sent < total && sent - answered < a->concurrency) {
			sent_ns[sent++ % INFLIGHT_MAX] = now_ns();
			rc = conn_request(c, sent, METHOD_PING, &nothing, e);
		}
		if (rc == 0)
			rc = conn_flush(c, e);
		if (rc == 0)
			rc = conn_next(c, &w, e);
		if (rc != 0)
			return rc;
		if (w.failed)
			return err_set(e, ERR_INTERNAL, "ping: %s", w.error.message);
		if (w.id <= sent - a->concurrency && sent > a->concurrency)
			return err_set(e, ERR_BAD_FRAME, "a reply to request %u came twice", w.id);
		if (answered++ >= WARM_UP)
			samples_add(times, now_ns() - sent_ns[(w.id - 1) % INFLIGHT_MAX]);
	}
	return 0;
}

static int report(const struct bench_args *a, struct samples *times, uint64_t wall_ns)
{
	struct report r;

	report_init(&r, "ping", a->json);
	report_uint(&r, "n", a->count);
	report_uint(&r, "inflight", a->concurrency);
	report_real(&r, "per_s", (double)(a->count + WARM_UP) * (double)NS_PER_S / (double)wall_ns);
	report_samples(&r, "us", times, NS_PER_US);
	return report_print(&r);
}

int bench_ping(const struct bench_args *a, struct err *e)
{
	struct samples times;
	struct conn c;

	if (a->concurrency > INFLIGHT_MAX)
		return err_set(e, ERR_BAD_REQUEST, "at most %d in flight", INFLIGHT_MAX);

	int rc = conn_open(&c, e);

	if (rc < 0)
		return rc;
	if (samples_init(&times, a->count) < 0) {
		conn_close(&c);
		return err_set(e, ERR_HOST_MEMORY, "no memory for %u samples", a->count);
	}
	const uint64_t begin = now_ns();

	rc = drive(&c, a, &times, e);
	if (rc == 0)
		rc = report(a, &times, now_ns() - begin);
	samples_fini(&times);
	conn_close(&c);
	return rc;
}
