/* op_kill.c - kill_vmm: what runs in a VM's cgroup is killed at once, and answered for once it has
 * ended.
 *
 *   asked ──kill──▶ ending ──the last of it has ended──▶ answered
 *
 * With KVM a process takes some 15 ms to end, most of which it waits for other processors:
 * meanwhile the worker serves others, and kills them as well.  What is asked of the same VM waits
 * for its end first (jail_settle), so nothing is ever put into a cgroup that is being waited for.
 *
 * #syscalls poll
 */
#include <errno.h>
#include <poll.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "helper/fault.h"
#include "helper/jail/jail.h"
#include "helper/worker.h"

/* A request whose answer is still to come. */
struct late {
	struct op_asker asker;
	struct ending ending;
};

/* One worker, one process. */
static struct late lates[WORKER_LATE_MAX];
static uint32_t nlates;

/* Whatever was put into the cgroup ends with it: it was put there by root. */
int kill_undo(struct op_call *c, struct err *e)
{
	struct late *const l = &lates[nlates];

	ASSERT(nlates < WORKER_LATE_MAX); /* the supervisor sends no more */
	const int rc = ending_begin(c->env, &c->target.jail, &l->ending, e);

	if (rc == 0)
		process_end(c->target.jail.vm, c->result);
	if (rc <= 0)
		return rc;
	l->asker = c->asker;
	nlates++;
	c->later = true;
	return 0;
}

static void answer(struct late *l, const struct err *why)
{
	struct helper_end_view how = { .ended = false };

	if (why->code == ERR_NONE)
		process_end(l->asker.vm, &how);
	worker_answer(&l->asker, &how, why);
	ending_close(&l->ending);
	*l = lates[--nlates];
}

/* Answered, and another one is in its place, where it is over. */
static void look(struct late *l)
{
	struct err e = { 0 };

	fault_arm(FAULT_BEHIND, true);
	int rc = ending_look(&l->ending, &e);
	if (rc == 1)
		rc = fault_point("cgroup", &e) < 0 ? err_errno(&e) : 1;
	fault_arm(FAULT_BEHIND, false);
	if (rc > 0)
		e = (struct err){ 0 };
	if (rc != 0)
		answer(l, &e);
}

/* Waits until something of these ends, or the link has something to say (true), and looks. */
static bool await(struct late *first, uint32_t n, int link)
{
	struct pollfd fds[2 * WORKER_LATE_MAX + 1];
	int ms = JAIL_END_MS;

	for (uint32_t i = 0; i < n; i++) {
		const struct ending *const x = &first[i].ending;
		const int rest = ending_rest_ms(x);

		fds[2 * i] = (struct pollfd){ .fd = x->pidfd, .events = POLLIN };
		fds[2 * i + 1] = (struct pollfd){ .fd = x->events, .events = POLLPRI };
		if (rest < ms)
			ms = rest;
	}
	fds[2 * n] = (struct pollfd){ .fd = link, .events = POLLIN };
	IGNORE(poll(fds, 2 * n + 1, ms));
	for (uint32_t i = n; i-- > 0;)
		if (fds[2 * i].revents || fds[2 * i + 1].revents || ms == 0)
			look(&first[i]);
	return fds[2 * n].revents != 0;
}

void jail_rest(void *env, int link)
{
	bool asked = link < 0; /* nobody is left to be answered */

	(void)env;
	while (nlates > 0 && !asked)
		asked = await(lates, nlates, link);
}

/* Of a VM there is at most one. */
static struct late *late_of(vm_id vm)
{
	for (uint32_t i = 0; i < nlates; i++)
		if (lates[i].asker.vm == vm)
			return &lates[i];
	return NULL;
}

void jail_settle(void *env, vm_id vm)
{
	struct late *l;

	(void)env;
	while ((l = late_of(vm)) != NULL)
		IGNORE(await(l, 1, -EBADF));
}
