/* system.h - what system mode has of its host through the root helper: the bridge, and a slot of it
 * for each VM.
 *
 *   unknown --ensure_bridge, host_report.block--> known     (asked again, ever more slowly, until
 *                                                            both are answered)
 *
 * The daemon serves its first client when the first answer has come, whatever it is: who
 * connects right after the start waits for that, and is not refused.
 *
 * A slot is a uid and an address of the bridge's subnet.  A VM has one from its creation to its
 * end, in its record.  Session mode has none of this: env.system is NULL.
 */
#pragma once

#include "actors/helper.h"
#include "proto/record.h"

#define SYSTEM_BRIDGE "br-fc"

struct env;

struct system {
	struct actor actor;
	struct env *env;       /* borrowed */
	struct helper *helper; /* owned */
	bool known;
	struct helper_bridge_view bridge; /* once known */
	uint32_t nslots; /* likewise: VMs that the bridge and the uids are enough for */
	bool snapshots;  /* likewise: it has device-mapper */
	bool reflinks;   /* the state directory's file system has them */
	uint64_t taken[(HELPER_SLOT_MAX + 64) / 64]; /* a bit for each slot */
	uint32_t first_free;                         /* no slot below is */
	struct err why;                              /* it is not known */
	bool settled;                                /* it was known once, or failed once */
	struct msg tell;                             /* ... which the node hears */
	struct io_timer patience;                    /* until it is taken for failed */
	struct io_timer again;
	uint32_t again_ms;
	char dns[16]; /* IPv4 of a resolver that guests can be told of, or "" */
};

/* Makes env->system and asks the helper.  Reads resolv.conf(5); -ENOMEM as ERR_HOST_MEMORY. */
int system_create(struct env *env, const char *helper_socket, struct err *e) MUST_CHECK;

/* Puts a free slot, its address and the way of its disk into the record.  ERR_HELPER_DOWN while the
 * bridge is not known, ERR_VM_LIMIT when there is none. */
int system_take_slot(struct system *s, struct vm_record *rec, struct err *e) MUST_CHECK;
/* The slot of a record that exists. */
void system_keep_slot(struct system *s, const struct vm_record *rec);
void system_give_slot(struct system *s, const struct vm_record *rec);

/* How the root disk of a new VM is made: a word of vmm.root_disk, "" for dm-snapshot. */
const char *system_disk(const struct system *s);

/* One line for people: what there is, or why there is none yet. */
void system_describe(const struct system *s, char *out, size_t size);

/* Pure.  The n-th address that a guest may have, as text: every one of the subnet but its first,
 * its last and the host's own.  False: there are not so many. */
bool system_guest_address(const struct helper_bridge_view *bridge, uint32_t n, char out[16]);
