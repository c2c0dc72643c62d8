/* usernet.h - the network of a VM without root: what the process beside its VMM wants to hear.
 *
 * It takes Ethernet frames from a stream socket, each after its length in 4 bytes, big-endian, and
 * does with sockets of the host's what the guest wants.  Pure.  There are two:
 *
 *   banger-net  ours (src/net); takes a connected socket, and ends with it, or a listening one,
 *               where one connection follows the other
 *   passt       a connected socket only.  Facts: passt(1) of Debian 12 (git20230309) and
 * observation
 *     - `-i lo`: no interface of the host's is its model, so that a host without a way out, or with
 *       another one by now, has VMs too.
 *     - What it could not send whole it completes with a send that has to block: a non-blocking
 *       socket breaks its stream.
 *     - So does a frame that comes in pieces, as over vsock: it is for QEMU alone.
 *     - Without --no-map-gw the gateway's address is the host's loopback.
 *
 * The addresses are those of QEMU's own user network, so that a guest need not know which it has.
 */
#pragma once

#include "vmm/vmm.h"

#define USERNET_GUEST   "10.0.2.15"
#define USERNET_PREFIX  "24"
#define USERNET_GATEWAY "10.0.2.2"
#define USERNET_MAC     "52:55:0a:00:02:02" /* of the gateway */
#define USERNET_DNS     "10.0.2.3"          /* answered by the host's first name server */

#define USERNET_FILE "banger-net" /* of libexec */

/* Begins a word of its command line, as VMM_PROCESS_PREFIX does one of a VMM's. */
#define USERNET_PROCESS_PREFIX "network=bg-"

enum {
	/* Bytes: the larger, the fewer frames; an emulated guest is ten times as fast as with 1500.
	 */
	USERNET_MTU = 60000,
};

enum usernet_program {
	USERNET_BANGER,
	USERNET_PASST,
	USERNET_NPROGRAMS,
};

struct usernet {
	enum usernet_program program;
	const char *binary; /* absolute path */
	vm_id id;
	const char *home; /* of the daemon, as in struct vmm_machine */
	int fd;           /* number of the socket in the child */
	bool listens;     /* it is a listening one; not with passt */
	bool host_loopback;
	const struct vmm_publish
		*publish; /* ports of the host's loopback that lead to the guest's */
	uint32_t npublish;
};

/* Part of the command line of this VM's network process and of no other. */
void usernet_word(vm_id id, const char *home, char out[VMM_WORD_BYTES]);

/* Appends the whole command line, argv[0] included.  -ENOMEM. */
int usernet_argv(const struct usernet *n, struct strv *argv);

/* What its last words mean. */
enum err_code usernet_explain(const char *last_words);
