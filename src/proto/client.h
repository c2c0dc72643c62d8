/* client.h - what client and daemon say to each other: methods, their arguments and results.
 *
 * The structs are filled and written by the schemas of the same name (vm_spec_schema ...).  What a
 * struct owns is released by schema_fini() with its schema.  docs/protocol.md is written from the
 * same tables.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/parse.h"
#include "base/strv.h"
#include "proto/schema.h"
#include "proto/wire.h"

enum {
	VM_NAME_MAX = 63,     /* a DNS label, RFC 1123 section 2.1 */
	REF_MAX = 63,         /* a name, an id, or a prefix of an id */
	OBJECT_NAME_MAX = 63, /* images and kernels: [A-Za-z0-9._:-], not beginning with . or - */
	PATH_BYTES_MAX = 4095,
	LABELS_MAX = 32,
	LIMITS_MAX = 3,
	LABELS_BYTES_MAX = 16
			   << 10, /* of all labels of a VM: its view fits into a frame many times */
	ENV_MAX = 256,
	ENV_BYTES_MAX = 64 << 10, /* of a VM's whole environment, as above */
	ARGV_MAX = 32768,         /* words; bytes are bounded by the frame */
	PUBLISH_MAX = 32,
	TARGETS_MAX = 4096,  /* references in one request */
	COUNT_MAX = 4096,    /* VMs that one create may ask for */
	IOPS_MAX = 10000000, /* requests to a disk a second */
	VCPU_MAX = 64,
	WIRE_METHOD_MAX = 24,
	LIST_PAGE_MAX = 500,   /* rows of one vm.list reply, fewer where they would not fit */
	OP_STEPS_MAX = 1024,   /* timed steps kept of an operation, of all its VMs together */
	OP_TARGETS_MAX = 128,  /* VMs that one op.show tells of */
	OP_LIST_MAX = 1024,    /* rows of one op.list reply */
	OBJECT_LIST_MAX = 512, /* images or kernels */
	CONFIG_KEYS_MAX = 64,
	CONFIG_TEXT_MAX = 1100, /* a path of 1 KiB, and a line number */
	CONFIG_FILES_MAX = 4,
	CONFIG_PROBLEMS_MAX = 64,
	WATCH_TYPES_MAX = 8,
	GUEST_PORTS_MAX = 256, /* rows of one vm.ports reply */
	ADDRESS_MAX = 45,      /* characters of an IPv6 address */
	PACKAGES_MAX = 1024,
	TTY_CELLS_MAX = WIRE_CELLS_MAX,
	DEADLINE_MS_MAX = DURATION_MS_MAX,
};
#define MEMORY_MIN_BYTES (UINT64_C(16) << 20)
#define MEMORY_MAX_BYTES (UINT64_C(1) << 40)
#define RATE_MIN_BYTES   (UINT64_C(1) << 20) /* a second */
#define RATE_MAX_BYTES   (UINT64_C(1) << 40)
#define DISK_MIN_BYTES   (UINT64_C(1) << 20)
#define DISK_MAX_BYTES   (UINT64_C(64) << 40)

/* ---- the methods: METHOD(symbol, "name", args schema, result schema, one line) ---- */
/* clang-format off */
#define CLIENT_METHODS(METHOD)                                                                                            \
	METHOD(PING,         "ping",          none_schema,        none_schema,          "answers at once")                \
	METHOD(INFO,         "info",          info_args_schema,   info_result_schema,   "version, capacity, defaults")    \
	METHOD(SHUTDOWN,     "daemon.stop",   none_schema,        none_schema,          "ends the daemon; VMs run on")    \
	METHOD(CONFIG_SHOW,  "config.show",   none_schema,        config_result_schema, "the daemon's settings, and where each came from") \
	METHOD(CONFIG_RELOAD,"config.reload", none_schema,        config_reload_result_schema, "reads the configuration again") \
	METHOD(WATCH,        "watch",         watch_args_schema,  none_schema,          "streams events until cancelled") \
	METHOD(VM_CREATE,    "vm.create",     create_args_schema, targets_result_schema,"creates, and starts unless told not to") \
	METHOD(VM_RESOLVE,   "vm.resolve",    create_args_schema, vm_spec_schema,       "what vm.create would make of this; makes nothing") \
	METHOD(VM_START,     "vm.start",      targets_args_schema,targets_result_schema,"starts stopped VMs")             \
	METHOD(VM_STOP,      "vm.stop",       targets_args_schema,targets_result_schema,"powers off, then kills")         \
	METHOD(VM_RESTART,   "vm.restart",    targets_args_schema,targets_result_schema,"stop, then start")               \
	METHOD(VM_KILL,      "vm.kill",       targets_args_schema,targets_result_schema,"signals the VMM")                \
	METHOD(VM_DELETE,    "vm.delete",     targets_args_schema,targets_result_schema,"removes every trace")            \
	METHOD(VM_SET,       "vm.set",        targets_args_schema,targets_result_schema,"changes sizes of VMs that do not run, and labels") \
	METHOD(VM_WAIT,      "vm.wait",       targets_args_schema,targets_result_schema,"answers when all are in a state")\
	METHOD(VM_LIST,      "vm.list",       list_args_schema,   list_result_schema,   "one page of VMs")                \
	METHOD(VM_SHOW,      "vm.show",       ref_args_schema,    vm_view_schema,       "one VM")                         \
	METHOD(VM_EXEC,      "vm.exec",       exec_args_schema,   exec_result_schema,   "runs a command; streams")        \
	METHOD(VM_COPY_IN,   "vm.copy_in",    copy_in_args_schema,  copy_result_schema, "unpacks a tar archive in a VM; streams") \
	METHOD(VM_COPY_OUT,  "vm.copy_out",   copy_out_args_schema, copy_result_schema, "packs files of a VM as a tar archive; streams") \
	METHOD(VM_PING,      "vm.ping",       guest_ask_args_schema, ping_result_schema,"asks the guest's agent for a word") \
	METHOD(VM_HEALTH,    "vm.health",     guest_ask_args_schema, vm_health_schema,  "how the guest is, and what is wrong") \
	METHOD(VM_PORTS,     "vm.ports",      guest_ask_args_schema, vm_ports_schema,   "who listens in the guest")       \
	METHOD(VM_STATS,     "vm.stats",      guest_ask_args_schema, vm_stats_schema,   "what the VM uses of the host, and its guest of that") \
	METHOD(VM_CONSOLE,   "vm.console",    ref_args_schema,    none_schema,          "types on a VM's serial console; streams") \
	METHOD(OP_SHOW,      "op.show",       op_args_schema,     op_view_schema,       "one operation with its steps")   \
	METHOD(OP_WAIT,      "op.wait",       op_wait_args_schema,op_view_schema,       "answers when the operation has ended") \
	METHOD(OP_LIST,      "op.list",       none_schema,        op_list_result_schema,"operations under way, and the latest") \
	METHOD(OP_CANCEL,    "op.cancel",     op_args_schema,     none_schema,          "cancels and undoes an operation")\
	METHOD(IMAGE_IMPORT, "image.import",  image_import_args_schema, image_view_schema, "a tar or ext4 becomes an image") \
	METHOD(IMAGE_BUILD,  "image.build",   image_build_args_schema,  image_view_schema, "an image from Debian's packages") \
	METHOD(IMAGE_LIST,   "image.list",    none_schema,        image_list_result_schema, "all images")                 \
	METHOD(IMAGE_SHOW,   "image.show",    name_args_schema,   image_view_schema,    "one image")                      \
	METHOD(IMAGE_RM,     "image.rm",      name_args_schema,   none_schema,          "removes an unused image")        \
	METHOD(KERNEL_IMPORT,"kernel.import", kernel_import_args_schema, kernel_view_schema, "a package or file becomes a kernel") \
	METHOD(KERNEL_LIST,  "kernel.list",   none_schema,        kernel_list_result_schema, "all kernels")               \
	METHOD(KERNEL_SHOW,  "kernel.show",   name_args_schema,   kernel_view_schema,   "one kernel")                     \
	METHOD(KERNEL_RM,    "kernel.rm",     name_args_schema,   none_schema,          "removes an unused kernel")
/* clang-format on */

enum client_method {
#define METHOD(sym, name, args, result, doc) METHOD_##sym,
	CLIENT_METHODS(METHOD)
#undef METHOD
		METHOD_NMETHODS,
};

struct client_method_row {
	const char *name;
	const struct schema *args;
	const struct schema *result;
	const char *doc;
};

extern const struct client_method_row client_methods[METHOD_NMETHODS];
int client_method_find(const char *name, enum client_method *ret_method); /* -ENOSYS */

/* The row with this name in any conversation's table: its index, or -ENOSYS. */
int method_find(const struct client_method_row *rows, size_t n, const char *name);

/* ---- the events: EVENT(symbol, "name", body's schema, one line) ---- */
/* clang-format off */
#define CLIENT_EVENTS(EVENT)                                                                      \
	EVENT(PROGRESS, "progress", progress_event_schema, "how far the request is, where it asked for `progress`") \
	EVENT(LOST,     "lost",     lost_event_schema,     "events of the request that were not sent, because you read too slowly") \
	EVENT(VM,       "vm",       vm_event_schema,       "`watch`: a VM is in another state")   \
	EVENT(OP,       "op",       op_event_schema,       "`watch`: an operation that is kept, or one that streams, began, or its result is durable") \
	EVENT(IMAGE,    "image",    object_event_schema,   "`watch`: an image was added or removed") \
	EVENT(KERNEL,   "kernel",   object_event_schema,   "`watch`: a kernel was added or removed")
/* clang-format on */

enum client_event {
#define EVENT(sym, name, body, doc) EVENT_##sym,
	CLIENT_EVENTS(EVENT)
#undef EVENT
		EVENT_NEVENTS,
};

struct client_event_row {
	const char *name;
	const struct schema *body;
	const char *doc;
};

extern const struct client_event_row client_events[EVENT_NEVENTS];
int client_event_find(const char *name, enum client_event *ret_event); /* -ENOENT */

/* ---- arguments and results ---- */

struct none {
	bool unused; /* no fields on the wire */
};
extern const struct schema none_schema;

/* A published port: 127.0.0.1:host on the host reaches guest on the guest. */
struct publish {
	uint32_t host;  /* 1..65535 */
	uint32_t guest; /* 1..65535 */
};
extern const struct schema publish_schema;

/* What the owner wants. */
struct vm_spec {
	char name[VM_NAME_MAX + 1];       /* "": generated */
	char image[OBJECT_NAME_MAX + 1];  /* "": the default one */
	char kernel[OBJECT_NAME_MAX + 1]; /* "": the image's, else the newest */
	char vmm[16];                     /* "": chosen by the host; "qemu", "null" */
	uint32_t vcpu;                    /* 0: default */
	uint64_t memory_bytes;            /* 0: default */
	uint64_t disk_bytes;              /* 0: default; never smaller than the image */
	uint64_t disk_rate;               /* bytes a second that each drive moves; 0: no limit */
	uint32_t disk_iops;               /* requests a second, likewise */
	uint64_t net_rate;                /* bytes a second, each way; 0: no limit */
	bool nat;                         /* system mode */
	struct strv labels;               /* "k=v" */
	struct strv env;                  /* "k=v": of every command run in the guest */
	struct seq publish;               /* struct publish */
};
extern const struct schema vm_spec_schema;

struct create_args {
	struct vm_spec spec;
	uint32_t count; /* 0 or 1: one; else names get "-1".."-N" */
	bool no_start;
	bool lease;                /* delete the VMs when this connection closes */
	uint32_t boot_deadline_ms; /* 0: default */
};
extern const struct schema create_args_schema;

/* One or many VMs: by reference, by label, or all. */
/* What vm.set changes; what is absent stays as it is. */
struct vm_change {
	uint32_t vcpu; /* these three only while it does not run */
	uint64_t memory_bytes;
	uint64_t disk_bytes; /* only grows; its guest's file system follows at the next start */
	uint64_t disk_rate;  /* these, of a VM that runs too, at once */
	uint32_t disk_iops;
	uint64_t net_rate;
	struct strv drop_limits; /* "disk_rate", "disk_iops", "net_rate": not to have any more */
	struct strv labels;      /* "k=v" to have */
	struct strv drop_labels; /* keys not to have any more */
	char nat[4];             /* "on", "off"; a VM that runs has it at once */
};
extern const struct schema vm_change_schema;

struct targets_args {
	struct strv refs;
	struct strv labels; /* every "k=v" must match */
	bool all;
	bool force;           /* stop, delete: kill at once */
	bool stopped_only;    /* delete: refuse those that run */
	uint32_t signo;       /* kill: 0 is SIGKILL */
	uint32_t deadline_ms; /* stop: before the kill; start: for the boot; wait: give up */
	char state[16];       /* wait: "" is "stopped" (or gone) */
	struct vm_change set;
};
extern const struct schema targets_args_schema;

struct target_result {
	char ref[REF_MAX + 1]; /* as asked, or the name */
	vm_id id;              /* 0 where none was found or made */
	char name[VM_NAME_MAX + 1];
	char state[16];
	char code[48]; /* "" is success */
	char message[ERR_TEXT_MAX];
	char step[24];        /* the plan's step that failed */
	uint64_t duration_us; /* admission to end */
	uint64_t ready_us; /* create, start: begin of the VMM to the guest's word that it is up */
};
extern const struct schema target_result_schema;

struct targets_result {
	struct seq targets; /* struct target_result, in the order asked */
	uint32_t failed;
	uint32_t omitted; /* without a row: more than TARGETS_MAX would not fit */
};
extern const struct schema targets_result_schema;

/* Body of the event "progress": one VM's stage (id and name set), or a whole's count. */
struct progress_event {
	vm_id id;
	char name[VM_NAME_MAX + 1];
	char stage[24]; /* a plan's step, "ready", "failed", or a job's stage */
	char message[ERR_TEXT_MAX];
	uint64_t done;  /* of total; bytes or VMs */
	uint64_t total; /* 0: not known */
	uint32_t failed;
};
extern const struct schema progress_event_schema;

/* Body of the event "lost": what came before it and was not sent, because you read too slowly. */
struct lost_event {
	uint64_t events;
};
extern const struct schema lost_event_schema;

/* Body of the event "vm": a VM is in another state. */
struct vm_event {
	vm_id id;
	char name[VM_NAME_MAX + 1];
	char state[16];
	struct op_id op_id; /* whose work it is; 0: nobody's */
	uint64_t wall_ms;
};
extern const struct schema vm_event_schema;

/* Body of the event "op": an operation began, or its result is durable. */
struct op_event {
	struct op_id op_id;
	char method[WIRE_METHOD_MAX];
	char state[16]; /* as in op_view */
	vm_id vm;
	uint32_t vms, failed;
	uint64_t duration_us;
	char code[48];
	char message[ERR_TEXT_MAX];
	uint64_t wall_ms;
};
extern const struct schema op_event_schema;

/* Body of the events "image" and "kernel". */
struct object_event {
	char name[OBJECT_NAME_MAX + 1];
	char action[16]; /* "added", "removed" */
	struct op_id op_id;
	uint64_t wall_ms;
};
extern const struct schema object_event_schema;

struct watch_args {
	struct strv types;  /* "vm", "op", "image", "kernel"; empty: all, or with labels "vm" */
	struct strv labels; /* of VMs: every "k=v" must match */
};
extern const struct schema watch_args_schema;

struct ref_args {
	char ref[REF_MAX + 1];
};
extern const struct schema ref_args_schema;

struct list_args {
	bool all; /* also those that do not run */
	struct strv labels;
	char after[VM_ID_CHARS + 1]; /* where the page before ended */
	uint32_t limit;              /* 0: LIST_PAGE_MAX */
};
extern const struct schema list_args_schema;

/* A VM as a client sees it. */
struct vm_view {
	vm_id id;
	char state[16];
	struct vm_spec spec; /* as resolved: defaults filled in */
	uint64_t created_ms; /* Unix time */
	uint64_t started_ms; /* 0 unless it runs */
	char boot_id[40];    /* of the guest; "" unless known */
	char address[48];    /* of the guest; "" in user networking */
	uint32_t pid;        /* of the VMM; 0 unless it runs */
	char vmm[16];
	char accel[8]; /* "kvm" or "tcg" */
	char console_log[PATH_BYTES_MAX + 1];
	char vmm_log[PATH_BYTES_MAX + 1];
	char failure[ERR_TEXT_MAX]; /* why the last start or run failed */
	int32_t exit_status;        /* of the last VMM, as a shell shows it; -1: not known */
};
extern const struct schema vm_view_schema;

struct list_result {
	struct seq vms;             /* struct vm_view */
	char next[VM_ID_CHARS + 1]; /* "" on the last page */
	uint64_t total;             /* records in all */
};
extern const struct schema list_result_schema;

struct exec_args {
	char ref[REF_MAX + 1];
	struct strv argv; /* empty: a login shell */
	struct strv env;  /* "k=v" */
	char cwd[1024];   /* "": /root, or / where there is none */
	bool tty;
	bool stdin_open;     /* data frames of stream 0 will follow */
	uint32_t rows, cols; /* with tty */
	uint32_t window;     /* credit for stdout and stderr each; 0: WIRE_STREAM_WINDOW */
};
extern const struct schema exec_args_schema;

struct exec_result {
	int32_t status; /* 0..255; 128 + n for a signal; 126, 127 as a shell */
	uint32_t signo; /* that ended it, or 0 */
};
extern const struct schema exec_result_schema;

/* Files into a VM: stream 0 is a tar archive, stream 2 has notes, a line each. */
struct copy_in_args {
	char ref[REF_MAX + 1];
	struct bytes path; /* in the guest; from its root */
	bool as;         /* as cp(1): into a directory that is there, else under the path's name */
	bool no_owner;   /* files are root's, not those of whom the archive says */
	uint32_t window; /* credit for the notes; 0: WIRE_STREAM_WINDOW */
};
extern const struct schema copy_in_args_schema;

/* Files out of a VM: stream 1 is a tar archive, stream 2 has notes, a line each. */
struct copy_out_args {
	char ref[REF_MAX + 1];
	struct bytes path;
	bool follow;     /* the path itself may be a symbolic link to what is meant */
	uint32_t window; /* credit for archive and notes each; 0: WIRE_STREAM_WINDOW */
};
extern const struct schema copy_out_args_schema;

struct copy_result {
	uint64_t entries; /* of the archive */
	uint64_t bytes;   /* of files, holes included */
};
extern const struct schema copy_result_schema;
struct guest_ask_args {
	char ref[REF_MAX + 1];
	uint32_t deadline_ms; /* 0: default */
};
extern const struct schema guest_ask_args_schema;

struct ping_result {
	vm_id id;
	char name[VM_NAME_MAX + 1];
	char agent[32]; /* version of the agent */
	uint64_t round_trip_us;
};
extern const struct schema ping_result_schema;

/* What a guest says of itself. */
struct guest_stats {
	uint64_t uptime_ms;
	uint64_t load_milli; /* runnable processes over the last minute, in thousandths */
	uint32_t processes;
	uint64_t memory_bytes;
	uint64_t memory_available_bytes;
	uint64_t disk_bytes; /* of the root file system */
	uint64_t disk_available_bytes;
	bool disk_read_only;
	uint64_t rx_bytes, tx_bytes; /* of all interfaces but loopback, since its boot */
};
extern const struct schema guest_stats_schema;

struct vm_health {
	vm_id id;
	char name[VM_NAME_MAX + 1];
	char state[16];              /* "healthy" or "degraded" */
	char problems[ERR_TEXT_MAX]; /* why it is degraded */
	char boot_id[40];
	char kernel[128];
	char os[128];
	uint64_t round_trip_us;
	struct guest_stats guest;
};
extern const struct schema vm_health_schema;

/* What the guest's kernel has told the VMM of its memory by its balloon's driver. */
struct vm_balloon {
	uint64_t memory_bytes; /* that the kernel manages */
	uint64_t free_bytes, available_bytes, cache_bytes;
	uint64_t swapped_in_bytes, swapped_out_bytes; /* since its boot, and what follows */
	uint64_t major_faults, minor_faults;
};
extern const struct schema vm_balloon_schema;

/* What a VM uses: of the host by its VMM, and what the guest says. */
struct vm_stats {
	vm_id id;
	char name[VM_NAME_MAX + 1];
	uint32_t pid;        /* of the VMM; 0: it has none */
	uint64_t started_ms; /* Unix time */
	uint64_t sampled_us; /* the host's monotonic clock */
	uint32_t vcpu;
	uint64_t memory_bytes, disk_bytes; /* given */
	uint64_t cpu_us;                   /* since its start */
	uint64_t rss_bytes, pss_bytes;
	uint64_t read_bytes, write_bytes; /* storage, since its start */
	uint64_t disk_used_bytes;
	bool guest_known;
	char guest_error[ERR_TEXT_MAX]; /* why not */
	struct guest_stats guest;
	bool balloon_known;
	char balloon_error[ERR_TEXT_MAX]; /* why not */
	struct vm_balloon balloon;
};
extern const struct schema vm_stats_schema;

/* A socket in the guest that takes connections or datagrams. */
struct vm_port {
	char proto[8]; /* "tcp" or "udp" */
	char address[ADDRESS_MAX + 1];
	uint32_t port;
	uint32_t pid; /* 0: of no process that was found */
	char process[32];
	char endpoint[ADDRESS_MAX + 8]; /* of the host, where it is published: "127.0.0.1:8080" */
};
extern const struct schema vm_port_schema;

struct vm_ports {
	vm_id id;
	char name[VM_NAME_MAX + 1];
	struct seq ports; /* struct vm_port */
	uint32_t omitted; /* beyond GUEST_PORTS_MAX */
};
extern const struct schema vm_ports_schema;

struct op_args {
	struct op_id op_id;
};
extern const struct schema op_args_schema;

struct op_wait_args {
	struct op_id op_id;
	uint32_t deadline_ms; /* 0: none */
};
extern const struct schema op_wait_args_schema;

struct op_step {
	char name[24];     /* "queue": waited for the VM's work before */
	vm_id vm;          /* 0: of the whole operation */
	uint64_t begin_us; /* since the operation's admission */
	uint64_t duration_us;
	int32_t result; /* 0 or -errno */
	bool undo;
	bool running; /* not over: duration so far */
};
extern const struct schema op_step_schema;

struct op_view {
	struct op_id op_id;
	char method[WIRE_METHOD_MAX];
	char state[16];   /* "running", "done", "failed", "cancelled" */
	vm_id vm;         /* 0 unless it is about one VM */
	uint32_t vms;     /* that it is about */
	uint32_t failed;  /* of them */
	uint64_t wall_ms; /* of its admission */
	uint64_t duration_us;
	uint64_t commit_us; /* after that, until its result was durable; 0: not known (any more) */
	char code[48];
	char message[ERR_TEXT_MAX];
	struct seq steps; /* struct op_step, in the order in which they began */
	uint32_t steps_lost;
	struct seq targets; /* struct target_result */
};
extern const struct schema op_view_schema;

struct op_list_result {
	struct seq ops; /* struct op_view without steps, newest first */
};
extern const struct schema op_list_result_schema;

struct name_args {
	char name[OBJECT_NAME_MAX + 1];
};
extern const struct schema name_args_schema;

struct image_import_args {
	char name[OBJECT_NAME_MAX + 1];
	char path[PATH_BYTES_MAX +
		  1];        /* absolute; read by the daemon, which has its owner's rights */
	uint64_t disk_bytes; /* of the file system made; 0: what it needs and some room */
	char kernel[OBJECT_NAME_MAX + 1]; /* default kernel of VMs of this image */
	bool force;
};
extern const struct schema image_import_args_schema;

struct image_build_args {
	char name[OBJECT_NAME_MAX + 1];   /* "": as the source */
	char source[OBJECT_NAME_MAX + 1]; /* "debian:bookworm" */
	struct strv packages;             /* besides the minimal set */
	uint64_t disk_bytes;
	bool force;
};
extern const struct schema image_build_args_schema;

struct image_view {
	char name[OBJECT_NAME_MAX + 1];
	char kind[16]; /* "disk", "probe" or "null" */
	char source[256];
	char path[PATH_BYTES_MAX + 1];
	char kernel[OBJECT_NAME_MAX + 1];
	char sha256[65]; /* of what was imported, "" when built in */
	uint64_t bytes;  /* of the file system */
	uint64_t created_ms;
};
extern const struct schema image_view_schema;

struct image_list_result {
	struct seq images; /* struct image_view */
};
extern const struct schema image_list_result_schema;

struct kernel_import_args {
	char name[OBJECT_NAME_MAX + 1];   /* "": from the package or file name */
	char path[PATH_BYTES_MAX + 1];    /* a .deb, vmlinuz or vmlinux; "": Debian's cloud kernel
					   * package,    fetched by apt */
	char initrd[PATH_BYTES_MAX + 1];  /* optional, for a bare vmlinuz */
	char modules[PATH_BYTES_MAX + 1]; /* optional directory lib/modules/VERSION */
	bool force;
};
extern const struct schema kernel_import_args_schema;

struct kernel_view {
	char name[OBJECT_NAME_MAX + 1];
	char version[128];
	char path[PATH_BYTES_MAX + 1]; /* what a VMM boots: vmlinux where it could be extracted */
	char initrd[PATH_BYTES_MAX + 1];
	char sha256[65];
	uint64_t bytes;
	uint64_t created_ms;
};
extern const struct schema kernel_view_schema;

struct kernel_list_result {
	struct seq kernels; /* struct kernel_view */
};
extern const struct schema kernel_list_result_schema;

struct info_args {
	bool measure; /* answer only once the accelerator is known */
};
extern const struct schema info_args_schema;

struct info_result {
	char version[32];
	uint64_t started_ms;
	uint32_t pid;
	char state_dir[PATH_BYTES_MAX + 1];
	char runtime_dir[PATH_BYTES_MAX + 1];
	char vmm[16];           /* that a new VM with an operating system gets */
	char vmm_reason[200];   /* why */
	char accel[8];          /* of a guest with an operating system; "": not measured yet */
	char probe_accel[8];    /* of a probe */
	char accel_reason[160]; /* why */
	uint32_t vms, running;
	uint32_t images, kernels;
	uint32_t cpus;
	uint64_t memory_bytes; /* of the host */
	uint32_t starts_max;   /* admitted at once */
	uint32_t starting, waiting;
	uint32_t vcpu; /* defaults of a new VM */
	uint64_t vm_memory_bytes;
	uint64_t vm_disk_bytes;
	char image[OBJECT_NAME_MAX + 1];  /* "": the newest */
	char kernel[OBJECT_NAME_MAX + 1]; /* "": the image's, else the newest */
	uint64_t leaks;                   /* undo steps that failed and are being retried */
	char limits[160];                 /* cgroup limits: what is enforced */
	char helper[160]; /* system mode: what the root helper has given; "": session mode */
	bool helper_up;   /* ... it has */
};
extern const struct schema info_result_schema;

/* A setting in force. */
struct config_key {
	char key[48]; /* "defaults.memory" */
	char value[CONFIG_TEXT_MAX];
	char source[16];             /* "built in", "host", "file", "environment" or "option" */
	char where[CONFIG_TEXT_MAX]; /* "FILE:LINE", the variable, or how it is found */
	char next[CONFIG_TEXT_MAX]; /* what it will be once the daemon starts again; "": the same */
	bool live;                  /* config.reload takes it over at once */
};
extern const struct schema config_key_schema;

struct config_problem {
	char where[CONFIG_TEXT_MAX]; /* "FILE:LINE", or a variable */
	char message[ERR_TEXT_MAX];
	bool fatal; /* otherwise it is ignored */
};
extern const struct schema config_problem_schema;

struct config_result {
	struct seq keys;     /* struct config_key */
	struct strv files;   /* that were read, later ones win */
	struct seq problems; /* struct config_problem */
};
extern const struct schema config_result_schema;

struct config_reload_result {
	struct strv changed; /* keys that have a new value */
	struct strv restart; /* keys whose new value waits for the daemon's next start */
	struct seq problems; /* struct config_problem */
};
extern const struct schema config_reload_result_schema;

/* ---- checks that CLI and daemon share ---- */

/* What a VM's spec may weigh: ERR_BAD_REQUEST, naming the field and its bound. */
int vm_labels_check(const struct strv *labels, struct err *e);
int vm_spec_check(const struct vm_spec *spec, struct err *e);

/* ERR_VM_NAME, naming the offending character or length. */
int vm_name_check(const char *name, struct err *e);
/* ERR_BAD_REQUEST. */
int object_name_check(const char *what, const char *name, struct err *e);
