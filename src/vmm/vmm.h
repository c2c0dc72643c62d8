/* vmm.h - what a VMM wants to hear, behind one small interface.
 *
 * A driver is pure: it turns a machine's description into a command line (and a configuration file,
 * where the VMM reads one), and a control socket's bytes into answers.  It opens nothing and runs
 * nothing; the VM actor does.  Paths are as the VMM sees them: in a jail that is not how the daemon
 * does.  `null` exists for benchmarks and tests: a VM without a process.
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

const char *vmm_accel_name(enum vmm_accel accel); /* "tcg", "kvm" */

enum vmm_guest {
	VMM_GUEST_LINUX, /* kernel, initrd, root disk, agent */
	VMM_GUEST_PROBE, /* the bare-metal probe: says VMM_PROBE_LINE on its serial port */
};

/* What the probe guest prints when it is up, without the line's end. */
#define VMM_PROBE_LINE "banger-probe: up"

/* With VMM_PROBE_BENCH among its command line's words the probe then runs some three million
 * instructions without I/O and prints this. */
#define VMM_PROBE_BENCH      "bench"
#define VMM_PROBE_BENCH_LINE "banger-probe: bench done"

/* Name of the virtio-serial port that leads to the guest's agent. */
#define VMM_AGENT_PORT "banger.agent.0"

#define VMM_PROCESS_PREFIX "process=bg-"

enum {
	VMM_PUBLISH_MAX = 32,
	VMM_CMDLINE_MAX = 2048, /* bytes with the NUL: COMMAND_LINE_SIZE of Linux on x86 */
	VMM_ANSWER_MAX = 65536, /* bytes of one answer on the control channel */
	VMM_CONFIG_MAX = 65536, /* bytes of a configuration file */
	VMM_VERSION_MAX = 32,   /* bytes with the NUL */
	VMM_MEMORY_POLL_S = 5,  /* between two questions of the VMM's to its guest's balloon */
	VMM_WORD_BYTES = sizeof(VMM_PROCESS_PREFIX) + VM_ID_CHARS + 1 + VM_ID_CHARS,
};

/* Part of the command line of this VM's VMM and of no other process: "process=bg-ID.HOME", where
 * home tells the daemon (its state directory) that the VM belongs to.  Home NULL or "": as it
 * begins, for a VMM that nobody looks for. */
void vmm_process_word(vm_id id, const char *home, char out[VMM_WORD_BYTES]);
/* The id in such a word of this home (NULL: of any or none) anywhere in the text, or 0. */
vm_id vmm_process_find(const char *text, size_t len, const char *home);
/* The same for another process of a VM's, whose word begins otherwise, and is no longer. */
void vmm_word(const char *prefix, vm_id id, const char *home, char out[VMM_WORD_BYTES]);
vm_id vmm_word_find(const char *prefix, const char *text, size_t len, const char *home);

/* How the daemon and a VMM come to speak. */
enum vmm_channels {
	/* The VMM inherits listening sockets, see below. */
	VMM_CHANNELS_INHERITED,
	/* It listens itself, at machine.control and machine.vsock: there is somebody to connect to
	 * some time after it was started.  The serial port is its stdin, which must be a FIFO or a
	 * terminal to be heard, and its stdout.  A guest's connection to port P of the host arrives
	 * at the listener of the path machine.vsock + "_P"; one to port P of the guest is made
	 * through machine.vsock itself. */
	VMM_CHANNELS_OWN,
};

/* The guest's agent over vsock: it rings the host at this port when it comes up, and is called at
 * one of its own.  proto/guest.h says why. */
#define VMM_VSOCK_RING_PORT 1024

/* What to say first on a connection to machine.vsock, to be put through to the agent.  The answer,
 * "OK " and a number, comes in a line of its own before anything that the agent says. */
#define VMM_VSOCK_CONNECT "CONNECT 1023\n"

/* Unix sockets that the daemon listens on and is connected to before the VMM starts; the VMM
 * inherits the listening ends by number (VMM_CHANNELS_INHERITED).
 *
 * QEMU waits for a connection on each of them (wait=on) before it runs the guest: one that is
 * already queued costs nothing, and then no byte can be lost.  On the console of an operating
 * system it does not: the log has it all, and who wants to type connects when he does.  When the
 * daemon goes away QEMU runs on, still writes the console log, and takes a new connection on the
 * same path (on the control socket the conversation begins anew).  QEMU unlinks the paths when it
 * ends.  A connected daemon that does not read the console socket stops the guest's console output;
 * read and drop. */
enum vmm_socket {
	VMM_SOCKET_CONTROL, /* QMP */
	VMM_SOCKET_AGENT,   /* the guest's agent channel */
	VMM_SOCKET_CONSOLE, /* the serial port (also written to the console log by the VMM) */
	VMM_NSOCKETS,
};

enum vmm_net {
	VMM_NET_USER, /* the VMM's own user network */
	VMM_NET_NONE,
	VMM_NET_TAP,    /* machine.tap, an interface of the host */
	VMM_NET_SOCKET, /* machine.net_fd, a listening socket where its network is connected */
	VMM_NET_VSOCK,  /* the guest carries its frames over vsock */
};

/* A port of the host's loopback that leads to one of the guest's. */
struct vmm_publish {
	uint16_t host, guest;
};

/* What a machine may move; 0: no limit. */
struct vmm_limits {
	uint64_t disk_rate; /* bytes a second that each drive moves */
	uint32_t disk_iops; /* requests a second, likewise */
	uint64_t net_rate;  /* bytes a second, each way */
};

/* Devices whose limits may change while the machine runs. */
enum vmm_limited {
	VMM_LIMITED_BASE, /* machine.base */
	VMM_LIMITED_DISK, /* machine.disk */
	VMM_LIMITED_NET,  /* machine.tap */
	VMM_NLIMITED,
};

/* Everything that a driver needs to know of a machine.  Strings are borrowed. */
struct vmm_machine {
	const char *binary; /* absolute path of the VMM's program */
	vm_id id;
	const char *home; /* of the daemon, for vmm_process_word(); or NULL */
	const char *name; /* for humans: process titles, guest hostname */
	enum vmm_guest guest;
	enum vmm_accel accel;
	uint32_t vcpu;
	uint64_t memory_bytes;
	const char *kernel;       /* path */
	const char *initrd;       /* path or NULL */
	const char *disk;         /* path of the VM's root disk or NULL */
	const char *disk_format;  /* "qcow2" or "raw" */
	bool disk_device;         /* it is a block device, not a file */
	struct vmm_limits limits; /* net_rate with VMM_NET_TAP only */
	const char *base;         /* path of what `disk` is an upper layer of, read only, or NULL */
	const char *console_log;  /* path; the VMM appends */
	uint32_t tsc_khz;         /* of the host; 0: not known */
	bool sandbox;             /* the VMM's own seccomp sandbox */
	const char *append;       /* more words for the guest's command line, or NULL */
	enum vmm_net net;
	int net_fd;          /* with VMM_NET_SOCKET: its number in the child */
	const char *tap;     /* with VMM_NET_TAP; and what the guest is told: */
	const char *address; /* IPv4 "ADDRESS/PREFIX" */
	const char *gateway;
	const char *dns; /* or NULL */
	struct vmm_publish publish[VMM_PUBLISH_MAX];
	uint32_t npublish;
	int socket_fd[VMM_NSOCKETS]; /* numbers in the child of the inherited listeners; -1: none */
	/* VMM_CHANNELS_OWN: paths. */
	const char *control; /* where it shall listen */
	const char *vsock;   /* likewise, for connections to its guest; NULL: the guest has none */
	const char *config;  /* where it finds what the driver's config() has written */
	const char *log;     /* there already; what it has to say goes there */
};

enum vmm_call {
	VMM_CALL_POWERDOWN, /* asks the guest, as a power button would */
	VMM_CALL_QUIT,      /* the VMM ends at once */
	VMM_CALL_STATUS,    /* is the guest running? */
	VMM_CALL_PAUSE,     /* its processors stand still, and its devices */
	VMM_CALL_RESUME,
	VMM_CALL_MEMORY, /* what the guest's balloon has said last */
	VMM_CALL_LIMIT,  /* by limit() alone */
	VMM_NCALLS,
};

enum vmm_event {
	VMM_EVENT_NONE,     /* nothing of interest; go on */
	VMM_EVENT_GREETING, /* the control channel is open: what greet() asked for is granted */
	VMM_EVENT_REPLY,    /* to the call with this id */
	VMM_EVENT_SHUTDOWN, /* the guest has powered off or reset */
};

/* What the driver of a guest's balloon says of the guest's memory, which may be anything. */
enum vmm_memory_part {
	VMM_MEMORY_TOTAL, /* bytes, up to and with SWAPPED_OUT */
	VMM_MEMORY_FREE,
	VMM_MEMORY_AVAILABLE,
	VMM_MEMORY_CACHE,
	VMM_MEMORY_SWAPPED_IN,
	VMM_MEMORY_SWAPPED_OUT,
	VMM_MEMORY_MAJOR_FAULTS,
	VMM_MEMORY_MINOR_FAULTS,
	VMM_NMEMORY,
};

struct vmm_memory {
	uint32_t known; /* mask of the parts that it has said: none without a driver */
	uint64_t parts[VMM_NMEMORY];
};

struct vmm_answer {
	enum vmm_event event;
	uint32_t id;    /* of a reply; 0 where the VMM answers in order and without ids */
	bool ok;        /* of a reply */
	char text[200]; /* the VMM's own words: a refusal, a status, why it shut down.  ASCII. */
	struct vmm_memory memory; /* of a reply to VMM_CALL_MEMORY */
};

struct vmm_driver {
	const char *name;    /* "qemu" */
	const char *program; /* looked up in PATH when not configured; NULL: no process */
	bool has_control;
	bool starts_light; /* twice as many may start at once as of others, to the host's gain */
	enum vmm_channels channels;
	bool kvm_only; /* it cannot emulate */
	/* Of a VM's own disk where it has an image: "qcow2", over the image's; or "raw", an upper
	 * layer that the guest joins with it. */
	const char *disk_format;

	/* What its --version has printed becomes a version; refused where that is none that we know
	 * to work.  NULL: any does. */
	int (*version)(const char *said, char ret_version[VMM_VERSION_MAX], struct err *e);

	/* Bytes that the VMM may need beside the guest's memory, for a limit.  NULL without
	 * program. */
	uint64_t (*overhead)(const struct vmm_machine *m);
	/* Appends the whole command line, argv[0] included. */
	int (*argv)(const struct vmm_machine *m, struct strv *argv, struct err *e);
	/* Appends what the file at m->config shall hold.  NULL: the command line says all. */
	int (*config)(const struct vmm_machine *m, struct buf *out, struct err *e);
	/* The rest are NULL unless has_control.  greet() appends what opens the conversation; calls
	 * may follow without waiting.  The id of a call is not 0.  -EOPNOTSUPP: it cannot be asked
	 * for that. */
	int (*greet)(struct buf *out);
	int (*call)(enum vmm_call call, uint32_t id, struct buf *out);
	/* All limits of that device at once.  -EOPNOTSUPP: it has none of its own. */
	int (*limit)(enum vmm_limited device, const struct vmm_limits *l, uint32_t id,
		     struct buf *out);
	/* Takes one answer off the front of `data`.  > 0: bytes it took; 0: more needed; -errno:
	 * not what this VMM may say. */
	int (*parse)(const uint8_t *data, size_t len, struct vmm_answer *ret_answer, struct err *e);

	/* The line that says why it ended, of the end of its log, which may be changed for that.
	 * NULL: the last. */
	const char *(*blame)(char *tail);
	/* What its last words mean, where that is more than that it ended; else ERR_VMM_EXIT.  May
	 * be NULL. */
	enum err_code (*explain)(const char *last_words);
};

extern const struct vmm_driver vmm_qemu;
extern const struct vmm_driver vmm_firecracker;
extern const struct vmm_driver vmm_null;

const struct vmm_driver *vmm_find(const char *name); /* NULL when unknown */

/* The command line of this machine's guest, for drivers and tests.  Linux: `words` (console, what
 * to do on panic, what else the VMM's machine needs), tsc, identity (banger.hostname= .ip= .gw=
 * .dns= .root= .upper=), then m->append; the probe gets m->append alone.
 *
 * How a guest ends its VM, observed with Debian's 6.1 kernel in QEMU's microvm with acpi=on:
 * reboot(RB_POWER_OFF) ends QEMU with status 0 and the reason "guest-shutdown" (ACPI's sleep
 * register); reboot(RB_AUTOBOOT) and a panic do so with "guest-reset", because of -no-reboot;
 * reboot(RB_HALT_SYSTEM) leaves it running for ever.  An init shall use RB_POWER_OFF.  The power
 * button of VMM_CALL_POWERDOWN is seen only by a guest that has loaded Linux's `button` module. */
int vmm_cmdline(const struct vmm_machine *m, const char *words, char *out, size_t size,
		struct err *e);

/* What every driver asks of a machine's size. */
int vmm_size_check(const struct vmm_machine *m, struct err *e);

/* The guest's hardware address, which derives from the VM's id as all its names do. */
#define VMM_MAC_BYTES 18
void vmm_mac(vm_id id, char out[VMM_MAC_BYTES]);

/* Sets a->text: a VMM's words go to logs and terminals, so they become printable ASCII. */
void vmm_answer_say(struct vmm_answer *a, const char *text);

/* ---- which accelerator? ---- */

/* Measures the host's TSC against CLOCK_MONOTONIC_RAW, unless CPUID states it.  Blocks for some
 * 20 ms: for a worker.  -EOPNOTSUPP where the TSC does not tick at a constant rate. */
int vmm_tsc_khz(uint32_t *ret_khz);

enum vmm_reason {
	VMM_REASON_KVM_FAST,     /* hardware runs the guest */
	VMM_REASON_KVM_BEST,     /* not as fast as hardware should be, but no slower than TCG */
	VMM_REASON_KVM_ALONE,    /* likewise, and nothing was there to compare it with */
	VMM_REASON_KVM_ABSENT,   /* no probe came up with it */
	VMM_REASON_KVM_EMULATES, /* /dev/kvm is there, but emulates instruction by instruction */
	VMM_REASON_NONE,         /* neither ran the probe */
	VMM_NREASONS,
};

struct vmm_verdict {
	enum vmm_accel accel;
	enum vmm_reason reason;
};

#define VMM_BENCH_NONE UINT64_MAX /* the probe did not come to its second line */

enum {
	/* Times that KVM may be slower than TCG and still be taken: the host may have been busy
	 * elsewhere in that moment. */
	VMM_KVM_SLOWER_MAX = 4,
};

/* Pure.  From the time between the probe's two lines under each accelerator. */
struct vmm_verdict vmm_judge(uint64_t kvm_us, uint64_t tcg_us);
const char *vmm_reason_text(enum vmm_reason reason);
/* For probes, whose few instructions no accelerator can be slow at: the one under which it came up
 * sooner, KVM when it is close, since its processes are smaller.  0: it did not come up. */
enum vmm_accel vmm_judge_probe(uint64_t kvm_up_us, uint64_t tcg_up_us);

/* ---- disks: images of formats that a VMM reads ---- */

/* The first bytes of a qcow2 (version 3) overlay of `virtual_bytes` over a raw backing file:
 * header, backing name, refcount and L1 tables.  The file is exactly what is appended; all data is
 * in the backing file until written.  docs/interop/qcow2.txt of QEMU. */
struct qcow2_growth {
	uint64_t at; /* where `bytes` go; in one sector, so that they are all there or not */
	uint8_t bytes[16];
	uint64_t file_bytes; /* the file must be so long first, of zeros */
};

enum {
	QCOW2_HEADER_BYTES = 104, /* what qcow2_grow() reads of a file */
};

/* What to write to make such an overlay's disk larger, while nobody has it open. */
int qcow2_grow(const uint8_t header[QCOW2_HEADER_BYTES], uint64_t virtual_bytes,
	       struct qcow2_growth *ret_growth, struct err *e);

int qcow2_overlay(const char *backing_path, uint64_t virtual_bytes, struct buf *out, struct err *e);
