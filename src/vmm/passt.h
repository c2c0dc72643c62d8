/* passt.h - what passt wants to hear: the network of a VM without root, a process beside its VMM.
 *
 * It takes Ethernet frames from a connected stream socket, each after its length in 4 bytes,
 * big-endian, and does with sockets of the host's what the guest wants; it ends with its
 * connection. Facts: passt(1) of Debian 12 (git20230309) and observation.
 *   - The addresses are those of QEMU's own user network, so that a guest need not know which it
 * has.
 *   - `-i lo`: no interface of the host's is its model, so that a host without a way out, or with
 *     another one by now, has VMs too.
 *   - What it could not send whole it completes with a send that has to block: a non-blocking
 * socket breaks its stream.
 *   - Without --no-map-gw the gateway's address is the host's loopback.
 */
#pragma once

#include "vmm/vmm.h"

#define PASST_GUEST   "10.0.2.15"
#define PASST_PREFIX  "24"
#define PASST_GATEWAY "10.0.2.2"
#define PASST_MAC     "52:55:0a:00:02:02" /* of the gateway */
#define PASST_DNS     "10.0.2.3"          /* answered by the host's first name server */

#define PASST_WORD_PREFIX "passt-bg-"

enum {
	/* Bytes: the larger, the fewer frames; an emulated guest is ten times as fast as with 1500.
	 */
	PASST_MTU = 60000,
	PASST_WORD_BYTES = sizeof(PASST_WORD_PREFIX) + VMM_WORD_BYTES,
};

struct passt {
	const char *binary; /* absolute path */
	vm_id id;
	const char *home; /* of the daemon, as in struct vmm_machine */
	int fd;           /* number in the child of the connected socket */
	bool host_loopback;
	const struct vmm_publish
		*publish; /* ports of the host's loopback that lead to the guest's */
	uint32_t npublish;
};

/* Part of the command line of this VM's passt and of no other process. */
void passt_word(vm_id id, const char *home, char out[PASST_WORD_BYTES]);

/* Appends the whole command line, argv[0] included.  -ENOMEM. */
int passt_argv(const struct passt *p, struct strv *argv);

/* What its last words mean. */
enum err_code passt_explain(const char *last_words);
