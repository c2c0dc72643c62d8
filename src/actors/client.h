/* client.h - one connection: frames in, operations out; answers, events and bytes back.
 *
 * The actor owns its operations until each has its reply.  It is made on a freshly accepted
 * descriptor and ends by itself when the peer hangs up, breaks the protocol, or does not read; the
 * node is told so (MSG_CLIENT_GONE), which ends what was not detached and the leases.
 */
#pragma once

#include "actors/env.h"

/* Takes the descriptor, also when it fails. */
int client_create(struct env *env, int fd);

/* Takes the descriptor, says why on it and closes it. */
void client_refuse(struct env *env, int fd, const struct err *why);

/* The daemon is stopping: each connection is told so and closed once nothing of it is unanswered.
 */
void clients_stop(struct env *env);
