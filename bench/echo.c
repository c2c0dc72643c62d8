/* echo.c - what a round trip over a unix socket costs when both ends are bare io_uring loops.
 *
 *   client process  --- frame of a ping request --->  server process
 *                   <--- the same bytes ------------
 *
 * One receive and one send per message and nothing else: no decoding, no actor.  `-c` frames are
 * sent before the first answer is awaited.  Rings as the daemon's: SINGLE_ISSUER | DEFER_TASKRUN.
 * Two processes, as a client and the daemon are: a switch between threads would be cheaper.
 */
#include <errno.h>
#include <liburing.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "bench/bench.h"
#include "bench/report.h"

enum {
	FRAME_BYTES = 64, /* a ping request: head, type, id, method, op_id, empty args */
	RING_ENTRIES = 8,
	INFLIGHT_MAX = 256,
	BUFFER_BYTES = FRAME_BYTES * INFLIGHT_MAX,
	WARM_UP = 200, /* round trips before the clock counts */
};

static int ring_open(struct io_uring *ring)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};

	return io_uring_queue_init_params(RING_ENTRIES, ring, &p);
}

/* One operation is under way at a time, so there is always a free entry. */
static struct io_uring_sqe *sqe_of(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	ASSERT(sqe);
	return sqe;
}

/* Submits what is prepared, waits for one completion, returns its result. */
static int ring_one(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	int rc = io_uring_submit_and_wait(ring, 1);

	if (rc < 0)
		return rc;
	rc = io_uring_wait_cqe(ring, &cqe);
	if (rc < 0)
		return rc;
	rc = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return rc;
}

static int receive(struct io_uring *ring, int fd, uint8_t *buf, size_t len)
{
	struct io_uring_sqe *sqe = sqe_of(ring);

	io_uring_prep_recv(sqe, fd, buf, len, 0);
	return ring_one(ring);
}

static int send_all(struct io_uring *ring, int fd, const uint8_t *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		struct io_uring_sqe *sqe = sqe_of(ring);

		io_uring_prep_send(sqe, fd, buf + done, len - done, MSG_NOSIGNAL);
		const int n = ring_one(ring);

		if (n <= 0)
			return n < 0 ? n : -EPIPE;
		done += (size_t)n;
	}
	return 0;
}

/* In the child.  Echoes until the client shuts its side down, which is also its end. */
static _Noreturn void serve(int fd)
{
	static uint8_t buf[BUFFER_BYTES];
	struct io_uring ring;
	int n = -EIO;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
		n = ring_open(&ring);
	while (n >= 0) {
		n = receive(&ring, fd, buf, sizeof(buf));
		if (n <= 0 || send_all(&ring, fd, buf, (size_t)n) < 0)
			break;
	}
	_exit(n < 0);
}

struct client {
	struct io_uring ring;
	int fd;
	uint32_t inflight;
	uint32_t sent, answered;
	uint64_t sent_ns[INFLIGHT_MAX]; /* by number of the frame, modulo */
	size_t partial;                 /* bytes of an answer that is not whole yet */
	struct samples *times;
};

static int client_turn(struct client *c, uint32_t total)
{
	static uint8_t out[BUFFER_BYTES], in[BUFFER_BYTES];
	uint32_t more = 0;

	while (c->sent < total && c->sent - c->answered < c->inflight) {
		c->sent_ns[c->sent++ % INFLIGHT_MAX] = now_ns();
		more++;
	}

	int rc = send_all(&c->ring, c->fd, out, (size_t)more * FRAME_BYTES);

	if (rc == 0)
		rc = receive(&c->ring, c->fd, in, sizeof(in));
	if (rc <= 0)
		return rc < 0 ? rc : -EPIPE;
	for (c->partial += (size_t)rc; c->partial >= FRAME_BYTES; c->partial -= FRAME_BYTES) {
		const uint64_t took = now_ns() - c->sent_ns[c->answered % INFLIGHT_MAX];

		if (c->answered++ >= WARM_UP)
			samples_add(c->times, took);
	}
	return 0;
}

static int drive(int fd, const struct bench_args *a, struct samples *times, uint64_t *ret_wall_ns)
{
	static struct client c;
	int rc;

	c = (struct client){ .fd = fd, .inflight = a->concurrency, .times = times };
	rc = ring_open(&c.ring);
	if (rc < 0)
		return rc;

	const uint64_t begin = now_ns();

	while (rc == 0 && c.answered < a->count + WARM_UP)
		rc = client_turn(&c, a->count + WARM_UP);
	*ret_wall_ns = now_ns() - begin;
	io_uring_queue_exit(&c.ring);
	return rc;
}

static int report(const struct bench_args *a, struct samples *times, uint64_t wall_ns)
{
	struct report r;

	report_init(&r, "echo", a->json);
	report_uint(&r, "n", a->count);
	report_uint(&r, "inflight", a->concurrency);
	report_uint(&r, "frame_bytes", FRAME_BYTES);
	report_real(&r, "per_s", (double)(a->count + WARM_UP) * (double)NS_PER_S / (double)wall_ns);
	report_samples(&r, "us", times, NS_PER_US);
	return report_print(&r);
}

int bench_echo(const struct bench_args *a, struct err *e)
{
	struct samples times;
	uint64_t wall_ns = 0;
	int pair[2];
	int rc = 0;

	if (a->concurrency > INFLIGHT_MAX)
		return err_set(e, ERR_BAD_REQUEST, "at most %d in flight", INFLIGHT_MAX);
	if (samples_init(&times, a->count) < 0)
		return err_set(e, ERR_HOST_MEMORY, "no memory for %u samples", a->count);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		samples_fini(&times);
		return err_sys(e, ERR_HOST_FILES, "socketpair");
	}
	const pid_t server = fork();

	if (server == 0) {
		close_fd(&pair[0]);
		serve(pair[1]);
	}
	close_fd(&pair[1]); /* so that either's end is the end of the stream for the other */
	if (server > 0)
		rc = drive(pair[0], a, &times, &wall_ns);
	else
		rc = -errno;
	close_fd(&pair[0]);
	while (server > 0 && waitpid(server, NULL, 0) < 0 && errno == EINTR)
		;
	if (rc < 0)
		err_num(e, ERR_NO_IO_URING, rc, "echo");
	else
		rc = report(a, &times, wall_ns);
	samples_fini(&times);
	return rc;
}
