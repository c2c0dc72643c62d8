/* vm_net.h - the network of a VM without root: a passt beside its VMM.
 *
 *   none --connect--> connecting --> spawning --> up --ended--> resting --> connecting ...
 *
 * The VMM listens on net.sock in the runtime directory (it inherits the listening end); we connect
 * and hand the connection to a passt, which ends with it.  One that ends while the VM runs is
 * replaced, after a rest that doubles up to RETRY_MAX_MS: connections through it are lost, the VM
 * is not.  While the VM starts its end is the start's failure.  Part of the VM actor.
 *
 * Where the VMM has no such socket the guest itself carries its frames, over vsock: we listen at
 * vsock_1025, and each connection of the guest's gets a passt, the newest one at a time and no
 * faster than they may be replaced.
 */
#pragma once

#include "actors/msg.h"
#include "io/io.h"
#include "vmm/vmm.h"

enum vm_net_phase {
	VM_NET_NONE,
	VM_NET_CONNECTING, /* op is under way */
	VM_NET_SPAWNING,   /* op is under way; fd is ours until its answer */
	VM_NET_UP,         /* a passt lives; exit is armed on pidfd */
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
	uint64_t up_us;           /* reactor's clock when the one that lives came up */
	struct io_listener calls; /* of the guest's; MSG_NET_CALLS */
	bool calls_open;
	int next_call; /* owned: the newest connection that waits for its passt */
	struct io_spawn spawn;
	struct strv argv;
	int listen_fd; /* owned until the VMM has it */
	int fd;        /* owned until passt has it */
	int log_fd;
	int pidfd;
};

struct vm;

void vm_net_init(struct vm_net *n, const struct actor *owner);
void vm_net_fini(struct vm_net *n); /* nothing may be under way */

bool vm_net_by_passt(const struct vm *vm);          /* this VM's network is, or is to be, passt's */
void vm_net_answered(struct vm *vm, struct msg *m); /* MSG_NET: connected, or spawned */
void vm_net_exited(struct vm *vm);                  /* MSG_NET_EXIT */
void vm_net_calls(struct vm *vm);                   /* MSG_NET_CALLS */
bool vm_net_timer(struct vm *vm, const struct msg *m); /* whether it was ours */
