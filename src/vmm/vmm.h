/* vmm.h - what a VMM wants to hear, behind one small interface.
 *
 * A driver is pure: it turns a machine's description into a command line, and a control socket's
 * bytes into answers.  It opens nothing and runs nothing; the VM actor does.  QEMU comes first,
 * Firecracker next to it; `null` exists for benchmarks and tests: a VM without a process.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "base/strv.h"

enum vmm_accel {
	VMM_ACCEL_TCG,
	VMM_ACCEL_KVM,
};

enum vmm_guest {
	VMM_GUEST_LINUX, /* kernel, initrd, root disk, agent */
	VMM_GUEST_PROBE, /* the bare-metal probe: says VMM_PROBE_LINE on its serial port */
};

/* What the probe guest prints when it is up, without the line's end. */
#define VMM_PROBE_LINE "banger-probe: up"

enum {
	VMM_PUBLISH_MAX = 32,
};

/* Unix sockets that the daemon listens on and is connected to before the VMM starts; the VMM
 * inherits the listening ends by number, so that nothing is lost and a restarted daemon can connect
 * again. */
enum vmm_socket {
	VMM_SOCKET_CONTROL, /* QMP */
	VMM_SOCKET_AGENT,   /* the guest's agent channel */
	VMM_SOCKET_CONSOLE, /* the serial port (also written to the console log by the VMM) */
	VMM_NSOCKETS,
};

/* Everything that a driver needs to know of a machine.  Strings are borrowed. */
struct vmm_machine {
	const char *binary; /* absolute path of the VMM's program */
	vm_id id;
	const char *name; /* for humans: process titles, guest hostname */
	enum vmm_guest guest;
	enum vmm_accel accel;
	uint32_t vcpu;
	uint64_t memory_bytes;
	const char *kernel;      /* path */
	const char *initrd;      /* path or NULL */
	const char *disk;        /* path of the VM's root disk or NULL */
	const char *disk_format; /* "qcow2" or "raw" */
	const char *console_log; /* path; the VMM appends */
	uint32_t tsc_khz;        /* of the host; 0: not known */
	bool sandbox;            /* the VMM's own seccomp sandbox */
	struct {
		uint16_t host, guest;
	} publish[VMM_PUBLISH_MAX];
	uint32_t npublish;
	int socket_fd[VMM_NSOCKETS]; /* numbers in the child of the inherited listeners; -1: none */
};

enum vmm_call {
	VMM_CALL_POWERDOWN, /* asks the guest, as a power button would */
	VMM_CALL_QUIT,      /* the VMM ends at once */
	VMM_CALL_STATUS,    /* is the guest running? */
};

enum vmm_event {
	VMM_EVENT_NONE,     /* nothing of interest; go on */
	VMM_EVENT_GREETING, /* the control channel is open */
	VMM_EVENT_REPLY,    /* to the call with this id */
	VMM_EVENT_SHUTDOWN, /* the guest has powered off or reset */
};

struct vmm_answer {
	enum vmm_event event;
	uint32_t id;    /* of a reply */
	bool ok;        /* of a reply */
	char text[200]; /* of a refusal: the VMM's own words */
};

struct vmm_driver {
	const char *name;    /* "qemu" */
	const char *program; /* looked up in PATH when not configured; NULL: no process */
	bool has_control;

	/* Appends the whole command line, argv[0] included. */
	int (*argv)(const struct vmm_machine *m, struct strv *argv, struct err *e);
	/* Appends what opens the control conversation, then calls. */
	int (*greet)(struct buf *out);
	int (*call)(enum vmm_call call, uint32_t id, struct buf *out);
	/* Takes one answer off the front of `data`.  > 0: bytes it took; 0: more needed; -errno:
	 * not what this VMM may say. */
	int (*parse)(const uint8_t *data, size_t len, struct vmm_answer *ret_answer, struct err *e);
};

extern const struct vmm_driver vmm_qemu;
extern const struct vmm_driver vmm_null;

const struct vmm_driver *vmm_find(const char *name); /* NULL when unknown */

/* The kernel command line of a Linux guest of this machine (console, tsc, identity:
 * banger.hostname=, banger.ip=, ...), for drivers and tests. */
int vmm_cmdline(const struct vmm_machine *m, char *out, size_t size, struct err *e);

/* ---- disks: images of formats that a VMM reads ---- */

/* The first bytes of a qcow2 (version 3) overlay of `virtual_bytes` over a raw backing file:
 * header, backing name, refcount and L1 tables.  The file is exactly what is appended; all data is
 * in the backing file until written.  docs/interop/qcow2.txt of QEMU. */
int qcow2_overlay(const char *backing_path, uint64_t virtual_bytes, struct buf *out, struct err *e);
