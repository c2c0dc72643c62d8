/* name.h - the names and addresses that the helper makes, and the shapes that it accepts.  Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "helper/conf.h"

#define NAME_TAP_PREFIX "bg-"
#define NAME_BRIDGE     "br-fc"

typedef char name_if[HELPER_IFNAME_MAX + 1];

/* "br-fc" or "br-fc-" and more, 15 characters at most of a-z, 0-9 and -.  ERR_HELPER_REFUSED. */
int name_bridge_check(const char *name, struct err *e) MUST_CHECK;

/* The slot's uid and the tap's name: "bg-" and the VM's id, or "bg-s" and the slot's number where
 * there is no VM.  (An id has 12 characters, so the two never meet.) */
int name_slot_uid(const struct helper_conf *conf, uint32_t slot, uid_t *ret_uid,
		  struct err *e) MUST_CHECK;
void name_tap(vm_id vm, uint32_t slot, name_if out);
bool name_is_tap(const char *name);
/* Of a tap that is about to be deleted, by its index: no VM's and no slot's. */
void name_tap_aside(uint32_t index, name_if out);

/* A host's address in the bridge's subnet (in host order), neither its first nor its last. */
bool name_is_guest_address(const struct conf_bridge *bridge, uint32_t address);
