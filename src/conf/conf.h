/* conf.h - the settings of daemon and command line: one table of keys, and where values come from.
 *
 *   /etc/banger/banger.conf, then $XDG_CONFIG_HOME/banger/banger.conf (or --config alone),
 *   then the environment; what none of them says comes from the host, else is built in.
 *
 * INI files, read by inih, which lives here alone.  banger.conf(5), `banger config show` and "did
 * you mean" are written from conf_rows.  Reading never stops at the first problem: all are told,
 * with file and line.  Reads files, blocks; no clock, no state of its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "proto/client.h"

enum {
	CONF_PATH_MAX = 1024,
	CONF_DIR_MAX = 900, /* of directories that names are put into, as "%.900s" says */
	CONF_WORD_MAX = 16,
	CONF_FILE_MAX = 64 * 1024, /* bytes of a file */
	CONF_FILES_MAX = 2,
	CONF_PROBLEMS_MAX = 32, /* told; more are counted */
	CONF_KEY_MAX = 48,      /* "defaults.memory" */
	CONF_TEXT_MAX = CONF_PATH_MAX,

	VMS_LIMIT = 16384,    /* records that a daemon can be told to keep, at most */
	OPS_LIMIT = 1000000,  /* likewise finished operations */
	STARTS_LIMIT = 65536, /* likewise starts at once */
};

enum conf_key {
	CONF_VCPU,
	CONF_MEMORY,
	CONF_DISK,
	CONF_IMAGE,
	CONF_KERNEL,
	CONF_VMM,
	CONF_STARTS_MAX,
	CONF_VMS_MAX,
	CONF_OPS_KEPT,
	CONF_CGROUP,
	CONF_BOOT,
	CONF_STOP,
	CONF_QEMU,
	CONF_FIRECRACKER,
	CONF_LIBEXEC,
	CONF_HELPER,
	CONF_PASST,
	CONF_ACCEL,
	CONF_NETWORK,
	CONF_ROOT_DISK,
	CONF_HOST_LOOPBACK,
	CONF_LOG_LEVEL,
	CONF_COLOR,
	CONF_DAEMON,
	CONF_NKEYS,
};

enum conf_source {
	CONF_BUILT_IN,
	CONF_HOST,
	CONF_FROM_FILE,
	CONF_FROM_ENVIRONMENT,
	CONF_FROM_OPTION, /* of the daemon's command line */
	CONF_NSOURCES,
};

struct conf_origin {
	enum conf_source source;
	uint8_t file;  /* of conf.files, when it is one */
	uint32_t line; /* in it */
};

struct conf {
	/* ---- the keys, by section ---- */
	uint32_t vcpu; /* defaults of a new VM, never 0 */
	uint64_t memory_bytes;
	uint64_t disk_bytes;
	char image[OBJECT_NAME_MAX + 1];  /* "": the newest */
	char kernel[OBJECT_NAME_MAX + 1]; /* "": the image's, else the newest */
	char vmm[CONF_WORD_MAX];          /* "": chosen by the host */
	uint32_t starts_max;              /* never 0 */
	uint32_t vms_max;
	uint32_t ops_kept;          /* finished operations remembered */
	char cgroup[CONF_PATH_MAX]; /* that VMs get their limits in; "none"; "" to look for it */
	uint32_t boot_ms;         /* from the VMM's start to "up", where the request does not say */
	uint32_t stop_ms;         /* from the request to power off to the kill, likewise */
	char qemu[CONF_PATH_MAX]; /* "" when there is none */
	char firecracker[CONF_PATH_MAX];   /* likewise */
	char libexec_dir[CONF_PATH_MAX];   /* banger-imager, banger-init, banger-agent, probe.elf */
	char helper_socket[CONF_PATH_MAX]; /* of the root helper; in system mode alone */
	char passt[CONF_PATH_MAX];         /* "" when there is none */
	char network[CONF_WORD_MAX];       /* of session VMs: "passt", "user"; "" to choose */
	char root_disk[CONF_WORD_MAX]; /* of system VMs: a word of vmm.root_disk; "" to choose */
	char host_loopback[CONF_WORD_MAX]; /* whether they reach it: "yes", "no" */
	char accel[CONF_WORD_MAX];         /* "kvm" or "tcg" to decide, "" to measure */
	char log_level[CONF_WORD_MAX];     /* a row of conf_log_levels */
	char color[CONF_WORD_MAX];         /* of the command line: "never", "" */
	char daemon[CONF_PATH_MAX];        /* of the command line: bangerd; "" to look for it */

	/* ---- where they came from ---- */
	struct conf_origin origins[CONF_NKEYS];
	char files[CONF_FILES_MAX][CONF_PATH_MAX]; /* that were read */
	uint32_t nfiles;

	/* ---- not keys: what the host is, what the command line said ---- */
	bool system;                     /* the daemon of the system, with a root helper */
	char runtime_dir[CONF_PATH_MAX]; /* sockets; gone after a reboot */
	char state_dir[CONF_PATH_MAX];   /* records, disks, images, kernels */
	uint32_t cpus;                   /* of the host */
	uint64_t host_memory_bytes;
};

/* ---- the table ---- */

enum conf_kind {
	CONF_KIND_U32,      /* uint32_t, min..max */
	CONF_KIND_SIZE,     /* uint64_t bytes, min..max */
	CONF_KIND_DURATION, /* uint32_t ms */
	CONF_KIND_WORD,     /* char[], one of words; "auto" is "" */
	CONF_KIND_NAME,     /* char[], of an image or kernel; empty is allowed */
	CONF_KIND_PATH,     /* char[], absolute; empty is allowed, or one of words instead */
};

struct conf_row {
	const char *section, *name;
	enum conf_kind kind;
	uint16_t offset, size; /* of the member in struct conf */
	uint64_t min, max;
	const char *const *words; /* NULL at the end */
	const char *env;
	bool live;            /* a reload takes it at once; otherwise the next start does */
	bool cli;             /* read by the command line, not by the daemon */
	const char *fallback; /* in words: what it is when nothing says it */
	const char *doc;
};

extern const struct conf_row conf_rows[CONF_NKEYS];
extern const char *const conf_vmms[];       /* "auto" first */
extern const char *const conf_log_levels[]; /* "err" is 3 as in log.h, and so on */

void conf_key_name(enum conf_key key, char out[CONF_KEY_MAX]); /* "defaults.memory" */
void conf_text(const struct conf *c, enum conf_key key, char out[CONF_TEXT_MAX]); /* as in a file */
bool conf_equal(const struct conf *a, const struct conf *b, enum conf_key key);
void conf_copy(struct conf *to, const struct conf *from, enum conf_key key); /* with its origin */
/* ERR_BAD_REQUEST or ERR_VM_SIZE with a sentence that begins with the key. */
int conf_set(struct conf *c, enum conf_key key, const char *text, struct err *e);

/* "file /etc/banger/banger.conf:3", "environment BANGER_MEMORY", "host", "built in". */
const char *conf_source_name(enum conf_source source);
void conf_where(const struct conf *c, enum conf_key key, char *out, size_t size);

/* ---- what was wrong ---- */

struct conf_problem {
	char where[CONF_PATH_MAX + 16]; /* "FILE:LINE", "FILE", or a variable */
	bool fatal;                     /* a value cannot be used; otherwise it was ignored */
	char text[ERR_TEXT_MAX];
};

struct conf_problems {
	struct conf_problem v[CONF_PROBLEMS_MAX];
	uint32_t n;
	uint32_t more; /* that did not fit */
	uint32_t fatal;
};

void conf_problem(struct conf_problems *p, const char *where, bool fatal, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/* ---- reading ---- */

/* What there is to read.  Borrowed strings. */
struct conf_input {
	const char *file;    /* said on the command line: read alone; NULL: where one looks */
	const char *libexec; /* built in */
	bool environment;
	bool system; /* of what is usual, the file below /etc alone: it is no user's daemon */
};

/* The host's CPUs and memory, the defaults that follow, and what is built in. */
void conf_init(struct conf *c, const char *libexec);

/* conf_init(), then the files and the environment.  What is wrong is in *p; ERR_CONFIG_BAD, about
 * the first of them, when any is fatal, and then what could be read is in *c all the same. */
int conf_load(struct conf *c, const struct conf_input *in, struct conf_problems *p, struct err *e);

/* One file, over what *c holds. */
void conf_read_file(struct conf *c, const char *path, struct conf_problems *p);

/* Text of a file that is called `path`; pure, any bytes are safe. */
void conf_read_text(struct conf *c, const char *path, const char *text, size_t len,
		    struct conf_problems *p);

/* ---- as the protocol says it ---- */

/* `next` is what the daemon would take if it started now. */
void conf_view_key(const struct conf *now, const struct conf *next, enum conf_key key,
		   struct config_key *ret_row);
void conf_view_problems(const struct conf_problems *p,
			struct config_problem *ret_rows); /* p->n of them */
