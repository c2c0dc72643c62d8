/* console.h - who types on a VM's serial console: one actor for each, between a client and the VMM.
 *
 *   client  --stdin within CONSOLE_WINDOW-->  console  --console.sock-->  VMM  -->  guest
 *                                                         console.log  <--'
 *
 * What the guest prints is in its console log, which the VMM writes whether somebody is connected
 * or not; it is read there (cli/console.c), by as many as like to and as slowly as they like to.
 * What comes on the socket as well is read and dropped, so that nobody can stall the guest.  The
 * VMM serves one connection at a time: one types, and another is refused.
 */
#pragma once

#include "actors/op.h"

struct vm;

/* Takes the op; answers it: when all is typed, when the VMM has gone, or at once when it may not
 * be. */
void console_begin(struct env *env, struct op *op, const struct vm *vm);
void console_cancel(struct env *env, struct op *op);
/* The daemon shuts down: they have no other end. */
void consoles_stop(struct env *env);
