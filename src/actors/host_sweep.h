/* host_sweep.h - what the root helper holds for VMs that no record names goes: jails and what runs
 * in them, NAT, taps, snapshots.
 *
 *   jails? -> absent, one by one -> interfaces? -> ... -> disks? -> ... -> done, until the next
 * helper
 *
 * It is looked for once the records are loaded, and again whenever a helper has been connected to.
 * A VM is in memory before anything is asked for it and until all of it is gone, so what is under
 * way is never taken for left over; and ids are not used twice.  Jails and interfaces that were
 * made ahead of demand bear no VM's id, and stay.
 *
 * Only where the helper's state directory is this daemon's: another daemon's VMs are its own.
 */
#pragma once

#include "actors/node.h"

/* Once the records are loaded; in system mode.  -ENOMEM. */
int host_sweep_begin(struct node *n) MUST_CHECK;
