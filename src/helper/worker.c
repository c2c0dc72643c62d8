/* worker.c - open what needs more than will be kept, confine, serve.
 *
 * #syscalls(workers) exit_group write?
 */
#include "helper/worker.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "helper/block/block.h"
#include "helper/jail/jail.h"
#include "helper/net/net.h"
#include "helper/resolver/resolver.h"

enum {
	LINK_FD = 3, /* where a worker has its end */
};

/* What a worker opens while it still may: its env.  NULL: nothing. */
typedef int worker_open(const struct helper_conf *conf, void **ret_env, struct err *e);

static worker_open *const opens[WORKER_NWORKERS] = {
	[FILTER_NET] = net_open,
	[FILTER_BLOCK] = block_open,
	[FILTER_JAIL] = jail_open,
	[FILTER_RESOLVER] = resolver_open,
};

/* What it does while nobody asks, and once nobody can (link < 0); returns when somebody does. NULL:
 * nothing. */
typedef void worker_rest(void *env, int link);

static worker_rest *const rests[WORKER_NWORKERS] = {
	[FILTER_NET] = net_rest,
	[FILTER_JAIL] = jail_rest,
};

/* What is under way for the VM is over before anything else is done for it.  NULL: nothing is. */
static serve_settle *const settles[WORKER_NWORKERS] = {
	[FILTER_JAIL] = jail_settle,
};

static int become_worker(enum filter_role role, const struct helper_conf *conf, pid_t supervisor,
			 void **ret_env, struct err *e)
{
	char name[16]; /* TASK_COMM_LEN */

	(void)snprintf(name, sizeof(name), "banger-%s", filters[role].name);
	if (prctl(PR_SET_NAME, name) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_sys(e, ERR_INTERNAL, "prctl");
	if (getppid() != supervisor)
		return err_set(e, ERR_INTERNAL, "the supervisor is gone");
	for (int i = 0; i < HELPER_NMETHODS;
	     i++) /* what rows ask for, the comments must have said */
		ASSERT(helper_ops[i].worker != role ||
		       (helper_ops[i].caps & ~filters[role].caps) == 0);
	if (opens[role]) {
		const int rc = opens[role](conf, ret_env, e);

		if (rc < 0)
			return rc;
	}
	return filter_confine(role, e);
}

static uint8_t frame[WORKER_REPLY_MAX]; /* that is being written */

static ssize_t answer_send(const struct serve_note *note, const struct buf *out, const int *fds,
			   uint32_t nfds)
{
	const struct iovec answer[] = { { (void *)(uintptr_t)note, sizeof(*note) },
					{ buf_data(out), buf_len(out) } };

	return link_send(LINK_FD, answer, ARRAY_LEN(answer), fds, nfds);
}

/* Where the link is closed, that is seen where it is read. */
void worker_answer(const struct op_asker *asker, const void *result, const struct err *why)
{
	struct serve_note note;
	struct buf out;

	buf_init_fixed(&out, frame, sizeof(frame));
	serve_late(asker, result, why, &out, &note);
	IGNORE(answer_send(&note, &out, NULL, 0) < 0);
}

static void serve_forever(enum filter_role role, const struct helper_conf *conf, void *env)
{
	static uint8_t in[HELPER_FRAME_MAX];
	struct serve_ask ask;
	const struct iovec request[] = { { &ask, sizeof(ask) }, { in, sizeof(in) } };
	ssize_t sent = 0;

	while (sent >= 0) {
		struct op_call c = { .env = env };
		struct serve_note note;
		struct buf out;

		if (rests[role])
			rests[role](env, LINK_FD);
		const ssize_t n = link_receive(LINK_FD, request, ARRAY_LEN(request), c.tun,
					       HELPER_SLOTS_MAX, &c.ntun);

		if (n < (ssize_t)sizeof(ask))
			break;
		c.asker.ticket = ask.ticket;
		buf_init_fixed(&out, frame, sizeof(frame));
		if (!serve_request(role, conf, settles[role], &c, in, (size_t)n - sizeof(ask), &out,
				   &note))
			continue;
		sent = answer_send(&note, &out, c.fds, c.nfds);
		serve_close(&c);
	}
	if (rests[role])
		rests[role](env, -EBADF);
}

void worker_main(enum filter_role role, const struct helper_conf *conf, int link, int launch,
		 pid_t supervisor)
{
	struct err e = { 0 };
	const struct iovec report = { &e, sizeof(e) };
	void *env = NULL;
	int rc;

	/* Only the standard descriptors and the link: none of the supervisor's. */
	if (link != LINK_FD && dup3(link, LINK_FD, O_CLOEXEC) < 0)
		_exit(EXIT_FAILURE);
	if (launch >= 0 && launch != JAIL_LAUNCH_FD && dup3(launch, JAIL_LAUNCH_FD, O_CLOEXEC) < 0)
		_exit(EXIT_FAILURE);
	if (close_range(launch >= 0 ? JAIL_LAUNCH_FD + 1 : LINK_FD + 1, ~0U, 0) < 0)
		_exit(EXIT_FAILURE);
	rc = become_worker(role, conf, supervisor, &env, &e);
	if (link_send(LINK_FD, &report, 1, NULL, 0) >= 0 && rc == 0)
		serve_forever(role, conf, env);
	_exit(rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
