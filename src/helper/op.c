/* op.c - every operation that the helper has.  Nothing else is reachable. */
#include "helper/op.h"

#include <linux/capability.h>

#include "helper/block/block.h"
#include "helper/jail/jail.h"
#include "helper/net/net.h"
#include "helper/resolver/resolver.h"

#define NET FILTER_NET, BIT(CAP_NET_ADMIN)
#define BLOCK                                                                                      \
	FILTER_BLOCK, BIT(CAP_SYS_ADMIN) | BIT(CAP_MKNOD) | BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE)
#define JAIL                                                                                       \
	FILTER_JAIL, BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) |           \
			     BIT(CAP_FOWNER) | BIT(CAP_KILL)
#define RESOLVER FILTER_RESOLVER, 0

/* clang-format off */
const struct helper_op helper_ops[HELPER_NMETHODS] = {
	[HELPER_ENSURE_BRIDGE]  = { NET,      OP_PRESENT, 0,  5000, bridge_validate,   bridge_act,   bridge_undo },
	[HELPER_REMOVE_BRIDGE]  = { NET,      OP_ABSENT,  0,  5000, bridge_validate,   bridge_act,   bridge_undo },
	[HELPER_CREATE_TAP]     = { NET,      OP_PRESENT, 1,      5000, tap_validate,      tap_act,      tap_undo },
	[HELPER_DELETE_TAP]     = { NET,      OP_ABSENT,  0,  5000, tap_validate,      tap_act,      tap_undo },
	[HELPER_ENSURE_NAT]     = { NET,      OP_PRESENT, 0,  5000, nat_validate,      nat_act,      nat_undo },
	[HELPER_REMOVE_NAT]     = { NET,      OP_ABSENT,  0,  5000, nat_validate,      nat_act,      nat_undo },
	[HELPER_PREPARE_TAPS]   = { NET,      OP_PRESENT, HELPER_SLOTS_MAX, 20000, taps_validate,     taps_act,     taps_undo },
	[HELPER_RELEASE_TAPS]   = { NET,      OP_ABSENT,  0,       20000, taps_validate,     taps_act,     taps_undo },
	[HELPER_SYNC_RESOLVER]  = { RESOLVER, OP_PRESENT, 0, 10000, resolver_sync_validate, resolver_act, resolver_undo },
	[HELPER_CLEAR_RESOLVER] = { RESOLVER, OP_ABSENT,  0, 10000, resolver_validate, resolver_act, resolver_undo },
	[HELPER_CREATE_SNAPSHOT]  = { BLOCK,  OP_PRESENT, 0, 10000, snapshot_validate, snapshot_act,  snapshot_undo },
	[HELPER_CLEANUP_SNAPSHOT] = { BLOCK,  OP_ABSENT,  0, 10000, snapshot_cleanup_validate, NULL,  snapshot_cleanup_undo },
	[HELPER_REMOVE_SNAPSHOT]  = { BLOCK,  OP_ABSENT,  0, 10000, snapshot_remove_validate,  NULL,  snapshot_remove_undo },
	[HELPER_FSCK_SNAPSHOT]    = { BLOCK,  OP_ANSWER,  0, BLOCK_FSCK_MS + 10000, fsck_validate, fsck_act, NULL },
	[HELPER_READ_EXT4]        = { BLOCK,  OP_ANSWER,  0, 30000, ext4_read_validate,  ext4_read_act,  NULL },
	[HELPER_WRITE_EXT4]       = { BLOCK,  OP_ANSWER,  0, 30000, ext4_write_validate, ext4_write_act, NULL },
	[HELPER_REPORT_BLOCK]     = { BLOCK,  OP_ANSWER,  0, 10000, op_no_args,        block_report_act, NULL },
	[HELPER_PREPARE_JAILS]  = { JAIL,     OP_PRESENT, 0, 20000, jails_validate,    jails_act,    jails_undo },
	[HELPER_RELEASE_JAILS]  = { JAIL,     OP_ABSENT,  0, 20000, jails_validate,    NULL,         jails_undo },
	[HELPER_LAUNCH_VMM]     = { JAIL,     OP_PRESENT, 0, 20000, vmm_validate,      vmm_act,      vmm_undo },
	[HELPER_KILL_VMM]       = { JAIL,     OP_ABSENT,  0, 10000, jail_validate,     NULL,         kill_undo, true },
	[HELPER_CLEANUP_JAIL]   = { JAIL,     OP_ABSENT,  0, 10000, jail_validate,     NULL,         cleanup_undo },
	[HELPER_SIGNAL_VMM]     = { JAIL,     OP_ANSWER,  0, 10000, signal_validate,   signal_act,   NULL },
	[HELPER_FIND_VMM]       = { JAIL,     OP_ANSWER,  0, 10000, find_validate,     find_act,     NULL },
	[HELPER_ENSURE_SOCKET]  = { JAIL,     OP_ANSWER,  0, 10000, socket_validate,   socket_act,   NULL },
	[HELPER_TRIM_LOGS]      = { JAIL,     OP_ANSWER,  0, 10000, trim_validate,     trim_act,     NULL },
	[HELPER_REPORT_JAIL]    = { JAIL,     OP_ANSWER,  0, 10000, op_no_args,        jail_report_act, NULL },
	[HELPER_REPORT_NET]     = { NET,      OP_ANSWER,  0, 10000, op_no_args,        report_act,   NULL },
};
/* clang-format on */

int op_no_args(const struct helper_conf *conf, const void *args, struct op_target *ret_target,
	       struct err *e)
{
	(void)conf;
	(void)args;
	(void)ret_target;
	(void)e;
	return 0;
}
