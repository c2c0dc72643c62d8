/* work.c - worker threads for what may block.
 *
 * Each lane has threads of its own: the store's one, so that its jobs keep their order.  While a
 * job waits it is on its lane's list and can be taken back; once begun it only sees *cancelled.  A
 * finished job goes to `done`, and the first one there writes the eventfd on which the ring reads.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/macros.h"
#include "io/uring.h"

static struct io_op *job_take(struct workers *w, struct worker_lane *lane)
{
	struct list_node *n = NULL;

	pthread_mutex_lock(&w->lock);
	while (!w->stop && (n = list_pop(&lane->jobs)) == NULL)
		pthread_cond_wait(&lane->wake, &w->lock);
	struct io_op *op = n ? list_entry(n, struct io_op, msg.link) : NULL;

	if (op)
		op->req.flying = true;
	pthread_mutex_unlock(&w->lock);
	return op;
}

static void job_done(struct workers *w, struct io_op *op)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&w->lock);
	const bool first = list_empty(&w->done);

	list_append(&w->done, &op->msg.link);
	pthread_mutex_unlock(&w->lock);
	if (first)
		IGNORE(write(w->wake_fd, &one, sizeof(one)) < 0); /* an eventfd at 1 cannot block */
}

static void *work_loop(void *arg)
{
	struct worker_lane *lane = arg;
	struct io_op *op;

	while ((op = job_take(lane->workers, lane)) != NULL) {
		op->msg.res = op->priv.work.fn(op->priv.work.arg, &op->req.cancelled);
		job_done(lane->workers, op);
	}
	return NULL;
}

static int lane_up(struct workers *w, enum io_lane which)
{
	struct worker_lane *lane = &w->lanes[which];
	const int n = which == IO_LANE_STORE ? 1 : IO_LANE_THREADS;
	int rc = 0;

	for (int i = 0; i < n && rc == 0; i++) {
		rc = pthread_create(&w->threads[w->nthreads], NULL, work_loop, lane);
		if (rc == 0)
			w->nthreads++;
	}
	return rc;
}

int workers_up(struct workers *w, struct err *e)
{
	sigset_t all;
	sigset_t old;
	int rc = 0;

	w->wake_fd = eventfd(0, EFD_CLOEXEC);
	w->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (w->wake_fd < 0 || w->null_fd < 0) {
		rc = err_sys(e, ERR_HOST_FILES, "io: eventfd or /dev/null");
		close_fd(&w->wake_fd);
		close_fd(&w->null_fd);
		return rc;
	}
	pthread_mutex_init(&w->lock, NULL);
	list_init(&w->done);
	for (size_t i = 0; i < ARRAY_LEN(w->lanes); i++) {
		w->lanes[i].workers = w;
		pthread_cond_init(&w->lanes[i].wake, NULL);
		list_init(&w->lanes[i].jobs);
	}
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (int i = 0; i < IO_NLANES && rc == 0; i++)
		rc = lane_up(w, (enum io_lane)i);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc == 0 ? 0 : err_num(e, ERR_HOST_MEMORY, rc, "io: worker thread");
}

void workers_down(struct workers *w)
{
	if (w->wake_fd < 0)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	for (size_t i = 0; i < ARRAY_LEN(w->lanes); i++)
		pthread_cond_broadcast(&w->lanes[i].wake);
	pthread_mutex_unlock(&w->lock);
	for (uint32_t i = 0; i < w->nthreads; i++)
		pthread_join(w->threads[i], NULL);
	for (size_t i = 0; i < ARRAY_LEN(w->lanes); i++)
		pthread_cond_destroy(&w->lanes[i].wake);
	pthread_mutex_destroy(&w->lock);
	close_fd(&w->wake_fd);
	close_fd(&w->null_fd);
}

void workers_collect(struct io *io, struct workers *w)
{
	struct list done;
	struct list_node *n;

	list_init(&done);
	pthread_mutex_lock(&w->lock);
	list_splice(&done, &w->done);
	pthread_mutex_unlock(&w->lock);
	while ((n = list_pop(&done)) != NULL) {
		struct io_op *op = list_entry(n, struct io_op, msg.link);

		io_req_done(io, &op->req, op->msg.res, NO_BUF, false);
	}
}

static void work_queue(struct io *io, struct io_op *op, enum io_lane lane, io_work_fn *fn,
		       void *arg, struct io_spawn *spawn)
{
	struct workers *w = &uring_of(io)->workers;

	op_arm(io, op);
	op->req = (struct io_req){ .kind = REQ_WORK };
	op->priv.work.fn = fn;
	op->priv.work.arg = arg;
	op->priv.work.spawn = spawn;
	pthread_mutex_lock(&w->lock);
	list_append(&w->lanes[lane].jobs, &op->msg.link);
	pthread_mutex_unlock(&w->lock);
	/* Not before: who is woken wants the lock, and would sleep again at once. */
	pthread_cond_signal(&w->lanes[lane].wake);
}

void io_work(struct io *io, struct io_op *op, enum io_lane lane, io_work_fn *fn, void *arg)
{
	work_queue(io, op, lane, fn, arg, NULL);
}

static int spawn_job(void *arg, const bool *cancelled)
{
	(void)cancelled; /* short: it runs to its end, and the owner kills what it got */
	return spawn_run(arg);
}

void io_spawn(struct io *io, struct io_op *op, struct io_spawn *sp)
{
	sp->pid = 0;
	sp->pidfd = -EBADF;
	sp->start_ticks = 0;
	sp->err = (struct err){ 0 };
	sp->null_fd = uring_of(io)->workers.null_fd;
	work_queue(io, op, IO_LANE_START, spawn_job, sp, sp);
}

void work_cancel(struct io *io, struct io_op *op)
{
	struct workers *w = &uring_of(io)->workers;

	__atomic_store_n(&op->req.cancelled, true, __ATOMIC_RELAXED);
	pthread_mutex_lock(&w->lock);
	const bool begun = op->req.flying;

	if (!begun)
		list_remove(&op->msg.link);
	pthread_mutex_unlock(&w->lock);
	if (!begun)
		io_req_done(io, &op->req, -ECANCELED, NO_BUF, false);
}
