/* restart.c - how soon a daemon with many records answers again.
 *
 *   fill: stopped VMs are created until there are N records
 *   stop: the request, and then the process's end by its pidfd
 *   start: `banger info`, from its start to its end: what a user waits for
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bench/bench.h"
#include "bench/conn.h"
#include "bench/report.h"

enum {
	FILL_STEP = 500,         /* records that one request makes */
	STOP_MS_MAX = 60 * 1000, /* for the daemon's end */
};

#define FILL_LABEL "bench=fill"

static int records(struct conn *c, uint32_t *ret_n, uint32_t *ret_pid, struct err *e)
{
	const struct info_args args = { 0 };
	static struct info_result info; /* some kilobytes: paths */
	const int rc = conn_call(c, METHOD_INFO, &args, &info, e);

	if (rc < 0)
		return rc;
	*ret_n = info.vms;
	*ret_pid = info.pid;
	schema_fini(&info_result_schema, &info);
	return 0;
}

static int fill_some(struct conn *c, const struct bench_args *a, uint32_t from, uint32_t n,
		     struct err *e)
{
	struct create_args args = { .count = n, .no_start = true };
	struct targets_result r;

	(void)snprintf(args.spec.name, sizeof(args.spec.name), "fill-%u-%ld", from, (long)getpid());
	(void)snprintf(args.spec.vmm, sizeof(args.spec.vmm), "%s", a->vmm);
	(void)snprintf(args.spec.image, sizeof(args.spec.image), "%s", a->image);
	int rc = strv_add(&args.spec.labels, FILL_LABEL);

	if (rc < 0)
		return err_num(e, ERR_HOST_MEMORY, rc, "a label");
	rc = conn_call(c, METHOD_VM_CREATE, &args, &r, e);
	strv_fini(&args.spec.labels);
	if (rc < 0)
		return rc;
	if (r.failed > 0)
		rc = err_set(e, ERR_INTERNAL, "%u of %u could not be created", r.failed, n);
	schema_fini(&targets_result_schema, &r);
	return rc;
}

static int fill(struct conn *c, const struct bench_args *a, uint32_t *ret_made, struct err *e)
{
	uint32_t have, pid, made = 0;
	int rc = records(c, &have, &pid, e);

	while (rc == 0 && have < a->count) {
		const uint32_t missing = a->count - have;
		const uint32_t n = missing < FILL_STEP ? missing : FILL_STEP;

		rc = fill_some(c, a, have, n, e);
		have += n;
		made += n;
	}
	if (rc == 0)
		*ret_made = made;
	return rc;
}

int bench_fill(const struct bench_args *a, struct err *e)
{
	struct conn c;
	struct report r;
	uint32_t made;
	int rc = conn_open(&c, e);

	if (rc < 0)
		return rc;
	const uint64_t begin = now_ns();

	rc = fill(&c, a, &made, e);
	conn_close(&c);
	if (rc < 0)
		return rc;
	report_init(&r, "fill", a->json);
	report_uint(&r, "n", a->count);
	report_uint(&r, "made", made);
	report_real(&r, "wall_ms", (double)(now_ns() - begin) / (double)NS_PER_MS);
	return report_print(&r);
}

static int stop_daemon(struct conn *c, uint32_t pid, struct err *e)
{
	const struct none nothing = { 0 };
	CLEANUP_FD int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	if (pidfd < 0)
		return err_sys(e, ERR_HOST_IO, "pidfd of the daemon, %u", pid);

	int rc = conn_call(c, METHOD_SHUTDOWN, &nothing, NULL, e);

	if (rc < 0)
		return rc;
	do
		rc = poll(&p, 1, STOP_MS_MAX);
	while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return err_set(e, ERR_TIMEOUT, "the daemon, %u, has not ended", pid);
	return rc < 0 ? err_sys(e, ERR_HOST_IO, "poll") : 0;
}

static int clear(struct conn *c, struct err *e)
{
	struct targets_args args = { .force = true };
	struct targets_result r;
	int rc = strv_add(&args.labels, FILL_LABEL);

	if (rc < 0)
		return err_num(e, ERR_HOST_MEMORY, rc, "a label");
	rc = conn_call(c, METHOD_VM_DELETE, &args, &r, e);
	strv_fini(&args.labels);
	if (rc == 0)
		schema_fini(&targets_result_schema, &r);
	return rc;
}

static int report(const struct bench_args *a, uint32_t n, uint64_t stop_ns, uint64_t ready_ns)
{
	struct report r;

	report_init(&r, "restart", a->json);
	report_uint(&r, "records", n);
	report_real(&r, "stop_ms", (double)stop_ns / (double)NS_PER_MS);
	report_real(&r, "ready_ms", (double)ready_ns / (double)NS_PER_MS);
	return report_print(&r);
}

/* The connection is open when it begins, and when it has succeeded. */
static int restart(struct conn *c, const struct bench_args *a, struct err *e)
{
	uint32_t made, before = 0, after = 0, pid = 0;
	int rc = fill(c, a, &made, e);

	if (rc == 0)
		rc = records(c, &before, &pid, e);
	const uint64_t begin = now_ns();

	if (rc == 0)
		rc = stop_daemon(c, pid, e);
	conn_close(c);
	const uint64_t stopped = now_ns();

	if (rc == 0)
		rc = conn_start_daemon(e);
	const uint64_t ready = now_ns();

	if (rc == 0)
		rc = conn_open(c, e);
	if (rc == 0)
		rc = records(c, &after, &pid, e);
	if (rc == 0 && after != before)
		rc = err_set(e, ERR_STORE, "%u records before, %u after", before, after);
	return rc < 0 ? rc : report(a, after, stopped - begin, ready - stopped);
}

int bench_restart(const struct bench_args *a, struct err *e)
{
	struct conn c;
	int rc = conn_open(&c, e);

	if (rc < 0)
		return rc;
	rc = restart(&c, a, e);
	if (rc == 0 && !a->keep)
		rc = clear(&c, e);
	conn_close(&c);
	return rc;
}
