/* vm_net.h - the network of a VM without root: a process beside its VMM (vmm/usernet.h).
 *
 *   none --connect--> connecting --> spawning --> up --ended--> resting --> connecting ...
 *
 * QEMU listens on net.sock in the runtime directory (it inherits the listening end); we connect and
 * hand the connection to the process, which ends with it.  A guest of a VMM without such a socket
 * carries its frames over vsock itself (banger.net=vsock): the process gets the listening socket
 * where the guest's connections come, and takes one after the other, whether we live or not; there
 * is no connecting then.
 *
 * A process that ends while the VM runs is replaced, after a rest that doubles up to RETRY_MAX_MS
 * and begins anew once one has lived for longer than that: connections through it are lost, the VM
 * is not.  While the VM starts its end is the start's failure.  Part of the VM actor.
 */
#pragma once

#include "actors/msg.h"
#include "io/io.h"
#include "vmm/vmm.h"

enum vm_net_phase {
	VM_NET_NONE,
	VM_NET_CONNECTING, /* op is under way */
	VM_NET_SPAWNING,   /* op is under way; fd is ours until its answer */
	VM_NET_UP,         /* the process lives; exit is armed on pidfd */
	VM_NET_RESTING,    /* the timer is set */
	VM_NET_NPHASES,
};

struct vm_net {
	enum vm_net_phase phase;
	bool ending; /* by us: what comes of it is the end of the step's undo */
	bool gone;   /* it was there, in this daemon's life, and has ended */
	struct io_op op;
	struct io_op exit;
	struct io_timer again;
	uint32_t rest_ms;
	uint64_t up_us; /* since when the process is watched */
	struct io_spawn spawn;
	struct strv argv;
	int listen_fd; /* owned until the VMM has it */
	int fd;        /* owned until the process has it */
	int log_fd;
	int pidfd;
};

struct vm;

void vm_net_init(struct vm_net *n, const struct actor *owner);
void vm_net_fini(struct vm_net *n); /* nothing may be under way */

bool vm_net_by_process(const struct vm *vm);           /* this VM has, or is to have, such a one */
void vm_net_answered(struct vm *vm, struct msg *m);    /* MSG_NET: connected, or spawned */
void vm_net_exited(struct vm *vm);                     /* MSG_NET_EXIT */
bool vm_net_timer(struct vm *vm, const struct msg *m); /* whether it was ours */
