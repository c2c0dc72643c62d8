/* sim_work.c - blocking work in simulated time.
 *
 * The store's lane takes one job at a time, in order; the others a few, which end in any order.  A
 * job's function runs when its answer is due, not before: what it does to the host comes late.
 */
#include <errno.h>

#include "base/assert.h"
#include "io/sim_host.h"

static struct sim_lane *lane_of(const struct flight *f)
{
	return &f->io->lanes[f->lane];
}

static const char *asker(const struct flight *f)
{
	const struct io_op *op = container_of(f->req, const struct io_op, req);
	const struct actor *a = actor_find(f->io->io.actors, op->owner);

	return a ? a->log.actor : "";
}

static void lane_pump(struct sim_lane *lane)
{
	while (lane->begun < lane->max) {
		struct list_node *n = list_pop(&lane->queue);

		if (!n)
			return;
		struct flight *f = list_entry(n, struct flight, wait);

		f->begun = true;
		lane->begun++;
		flight_answer(f, asker(f));
	}
}

static void work_queue(struct io *io, struct io_op *op, enum sim_effect effect, enum io_lane lane,
		       io_work_fn *fn, void *arg, struct io_spawn *spawn)
{
	SIM_HOST_SCOPE;

	op_arm(io, op);
	op->req = (struct io_req){ .kind = REQ_WORK, .flying = true };
	op->priv.work.fn = fn;
	op->priv.work.arg = arg;
	op->priv.work.spawn = spawn;
	struct flight *f = flight_make(sim_io_of(io), &op->req, effect);

	f->lane = lane;
	list_append(&lane_of(f)->queue, &f->wait);
	lane_pump(lane_of(f));
}

void io_work(struct io *io, struct io_op *op, enum io_lane lane, io_work_fn *fn, void *arg)
{
	work_queue(io, op, lane == IO_LANE_STORE ? SIM_STORE : SIM_WORK, lane, fn, arg, NULL);
}

void io_spawn(struct io *io, struct io_op *op, struct io_spawn *sp)
{
	sp->pid = 0;
	sp->pidfd = -EBADF;
	sp->start_ticks = 0;
	sp->err = (struct err){ 0 };
	work_queue(io, op, SIM_SPAWN, IO_LANE_START, NULL, NULL, sp);
}

static int spawn_run(struct flight *f, struct io_spawn *sp)
{
	if (f->verdict.error)
		return err_num(&sp->err, ERR_HOST_IO, f->verdict.error, "spawn %s: clone3",
			       sp->argv->v[0]);
	return proc_start(f->io, sp);
}

static int work_run(struct flight *f, struct io_op *op)
{
	int res;

	sim_daemon_runs = true;
	sim_working = true;
	res = op->priv.work.fn(op->priv.work.arg, &op->req.cancelled);
	sim_working = false;
	sim_daemon_runs = false;
	(void)f;
	return res;
}

void work_fire(struct flight *f)
{
	struct io_op *op = container_of(f->req, struct io_op, req);
	struct sim_lane *lane = lane_of(f);
	const int res = op->priv.work.spawn ? spawn_run(f, op->priv.work.spawn) : work_run(f, op);

	if (f->io->sim->dead) /* in the middle of it */
		return;
	lane->begun--;
	flight_end(f, res, NO_BUF, false);
	lane_pump(lane);
}

void work_cancel(struct io *io, struct io_op *op)
{
	SIM_HOST_SCOPE;

	op->req.cancelled = true;
	list_for_each (n, &sim_io_of(io)->flights) {
		struct flight *f = list_entry(n, struct flight, link);

		if (f->req != &op->req)
			continue;
		if (!f->begun) {
			flight_end(f, -ECANCELED, NO_BUF, false);
		} else if (f->verdict.hang) {
			/* It looks at *cancelled at its leisure, and then comes to an end. */
			f->verdict.hang = false;
			flight_answer(f, asker(f));
		}
		return;
	}
	ASSERT(!"an armed operation is in flight");
}
