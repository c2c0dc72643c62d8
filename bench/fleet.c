/* fleet.c - what `bare` does, asked of the daemon: N VMs, all up, then none.
 *
 * `-c` is into how many requests N is split, which are made at once, or with `--serial` one after
 * the other; how many VMs start at once is the daemon's decision.  A VM's ready time is the
 * daemon's own: begin of the VMM to the guest's word; its latency is from admission, waiting
 * included.  A request's time is ours, from its first byte to its answer.
 */
#include <stdio.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/conn.h"
#include "bench/report.h"

struct fleet {
	const struct bench_args *args;
	struct conn conn;
	char label[32];
	struct samples ready, latency, request;
	uint64_t asked_ns; /* when the requests that are not answered yet were made */
	uint32_t failed;
	char first_failure[ERR_TEXT_MAX];
};

static int ask(struct fleet *f, uint32_t part, uint32_t count, struct err *e)
{
	struct create_args a = { .count = count };

	(void)snprintf(a.spec.name, sizeof(a.spec.name), "fleet-%ld-%u", (long)getpid(), part);
	(void)snprintf(a.spec.vmm, sizeof(a.spec.vmm), "%s", f->args->vmm);
	(void)snprintf(a.spec.image, sizeof(a.spec.image), "%s", f->args->image);
	int rc = strv_add(&a.spec.labels, f->label);

	if (rc < 0)
		return err_num(e, ERR_HOST_MEMORY, rc, "a label");
	rc = conn_request(&f->conn, part + 1, METHOD_VM_CREATE, &a, e);
	strv_fini(&a.spec.labels);
	return rc;
}

static void note_failure(struct fleet *f, const char *message, uint32_t n)
{
	if (f->failed == 0)
		(void)snprintf(f->first_failure, sizeof(f->first_failure), "%s", message);
	f->failed += n;
}

static void note(struct fleet *f, const struct target_result *t)
{
	if (t->code[0]) {
		note_failure(f, t->message, 1);
		return;
	}
	samples_add(&f->ready, t->ready_us * NS_PER_US);
	samples_add(&f->latency, t->duration_us * NS_PER_US);
}

static uint32_t size_of_part(const struct bench_args *a, uint32_t part)
{
	return a->count / a->concurrency + (part < a->count % a->concurrency);
}

static int answer(struct fleet *f, struct err *e)
{
	struct targets_result r;
	struct wire w;
	int rc = conn_next(&f->conn, &w, e);

	if (rc < 0)
		return rc;
	if (w.id == 0 || w.id > f->args->concurrency)
		return err_set(e, ERR_BAD_FRAME, "a reply to request %u, which was not made", w.id);

	const uint32_t asked = size_of_part(f->args, w.id - 1);

	samples_add(&f->request, now_ns() - f->asked_ns);
	if (w.failed) {
		note_failure(f, w.error.message, asked);
		return 0;
	}
	rc = schema_decode(&targets_result_schema, w.body.data, w.body.len, &r, e);
	if (rc < 0)
		return rc;
	if (r.targets.n != asked) {
		rc = err_set(e, ERR_BAD_FRAME, "%u results for %u VMs", r.targets.n, asked);
	} else {
		for (uint32_t i = 0; i < r.targets.n; i++)
			note(f, &((const struct target_result *)r.targets.items)[i]);
	}
	schema_fini(&targets_result_schema, &r);
	return rc;
}

/* The requests from `part` on, `n` of them, all made before the first is answered. */
static int start_some(struct fleet *f, uint32_t part, uint32_t n, struct err *e)
{
	int rc = 0;

	f->asked_ns = now_ns();
	for (uint32_t i = 0; rc == 0 && i < n; i++)
		rc = ask(f, part + i, size_of_part(f->args, part + i), e);
	if (rc == 0)
		rc = conn_flush(&f->conn, e);
	for (uint32_t i = 0; rc == 0 && i < n; i++)
		rc = answer(f, e);
	return rc;
}

static int start_all(struct fleet *f, struct err *e)
{
	const uint32_t at_once = f->args->serial ? 1 : f->args->concurrency;
	int rc = 0;

	for (uint32_t part = 0; rc == 0 && part < f->args->concurrency; part += at_once)
		rc = start_some(f, part, at_once, e);
	return rc;
}

static int end_all(struct fleet *f, struct err *e)
{
	struct targets_args a = { .force = true };
	struct targets_result r;
	int rc = strv_add(&a.labels, f->label);

	if (rc < 0)
		return err_num(e, ERR_HOST_MEMORY, rc, "a label");
	rc = conn_call(&f->conn, METHOD_VM_DELETE, &a, &r, e);
	strv_fini(&a.labels);
	if (rc < 0)
		return rc;
	if (r.failed > 0)
		rc = err_set(e, ERR_INTERNAL, "%u VMs could not be deleted", r.failed);
	schema_fini(&targets_result_schema, &r);
	return rc;
}

static int report(struct fleet *f, uint64_t wall_ns, uint64_t end_ns)
{
	struct report r;

	if (f->failed)
		fprintf(stderr, "banger-bench: fleet: %u failed; the first: %s\n", f->failed,
			f->first_failure);
	report_init(&r, "fleet", f->args->json);
	report_str(&r, "image", f->args->image);
	report_uint(&r, "n", f->args->count);
	report_uint(&r, "requests", f->args->concurrency);
	report_uint(&r, "failed", f->failed);
	report_real(&r, "wall_ms", (double)wall_ns / (double)NS_PER_MS);
	report_real(&r, "starts_per_s", (double)f->ready.n * (double)NS_PER_S / (double)wall_ns);
	report_samples(&r, "ready_ms", &f->ready, NS_PER_MS);
	report_samples(&r, "latency_ms", &f->latency, NS_PER_MS);
	report_samples(&r, "request_ms", &f->request, NS_PER_MS);
	report_real(&r, "delete_ms", (double)end_ns / (double)NS_PER_MS);
	return report_print(&r);
}

/* What failed to start is deleted with the rest; the first error is the one that is told. */
static int run(struct fleet *f, struct err *e)
{
	const uint64_t begin = now_ns();
	int rc = start_all(f, e);
	const uint64_t up = now_ns();

	if (!f->args->keep) {
		struct err later = { 0 };
		const int ended = end_all(f, rc < 0 ? &later : e);

		rc = rc < 0 ? rc : ended;
	}
	return rc < 0 ? rc : report(f, up - begin, now_ns() - up);
}

int bench_fleet(const struct bench_args *a, struct err *e)
{
	struct fleet f = { .args = a };

	if (a->concurrency > a->count || size_of_part(a, 0) > COUNT_MAX)
		return err_set(e, ERR_BAD_REQUEST, "%u VMs in %u requests: 1 to %d in each",
			       a->count, a->concurrency, COUNT_MAX);
	(void)snprintf(f.label, sizeof(f.label), "bench=%ld", (long)getpid());

	int rc = conn_open(&f.conn, e);

	if (rc < 0)
		return rc;
	if (samples_init(&f.ready, a->count) < 0 || samples_init(&f.latency, a->count) < 0 ||
	    samples_init(&f.request, a->concurrency) < 0)
		rc = err_set(e, ERR_HOST_MEMORY, "no memory for %u samples", a->count);
	if (rc == 0)
		rc = run(&f, e);
	samples_fini(&f.ready);
	samples_fini(&f.latency);
	samples_fini(&f.request);
	conn_close(&f.conn);
	return rc;
}
