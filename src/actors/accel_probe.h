/* accel_probe.h - one probe guest, run under one accelerator, timed and removed again.
 *
 *   intent -> runtime -> console -> vmm -> up -> loop, then all of it undone
 *
 * Part of the accelerator's actor, which hands its messages over.  The guest is recorded like a VM,
 * under the id 0 that no VM has, before anything of it exists; after a crash the same table is
 * undone.  It ends by itself after the loop, so that it does not outlive a daemon that has left.
 */
#pragma once

#include "actors/env.h"
#include "actors/msg.h"
#include "actors/plan.h"
#include "proto/record.h"

enum {
	ACCEL_WORDS_MAX = 120, /* of the VMM's last line */
};

struct accel_probe;
typedef void accel_probe_ended_fn(struct accel_probe *p);

struct accel_probe {
	struct env *env; /* borrowed */
	const struct actor *owner;
	accel_probe_ended_fn *ended;
	const struct vmm_driver *driver; /* set by the owner before it begins, as is: */
	const char *binary;              /* borrowed */
	enum vmm_accel accel;
	uint32_t loop_ms; /* after which the loop is cut short */
	/* results */
	uint64_t up_us;   /* from the VMM's start to the guest's first line */
	uint64_t loop_us; /* from there to its second one; VMM_BENCH_NONE: it never began */
	char words[ACCEL_WORDS_MAX]; /* why it did not, as the VMM has it */
	/* what follows is the plan's */
	struct plan plan;
	struct db_wait commit;
	struct vm_resources res;
	int listen_fd; /* owned until the VMM has it */
	struct io_stream console;
	bool console_open;
	bool console_over; /* nothing more will be read */
	struct buf line;
	uint32_t lines;    /* of the guest, that have come */
	struct buf config; /* of a VMM that reads a file */
	struct strv argv;
	struct io_spawn spawn;
	int log_fd;
	int pidfd;
	struct io_op exit; /* poll on pidfd */
	bool exited;
	uint64_t begun_us;
	struct err work_err;
	char dir[ENV_PATH_MAX]; /* in the runtime directory */
	char log[ENV_PATH_MAX];
};

void accel_probe_init(struct accel_probe *p, struct env *env, const struct actor *owner,
		      accel_probe_ended_fn *ended);
/* `ended` is called once nothing is left of it, also when it did not come up. */
void accel_probe_begin(struct accel_probe *p, enum vmm_accel accel, uint32_t loop_ms);
/* True: a daemon before us has left one behind, and it is being undone now. */
bool accel_probe_recover(struct accel_probe *p);
/* True: the message was for it. */
bool accel_probe_message(struct accel_probe *p, struct msg *m);
