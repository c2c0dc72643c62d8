/* guest.h - what daemon and guest agent say to each other, over virtio-serial or vsock.
 *
 * The channel outlives conversations: QEMU's port stays open when the daemon goes, and bytes of a
 * frame cut in two may wait in it.  So a conversation begins with GUEST_SYNC from the daemon, then
 * its hello with a random session number; the agent drops what it was doing for the old session,
 * answers GUEST_SYNC and a hello with the same number, and each side throws away everything before
 * the other's GUEST_SYNC.  GUEST_SYNC begins with a length that no frame may have, so it cannot be
 * part of one's head; a daemon that sees a hello of another session goes on looking.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/client.h"
#include "proto/schema.h"

#define GUEST_SYNC                                                                                 \
	"\xff\xff\xff\xff"                                                                         \
	"bangersync\r\n"
#define GUEST_SYNC_BYTES 16
#define GUEST_PORT_NAME  "banger.agent.0" /* of the virtio-serial port */

/* Ports of virtio-vsock.  Any process of the guest may dial the host's: the agent does so to be
 * called, no more, and is called at one of the guest's that only its root may bind (below 1024:
 * LAST_RESERVED_PORT of Linux's af_vsock.c). */
#define GUEST_VSOCK_HOST       2    /* the host's address */
#define GUEST_VSOCK_RING_PORT  1024 /* of the host: somebody wants to be called */
#define GUEST_VSOCK_AGENT_PORT 1023 /* of the guest: this conversation */
#define GUEST_VSOCK_NET_PORT                                                                       \
	1025 /* the guest's network: Ethernet frames, each after its length (4 bytes) */

enum {
	GUEST_FRAME_MAX = 128 *
			  1024, /* bytes of a frame from the guest, whom we trust with little */
	GUEST_REQUEST_MAX = 1 << 20, /* ... to the guest: any command that a client may ask for */
	GUEST_EXECS_MAX = 256,       /* at once in one VM */
};

/* clang-format off */
#define GUEST_METHODS(METHOD)                                                                        \
	METHOD(STATUS,   "status",   none_schema,           guest_status_schema, "who and how are you") \
	METHOD(EXEC,     "exec",     guest_exec_args_schema, exec_result_schema,  "runs a command; streams") \
	METHOD(COPY_IN,  "copy_in",  guest_copy_in_args_schema, copy_result_schema, "unpacks a tar archive; streams") \
	METHOD(COPY_OUT, "copy_out", guest_copy_out_args_schema, copy_result_schema, "packs files as a tar archive; streams") \
	METHOD(STATS,    "stats",    none_schema,           guest_stats_schema,  "memory, disk, load and network so far") \
	METHOD(PORTS,    "ports",    none_schema,           guest_ports_schema,  "who listens")           \
	METHOD(SYNC,     "sync",     none_schema,           none_schema,         "sync(2) has returned")   \
	METHOD(POWEROFF, "poweroff", none_schema,           none_schema,         "answered, then powers off")
/* clang-format on */

enum guest_method {
#define METHOD(sym, name, args, result, doc) GUEST_METHOD_##sym,
	GUEST_METHODS(METHOD)
#undef METHOD
		GUEST_METHOD_NMETHODS,
};

extern const struct client_method_row guest_methods[GUEST_METHOD_NMETHODS];
int guest_method_find(const char *name, enum guest_method *ret_method); /* -ENOSYS */

struct guest_exec_args {
	struct strv argv; /* empty: a login shell */
	struct strv env;
	char cwd[1024];
	bool tty;
	bool stdin_open;
	uint32_t rows, cols;
	uint32_t window; /* credit for stdout and stderr each */
};
extern const struct schema guest_exec_args_schema;

/* As the client's copy_in_args and copy_out_args, less the VM's name. */
struct guest_copy_in_args {
	struct bytes path;
	bool as;
	bool no_owner;
	uint32_t window;
};
extern const struct schema guest_copy_in_args_schema;

struct guest_copy_out_args {
	struct bytes path;
	bool follow;
	uint32_t window;
};
extern const struct schema guest_copy_out_args_schema;
struct guest_port {
	char proto[8];
	char address[ADDRESS_MAX + 1];
	uint32_t port;
	uint32_t pid;
	char process[32];
};
extern const struct schema guest_port_schema;

struct guest_ports {
	struct seq ports; /* struct guest_port */
	uint32_t omitted;
};
extern const struct schema guest_ports_schema;

struct guest_status {
	char boot_id[40]; /* /proc/sys/kernel/random/boot_id */
	char hostname[64];
	char kernel[128]; /* uname release */
	char os[128];     /* PRETTY_NAME of os-release */
	char agent[32];   /* version */
	uint64_t uptime_ms;
};
extern const struct schema guest_status_schema;
