/* timer.c - timers in a pairing heap: intrusive, so that setting one cannot fail.
 *
 * Source: Fredman, Sedgewick, Sleator, Tarjan, "The pairing heap", Algorithmica 1 (1986).  Setting
 * is O(1), taking out amortised O(log n).
 */
#include "base/assert.h"
#include "io/core.h"

static bool timer_before(const struct io_timer *a, const struct io_timer *b)
{
	return a->due_us < b->due_us || (a->due_us == b->due_us && a->seq < b->seq);
}

/* Both are roots or NULL; the result is a root. */
static struct io_timer *heap_meld(struct io_timer *a, struct io_timer *b)
{
	if (!a || !b)
		return a ? a : b;
	if (timer_before(b, a)) {
		struct io_timer *earlier = b;

		b = a;
		a = earlier;
	}
	b->prev = a;
	b->next = a->child;
	if (b->next)
		b->next->prev = b;
	a->child = b;
	return a;
}

/* Melds a list of siblings: in pairs from the left, then the pairs from the right. */
static struct io_timer *heap_meld_all(struct io_timer *first)
{
	struct io_timer *pairs = NULL; /* stacked by next */
	struct io_timer *root = NULL;

	while (first) {
		struct io_timer *a = first;
		struct io_timer *b = a->next;

		first = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = heap_meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		struct io_timer *a = pairs;

		pairs = a->next;
		a->next = NULL;
		root = heap_meld(root, a);
	}
	return root;
}

static void heap_remove(struct io *io, struct io_timer *t)
{
	struct io_timer *rest = heap_meld_all(t->child);

	if (io->timers == t) {
		io->timers = rest;
	} else {
		if (t->prev->child == t)
			t->prev->child = t->next;
		else
			t->prev->next = t->next;
		if (t->next)
			t->next->prev = t->prev;
		io->timers = heap_meld(io->timers, rest);
	}
	t->child = t->next = t->prev = NULL;
	t->set = false;
}

void io_timer_init(struct io_timer *t, const struct actor *owner, uint32_t msg_type)
{
	*t = (struct io_timer){ .msg = { .type = msg_type }, .owner = owner->id };
}

void io_timer_set(struct io *io, struct io_timer *t, uint64_t delay_ms, uint32_t token)
{
	io_timer_cancel(io, t);
	t->msg.token = token;
	t->due_us = io->now_us + delay_ms * 1000;
	t->seq = io->timer_seq++;
	t->set = true;
	io->timers = heap_meld(io->timers, t);
}

void io_timer_cancel(struct io *io, struct io_timer *t)
{
	if (t->set)
		heap_remove(io, t);
	list_remove(&t->msg.link); /* posted a moment ago and not handled yet */
}

bool timer_next(const struct io *io, uint64_t *ret_due_us)
{
	if (!io->timers)
		return false;
	*ret_due_us = io->timers->due_us;
	return true;
}

static void timer_fire(struct io *io, struct io_timer *t)
{
	if (t->owner.gen != 0) {
		actor_post(io->actors, t->owner, &t->msg);
		return;
	}
	switch ((enum io_timer_use)t->msg.type) {
	case TIMER_LINGER:
		stream_linger_over(container_of(t, struct stream, linger));
		break;
	case TIMER_BACKOFF:
		listener_rearm(container_of(t, struct listener, backoff));
		break;
	}
}

void timers_run(struct io *io)
{
	while (io->timers && io->timers->due_us <= io->now_us) {
		struct io_timer *t = io->timers;

		heap_remove(io, t);
		timer_fire(io, t);
	}
}
