/* accel.h - which accelerator is fast on this host: a service that measures once and remembers.
 *
 *   unknown -> looking (who are we, where?) -> as the store has it -> known
 *                                           `-> measuring ----------^
 *
 * That /dev/kvm opens says little (vmm/judge.c), so a probe guest is timed under each accelerator
 * when somebody first needs to know.  What was measured is kept in the store with the identity of
 * the host, and measured again once that changes: another boot, another QEMU, other permissions.
 * Who needs to know takes a place to wait in; the verdict itself is in env.
 */
#pragma once

#include "actors/env.h"

struct accel_wait {
	struct msg msg; /* of the owner's type, with its token, once it is known */
	struct actor_id owner;
	struct list_node link; /* accel.waiting */
};

/* Makes env->accelerator; undoes what a daemon before us left half done. */
int accel_create(struct env *env, struct err *e);

void accel_wait_init(struct accel_wait *w, const struct actor *owner, uint32_t msg_type);
/* True: it is known now.  False: a message comes when it is. */
bool accel_take(struct accel *a, struct accel_wait *w, uint32_t token);
/* Waits no longer; no-op when it does not. */
void accel_forget(struct accel_wait *w);
