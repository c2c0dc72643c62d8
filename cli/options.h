/* options.h - every option of every command, and the struct that parsing fills.
 *
 * One table; a command says with a mask which rows it takes.  Help, the man page, errors and
 * "did you mean" read the same rows.  `struct options` owns its vectors (options_fini); its plain
 * strings are borrowed from argv.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/strv.h"
#include "proto/client.h"

struct command;
struct conf;

struct options {
	const struct command *command; /* borrowed */
	/* global */
	bool json, quiet, help, version, no_color;
	const char *format;
	const char *socket;
	bool system, session; /* whose daemon */
	const char *config;
	struct op_id op_id; /* zero unless given */
	/* what to create */
	const char *name, *image, *kernel, *vmm, *pull;
	uint32_t vcpu, count;
	uint64_t memory_bytes, disk_bytes;
	uint64_t disk_rate, net_rate;
	uint32_t disk_iops;
	struct seq publish; /* struct publish */
	bool nat, no_nat, no_start, rm, detach;
	/* which VMs, and how */
	bool all, force;
	struct strv labels, unlabels, unlimits;
	struct strv types;
	uint32_t signo, timeout_ms;
	const char *state, *tail_lines;
	bool follow, vmm_log;
	bool read_only;
	const char *escape;
	bool trace;
	bool no_probe, no_stream;
	uint32_t interval_ms, fleet;
	/* commands in a guest */
	bool interactive, tty, no_stdin, no_prefix;
	struct strv env;
	const char *cwd;
	/* copies */
	bool archive, follow_link, no_owner;
	/* images and kernels */
	const char *initrd, *modules;
	struct strv packages;
	/* words */
	char **args; /* borrowed; before -- */
	uint32_t nargs;
	char **tail; /* borrowed; the guest's command; NULL-terminated */
	uint32_t ntail;
	/* settings.h; NULL for what needs none */
	char *config_path; /* owned; of `config`, absolute */
	struct conf *conf; /* owned */
};

enum option_kind {
	OPTION_FLAG,     /* bool */
	OPTION_TEXT,     /* const char * */
	OPTION_U32,      /* uint32_t, min..max */
	OPTION_SIZE,     /* uint64_t bytes, min..max */
	OPTION_DURATION, /* uint32_t ms */
	OPTION_SIGNAL,   /* uint32_t */
	OPTION_OP_ID,    /* struct op_id */
	OPTION_PAIRS,    /* struct strv of k=v; may be repeated */
	OPTION_WORDS,    /* struct strv; may be repeated */
	OPTION_PUBLISH,  /* struct seq of struct publish; may be repeated */
};

enum option {
	/* global: of every command */
	OPT_HELP,
	OPT_VERSION,
	OPT_JSON,
	OPT_QUIET,
	OPT_SOCKET,
	OPT_SYSTEM,
	OPT_SESSION,
	OPT_CONFIG,
	OPT_OP_ID,
	OPT_NO_COLOR,
	/* of some */
	OPT_NAME,
	OPT_IMAGE,
	OPT_KERNEL,
	OPT_PULL,
	OPT_VMM,
	OPT_VCPU,
	OPT_MEMORY,
	OPT_DISK,
	OPT_DISK_RATE,
	OPT_DISK_IOPS,
	OPT_NET_RATE,
	OPT_LABEL,
	OPT_UNLABEL,
	OPT_UNLIMIT,
	OPT_ENV,
	OPT_PUBLISH,
	OPT_NAT,
	OPT_NO_NAT,
	OPT_COUNT,
	OPT_RM,
	OPT_DETACH,
	OPT_NO_START,
	OPT_TIMEOUT,
	OPT_ALL,
	OPT_FORCE,
	OPT_SIGNAL,
	OPT_STATE,
	OPT_TRACE,
	OPT_FORMAT,
	OPT_TYPE,
	OPT_FOLLOW,
	OPT_TAIL,
	OPT_VMM_LOG,
	OPT_READ_ONLY,
	OPT_ESCAPE,
	OPT_NO_PROBE,
	OPT_NO_STREAM,
	OPT_INTERVAL,
	OPT_FLEET,
	OPT_INTERACTIVE,
	OPT_TTY,
	OPT_NO_STDIN,
	OPT_NO_PREFIX,
	OPT_CWD,
	OPT_ARCHIVE,
	OPT_FOLLOW_LINK,
	OPT_NO_OWNER,
	OPT_INITRD,
	OPT_MODULES,
	OPT_PACKAGE,
	OPT_NOPTIONS,
};

enum {
	FLEET_MAX = 100000, /* VMs that doctor can be asked about */
};

#define OPTIONS_GLOBAL (BIT(OPT_NO_COLOR + 1) - 1)

struct option_row {
	char letter; /* 0: none */
	const char *name;
	enum option_kind kind;
	const char *arg; /* what its value is called; NULL for flags */
	uint16_t offset; /* in struct options */
	uint64_t min, max;
	const char *doc;
};

extern const struct option_row option_rows[OPT_NOPTIONS];

/* What options a command takes, and how its words are split. */
struct option_rules {
	uint64_t allowed;  /* BIT(enum option); the global ones need not be said */
	uint32_t max_args; /* more are refused */
	bool rest;       /* after max_args words the rest is the guest's command, without -- too */
	bool tail;       /* `-- CMD ARG...` is allowed */
	bool first_word; /* stop at the first word: what comes before a command's name */
};

/* Reads argv[0..argc) (without the program's and the command's name).  Returns how many were read
 * (all of them unless first_word), or -errno with a sentence. */
int options_parse(struct options *o, const struct option_rules *rules, int argc, char **argv,
		  struct err *e) MUST_CHECK;
void options_fini(struct options *o);
